"""The files of a run over independent images, as run.json names them: SHA-256 of each, and of each input."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from morphoscope.io.films import FilmFile
from morphoscope.pipeline.provenance import file_hash

UNREADABLE = "0" * 64


class FileHashes:
    """SHA-256 of files, each read once."""

    def __init__(self) -> None:
        self._known: dict[Path, str] = {}

    def of(self, path: Path) -> str:
        """That of a file.

        Raises:
            OSError: it cannot be read.
        """
        if path not in self._known:
            self._known[path] = file_hash(path)
        return self._known[path]


def hashed_inputs(sources: Sequence[Path], files: Sequence[FilmFile], hashes: FileHashes | None = None) -> list[dict[str, Any]]:
    """Path, SHA-256 of names and contents, and number of files of each input; `hashes` keeps those of the files."""
    hashes = hashes or FileHashes()
    left = {file.path.resolve(): file for file in files}
    facts = []
    for source in sources:
        root = source.resolve()
        there = [root] if root in left else [] if source.is_file() else [path for path in left if path.is_relative_to(root)]
        own = [left.pop(path) for path in there]
        if source.is_file():
            digest = _hash(own[0].path if own else root, hashes)
        else:
            whole = hashlib.sha256()
            for file in own:
                whole.update(file.name.encode())
                whole.update(bytes.fromhex(_hash(file.path, hashes)))
            digest = whole.hexdigest()
        facts.append({"path": str(root), "sha256": digest, "frames": len(own)})
    return facts


def _hash(path: Path, hashes: FileHashes) -> str:
    try:
        return hashes.of(path)
    except OSError:  # said when it is to be read
        return UNREADABLE

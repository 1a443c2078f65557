"""Files by what is in them: the hash that names an image, its path as the project remembers it, and a search for moved files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from morphoscope.errors import InputError


def sha256_of(path: str | Path) -> str:
    """sha256 of a file's bytes as 64 hex digits, read in blocks.

    Raises:
        InputError: it is missing, a folder, or cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read the image {path}: {error.strerror or error}") from error


def stored_path(path: str | Path, folder: Path) -> str:
    """How a path is remembered: relative to `folder` with forward slashes where both share more than the root, else absolute."""
    full = Path(os.path.abspath(path))
    try:
        shared = Path(os.path.commonpath([full, folder]))
    except ValueError:  # two drives
        return full.as_posix()
    return Path(os.path.relpath(full, folder)).as_posix() if shared != Path(shared.anchor) else full.as_posix()


def real_path(stored: str, folder: Path) -> Path:
    """The way back from `stored_path`."""
    return Path(os.path.normpath(folder / PurePosixPath(stored)))


def is_there(path: Path, size_bytes: int) -> bool:
    """Whether a file of that size is at the path."""
    try:
        return path.is_file() and path.stat().st_size == size_bytes
    except OSError:
        return False


def search(root: Path, wanted: Mapping[str, int]) -> Iterator[tuple[str, Path]]:
    """(sha256, path) of files below `root` whose contents are wanted (sha256 to size in bytes), read only where the size fits.

    Files that cannot be read are passed over: they may be any.
    """
    missing = dict(wanted)
    for path in _files(root):
        if not missing:
            return
        try:
            if path.stat().st_size not in missing.values():
                continue
            sha256 = sha256_of(path)
        except (OSError, InputError):
            continue
        if missing.pop(sha256, None) is not None:
            yield sha256, path


def _files(root: Path) -> Iterable[Path]:
    for folder, names, files in os.walk(root):
        names.sort()
        yield from (Path(folder) / name for name in sorted(files))

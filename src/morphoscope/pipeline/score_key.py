"""What the parts of a run of `score` depend on: its files, its model, and the settings that change a row."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from morphoscope import __version__
from morphoscope.errors import UsageError
from morphoscope.io.films import FilmFile
from morphoscope.models.card import ModelCard
from morphoscope.pipeline.provenance import file_hash, text_hash
from morphoscope.recipe import FramesRecipe, Recipe

UNUSED = ("invert", "level", "scars")  # of [frames]: models of scores take pictures as they are
UNREADABLE = "0" * 64


def refuse_unused(recipe: Recipe) -> None:
    """Make sure that no setting is changed that scoring does not know.

    Raises:
        UsageError: one is.
    """
    usual = FramesRecipe()
    for name in UNUSED:
        if getattr(recipe.frames, name) != getattr(usual, name):
            raise UsageError(
                f"frames.{name} = {getattr(recipe.frames, name)!r} has no effect on scores, as models take pictures as they "
                "are; leave it out of the recipe, and change the pictures themselves where they need it"
            )


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


class Carded(Protocol):
    """Whatever has a model's card; what is loaded from a file has its `path` too."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        ...


def model_facts(scorer: Carded) -> dict[str, Any]:
    """Name, SHA-256 and path of the model."""
    path: Path | None = getattr(scorer, "path", None)
    digest = file_hash(path) if path is not None else text_hash(scorer.card.model_dump_json())
    return {"name": scorer.card.name, "sha256": digest, "path": None if path is None else str(path)}


def score_key(recipe: Recipe, inputs: Sequence[Mapping[str, Any]], model: Mapping[str, Any]) -> dict[str, Any]:
    """Runs may share parts only where this is equal (`chunk` aside)."""
    settings = {
        "score": recipe.score.model_dump(mode="json", include={"patch_px", "patch_nm", "stride_px", "maps"}),
        "frames": recipe.frames.model_dump(mode="json", exclude={"series", "samples", *UNUSED}),
        "calibration": recipe.calibration.model_dump(mode="json", exclude={"axes"}),
        "provider": [recipe.run.provider, recipe.run.precision],
    }
    return {
        "input": [item["sha256"] for item in inputs],
        "model": model["sha256"],
        "recipe": settings,
        "version of morphoscope": __version__,
        "chunk": recipe.run.chunk,
    }

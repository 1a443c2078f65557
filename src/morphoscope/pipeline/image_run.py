"""A run over files of independent images: what it rests on, what it may share parts with, how it begins and ends."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, PartialError, UsageError
from morphoscope.models.card import ModelCard
from morphoscope.pipeline.folder import Run, claim, remove_parts, write_json
from morphoscope.pipeline.image_inputs import FileHashes, hashed_inputs
from morphoscope.pipeline.image_parts import ImageJob
from morphoscope.pipeline.provenance import common_info, file_hash, key_of, peak_memory_mb, text_hash
from morphoscope.recipe import FramesRecipe, Recipe

Source = str | Path
UNUSED = ("invert", "level", "scars")  # of [frames]
AS_THEY_ARE = (
    "as models take pictures as they are; leave it out of the recipe, and change the pictures themselves where they need it"
)


class Carded(Protocol):
    """Whatever has a model's card; what is loaded from a file has its `path` too."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        ...


class Known(NamedTuple):
    """What a run rests on: its inputs and model as run.json names them, what its parts depend on, when it began."""

    inputs: list[dict[str, Any]]
    model: dict[str, Any]
    key: dict[str, Any]
    start: float


def as_paths(inputs: Source | Sequence[Source], wanted: str) -> list[Path]:
    """The inputs, one or several.

    Raises:
        InputError: there is none.
    """
    sources = [Path(inputs)] if isinstance(inputs, (str, Path)) else [Path(path) for path in inputs]
    if not sources:
        raise InputError(f"wanted at least one picture, folder, stack or video {wanted}, got none")
    return sources


def refuse_unused(recipe: Recipe, names: Collection[str], why: str) -> None:
    """Make sure that none of these settings of [frames], which would change nothing, is changed.

    Raises:
        UsageError: one is.
    """
    usual = FramesRecipe()
    for name in names:
        if getattr(recipe.frames, name) != getattr(usual, name):
            raise UsageError(f"frames.{name} = {getattr(recipe.frames, name)!r} has no effect on {why}")


def known_of(
    job: ImageJob,
    sources: Sequence[Path],
    model: Carded,
    own: Mapping[str, Any],
    *,
    unused: Collection[str] = UNUSED,
    hashes: FileHashes | None = None,
) -> Known:
    """What a run rests on.

    Args:
        job: the run.
        sources: its inputs.
        model: what looks at the images.
        own: settings that its rows depend on, beside those of frames, calibration and provider.
        unused: settings of [frames] that they do not depend on.
        hashes: keeps those of the files.
    """
    start, recipe = time.perf_counter(), job.recipe
    with job.clock.stage("hash"):
        inputs = hashed_inputs(sources, job.files, hashes)
    facts = _model_facts(model)
    settings = {
        **own,
        "frames": recipe.frames.model_dump(mode="json", exclude={"series", "samples", *unused}),
        "calibration": recipe.calibration.model_dump(mode="json", exclude={"axes"}),
        "provider": [recipe.run.provider, recipe.run.precision],
    }
    return Known(inputs, facts, key_of(recipe, inputs, facts, settings), start)


def _model_facts(model: Carded) -> dict[str, Any]:
    """Name, SHA-256 and path of a model."""
    path: Path | None = getattr(model, "path", None)
    digest = file_hash(path) if path is not None else text_hash(model.card.model_dump_json())
    return {"name": model.card.name, "sha256": digest, "path": None if path is None else str(path)}


def begin(job: ImageJob, known: Known, *, overwrite: bool, resume: bool) -> Run | None:
    """Claim the run folder, whose parts decide how large the others are; the run that is complete there already.

    Raises:
        RunExistsError, UsageError: as `folder.claim`.
    """
    chunk = claim(job.output, known.key, overwrite=overwrite, resume=resume)
    if chunk is None:
        remove_parts(job.output)
        return Run(job.output)
    job.chunk = chunk
    return None


def run_info(job: ImageJob, known: Known, kind: str, images: pd.DataFrame, failed: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """What run.json says of every run over images: `images` is its table, `failed` what could not be used."""
    recipe = job.recipe
    counts = {"images": len(images), "files": images["file"].nunique(), "left out": len(failed)}
    return {
        **common_info(recipe, known.inputs, recipe.calibrate(Calibration()), counts=counts, key=known.key),
        "kind": kind,
        "model": known.model,
        "provider": recipe.run.provider,
        "precision": recipe.run.precision,
        "failed": list(failed),
        "exit_code": PartialError.exit_code if failed else 0,
    }


def left_out(failed: Sequence[Mapping[str, str]]) -> list[str]:
    """A warning for each file that could not be used."""
    return [f"Left out: {one['reason']}" for one in failed]


def end(job: ImageJob, known: Known, info: dict[str, Any]) -> Run:
    """Write run.json, all else being there, and remove the parts; the run."""
    info["timings_s"] = {name: round(value, 3) for name, value in job.clock.seconds.items()}
    info["seconds"] = round(time.perf_counter() - known.start, 3)
    info["peak_memory_mb"] = peak_memory_mb()
    write_json(job.output / "run.json", info)
    remove_parts(job.output)
    run = Run(job.output)
    run.info  # noqa: B018  what this run has written, whoever writes there next
    return run

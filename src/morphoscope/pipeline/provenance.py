"""What a run rests on: hashes of its inputs and model, versions, the settings its parts depend on, and run.json."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from morphoscope import __version__
from morphoscope.calibration import Calibration
from morphoscope.errors import UsageError
from morphoscope.io.frames import Frames
from morphoscope.pipeline.finders import ObjectFinder
from morphoscope.pipeline.folder import Run
from morphoscope.pipeline.stages import Plan
from morphoscope.recipe import Recipe

PACKAGES = ("numpy", "scipy", "pandas", "opencv-python-headless", "av", "tifffile", "onnxruntime", "openvino", "matplotlib")


@cache
def versions() -> dict[str, str]:
    """Versions of morphoscope, Python and the packages that touch the numbers."""
    found = {"morphoscope": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def peak_memory_mb() -> float | None:
    """Most memory this process has held (MB, resident); None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1e6 if sys.platform == "darwin" else 1e3), 1)


def input_hash(path: Path, frames: Frames) -> str:
    """SHA-256 of a file, or of the names and contents of the files in a folder that frames come from."""
    if path.is_file():
        return file_hash(path)
    digest = hashlib.sha256()
    for name in dict.fromkeys(frames.name(i) for i in range(len(frames))):
        digest.update(name.encode())
        digest.update(bytes.fromhex(file_hash(path / name)))
    return digest.hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_hash(text: str) -> str:
    """SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def model_facts(finder: ObjectFinder, plan: Plan) -> dict[str, Any]:
    """Name and SHA-256 of the model, the factor frames were resampled by, and where its outlines lie if it gives any."""
    path, card = finder.path, finder.card.model_dump_json()
    digest = file_hash(path) if path is not None else text_hash(card)
    zoom = None if plan.zoom is None else round((plan.zoom[0] * plan.zoom[1]) ** 0.5, 6)
    facts = {"name": finder.card.name, "sha256": digest, "path": None if path is None else str(path), "resampled_by": zoom}
    return facts | {"outline": getattr(finder, "outline", None)}


def magnified_by(frames: pd.DataFrame) -> float | None:
    """How many times as large a network saw all frames (`schema.FRAMES`); None without one, or where frames differ in it."""
    known = frames["magnified"].unique()
    return float(known[0]) if len(known) == 1 and known[0] == known[0] else None


def parts_key(
    recipe: Recipe,
    plan: Plan,
    register: bool,
    inputs: Sequence[dict[str, Any]],
    model: dict[str, Any],
    finder: dict[str, Any],
) -> dict[str, Any]:
    """What the parts of a run depend on; runs may share parts only where this is equal (`chunk` aside).

    `finder` is what objects depend on beside, see `finders.ObjectFinder.key`.
    """
    frames = recipe.frames
    settings = {
        "frames": [frames.start, frames.stop, frames.step, frames.invert, frames.channel, frames.part],
        "level": [frames.level, frames.scars],
        "region": plan.region.model_dump(),
        "exclude": [part.model_dump() for part in plan.exclude],
        "zoom": plan.zoom and list(plan.zoom),
        "threshold": plan.threshold,
        "nms_iou": plan.nms_iou,
        "polarity": plan.polarity,
        "register": register,
        "provider": [recipe.run.provider, recipe.run.precision],
        **finder,
    }
    return key_of(recipe, inputs, model, settings)


def key_of(
    recipe: Recipe, inputs: Sequence[Mapping[str, Any]], model: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """What the parts of a run depend on: inputs, model, these settings, the version; runs with the same may share parts."""
    return {
        "input": [item["sha256"] for item in inputs],
        "model": model["sha256"],
        "recipe": dict(settings),
        "version of morphoscope": __version__,
        "chunk": recipe.run.chunk,
    }


def same_settings(run: Run, recipe: Recipe, *sections: str) -> Run:
    """A run that is complete already, if these sections of its recipe were the same; its key vouches for its parts.

    Raises:
        UsageError: they were not.
    """
    old, new = run.info["recipe"], recipe.model_dump(mode="json")
    differ = [name for name in sections if old.get(name) != new[name]]
    if differ:
        raise UsageError(
            f"{run.path} holds a complete run with other settings under {', '.join(differ)}; there is nothing to resume: "
            "use --overwrite to replace it, or another -o"
        )
    return run


def table_key(recipe: Recipe, digest: str) -> dict[str, Any]:
    """The same for a run over a table, which has no parts: the settings that choose and link its objects."""
    settings = recipe.model_dump(mode="json", include={"frames", "track"})
    return {"input": [digest], "model": digest, "recipe": settings, "version of morphoscope": __version__, "chunk": 0}


def common_info(
    recipe: Recipe,
    inputs: Sequence[dict[str, Any]],
    calibration: Calibration,
    *,
    counts: Mapping[str, int],
    key: Mapping[str, Any],
) -> dict[str, Any]:
    """What run.json holds of every run, whatever its input."""
    return {
        "title": recipe.report.title,
        "created": now(),
        "inputs": list(inputs),
        "recipe": recipe.model_dump(mode="json"),
        "versions": versions(),
        "machine": machine(),
        "calibration": calibration.to_dict(),
        "counts": dict(counts),
        "key": dict(key),
    }


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def machine() -> dict[str, Any]:
    """System and cores this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"system": platform.platform(), "cores": cores}

"""The run folder: its files, the parts written on the way, who may write into it, and reading it back."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray

from morphoscope.errors import InputError, RunExistsError, UsageError
from morphoscope.io.tables import read_table, write_table
from morphoscope.pipeline import mask_files
from morphoscope.recipe import Region
from morphoscope.schema import FRAMES, OBJECTS, QUANTITIES, TRACKS, conform, empty

TABLES = ("objects", "frames", "tracks")
MOTION = ("displacement", "msd", "van_hove", "survival", "diffusion_by_size", "growth_segments", "events")
PARTICLES = (
    *("particles", "size_distribution", "samples", "sample_comparison"),
    *("structure", "pair_correlation", "structure_factor", "nearest_neighbours"),
)
SCORES = ("scores", "trends", "response", "next")
MAPS = "maps"
FIGURES = (
    *("density_and_size", "density", "size_boxes", "track_growth", "trajectory_map", "drift", "overlay"),
    *("displacement", "msd", "van_hove", "survival", "diffusion_by_size", "track_story", "slowest_fastest"),
    *("size_distribution", "shape_distribution", "sample_comparison", "structure_curves", "structure_over_time"),
    *(f"overlay_{k}" for k in range(1, 7)),
    *("time_series", "response_surface", *(f"defects_{k}" for k in range(1, 7))),
    "decisions",
    *("orientation_histogram", "orientation_correlation", "aligned_fractions", *(f"orientation_{k}" for k in range(1, 7))),
)
OWN_FILES = (
    *(f"{table}.{ending}" for table in TABLES for ending in ("parquet", "csv")),
    *(f"{table}.csv" for table in (*MOTION, *PARTICLES)),
    *("scores.parquet", *(f"{table}.csv" for table in SCORES)),
    *("images.parquet", "images.csv", "orientation.parquet", "orientation.csv", "histogram.csv"),
    *("quantities.csv", "overlay.mp4", "report.html", "run.json", "recipe.toml", "runs.csv"),
)
PART = re.compile(r"(objects|frames|scores|answers|orientation)-\d{6}\.parquet|(mask|map)-\d{6,}\.tif|key\.json")
WRITTEN = "|".join((*TABLES, "quantities", *MOTION, *PARTICLES, *SCORES, "images", "answers", "orientation", "histogram"))
UNFINISHED = re.compile(rf"\.({WRITTEN}|mask|map)\b.*\.[0-9a-f]{{8}}\.part|(run|key)\.json\.part")  # left by a kill


@dataclass(frozen=True)
class Run:
    """A run folder read back. Tables load on first use; of a run that was broken off, the parts done are read.

    A run over several inputs has a run per input in `runs`; its tables are theirs one after the other, with a column
    `run` that names the subfolder.
    """

    path: Path

    @cached_property
    def info(self) -> dict[str, Any]:
        """Content of run.json; empty for a run that was broken off."""
        try:
            return dict(json.loads((self.path / "run.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path / 'run.json'} cannot be read: {error}; is {self.path} a run folder?") from error

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """The runs of the single inputs, empty for a run over one input."""
        return tuple(Run(self.path / name) for name in self.info.get("runs", ()))

    @property
    def report(self) -> Path:
        """Path of report.html."""
        return self.path / "report.html"

    @property
    def warnings(self) -> list[str]:
        """What to know before using the numbers."""
        return list(self.info.get("warnings", ()))

    @property
    def exit_code(self) -> int:
        """0, or 4 where part of the input could not be analysed."""
        return int(self.info.get("exit_code", 0))

    @cached_property
    def objects(self) -> pd.DataFrame:
        """A row per object per frame (`schema.OBJECTS`)."""
        return self._table("objects", empty(OBJECTS))

    @cached_property
    def frames(self) -> pd.DataFrame:
        """A row per frame (`schema.FRAMES`)."""
        return self._table("frames", empty(FRAMES))

    @cached_property
    def tracks(self) -> pd.DataFrame:
        """A row per track (`schema.TRACKS`)."""
        return self._table("tracks", empty(TRACKS))

    @cached_property
    def scores(self) -> pd.DataFrame:
        """A row per image (`schema.SCORES`), of a run of `score`."""
        return self._table("scores", pd.DataFrame())

    @cached_property
    def images(self) -> pd.DataFrame:
        """A row per image (`schema.IMAGES`), of a run of `classify`."""
        return self._table("images", pd.DataFrame())

    @cached_property
    def orientation(self) -> pd.DataFrame:
        """A row per image (`schema.ORIENTATION`), of a run of `orient`."""
        return self._table("orientation", pd.DataFrame())

    @cached_property
    def quantities(self) -> pd.DataFrame:
        """Results that are single numbers (`schema.QUANTITIES`)."""
        if self.runs:
            return pd.concat([run.quantities.assign(run=run.path.name) for run in self.runs], ignore_index=True)
        path = self.path / "quantities.csv"
        if not path.is_file():
            raise InputError(f"{path} is not there: a run's quantities come with its end; go on with --resume")
        numbers = {name: [""] for name, column in QUANTITIES.items() if column.dtype != "str"}  # an empty unit is no gap
        return conform(pd.read_csv(path, keep_default_na=False, na_values=numbers), QUANTITIES)

    def _table(self, name: str, nothing: pd.DataFrame) -> pd.DataFrame:
        if self.runs:
            tables: list[pd.DataFrame] = [getattr(run, name) for run in self.runs]
            named = [table.assign(run=run.path.name) for table, run in zip(tables, self.runs, strict=True)]
            return pd.concat(named, ignore_index=True)
        path = self.path / f"{name}.parquet"
        if path.is_file():
            return read_table(path)
        parts = [read_table(part) for part in sorted((self.path / "parts").glob(f"{name}-*.parquet"))]
        if parts:
            return pd.concat(parts, ignore_index=True)
        if (self.path / "parts").is_dir():
            return nothing
        raise InputError(f"wanted a run folder, {self.path} holds no {name}.parquet; `morphoscope analyze` makes one")


def open_run(path: str | Path) -> Run:
    """A finished run.

    Raises:
        InputError: the folder holds none.
    """
    run = Run(Path(path))
    if not run.info:
        hint = "it was broken off; go on with --resume" if (run.path / "parts").is_dir() else "`morphoscope analyze` makes one"
        raise InputError(f"wanted a run folder with run.json, {path} has none: {hint}")
    return run


@dataclass(frozen=True)
class Parts:
    """The parts of a run under way: chunk `i` is `objects-<i>.parquet` and `frames-<i>.parquet`, the latter written last."""

    folder: Path

    def has(self, chunk: int) -> bool:
        """Whether a chunk is on disk."""
        return self._path("frames", chunk).is_file()

    def has_all(self, chunk: int, frames: Collection[int]) -> bool:
        """Whether a chunk is on disk with all its frames; where the input ended early, its last chunk lacks some."""
        return self.has(chunk) and len(read_table(self._path("frames", chunk))) == len(frames)

    def write(self, chunk: int, objects: pd.DataFrame, frames: pd.DataFrame) -> None:
        """Put a chunk on disk; it exists whole or not at all."""
        write_table(self._path("objects", chunk), objects)
        write_table(self._path("frames", chunk), frames)

    def write_mask(self, number: int, labels: NDArray[np.int32], region: Region, shape: tuple[int, int]) -> None:
        """Put the label image of a frame of this shape on disk, its region filled with `labels`."""
        mask_files.write_mask(mask_files.mask_part(self.folder, number), labels, region, shape)

    def read_mask(self, number: int) -> NDArray[np.int32] | None:
        """The label image of a frame; None where there is none."""
        path = mask_files.mask_part(self.folder, number)
        return np.asarray(tifffile.imread(path), np.int32) if path.is_file() else None

    def read(self, chunks: Sequence[int]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Objects and frames of those chunks that exist, in order."""
        there = [chunk for chunk in chunks if self.has(chunk)]
        objects, frames = ([read_table(self._path(name, chunk)) for chunk in there] for name in ("objects", "frames"))
        filled = [table for table in objects if len(table)] or objects[:1]
        return pd.concat(filled, ignore_index=True), pd.concat(frames, ignore_index=True)

    def _path(self, name: str, chunk: int) -> Path:
        return self.folder / f"{name}-{chunk:06d}.parquet"


def claim(path: Path, key: Mapping[str, Any], *, overwrite: bool, resume: bool) -> int | None:
    """Make a folder ready for a run with this key; the chunk size to go on with, or None where the run is complete.

    Args:
        path: the run folder, made where it is missing.
        key: what the parts depend on; its `chunk` yields to that of the parts already there.
        overwrite: remove a run's own files that are there; other files stay.
        resume: keep the parts there, if they belong to the same key.

    Raises:
        RunExistsError: the folder is in use and neither was asked for, or holds files the run would replace.
        UsageError: the parts there belong to another input, recipe or model.
    """
    refuse_used(path, overwrite=overwrite, resume=resume)
    known = _known(path)
    if overwrite:
        remove_run(path)
    elif path.is_dir() and any(path.iterdir()):
        refuse_other_kind(path, several=False)
        if known is not None:
            _check_same(path, known, key)
            return None if (path / "run.json").is_file() else int(known["chunk"])
    (path / "parts").mkdir(parents=True, exist_ok=True)
    write_json(path / "parts" / "key.json", key)
    return int(key["chunk"])


def refuse_used(path: Path, *, overwrite: bool, resume: bool) -> None:
    """Make sure that a run may write into a folder, as far as that can be told before its key is known; see `claim`.

    Raises:
        RunExistsError: the folder is in use and neither was asked for, or holds files the run would replace.
    """
    refuse_strangers(path)
    if not overwrite and not resume and path.is_dir() and any(path.iterdir()):
        raise RunExistsError(_refusal(path, _known(path)))


def refuse_strangers(path: Path) -> None:
    """Make sure that nothing a run would replace or remove in a folder is somebody else's.

    Raises:
        RunExistsError: `path` is a file, or files in it bear the names of a run's and no run has written them.
    """
    if path.exists() and not path.is_dir():
        raise RunExistsError(f"wanted a folder for the run, {path} is a file; choose another -o")
    if _known(path) is not None:
        return
    figures = [f"figures/{name}.{ending}" for name in FIGURES for ending in ("png", "svg")]
    strange = [name for name in (*OWN_FILES, *figures) if (path / name).exists()]
    for folder in (mask_files.FOLDER, MAPS):
        strange += [file.relative_to(path).as_posix() for file in sorted((path / folder).rglob("*.tif"))]
    if strange:
        raise RunExistsError(
            f"{path} holds no run, but files that a run there would replace: {', '.join(strange)}; choose another -o or move them"
        )


def refuse_other_kind(path: Path, *, several: bool) -> None:
    """Make sure that what is to be resumed was begun over as many inputs, one or several.

    Raises:
        UsageError: it was not.
    """
    known = _known(path)
    if known is not None and ("runs" in known) is not several:
        began, now = ("one input", "several") if several else ("several inputs", "one")
        raise UsageError(f"{path} holds a run over {began} and cannot be resumed with {now}; give the same inputs, or another -o")


def _known(path: Path) -> dict[str, Any] | None:
    """The key of the run in a folder, or the names of its runs over several inputs; None where no run has written there."""
    for name in ("run.json", "parts/key.json"):
        try:
            values = json.loads((path / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        found = values.get("key", values) if isinstance(values, dict) else {}
        if {"input", "model", "chunk"} <= set(found) or {"runs", "versions"} <= set(found):
            return dict(found)
    return None


def _refusal(path: Path, known: Mapping[str, Any] | None) -> str:
    if (path / "run.json").is_file():
        return f"{path} already holds a run; --overwrite replaces it, another -o keeps it"
    if known is not None:
        return f"{path} holds a run that was broken off; --resume goes on with it, --overwrite starts again"
    return f"{path} is not empty and holds other files; choose another -o, or --overwrite to write beside them"


def _check_same(path: Path, known: Mapping[str, Any], key: Mapping[str, Any]) -> None:
    differ = sorted(name for name in {*known, *key} - {"chunk"} if known.get(name) != key.get(name))
    if differ:
        raise UsageError(
            f"{path} was begun with another {', '.join(differ)} and cannot be resumed with this one; "
            "use the same again, --overwrite to start anew, or another -o"
        )


def remove_run(path: Path) -> None:
    """Remove a run's own files from a folder, and the folders that leaves empty; other files, and what no run wrote, stay."""
    known = _known(path)
    if known is None:
        return
    for name in known.get("runs", ()):
        remove_run(path / Path(name).name)
        _remove_empty(path / Path(name).name)
    mask_files.remove_masks(path, _files(path, mask_files.FOLDER, "frames"))
    mask_files.remove_masks(path, [*_files(path, MAPS, "scores"), *_files(path, MAPS, "orientation")], MAPS)
    figures = path / "figures"
    for name in FIGURES:
        for ending in ("png", "svg"):
            (figures / f"{name}.{ending}").unlink(missing_ok=True)
    _remove_empty(figures)
    for name in sorted(OWN_FILES, key=lambda name: name == "run.json"):  # last, as it says that the others are a run's
        (path / name).unlink(missing_ok=True)
    remove_parts(path)
    _remove_unfinished(path)


def _files(path: Path, folder: str, table: str) -> list[str]:
    """The input files, as a table names them, whose label images or maps a run may have written into a folder."""
    if not (path / folder).is_dir():
        return []
    try:
        return [str(file) for file in getattr(Run(path), table)["file"].unique()]
    except (InputError, KeyError):
        return []


def remove_parts(path: Path) -> None:
    """Remove the parts of a run."""
    folder = path / "parts"
    if folder.is_dir():
        for part in folder.iterdir():
            if PART.fullmatch(part.name):
                part.unlink()
    _remove_unfinished(folder)
    _remove_empty(folder)


def _remove_unfinished(folder: Path) -> None:
    """Remove files whose writing a kill cut off."""
    if folder.is_dir():
        for part in folder.iterdir():
            if UNFINISHED.fullmatch(part.name):
                part.unlink()


def _remove_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write JSON in one step: readers see the old file or the new one."""
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(values, indent=2, ensure_ascii=False, default=str) + "\n", encoding="utf-8")
    os.replace(part, path)

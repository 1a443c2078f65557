"""The long part of a run of `score`: read ahead, score, a part per chunk of files on disk."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, MorphoscopeError
from morphoscope.io.conditions import Conditions
from morphoscope.io.films import Film, FilmFile
from morphoscope.io.frames import Image
from morphoscope.io.sem_sidecars import Sidecars
from morphoscope.io.tables import read_table, write_table
from morphoscope.pipeline.folder import MAPS, remove_run
from morphoscope.pipeline.mask_files import mask_names
from morphoscope.pipeline.scale import Scale
from morphoscope.pipeline.score_images import ERROR, SAID, PatchScorer, scale_of, score_image
from morphoscope.pipeline.score_maps import MapWriter
from morphoscope.pipeline.stream import Clock, Progress
from morphoscope.recipe import Recipe
from morphoscope.schema import SCORES, conform

LISTED = 10
CHECKED = 3  # files whose scale is compared with a scale bar in the picture: that takes longer than scoring
T = TypeVar("T")


class _Shot(NamedTuple):
    """An image of a file of that number, or why there is none."""

    number: int
    frame: int = 0
    frames: int = 1
    image: Image | None = None
    when: Mapping[str, Any] = {}
    calibration: Calibration = Calibration()
    metadata: Mapping[str, Any] = {}
    error: str = ""


@dataclass
class Job:
    """Files on their way to parts: chunk `i` is `scores-<i>.parquet`, written when the maps of its files are there."""

    files: Sequence[FilmFile]
    scorer: PatchScorer
    recipe: Recipe
    output: Path
    progress: Progress | None = None
    chunk: int = 64
    clock: Clock = field(default_factory=Clock)
    sidecars: Sidecars = field(default_factory=Sidecars)

    def map_part(self, number: int) -> Path:
        """The maps of a file, while the run is under way."""
        return self.output / "parts" / f"map-{number:06d}.tif"

    def run(self) -> pd.DataFrame:
        """Score all files that have not been; the rows of all, those of files that cannot be used with `error`.

        Raises:
            InputError: none could be used; the folder is left as it was.
        """
        chunks = [range(k, min(k + self.chunk, len(self.files))) for k in range(0, len(self.files), self.chunk)]
        paths = [self.output / "parts" / f"scores-{i:06d}.parquet" for i in range(len(chunks))]
        for numbers, path in zip(chunks, paths, strict=True):
            if not path.is_file():
                rows = self._rows(numbers)
                with self.clock.stage("write parts"):
                    write_table(path, _as_part(rows))
            self._tell(numbers.stop)
        parts = [read_table(path) for path in paths]
        table = pd.concat(parts, ignore_index=True)
        if ERROR in table and table[ERROR].notna().all():
            remove_run(self.output)
            if not any(self.output.iterdir()):
                self.output.rmdir()
            reasons = [one["reason"] for one in failures(table)]
            more = f"\n  and {len(reasons) - LISTED} more" if len(reasons) > LISTED else ""
            listed = "\n".join(f"  {reason}" for reason in reasons[:LISTED])
            raise InputError(f"none of the {len(self.files)} files could be scored:\n{listed}{more}")
        return table

    def _rows(self, numbers: range) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for number, shots in groupby(_ahead(self._shots(numbers)), key=lambda shot: shot.number):
            rows += self._of_file(number, shots)
            self._tell(number + 1)
        return rows

    def _tell(self, done: int) -> None:
        if self.progress is not None:
            self.progress(done, len(self.files))

    def _shots(self, numbers: range) -> Iterator[_Shot]:
        """All images of files; after the good ones of a damaged file, one that says why there are no more."""
        wanted = self.recipe.frames
        for number in numbers:
            path = self.files[number].path
            try:
                with Film(path, wanted.part, wanted.channel, self.sidecars) as film:
                    several = film.count > 1
                    frames = range(wanted.start, min(wanted.stop or film.count, film.count), wanted.step) if several else range(1)
                    if not frames:
                        yield _Shot(number, error=f"it has {film.count} frames, none of them from {wanted.start} on is wanted")
                    for frame in frames:
                        with self.clock.stage("read"):
                            image = film.image(frame)
                        when = _when(film, frame, self.recipe) if several else {}
                        yield _Shot(number, frame, len(frames), image, when, film.calibration, film.metadata)
            except MorphoscopeError as error:
                yield _Shot(number, error=str(error))
            except OSError as error:
                yield _Shot(number, error=error.strerror or str(error))

    def _of_file(self, number: int, shots: Iterator[_Shot]) -> list[dict[str, Any]]:
        """A row per image of a file; of one that is damaged those before the damage, and one that says so."""
        file, rows, maps, scale = self.files[number], list[dict[str, Any]](), None, None
        with ExitStack() as open_files:
            for shot in shots:
                if rows and ERROR in rows[-1]:
                    continue
                if shot.image is None:
                    rows.append(_failed(file, shot.error))
                    continue
                try:
                    if scale is None:
                        with self.clock.stage("scale"):
                            check = number < CHECKED
                            scale = scale_of(shot.image, self.recipe, shot.calibration, self.scorer.card, check=check)
                    with self.clock.stage("score"):
                        scored = score_image(shot.image, self.scorer, self.recipe, scale, shot.metadata)
                    scale = Scale(scale.calibration)
                except MorphoscopeError as error:
                    rows.append(_failed(file, str(error)))
                    continue
                rows.append({"file": file.name, **shot.when, **scored.row})
                if self.recipe.score.maps:
                    with self.clock.stage("write maps"):
                        maps = maps or open_files.enter_context(MapWriter(self.map_part(number), frames=shot.frames))
                        maps.write(scored.maps, shot.frame)
        return rows


def _failed(file: FilmFile, why: str) -> dict[str, Any]:
    return {"file": file.name, ERROR: why if file.path.name in why else f"{file.name}: {why}"}


def _when(film: Film, frame: int, recipe: Recipe) -> dict[str, Any]:
    """Number and time of an image of a stack: by the interval that was given, else as the file states."""
    interval, times = recipe.calibrate(film.calibration).frame_interval_s, film.times_s
    if times is not None and recipe.calibration.frame_interval_s is None:
        return {"frame": frame, "time_s": times[frame]}
    return {"frame": frame, "time_s": None if interval is None else frame * interval}


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, the next one made while one is worked on."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(next, items, None)
        while (item := future.result()) is not None:
            future = pool.submit(next, items, None)
            yield item


def _as_part(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([{**row, SAID: json.dumps(row.get(SAID, [])), ERROR: row.get(ERROR)} for row in rows])


def failures(rows: pd.DataFrame) -> list[dict[str, str]]:
    """`file` and `reason` of what could not be used."""
    if ERROR not in rows:
        return []
    wrong = rows[rows[ERROR].notna()]
    return [{"file": str(file), "reason": str(error)} for file, error in zip(wrong["file"], wrong[ERROR], strict=True)]


def good_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of images that were scored."""
    return rows[rows[ERROR].isna()].reset_index(drop=True) if ERROR in rows else rows


def scores_of(rows: pd.DataFrame, conditions: Conditions | None) -> pd.DataFrame:
    """The table of scores (`schema.SCORES`), conditions last."""
    table = good_rows(rows).drop(columns=[SAID, ERROR], errors="ignore")
    if "frame" in table:
        table = table.assign(frame=table["frame"].fillna(0))
    for name in ("time_s", "pixel_size_nm"):
        if name not in table and (name != "time_s" or "frame" in table):
            table[name] = float("nan")
    scores = [name for name in map(str, table.columns) if name.startswith("S_")]
    order = [name for name in ("file", "frame", "time_s") if name in table] + scores
    order += [name for name in SCORES if name in table and name not in order]
    table = conform(table[order], SCORES)[order]
    if conditions is None:
        return table
    own = conditions.table
    if "frame" in own and "frame" not in table:
        own = own.drop(columns="frame")
    keys = ["file", "frame"] if "frame" in own else ["file"]
    clash = [name for name in own.columns if name in table.columns and name not in keys]
    return table.drop(columns=clash).merge(own, on=keys, how="left", validate="m:1")


class MapJob(Protocol):
    """A run whose files have a map each."""

    @property
    def files(self) -> Sequence[FilmFile]:
        """All of them."""
        ...

    @property
    def output(self) -> Path:
        """The run folder."""
        ...

    def map_part(self, number: int) -> Path:
        """The maps of a file, while the run is under way."""
        ...


def join_maps(job: MapJob) -> list[str]:
    """Put the maps of all files where they belong, if they are not there already; the files, relative to the run folder."""
    names, there = mask_names((file.name for file in job.files), MAPS), []
    for number, file in enumerate(job.files):
        part, path = job.map_part(number), job.output / names[file.name]
        if part.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(part, path)
        if path.is_file():
            there.append(names[file.name])
    return there

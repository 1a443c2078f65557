"""The long part of a run of `score`: read ahead, score, a part per chunk of files on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.errors import MorphoscopeError
from morphoscope.io.conditions import Conditions
from morphoscope.io.films import FilmFile
from morphoscope.io.frames import Image
from morphoscope.io.sem_sidecars import Sidecars
from morphoscope.pipeline.image_parts import (
    CHECKED,
    ERROR,
    SAID,
    Row,
    failed_row,
    frame_and_time,
    good_rows,
    open_film,
    reason_of,
    run_parts,
    tell,
    wanted_frames,
)
from morphoscope.pipeline.scale import Scale
from morphoscope.pipeline.score_images import PatchScorer, scale_of, score_image
from morphoscope.pipeline.score_maps import MapWriter, map_part
from morphoscope.pipeline.stream import Clock, Progress
from morphoscope.recipe import Recipe
from morphoscope.schema import SCORES, conform

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

    def run(self) -> pd.DataFrame:
        """Score all files that have not been, see `image_parts.run_parts`."""
        return run_parts(self, "scores", self._rows, "scored")

    def _rows(self, numbers: range) -> Iterator[Row]:
        for number, shots in groupby(_ahead(self._shots(numbers)), key=lambda shot: shot.number):
            yield from self._of_file(number, shots)
            tell(self, number + 1)

    def _shots(self, numbers: range) -> Iterator[_Shot]:
        """All images of files; after the good ones of a damaged file, one that says why there are no more."""
        for number in numbers:
            try:
                with open_film(self.files[number], self.recipe, self.sidecars) as film:
                    frames = wanted_frames(film, self.recipe)
                    for frame in frames:
                        with self.clock.stage("read"):
                            image = film.image(frame)
                        when = frame_and_time(film, frame, self.recipe)
                        yield _Shot(number, frame, len(frames), image, when, film.calibration, film.metadata)
            except (MorphoscopeError, OSError) as error:
                yield _Shot(number, error=reason_of(error))

    def _of_file(self, number: int, shots: Iterator[_Shot]) -> list[Row]:
        """A row per image of a file; of one that is damaged those before the damage, and one that says so."""
        file, rows, maps, scale = self.files[number], list[Row](), None, None
        with ExitStack() as open_files:
            for shot in shots:
                if rows and ERROR in rows[-1]:
                    continue
                if shot.image is None:
                    rows.append(failed_row(file, shot.error))
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
                    rows.append(failed_row(file, str(error)))
                    continue
                rows.append({"file": file.name, **shot.when, **scored.row})
                if self.recipe.score.maps:
                    with self.clock.stage("write maps"):
                        maps = maps or open_files.enter_context(MapWriter(map_part(self.output, number), frames=shot.frames))
                        maps.write(scored.maps, shot.frame)
        return rows


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, the next one made while one is worked on."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(next, items, None)
        while (item := future.result()) is not None:
            future = pool.submit(next, items, None)
            yield item


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

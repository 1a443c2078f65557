"""The long part of a run of `orient`: image after image, a part per chunk of files on disk."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, MorphoscopeError
from morphoscope.io.films import Film, FilmFile
from morphoscope.io.frames import Image
from morphoscope.io.sem_sidecars import Sidecars
from morphoscope.io.tables import read_table, write_table
from morphoscope.models.preprocess import with_channels
from morphoscope.models.score_map import ScoreMap
from morphoscope.pipeline.folder import remove_run
from morphoscope.pipeline.orient_doubts import SAID_OF, WIRE
from morphoscope.pipeline.orient_image import LEARNED, Oriented, WireFinder, orient_image
from morphoscope.pipeline.scale import settle_scale
from morphoscope.pipeline.score_images import ERROR, SAID
from morphoscope.pipeline.score_job import CHECKED, LISTED, failures
from morphoscope.pipeline.score_maps import MapWriter
from morphoscope.pipeline.square_pixels import resampled, resampled_field
from morphoscope.pipeline.stream import Clock, Progress
from morphoscope.recipe import Recipe

PAGES = ("orientation_deg", "wire", "aligned")
HISTOGRAM = "histogram_"  # of each method, in the parts
CORRELATION = "correlation"
ASPECT = "pixel_aspect"  # height of a px over its width, in the parts; nan without a scale


@dataclass
class OrientJob:
    """Files on their way to parts: chunk `i` is `orientation-<i>.parquet`, written when the maps of its files are there."""

    files: Sequence[FilmFile]
    finder: WireFinder
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
        """Look at all files that have not been; the rows of all, those of files that cannot be used with `error`.

        Raises:
            InputError: none could be used; the folder is left as it was.
        """
        starts = range(0, len(self.files), self.chunk)
        paths = [self.output / "parts" / f"orientation-{i:06d}.parquet" for i in range(len(starts))]
        for start, path in zip(starts, paths, strict=True):
            numbers = range(start, min(start + self.chunk, len(self.files)))
            if not path.is_file():
                rows = [row for number in numbers for row in self._rows(number)]
                write_table(path, _as_part(rows))
            self._tell(numbers.stop)
        table = pd.concat([read_table(path) for path in paths], ignore_index=True)
        if table[ERROR].notna().all():
            self._give_up(table)
        return table

    def open(self, number: int) -> Film:
        """A file, opened as the recipe says."""
        wanted = self.recipe.frames
        return Film(self.files[number].path, wanted.part, wanted.channel, self.sidecars)

    def frames(self, film: Film) -> range:
        """The frames of a stack that are wanted; the one image of another file."""
        wanted = self.recipe.frames
        return range(wanted.start, min(wanted.stop or film.count, film.count), wanted.step) if film.count > 1 else range(1)

    def _give_up(self, table: pd.DataFrame) -> None:
        remove_run(self.output)
        if not any(self.output.iterdir()):
            self.output.rmdir()
        reasons = [one["reason"] for one in failures(table)]
        more = f"\n  and {len(reasons) - LISTED} more" if len(reasons) > LISTED else ""
        listed = "\n".join(f"  {reason}" for reason in reasons[:LISTED])
        raise InputError(f"none of the {len(self.files)} files could be used:\n{listed}{more}")

    def _tell(self, done: int) -> None:
        if self.progress is not None:
            self.progress(done, len(self.files))

    def _rows(self, number: int) -> list[dict[str, Any]]:
        """A row per image of a file; of one that is damaged those before the damage, and one that says so."""
        rows: list[dict[str, Any]] = []
        try:
            with self.open(number) as film, ExitStack() as open_files:
                rows.extend(self._of_film(number, film, open_files))
        except MorphoscopeError as error:
            rows.append(self._failed(number, str(error)))
        except OSError as error:
            rows.append(self._failed(number, error.strerror or str(error)))
        self._tell(number + 1)
        return rows

    def _of_film(self, number: int, film: Film, open_files: ExitStack) -> Iterator[dict[str, Any]]:
        frames, maps, known = self.frames(film), None, None
        if not frames:
            raise InputError(f"it has {film.count} frames, none of them from {self.recipe.frames.start} on is wanted")
        for frame in frames:
            with self.clock.stage("read"):
                image = film.image(frame)
            if known is None:
                with self.clock.stage("scale"):
                    known, said = self._scale(number, image, film)
            with self.clock.stage("orient"):
                found = orient_image(image, self.finder, self.recipe, known, film.metadata)
            if self.recipe.orient.maps:
                with self.clock.stage("write maps"):
                    maps = maps or open_files.enter_context(MapWriter(self.map_part(number), frames=len(frames)))
                    maps.write(as_maps(found), frame)
            when = _when(film, frame, self.recipe) if film.count > 1 else {}
            aspect = {ASPECT: math.nan if known.pixel_size_nm is None else known.pixel_size_nm[0] / known.pixel_size_nm[1]}
            said = (*said, *_said(found))
            yield {"file": self.files[number].name, **when, **found.row, **aspect, **_curves(found), SAID: list(said)}
            said = ()

    def _scale(self, number: int, image: Image, film: Film) -> tuple[Calibration, tuple[str, ...]]:
        known, wanted = self.recipe.calibrate(film.calibration), self.recipe.calibration.scale_bar
        if wanted == "off" or (wanted == "check" and number >= CHECKED):
            return known, ()
        scale = settle_scale(known, with_channels(image, 1)[..., 0], wanted)
        return scale.calibration, scale.warnings

    def _failed(self, number: int, why: str) -> dict[str, Any]:
        file = self.files[number]
        return {"file": file.name, ERROR: why if file.path.name in why else f"{file.name}: {why}"}


def _when(film: Film, frame: int, recipe: Recipe) -> dict[str, Any]:
    interval, times = recipe.calibrate(film.calibration).frame_interval_s, film.times_s
    if times is not None and recipe.calibration.frame_interval_s is None:
        return {"frame": frame, "time_s": times[frame]}
    return {"frame": frame, "time_s": None if interval is None else frame * interval}


def _said(found: Oriented) -> Iterator[str]:
    if float(np.ptp(found.picture)) == 0:
        yield "the picture has one grey value only."
    elif found.row["doubt"]:
        yield SAID_OF[found.row["doubt"]]


def _curves(found: Oriented) -> dict[str, list[float]]:
    """Histograms of the methods and g(r), as lists."""
    lists = {f"{HISTOGRAM}{name}": told.histogram.share.tolist() for name, told in found.told.items()}
    return {**lists, CORRELATION: found.correlation.g.tolist()}


def as_maps(found: Oriented) -> ScoreMap:
    """Maps for the disk, in px of the stored image: degrees (nan off the wires), probability of wires and of alignment."""
    told, place = found.told[LEARNED], found.region
    shape = place.y1 - place.y0, place.x1 - place.x0
    weight, aligned = (resampled(part, shape) for part in (told.weight, told.aligned))
    angle = np.where(weight >= WIRE, resampled_field(told.field, shape).angle_deg, np.float32(np.nan))
    values = np.stack([angle, weight, aligned]).astype(np.float32)
    return ScoreMap(values, float(place.x0), float(place.y0), 1.0, 1.0, PAGES)


def _as_part(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame([{**row, SAID: json.dumps(row.get(SAID, [])), ERROR: row.get(ERROR)} for row in rows])

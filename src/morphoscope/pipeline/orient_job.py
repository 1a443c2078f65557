"""The long part of a run of `orient`: image after image, a part per chunk of files on disk."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.errors import MorphoscopeError
from morphoscope.io.films import Film, FilmFile
from morphoscope.io.frames import Image
from morphoscope.io.sem_sidecars import Sidecars
from morphoscope.models.preprocess import with_channels
from morphoscope.models.score_map import ScoreMap
from morphoscope.pipeline.image_parts import (
    CHECKED,
    SAID,
    Row,
    failed_row,
    frame_and_time,
    open_film,
    reason_of,
    run_parts,
    tell,
    wanted_frames,
)
from morphoscope.pipeline.orient_doubts import SAID_OF, WIRE
from morphoscope.pipeline.orient_image import LEARNED, Oriented, WireFinder, orient_image
from morphoscope.pipeline.scale import settle_scale
from morphoscope.pipeline.score_maps import MapWriter, map_part
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

    def run(self) -> pd.DataFrame:
        """Look at all files that have not been, see `image_parts.run_parts`."""
        return run_parts(self, "orientation", lambda numbers: (row for number in numbers for row in self._rows(number)), "used")

    def open(self, number: int) -> Film:
        """A file, opened as the recipe says."""
        return open_film(self.files[number], self.recipe, self.sidecars)

    def _rows(self, number: int) -> Iterator[Row]:
        """A row per image of a file; of one that is damaged those before the damage, and one that says so."""
        try:
            with self.open(number) as film, ExitStack() as open_files:
                yield from self._of_film(number, film, open_files)
        except (MorphoscopeError, OSError) as error:
            yield failed_row(self.files[number], reason_of(error))
        tell(self, number + 1)

    def _of_film(self, number: int, film: Film, open_files: ExitStack) -> Iterator[Row]:
        frames, maps, known = wanted_frames(film, self.recipe), None, None
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
                    maps = maps or open_files.enter_context(MapWriter(map_part(self.output, number), frames=len(frames)))
                    maps.write(as_maps(found), frame)
            when = frame_and_time(film, frame, self.recipe)
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

"""One image on its way to its category: read, made ready for the network, its facts noted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import InputError, MorphoscopeError
from morphoscope.io.films import Film, FilmFile
from morphoscope.io.frames import Image
from morphoscope.io.sem_sidecars import Sidecars
from morphoscope.models.card import ModelCard
from morphoscope.models.classify import ImageAnswers
from morphoscope.pipeline.image_parts import frame_and_time, open_film, reason_of
from morphoscope.pipeline.scale import settle_scale
from morphoscope.recipe import Recipe

Array = NDArray[np.float32]


class ImageClassifier(Protocol):
    """What classifying needs of a model (`models.classify.Classifier`; tests use a plain one)."""

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        ...

    def prepare(self, image: NDArray[Any]) -> Array:
        """See `models.classify.Classifier.prepare`; several threads call it."""
        ...

    def answers(self, prepared: Sequence[Array]) -> ImageAnswers:
        """See `models.classify.Classifier.answers`."""
        ...


@dataclass
class Shot:
    """An image of the file of that number: what is known of it and what the network will see; or why there is none."""

    number: int
    facts: dict[str, Any] = field(default_factory=dict)
    prepared: Array | None = None
    said: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Looker:
    """Reads images and makes them ready; several threads may share one."""

    files: Sequence[FilmFile]
    classifier: ImageClassifier
    recipe: Recipe
    sidecars: Sidecars

    def open(self, number: int) -> Film:
        """The opened file of a number."""
        return open_film(self.files[number], self.recipe, self.sidecars)

    def look(self, number: int, film: Film, frame: int, digest: str) -> Shot:
        """An image of an opened file, ready for the network; damage is said, not raised."""
        try:
            image = film.image(frame)
            scale = self._scale(film, image)
            height, width = image.shape[:2]
            facts = {"sha256": digest, "width_px": width, "height_px": height, "pixel_size_nm": scale[0]}
            facts |= frame_and_time(film, frame, self.recipe)
            return Shot(number, facts, self.classifier.prepare(self._seen(image)), scale[1])
        except (MorphoscopeError, OSError) as error:
            return Shot(number, error=reason_of(error))

    def _scale(self, film: Film, image: Image) -> tuple[float, tuple[str, ...]]:
        """nm per px and what is to be said of it. Categories do not depend on it: a bar is read where that is asked for."""
        known, wanted = self.recipe.calibrate(film.calibration), self.recipe.calibration.scale_bar
        if wanted in ("off", "check"):
            return known.mean_pixel_nm, ()
        grey = image if image.ndim == 2 else image.mean(axis=2).astype(image.dtype)
        scale = settle_scale(known, grey, wanted)
        return scale.calibration.mean_pixel_nm, scale.warnings

    def _seen(self, image: Image) -> Image:
        region = self.recipe.frames.region
        if region is None:
            return image
        height, width = image.shape[:2]
        if region.x1 > width or region.y1 > height:
            raise InputError(f"frames.region reaches to x {region.x1}, y {region.y1}, the image has {width} x {height} px")
        return image[region.y0 : region.y1, region.x0 : region.x1]

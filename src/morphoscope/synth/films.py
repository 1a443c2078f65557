"""Pictures of thin films with known defects: cracks, dewetting, particles, scratches and uneven thickness."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.synth.film_cracks import opening
from morphoscope.synth.film_dewetting import bare_ground, withdrawn
from morphoscope.synth.film_marks import Marks, particles, scratches
from morphoscope.synth.film_optics import Layers, photograph
from morphoscope.synth.film_scene import CLASSES, FilmScene
from morphoscope.synth.film_thickness import non_uniform, relative_thickness

__all__ = ["CLASSES", "FilmPicture", "FilmScene"]

COVERED = 0.5  # share of a px from which it belongs to a defect's mask


class FilmPicture:
    """`image`, `masks` and `extents` of a film; the same scene gives the same picture."""

    def __init__(self, scene: FilmScene | None = None, **settings: Any) -> None:
        self.scene = replace(scene or FilmScene(), **settings)

    @property
    def calibration(self) -> Calibration:
        """The scale of the scene; provenance `synthetic`."""
        size = self.scene.pixel_size_nm
        return Calibration().updated("synthetic", pixel_size_nm=(size, size))

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """The picture (h, w, 3), RGB."""
        scene, bare = self.scene, self.masks["dewetting"]
        cracks = self._cracks * ~bare
        film = withdrawn(bare, scene) * self._thickness * (1 - cracks)
        layers = Layers(
            np.asarray(film * scene.thickness_nm, np.float32),
            np.asarray(cracks, np.float32),
            self._scratches.cover,
            self._scratches.light,
            self._particles.cover,
            self._particles.light,
        )
        return photograph(self._rng(6), scene, layers)

    @cached_property
    def masks(self) -> dict[str, NDArray[np.bool_]]:
        """Where each defect is (h, w), by name; they may overlap, but bare ground has no cracks and no thickness."""
        bare = bare_ground(self._rng(1), self.scene)
        return {
            "crack": (self._cracks >= COVERED) & ~bare,
            "dewetting": bare,
            "particle": self._particles.cover >= COVERED,
            "scratch": self._scratches.cover >= COVERED,
            "nonuniform": non_uniform(self._thickness) & ~bare,
        }

    @property
    def extents(self) -> dict[str, float]:
        """The share of the picture's area that each defect takes."""
        return {name: float(mask.mean()) for name, mask in self.masks.items()}

    @cached_property
    def _cracks(self) -> NDArray[np.float32]:
        return opening(self._rng(2), self.scene)

    @cached_property
    def _particles(self) -> Marks:
        return particles(self._rng(3), self.scene)

    @cached_property
    def _scratches(self) -> Marks:
        return scratches(self._rng(4), self.scene)

    @cached_property
    def _thickness(self) -> NDArray[np.float32]:
        return relative_thickness(self._rng(5), self.scene)

    def _rng(self, stream: int) -> np.random.Generator:
        return np.random.default_rng((self.scene.seed, stream))

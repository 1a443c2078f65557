"""Pictures of particles with known truth: fields of view of samples, as TEM or SEM would show them.

Sizes are log-normal; some particles touch. Two samples differ in their median diameter, and the median also differs a little
from place to place, as it does on real grids.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.schema import OBJECTS, SHAPES, conform
from morphoscope.synth.info_bar import add_info_bar, draw_scale_bar
from morphoscope.synth.outlines import describe
from morphoscope.synth.particle_look import background, label_image, render
from morphoscope.synth.particle_scene import Bodies, ParticleScene, populate

__all__ = ["ParticlePicture", "ParticleScene", "truth_rows", "truth_table"]

ROUND_NM = (1, 2, 5)
BAR_SHARE = 0.08  # height of the info bar in heights of the picture


class ParticlePicture:
    """One field of view: `image`, `labels` and `truth` of a scene; the same scene and place give the same picture."""

    def __init__(self, scene: ParticleScene | None = None, *, place: int = 0, **settings: Any) -> None:
        self.scene = replace(scene or ParticleScene(), **settings)
        self.place = place
        height, width = self.scene.shape
        self.bar_px = max(round(BAR_SHARE * height), 22) if self.scene.bar else 0
        self._field = (height - self.bar_px, width)

    @property
    def calibration(self) -> Calibration:
        """The scale of the scene; provenance `synthetic`."""
        size = self.scene.pixel_size_nm
        return Calibration().updated("synthetic", pixel_size_nm=(size, size))

    @cached_property
    def bodies(self) -> Bodies:
        """The particles of the field and around it."""
        return populate(self._rng(1), self.scene, self._field)

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """The picture (height, width); the info bar, if any, lies in its lowest rows."""
        behind = background(self._rng(2), self.scene, self._field)
        picture = render(self._rng(3), self.scene, self.bodies, behind)
        return _with_bar(picture, self.bar_px, self.scene) if self.bar_px else picture

    @cached_property
    def labels(self) -> NDArray[np.int32]:
        """Label image (height, width): 0 background, else `mask_label` of `truth`."""
        seen = label_image(self.bodies, self._field)
        return np.pad(seen, ((0, self.bar_px), (0, 0)))

    @cached_property
    def truth(self) -> pd.DataFrame:
        """See `truth_rows`, `truth_table`."""
        return truth_table(truth_rows(self.bodies, self.labels[: self._field[0]]), self.calibration)

    def _rng(self, stream: int) -> np.random.Generator:
        return np.random.default_rng((self.scene.seed, self.place, stream))


def truth_table(rows: pd.DataFrame, calibration: Calibration) -> pd.DataFrame:
    """Rows of `truth_rows` as the package's tables have them: declared columns in order, with nm."""
    return conform(conform(calibration.with_nm(rows.assign(label="particle", fitted=True)), SHAPES), OBJECTS)


def truth_rows(bodies: Bodies, labels: NDArray[np.int32], *, frame: int = 0) -> pd.DataFrame:
    """A row per particle that shows in a label image (h, w) of indices plus 1, from its outline, not its pixels.

    Columns of `schema.OBJECTS` and `schema.SHAPES` as far as `outlines.describe` has them, in px; `mask_label`; `visible`, the
    share of its area that is seen (less than 1 where it is cut off by the edge or lies under another).
    """
    height, width = labels.shape
    seen = np.bincount(labels.ravel(), minlength=len(bodies.x) + 1)[1:]
    use = np.flatnonzero(seen)
    found = describe(bodies.x[use], bodies.y[use], bodies.radii[use])
    right, lower = found["x_px"] + found["width_px"] / 2, found["y_px"] + found["height_px"] / 2
    found["on_edge"] = (right - found["width_px"] < -0.5) | (lower - found["height_px"] < -0.5)
    found["on_edge"] |= (right > width - 0.5) | (lower > height - 0.5)
    found["frame"], found["object_id"], found["mask_label"] = frame, bodies.id[use], use + 1
    found["visible"] = np.minimum(seen[use] / found["area_px"], 1.0)
    return found


def _with_bar(picture: NDArray[np.uint8], height_px: int, scene: ParticleScene) -> NDArray[np.uint8]:
    """The picture with a black band below it: instrument, voltage, and a bar of a round length with its text."""
    width = picture.shape[1]
    font = max(int(height_px * 0.42), 10)
    length = _round_length(0.2 * width * scene.pixel_size_nm)
    text = f"{length:g} nm" if length < 1000 else f"{length / 1000:g} µm"
    said = "200 kV  BF" if scene.look == "tem" else "5.0 kV  SE"
    image = add_info_bar(picture, height_px, [(int(0.03 * width), said)], font_px=font)
    bar_px = round(length / scene.pixel_size_nm)
    at = (width - bar_px - int(0.04 * width), picture.shape[0] + int(0.78 * height_px))
    draw_scale_bar(image, at, bar_px, text, thickness=max(height_px // 12, 2), font_px=font)
    return image


def _round_length(most: float) -> float:
    """The longest of 1, 2, 5, 10, ... that is not above `most`."""
    power = 10.0 ** np.floor(np.log10(most))
    return float(max(k * power for k in ROUND_NM if k * power <= most))

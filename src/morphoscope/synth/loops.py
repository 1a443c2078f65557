"""An in-situ bright-field STEM video of growing dislocation loops with known truth.

Made to resemble the irradiation video behind doi 10.1016/j.commatsci.2021.110560: dark loops on a fibrous background
that is fixed to the sample, dislocation lines and specks that are no loops, slow camera drift and a stage jump, shot
noise and compression. The truth ellipse of a loop is the half-depth contour of the loop as drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.calibration import Axis, Calibration
from morphoscope.synth.population import Population, populate, stamp
from morphoscope.synth.scene import LoopScene, random_scene
from morphoscope.synth.texture import background, burn_in, dislocation_lines, specks

__all__ = ["LoopScene", "LoopVideo", "random_scene"]

Float = NDArray[np.float32]


class LoopVideo:
    """Lazy frames of a scene (see `io.frames.Frames`), uint8; frame i depends on the scene and i alone."""

    def __init__(self, scene: LoopScene | None = None, **settings: Any) -> None:
        self.scene = replace(scene or LoopScene(), **settings)
        self._shift, self._jump = _camera(np.random.default_rng((self.scene.seed, 1)), self.scene)
        height, width = self.scene.shape
        low, high = np.floor(-self._shift.max(0)) - 6, np.ceil(-self._shift.min(0)) + 6
        self._origin = low
        self._canvas = (int(height + high[1] - low[1]), int(width + high[0] - low[0]))
        field = (low[0], low[1], low[0] + self._canvas[1], low[1] + self._canvas[0])
        self._loops: Population = populate(np.random.default_rng((self.scene.seed, 2)), self.scene, field)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in px."""
        return self.scene.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8."""
        return np.dtype(np.uint8)

    @property
    def calibration(self) -> Calibration:
        """Scale (nm per px), frame interval (s) and dose axis (dpa) of the scene; provenance `synthetic`."""
        scene = self.scene
        return Calibration().updated(
            "synthetic",
            pixel_size_nm=(scene.pixel_size_nm, scene.pixel_size_nm),
            frame_interval_s=scene.frame_interval_s,
            axes=(Axis("dose", "dpa", scene.dose_start, scene.dose_rate * scene.frame_interval_s),),
        )

    @property
    def metadata(self) -> dict[str, Any]:
        """Nothing: no instrument took it."""
        return {}

    @property
    def frame_data(self) -> None:
        """Nothing beyond the calibration."""
        return None

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing is ignored or converted here."""
        return ()

    def __len__(self) -> int:
        return self.scene.n_frames

    @cached_property
    def _sample(self) -> tuple[Float, Float]:
        """The loop-free sample at the start and what is added to it by the end, on the whole canvas, brightness 1."""
        scene = self.scene
        rng = np.random.default_rng((scene.seed, 3))
        fields = []
        for _ in range(2 if scene.texture_change > 0 else 1):
            field = background(
                rng,
                self._canvas,
                scale_px=scene.texture_scale_px,
                elongation=scene.texture_elongation,
                angle_deg=scene.texture_angle_deg,
                shading=scene.shading,
            )
            fields.append(field * np.float32(scene.texture_sd / scene.brightness))
        dark = 1 - dislocation_lines(rng, self._canvas, scene.lines, contrast=min(0.85, scene.contrast))
        dark *= 1 - specks(rng, self._canvas, scene.specks)
        return (1 + fields[0]) * dark, (fields[-1] - fields[0]) * dark

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        i = range(len(self))[index]
        scene = self.scene
        rng = np.random.default_rng((scene.seed, 4, i))
        field = self._field(i)
        for left, top, patch in self._stamps(i):
            _multiply(field, left, top, patch)
        field *= np.float32(scene.brightness * (1 + scene.flicker * rng.standard_normal()))
        if scene.noise > 0:
            noise: Float = rng.standard_normal(field.shape, dtype=np.float32)
            noise = noise * np.sqrt(np.maximum(field, 1) / np.float32(scene.brightness)) * np.float32(scene.noise)
            if scene.smoothing_px > 0:
                noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), scene.smoothing_px), dtype=np.float32)
            field = np.asarray(field + noise, dtype=np.float32)
        image = np.clip(np.rint(field), 0, 255).astype(np.uint8)
        if scene.text:
            self._burn(image, i)
        if scene.jpeg_quality > 0:
            coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, scene.jpeg_quality])[1]
            image = np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
        return image

    def _field(self, i: int) -> Float:
        height, width = self.shape
        start, change = self._sample
        offset = self._origin + self._shift[i]
        matrix = np.array([[1, 0, -offset[0]], [0, 1, -offset[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        share = self.scene.texture_change * i / max(1, len(self) - 1)
        field = np.asarray(cv2.warpAffine(start, matrix, (width, height), flags=flags), dtype=np.float32)
        if share > 0:
            changed = cv2.warpAffine(change, matrix, (width, height), flags=flags)
            field = np.asarray(cv2.addWeighted(field, 1.0, changed, share, 0.0), dtype=np.float32)
        return field

    def _stamps(self, i: int) -> Iterator[tuple[int, int, Float]]:
        major, minor, contrast = self._loops.state(i)
        centre = self._loops.path[:, i] + self._shift[i]
        height, width = self.shape
        near = (centre > -major[:, None] * 1.5) & (centre < np.array([width, height]) + major[:, None] * 1.5)
        for k in np.flatnonzero((contrast > 0.01) & near.all(axis=1)):
            yield stamp(self._loops, int(k), centre[k], (major[k], minor[k]), float(contrast[k]))

    def _burn(self, image: NDArray[np.uint8], i: int) -> list[tuple[int, int, int, int]]:
        length = 100.0 if self.shape[1] * self.scene.pixel_size_nm > 250 else 20.0
        dose = self.calibration.axis("dose").at(i)
        return burn_in(image, length / self.scene.pixel_size_nm, f"{length:.0f} nm", f"{float(dose):.2f} dpa")

    @cached_property
    def _covered(self) -> list[tuple[int, int, int, int]]:
        return self._burn(np.zeros(self.shape, dtype=np.uint8), 0) if self.scene.text else []

    def truth_at(self, frame: int) -> pd.DataFrame:
        """The rows of `truth` of one frame."""
        loops = self._loops
        major, minor, contrast = loops.state(frame)
        x, y = (loops.path[:, frame] + self._shift[frame]).T
        turn = np.deg2rad(loops.angle_deg)
        height, width = self.shape
        faintest = max(self.scene.min_contrast, 1.4 * self.scene.texture_sd / self.scene.brightness)
        seen = (contrast >= faintest) & (major >= 5) & (minor >= 3)
        seen &= (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        for x0, y0, x1, y1 in self._covered:
            seen &= ~((x >= x0) & (x < x1) & (y >= y0) & (y < y1))
        table = pd.DataFrame(
            {
                "frame": np.int64(frame),
                "object_id": np.arange(x.size),
                "x_px": x,
                "y_px": y,
                "width_px": np.hypot(major * np.cos(turn), minor * np.sin(turn)),
                "height_px": np.hypot(major * np.sin(turn), minor * np.cos(turn)),
                "ellipse_x_px": x,
                "ellipse_y_px": y,
                "major_px": major,
                "minor_px": minor,
                "angle_deg": loops.angle_deg,
                "contrast": contrast,
            }
        )
        return table[seen].reset_index(drop=True)

    @cached_property
    def truth(self) -> pd.DataFrame:
        """A row per visible loop per frame: those deep enough to see (`min_contrast`) whose centre lies in the field.

        Columns as in `schema.OBJECTS`, plus `contrast` (peak absorbed fraction); `object_id` is one loop's through time.
        """
        return pd.concat([self.truth_at(i) for i in range(len(self))], ignore_index=True)

    @cached_property
    def shifts(self) -> pd.DataFrame:
        """A row per frame: `shift_x_px`, `shift_y_px` of the content against frame 0, and `jump`."""
        return pd.DataFrame(
            {
                "frame": np.arange(len(self)),
                "shift_x_px": self._shift[:, 0],
                "shift_y_px": self._shift[:, 1],
                "jump": self._jump,
            }
        )

    @cached_property
    def loops(self) -> pd.DataFrame:
        """A row per loop ever born: `object_id`, `birth_frame`, `death_frame`, `final_px`, `step_px` (per axis and frame)."""
        p = self._loops
        return pd.DataFrame(
            {
                "object_id": np.arange(p.birth.size),
                "birth_frame": p.birth,
                "death_frame": p.death,
                "final_px": p.final_px,
                "step_px": p.step_px,
            }
        )

    def blocks(self, start: int, stop: int, size: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Frames start..stop-1 as (first index, (n, height, width) array) with n <= size."""
        for first in range(start, min(stop, len(self)), size):
            yield first, np.stack([self[i] for i in range(first, min(first + size, stop, len(self)))])

    def name(self, index: int) -> str:
        """`synthetic-<seed>`."""
        return f"synthetic-{self.scene.seed}"

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _camera(rng: np.random.Generator, scene: LoopScene) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Displacement (n_frames, 2) of the content against frame 0 in px, x and y, and where it jumps."""
    n = scene.n_frames
    speed = np.zeros((n, 2))
    for i in range(1, n):
        speed[i] = 0.97 * speed[i - 1] + np.sqrt(1 - 0.97**2) * rng.normal(0, scene.drift_px, 2)
    jump = np.zeros(n, dtype=bool)
    for _ in range(scene.jumps if n > 4 else 0):
        at = int(rng.uniform(0.3, 0.9) * n)
        turn = rng.uniform(0, 2 * np.pi)
        speed[at] += scene.jump_px * rng.uniform(0.7, 1.3) * np.array([np.cos(turn), np.sin(turn)])
        jump[at] = True
    return np.cumsum(speed, axis=0), jump


def _multiply(field: Float, left: int, top: int, patch: Float) -> None:
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + patch.shape[1], field.shape[1]), min(top + patch.shape[0], field.shape[0])
    if x1 > x0 and y1 > y0:
        field[y0:y1, x0:x1] *= patch[y0 - top : y1 - top, x0 - left : x1 - left]

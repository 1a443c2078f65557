"""A video of particles with known truth: where each is, how large, and which two become one."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.io.base import Reader
from morphoscope.schema import EVENTS, conform
from morphoscope.synth.particle_look import background, label_image, render
from morphoscope.synth.particle_motion import GROWN, MotionScene, State, simulate
from morphoscope.synth.particle_scene import Bodies
from morphoscope.synth.particles import truth_rows, truth_table

__all__ = ["MotionScene", "ParticleVideo"]


class ParticleVideo(Reader):
    """Lazy frames of a scene (see `io.frames.Frames`), uint8; frame i depends on the scene and i alone."""

    def __init__(self, scene: MotionScene | None = None, **settings: Any) -> None:
        super().__init__()
        self.scene = replace(scene or MotionScene(), **settings)
        self.shape, self.dtype = self.scene.shape, np.dtype(np.uint8)
        size = self.scene.pixel_size_nm
        self.calibration = Calibration().updated(
            "synthetic", pixel_size_nm=(size, size), frame_interval_s=self.scene.frame_interval_s
        )
        self._shift = _camera(self._rng(1), self.scene)
        self._margin = int(np.ceil(np.abs(self._shift).max())) + 4

    def __len__(self) -> int:
        return self.scene.n_frames

    def __repr__(self) -> str:
        return f"ParticleVideo(seed={self.scene.seed})"

    def name(self, index: int) -> str:
        """`particles-<seed>`."""
        return f"particles-{self.scene.seed}"

    @cached_property
    def _moved(self) -> tuple[list[State], list[tuple[int, int, int]]]:
        return simulate(self._rng(2), self.scene, self._margin)

    @cached_property
    def _behind(self) -> NDArray[np.float32]:
        height, width = self.shape
        return background(self._rng(3), self.scene, (height + 2 * self._margin, width + 2 * self._margin))

    def bodies(self, index: int) -> Bodies:
        """The particles of a frame, in its px."""
        still = self._moved[0][index].bodies(self.scene.merging_frames)
        return still._replace(x=still.x + self._shift[index, 0], y=still.y + self._shift[index, 1])

    def _read(self, index: int) -> NDArray[np.uint8]:
        offset = self._margin - self._shift[index]
        matrix = np.array([[1, 0, offset[0]], [0, 1, offset[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        behind = np.asarray(cv2.warpAffine(self._behind, matrix, self.shape[::-1], flags=flags), np.float32)
        return render(self._rng(4, index), self.scene, self.bodies(index), behind)

    def labels(self, index: int) -> NDArray[np.int32]:
        """Label image (h, w) of a frame: 1 + `object_id`, the same particle's through time; 0 background."""
        bodies = self.bodies(index)
        number = np.r_[0, bodies.id + 1].astype(np.int32)
        return np.asarray(number[label_image(bodies, self.shape)])

    @cached_property
    def truth(self) -> pd.DataFrame:
        """A row per particle that shows in a frame, see `particles.truth_rows`; `object_id` is one particle's through time."""
        seen = ((i, self.bodies(i)) for i in range(len(self)))
        rows = pd.concat([truth_rows(b, label_image(b, self.shape), frame=i) for i, b in seen], ignore_index=True)
        rows = rows.assign(time_s=self.calibration.time_s(rows["frame"]), file=self.name(0))
        return truth_table(rows.assign(mask_label=rows["object_id"] + 1, track_id=rows["object_id"]), self.calibration)

    @cached_property
    def merges(self) -> pd.DataFrame:
        """Events (`schema.EVENTS`) that show in the field: `frame` is the first with one object, `other_id` goes on."""
        known = pd.MultiIndex.from_frame(self.truth[["frame", "object_id"]])
        rows = [
            (frame, "merge", gone, stays)
            for frame, gone, stays in self._moved[1]
            if (frame - 1, gone) in known and (frame, stays) in known
        ]
        return conform(pd.DataFrame(rows, columns=list(EVENTS)), EVENTS)

    @cached_property
    def tracks(self) -> pd.DataFrame:
        """A row per particle: its frames, what it merged into, sizes, D and growth.

        `object_id`, `first_frame`, `last_frame`, `merged_into` (null: none), `first_nm` and `last_nm`, the first and last
        diameter, the true `D_nm2_per_s` (free discs) and `growth_nm_per_s` (of the diameter; null where merging makes it jump).
        """
        scene = self.scene
        by = self.truth.groupby("object_id")
        table = by.agg(
            first_frame=("frame", "min"),
            last_frame=("frame", "max"),
            first_nm=("equivalent_diameter_nm", "first"),
            last_nm=("equivalent_diameter_nm", "last"),
        ).reset_index()
        into = dict(zip(self.merges["track_id"], self.merges["other_id"], strict=True))
        table.insert(3, "merged_into", table["object_id"].map(into).astype("Int64"))
        grows = scene.motion == "growth"
        seconds = max(scene.n_frames - 1, 1) * scene.frame_interval_s
        rate = table["last_nm"] / (GROWN + (1 - GROWN) * table["last_frame"] / max(scene.n_frames - 1, 1)) * (1 - GROWN) / seconds
        merged = table["object_id"].isin(self.merges["other_id"])
        growth = rate if grows else pd.Series(0.0, table.index).mask(merged)
        return table.assign(D_nm2_per_s=0.0 if grows else scene.diffusion_nm2_per_s, growth_nm_per_s=growth)

    @cached_property
    def shifts(self) -> pd.DataFrame:
        """A row per frame: `shift_x_px`, `shift_y_px` of the content against frame 0."""
        x, y = self._shift.T
        return pd.DataFrame({"frame": np.arange(len(self)), "shift_x_px": x, "shift_y_px": y})

    def _rng(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng((self.scene.seed, *stream))


def _camera(rng: np.random.Generator, scene: MotionScene) -> NDArray[np.float64]:
    """Displacement (n_frames, 2) of the support against frame 0 in px, with a velocity that changes slowly."""
    speed = np.zeros((scene.n_frames, 2))
    for i in range(1, scene.n_frames):
        speed[i] = 0.97 * speed[i - 1] + np.sqrt(1 - 0.97**2) * rng.normal(0, scene.drift_px, 2)
    return np.asarray(np.cumsum(speed, axis=0))

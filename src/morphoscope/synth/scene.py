"""What a synthetic loop video shows: all its settings, and random choices of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from morphoscope.errors import UsageError


@dataclass(frozen=True)
class LoopScene:
    """What is drawn. Lengths in px of the frame, times in frames, fractions from 0 to 1."""

    seed: int = 0
    shape: tuple[int, int] = (710, 1120)
    n_frames: int = 200
    loops: float = 85.0  # loops born by the last frame per 780 x 710 px
    size_px: float = 20.0  # median of the final major axes
    size_spread: float = 0.32  # standard deviation of their logarithm
    contrast: float = 0.95  # scales the peak absorbed fraction
    irregularity: float = 0.1  # how far outlines leave an ellipse
    loop_angle_deg: float = 110.0  # the direction most loops lean to
    initial: float = 0.12  # share of the loops there in frame 0
    nucleation: float = 0.4  # time constant of nucleation over n_frames
    growth: float = 0.25  # time constant of growth over n_frames
    vanishing: float = 0.08  # share of the loops that go away
    stopping: float = 0.3  # share of the loops that stop moving
    wander_px: float = 0.12  # standard deviation of a step per axis and frame
    brightness: float = 150.0
    texture_sd: float = 23.0  # grey levels
    texture_scale_px: float = 3.4
    texture_elongation: float = 1.4
    texture_angle_deg: float = 20.0
    texture_change: float = 0.35  # how far the texture becomes another one by the last frame
    shading: float = 0.55  # slow brightness changes, in texture_sd
    lines: int = 2
    specks: float = 25.0  # per megapixel
    drift_px: float = 0.12  # standard deviation of the camera's velocity
    jumps: int = 1
    jump_px: float = 18.0
    flicker: float = 0.015
    noise: float = 5.0  # standard deviation of the shot noise at `brightness`, before smoothing
    smoothing_px: float = 0.7  # what detector and codec blur the noise by
    jpeg_quality: int = 82  # 0: no compression
    text: bool = False
    min_contrast: float = 0.16  # fainter loops, and those below 1.4 texture_sd, are not truth
    pixel_size_nm: float = 1 / 2.6884
    frame_interval_s: float = 1.75
    dose_start: float = 0.85
    dose_rate: float = 8e-4  # dpa per s

    def __post_init__(self) -> None:
        if min(self.shape) < 48:
            raise UsageError(f"a scene needs at least 48 x 48 px, got {self.shape[1]} x {self.shape[0]}")
        if self.n_frames < 1:
            raise UsageError(f"a scene needs at least one frame, got {self.n_frames}")
        if self.loops < 0 or not 0 <= self.contrast <= 1.2:
            raise UsageError(f"a scene needs loops >= 0 and contrast in 0..1.2, got {self.loops} and {self.contrast}")


def random_scene(seed: int, **settings: Any) -> LoopScene:
    """A scene with contrast, noise, texture, size and density drawn from `seed`, to train a detector on; `settings` win."""
    rng = np.random.default_rng((seed, 99))
    scene = LoopScene(
        seed=seed,
        n_frames=60,
        loops=float(np.exp(rng.uniform(np.log(25), np.log(130)))),
        size_px=float(rng.uniform(15, 24)),
        size_spread=float(rng.uniform(0.22, 0.42)),
        contrast=float(rng.uniform(0.65, 1.05)),
        loop_angle_deg=float(rng.uniform(0, 180)),
        initial=float(rng.uniform(0.1, 0.6)),
        brightness=float(rng.uniform(115, 175)),
        texture_sd=float(rng.uniform(9, 26)),
        texture_scale_px=float(rng.uniform(2.4, 5.5)),
        texture_elongation=float(rng.uniform(1.0, 2.6)),
        texture_angle_deg=float(rng.uniform(0, 180)),
        shading=float(rng.uniform(0.2, 1.0)),
        lines=int(rng.integers(0, 5)),
        specks=float(rng.uniform(0, 60)),
        noise=float(rng.uniform(1, 14)),
        smoothing_px=float(rng.uniform(0, 1.2)),
        jpeg_quality=int(rng.integers(55, 96)),
        text=bool(rng.random() < 0.3),
    )
    return replace(scene, **settings)

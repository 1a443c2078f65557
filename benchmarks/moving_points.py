"""Detections of moving objects with known truth, to measure drift by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from morphoscope.track.displacement import Links, displacement, partners

Array = NDArray[np.float64]
FIELD = (1120.0, 710.0)


@dataclass(frozen=True)
class Points:
    """What is drawn: lengths in px, times in frames, `life` mean life of an object (None: for ever)."""

    n: int = 300
    frames: int = 400
    own: float = 0.3
    noise: float = 0.7
    drift: float = 0.5
    jumps: int = 3
    jump: float = 40.0
    missed: float = 0.1
    false: float = 0.03
    life: float | None = None

    @property
    def spacing(self) -> float:
        """Mean spacing in px."""
        return float(np.sqrt(FIELD[0] * FIELD[1] / self.n))


def draw(points: Points, seed: int) -> tuple[pd.DataFrame, Array]:
    """`frame`, `x_px`, `y_px`, `identity` (-1: false), and the displacement (frames, 2)."""
    rng = np.random.default_rng(seed)
    path = np.arange(points.frames)[:, None] * points.drift * np.array([0.8, 0.6])
    for k in range(points.jumps):
        turn = rng.uniform(0, 2 * np.pi)
        path[(k + 1) * points.frames // (points.jumps + 1) :] += points.jump * np.array([np.cos(turn), np.sin(turn)])
    low, high = -path.max(axis=0) - 5, np.array(FIELD) - path.min(axis=0) + 5
    count = round(points.n * float(np.prod(high - low)) / (FIELD[0] * FIELD[1]))
    place, identity, rows = rng.uniform(low, high, (count, 2)), np.arange(count), []
    for t in range(points.frames):
        place = place + rng.normal(0, points.own, place.shape) * (t > 0)
        if points.life:
            gone = rng.random(count) < 1 / points.life
            place[gone], identity[gone] = rng.uniform(low, high, (gone.sum(), 2)), identity.max() + 1 + np.arange(gone.sum())
        seen = place + path[t]
        kept = ((seen >= 0) & (seen < FIELD)).all(axis=1) & (rng.random(count) >= points.missed)
        seen = seen[kept] + rng.normal(0, points.noise, (kept.sum(), 2))
        false = rng.uniform(0, 1, (rng.poisson(points.false * points.n), 2)) * FIELD
        both = np.concatenate([seen, false])
        who = np.concatenate([identity[kept], np.full(len(false), -1)])
        rows.append(pd.DataFrame({"frame": t, "x_px": both[:, 0], "y_px": both[:, 1], "identity": who}))
    return pd.concat(rows, ignore_index=True), path - path[0]


def known_pairs(objects: pd.DataFrame, n: int, *, keys: bool) -> Array:
    """The displacement that means over the pairs give, had one known which detection is whose: what can be had at best."""
    true = objects[objects["identity"] >= 0]
    frames = {t: group.set_index("identity")[["x_px", "y_px"]] for t, group in true.groupby("frame")}
    rows = []
    for i in range(1, n):
        for j in partners(i, batch=16, back=(1, 2, 4, 8, 16))[: None if keys else 1]:
            step = (frames[i] - frames[j]).dropna().to_numpy()
            if len(step) > 2:
                rows.append((j, i, *step.mean(axis=0), max(step.var(axis=0).mean(), 1e-9) / len(step), 1.0))
    return displacement(Links.of(rows), n)[["shift_x_px", "shift_y_px"]].to_numpy()

"""Positions of moving objects with known identity, as a detector would report them, and how well tracks keep the identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

WIDTH, HEIGHT = 1120, 710
FIELD = (0.0, 0.0, float(WIDTH), float(HEIGHT))
MATCH_PX = 5.0


@dataclass(frozen=True)
class Scene:
    """Brownian objects on a stage that drifts and jumps.

    `step_px` is the standard deviation of own motion per axis and frame; `turnover` the part of the objects that dies, and is
    replaced elsewhere, in each frame; `noise_px` the localisation error per axis.
    """

    seed: int
    step_px: float = 0.3
    turnover: float = 0.0
    objects: int = 300
    frames: int = 400
    drift_px: float = 0.5
    jumps: int = 3
    jump_px: float = 40.0
    missed: float = 0.1
    false: float = 0.03
    noise_px: float = 0.7

    @property
    def spacing_px(self) -> float:
        """Mean spacing: side of the square an object has for itself."""
        return float(np.sqrt(WIDTH * HEIGHT / self.objects))

    def shift(self) -> np.ndarray:
        """Displacement of the stage (frames, 2): one direction of drift, jumps in any."""
        rng = np.random.default_rng((self.seed, 0))
        angle = rng.uniform(0, 2 * np.pi, 1 + self.jumps)
        way = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        moves = np.tile(self.drift_px * way[0], (self.frames, 1))
        moves[0] = 0
        room = max(self.frames // 20, 1)
        moves[rng.choice(np.arange(room, self.frames - room), self.jumps, replace=False)] += self.jump_px * way[1:]
        return np.cumsum(moves, axis=0)

    def detections(self) -> pd.DataFrame:
        """`frame`, `x_px`, `y_px`, `x_true_px`, `y_true_px`, `identity` (-1: false), rows of a frame in random order."""
        rng = np.random.default_rng((self.seed, 1))
        shift = self.shift()
        reach = 5 * self.step_px * np.sqrt(self.frames) if self.step_px < 2 else 0.0
        low, high = -shift.max(axis=0) - reach, np.array([WIDTH, HEIGHT]) - shift.min(axis=0) + reach
        world = rng.poisson(self.objects * float(np.prod(high - low)) / (WIDTH * HEIGHT))
        place, identity, tables = rng.uniform(low, high, (world, 2)), np.arange(world), []
        for frame in range(self.frames):
            if frame:
                place = place + rng.normal(0, self.step_px, place.shape)
                place = high - np.abs(high - (low + np.abs(place - low)))  # the world's walls reflect
                dead = rng.random(world) < self.turnover
                place[dead] = rng.uniform(low, high, (int(dead.sum()), 2))
                identity = np.where(dead, identity.max() + 1 + np.arange(world), identity)
            true = place + shift[frame]
            seen = ((true >= 0) & (true < (WIDTH, HEIGHT))).all(axis=1) & (rng.random(world) >= self.missed)
            found = true[seen] + rng.normal(0, self.noise_px, (int(seen.sum()), 2))
            stray = rng.uniform(0, (WIDTH, HEIGHT), (rng.poisson(self.false * self.objects), 2))
            rows = np.hstack([np.vstack([found, stray]), np.vstack([true[seen], np.full_like(stray, np.nan)])])
            table = pd.DataFrame(rows, columns=["x_px", "y_px", "x_true_px", "y_true_px"])
            table = table.assign(frame=frame, identity=np.r_[identity[seen], np.full(len(stray), -1)])
            tables.append(table.iloc[rng.permutation(len(table))])
        return pd.concat(tables, ignore_index=True)


def idf1(detections: pd.DataFrame, track: Any) -> float:
    """Identity F1 (Ristani et al. 2016) over the real detections: 2 IDTP / (true + tracked) under the best pairing.

    A detection counts for its object where it lies within 5 px of it. False detections count on neither side.
    """
    real = detections[detections["identity"] >= 0]
    number = pd.Series(np.asarray(track, dtype=float), detections.index)[real.index]
    tracked = number.notna()
    far = np.hypot(real["x_px"] - real["x_true_px"], real["y_px"] - real["y_true_px"]) > MATCH_PX
    together = pd.DataFrame({"object": real["identity"], "track": number})[tracked & ~far].value_counts().reset_index(name="n")
    if together.empty:
        return 0.0
    _, i = np.unique(together["object"], return_inverse=True)
    _, j = np.unique(together["track"], return_inverse=True)
    return 2 * _most(i, j, together["n"].to_numpy(float)) / (len(real) + int(tracked.sum()))


def _most(i: np.ndarray, j: np.ndarray, worth: np.ndarray) -> float:
    """The greatest total of a pairing of rows and columns; each may stay alone."""
    n, m, top = int(i.max()) + 1, int(j.max()) + 1, float(worth.max())
    rows = np.concatenate([i, np.arange(n), n + np.arange(m), n + j])
    columns = np.concatenate([j, m + np.arange(n), np.arange(m), m + i])
    weights = 1 + np.concatenate([top - worth, np.full(n + m, top / 2), np.zeros(len(i))])
    graph = coo_matrix((weights, (rows, columns)), shape=(n + m, n + m)).tocsr()
    a, b = min_weight_full_bipartite_matching(graph)
    pairs = coo_matrix((worth, (i, j)), shape=(n + m, n + m)).tocsr()
    return float(np.asarray(pairs[a, b]).sum())


def registered(detections: pd.DataFrame, shift: pd.DataFrame) -> pd.DataFrame:
    """The detections with `x_reg_px`, `y_reg_px`, by a displacement table."""
    known = shift.set_index("frame").loc[detections["frame"], ["shift_x_px", "shift_y_px"]].to_numpy()
    return detections.assign(x_reg_px=detections["x_px"] - known[:, 0], y_reg_px=detections["y_px"] - known[:, 1])

"""Patches to learn from, turned and mirrored; what benchmarks give to `train_patches`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morphoscope.train.score_sampling import TURNS, turn

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Turned:
    """Draws of patches (n, c, s, s), as networks see them, with targets (n, k), all equally often."""

    patches: Array
    targets: Array

    @property
    def shift(self) -> float:
        """Classes are drawn as often as they are."""
        return 0.0

    def __len__(self) -> int:
        return len(self.patches)

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Patches, targets, weights."""
        chosen, ways = rng.integers(len(self), size=count), rng.integers(TURNS, size=count)
        turned = np.stack([turn(self.patches[k], way) for k, way in zip(chosen, ways.tolist(), strict=True)])
        return turned, self.targets[chosen], np.ones(count, np.float32)

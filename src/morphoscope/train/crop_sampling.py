"""Patches with what lies around them, for networks whose answers depend on it: crops, and what is true of each patch in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from morphoscope.measure.patches import Target
from morphoscope.models.patches import patch_grid
from morphoscope.train.score_pictures import Array, Picture, resized
from morphoscope.train.score_sampling import TURNS, Change, Sampler, relit, turn

LARGEST = 384  # px of a crop
LEAST_CROPS = 2  # of a step


class CropSampler(Sampler):
    """Draws crops where `Sampler` draws patches: as many as hold as many px.

    Args:
        pictures: what is learnt.
        side: of a patch, px.
        crop: of what is seen at once, px; see `crop_side`.
        exclusive, target, change: as of `Sampler`.
    """

    def __init__(
        self, pictures: Sequence[Picture], side: int, *, crop: int, exclusive: bool, target: Target, change: Change
    ) -> None:
        super().__init__(pictures, side, exclusive=exclusive, target=target, change=change)
        self._crop = crop

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Crops (n, c, s, s), targets (n, k, rows, columns) of their patches and weights (n,)."""
        return super().draw(max(round(count * (self._side / self._crop) ** 2), LEAST_CROPS), rng)

    def _patch(self, where: tuple[int, int], rng: np.random.Generator) -> tuple[Array, Array]:
        one, crop = self._pictures[where[0]], self._crop
        wide = min(round(crop * float(np.exp(rng.uniform(-1, 1) * self._change.size))), *one.image.shape)
        first = one.corners[where[1]] + (self._side - wide) / 2 + rng.uniform(-0.5, 0.5, 2) * self._side
        y, x = (int(np.clip(round(c), 0, n - wide)) for c, n in zip(first, one.image.shape, strict=True))
        seen, way = resized(one.image.read(y, x, wide, wide), crop), int(rng.integers(TURNS))
        targets = patches_of(one, (y, x), wide, self._side / crop, self._target)
        return relit(turn(seen, way), self._change, rng), turn(targets, way)


def crop_side(pictures: Sequence[Picture], align: int) -> int:
    """Side in px of the largest crops that all pictures hold, up to `LARGEST`, a multiple of `align`."""
    least = min(min(one.image.shape) for one in pictures)
    return int(min(least, LARGEST) // align * align)


def patches_of(one: Picture, corner: tuple[int, int], wide: int, share: float, target: Target) -> Array:
    """What is true (k, rows, columns) of the patches of a square of a picture; they are half of their side apart.

    Args:
        one: the picture.
        corner: first px (y, x) of the square.
        wide: its side, px.
        share: side of a patch as a part of it.
        target: see `measure.patches.patch_targets`.
    """
    side = wide * share
    steps = side / 2 * np.arange(round((1 - share) / share * 2) + 1)
    true = [[one.target_at(corner[0] + down, corner[1] + across, side, target) for across in steps] for down in steps]
    return np.ascontiguousarray(np.moveaxis(np.array(true, np.float32), 2, 0))


def fixed_crops(pictures: Sequence[Picture], side: int, crop: int, *, target: Target, most: int) -> tuple[Array, Array]:
    """Crops (n, c, s, s) that cover pictures, as they are, and what is true (n, k, rows, columns) of their patches."""
    places = [(one, y, x) for one in pictures for y, x in patch_grid(one.image.shape, crop, crop).corners.tolist()]
    if len(places) > most:
        chosen = np.random.default_rng(0).choice(len(places), most, replace=False)
        places = [places[i] for i in np.sort(chosen)]
    seen = np.stack([one.image.read(y, x, crop, crop) for one, y, x in places])
    return seen, np.stack([patches_of(one, (y, x), crop, side / crop, target) for one, y, x in places])

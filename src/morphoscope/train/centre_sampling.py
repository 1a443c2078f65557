"""Patches to learn the class of their middle pixel from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from morphoscope.train.score_pictures import Array, Picture
from morphoscope.train.score_sampling import TURNS, Change, relit, turn

MARKED = 0.25  # share of patches about a marked pixel: three in four elsewhere, as Fan et al. (arXiv:1802.02208) have it


class CentreSampler:
    """Draws patches of marked pictures, whose middle pixel is what is taught: a quarter of them about marked pixels.

    A network learns from them that classes are more frequent than they are: `shift` is what its logits are too high by.

    Args:
        pictures: what is learnt, with masks.
        side: of the network's input, px.
        change: see `Change`; patches are not changed in size.
    """

    def __init__(self, pictures: Sequence[Picture], side: int, *, change: Change) -> None:
        self._pictures, self._side, self._change = pictures, side, change
        self._count = sum(len(one.corners) for one in pictures)
        self._marked = [self._places(number) for number in range(len(_masks(pictures[0])))]

    def __len__(self) -> int:
        """How many patches an epoch has."""
        return self._count

    @property
    def shift(self) -> NDArray[np.float64]:
        """Log odds (k,) of each class among the patches drawn, less those among all pixels."""
        share = np.mean([_masks(one).mean(axis=(1, 2)) for one in self._pictures], axis=0)
        there = np.array([len(places) > 0 for places in self._marked])
        among = np.stack([self._among(number) for number in np.flatnonzero(there).tolist()]).mean(axis=0)
        drawn = (1 - MARKED) * share + MARKED * among
        odds = [np.log(p) - np.log1p(-p) for p in (np.clip(drawn, 1e-6, 1 - 1e-6), np.clip(share, 1e-6, 1 - 1e-6))]
        return np.asarray(odds[0] - odds[1])

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Patches (n, c, s, s), targets (n, k) and weights (n,), all 1."""
        drawn = [self._patch(rng) for _ in range(count)]
        patches, targets = (np.stack(part) for part in zip(*drawn, strict=True))
        return patches, targets, np.ones(count, np.float32)

    def _patch(self, rng: np.random.Generator) -> tuple[Array, Array]:
        there = [places for places in self._marked if len(places)]
        if there and rng.random() < MARKED:
            places = there[rng.integers(len(there))]
            number, y, x = places[rng.integers(len(places))].tolist()
        else:
            number = int(rng.integers(len(self._pictures)))
            height, width = _masks(self._pictures[number]).shape[1:]
            y, x = int(rng.integers(height)), int(rng.integers(width))
        return self._cut(self._pictures[number], y, x, rng)

    def _cut(self, one: Picture, y: int, x: int, rng: np.random.Generator) -> tuple[Array, Array]:
        """A patch about the pixel (y, x) of the stored image, or the nearest one with room for it, and what is true there."""
        zoom, side = one.image.zoom, self._side
        corner = [round((at + 0.5) * zoom - side / 2) for at in (y, x)]
        top, left = (int(np.clip(c, 0, n - side)) for c, n in zip(corner, one.image.shape, strict=True))
        patch = turn(one.image.read(top, left, side, side), int(rng.integers(TURNS)))
        return relit(patch, self._change, rng), one.target_at(top, left, side, "centre")

    def _places(self, number: int) -> NDArray[np.int64]:
        """Marked pixels (n, 3) of a class: picture, y, x."""
        found = [np.argwhere(_masks(one)[number]) for one in self._pictures]
        return np.concatenate([np.column_stack([np.full(len(at), k), at]) for k, at in enumerate(found)])

    def _among(self, number: int) -> NDArray[np.float64]:
        """Share (k,) of each class among the marked pixels of one."""
        total = np.array([_masks(one)[:, _masks(one)[number]].sum(axis=1) for one in self._pictures]).sum(axis=0)
        return np.asarray(total / total[number])


def _masks(one: Picture) -> NDArray[np.bool_]:
    assert one.masks is not None
    return one.masks

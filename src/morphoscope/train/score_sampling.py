"""Random patches to learn from: balanced over classes, turned, mirrored, changed in size and light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphoscope.measure.patches import Target
from morphoscope.train.score_pictures import Array, Picture, resized

TURNS = 8  # ways to turn and mirror a square


@dataclass(frozen=True)
class Change:
    """How patches are changed: spread of the logarithm of their size, and of contrast, brightness and noise (network's units)."""

    size: float = 0.0
    contrast: float = 0.0
    brightness: float = 0.0
    noise: float = 0.0


class Sampler:
    """Draws patches of pictures.

    Of classes that exclude each other all are drawn equally often, and `shift` is what their logits are then too high by, so that
    probabilities are those of the pictures. Else half of the draws go to places by the share of
    each class that they hold, and the weight of each patch in the loss makes up for it, so that probabilities and extents are
    not biased.

    Args:
        pictures: what is learnt.
        side: of the network's input, px.
        exclusive: classes exclude each other.
        target: what a patch of a marked image is taught.
        change: see `Change`.
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        side: int,
        *,
        exclusive: bool,
        target: Target,
        change: Change,
    ) -> None:
        self._pictures, self._side, self._target, self._change = pictures, side, target, change
        self._places = [(k, j) for k, one in enumerate(pictures) for j in range(len(one.corners))]
        targets = np.concatenate([one.targets for one in pictures])
        share, self._weight = balanced(targets, exclusive=exclusive)
        self._upto = np.cumsum(share)
        self._shift = drawn_too_often(targets, share * self._weight) if exclusive else 0.0

    @property
    def shift(self) -> NDArray[np.float64] | float:
        """Of classes that exclude each other; nothing of others, where weights make up for how often places are drawn."""
        return self._shift

    def __len__(self) -> int:
        """How many patches an epoch has."""
        return len(self._places)

    def draw(self, count: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Patches (n, c, s, s), targets (n, k) and weights (n,)."""
        chosen = np.minimum(np.searchsorted(self._upto, rng.random(count), side="right"), len(self._places) - 1)
        drawn = [self._patch(self._places[i], rng) for i in chosen]
        patches, targets = (np.stack(part) for part in zip(*drawn, strict=True))
        return patches, targets, self._weight[chosen].astype(np.float32)

    def _patch(self, where: tuple[int, int], rng: np.random.Generator) -> tuple[Array, Array]:
        one = self._pictures[where[0]]
        return changed(one, one.corners[where[1]], self._side, change=self._change, target=self._target, rng=rng)


def changed(
    one: Picture, corner: NDArray[np.int64], side: int, *, change: Change, target: Target, rng: np.random.Generator
) -> tuple[Array, Array]:
    """A patch (c, s, s) near a place of a picture, moved by up to half its side and changed, and what is true of it (k,)."""
    height, width = one.image.shape
    wide = min(round(side * float(np.exp(rng.uniform(-1, 1) * change.size))), height, width)
    first = corner + (side - wide) / 2 + rng.uniform(-0.5, 0.5, 2) * side
    y, x = (int(np.clip(round(c), 0, n - wide)) for c, n in zip(first, (height, width), strict=True))
    patch = resized(one.image.read(y, x, wide, wide), side)
    turned = turn(patch, int(rng.integers(TURNS)))
    return relit(turned, change, rng), one.target_at(y, x, wide, target)


def balanced(targets: Array, *, exclusive: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How often each of n places with targets (n, k) is drawn, and its weight in the loss; see `Sampler`."""
    even = np.full(len(targets), 1 / len(targets))
    mass = targets.sum(axis=0, dtype=float)
    there = mass > 0
    if not there.any():
        return even, np.ones(len(targets))
    by_class = (targets[:, there] / mass[there]).mean(axis=1, dtype=float)
    if exclusive:
        return by_class / by_class.sum(), np.ones(len(targets))
    share = (even + by_class / by_class.sum()) / 2
    return share, even / share


def drawn_too_often(targets: Array, share: NDArray[np.float64]) -> NDArray[np.float64]:
    """What logits (k,) of exclusive classes are too high by after draws of places with targets (n, k) by a share (n,).

    The logarithm of each class's share among what is drawn, less that of its share of all places; 0 for one that is nowhere.
    """
    drawn, true = share @ targets / share.sum(), targets.mean(axis=0, dtype=float)
    there = true > 0
    return np.asarray(np.where(there, np.log(np.where(there, drawn, 1)) - np.log(np.where(there, true, 1)), 0.0))


def turn(patch: NDArray[Any], way: int, *, axes: tuple[int, int] = (-2, -1)) -> NDArray[Any]:
    """One of the eight ways (0: as it is) to turn and mirror a patch; `axes` are its y and x, by default the last ones."""
    mirrored = np.flip(patch, axes[1]) if way >= 4 else patch
    return np.ascontiguousarray(np.rot90(mirrored, way % 4, axes=axes))


def relit(patch: Array, change: Change, rng: np.random.Generator) -> Array:
    """A patch (c, s, s) in another light, with noise in every fourth."""
    if change.contrast or change.brightness:
        middle = patch.mean(axis=(1, 2), keepdims=True)
        gain, shift = np.exp(rng.normal(0, change.contrast)), rng.normal(0, change.brightness)
        patch = ((patch - middle) * np.float32(gain) + middle + np.float32(shift)).astype(np.float32)
    if change.noise and rng.random() < 0.25:
        grain = rng.standard_normal(patch.shape, dtype=np.float32)
        patch = patch + grain * np.float32(rng.uniform(0, change.noise))
    return patch

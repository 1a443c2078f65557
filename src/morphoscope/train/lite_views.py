"""Pretrained features of labelled images, each seen in several ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from morphoscope.measure.patches import Target
from morphoscope.train.lite_patches import CHUNK, features_of
from morphoscope.train.patch_networks import PatchNet
from morphoscope.train.score_pictures import Array, Picture
from morphoscope.train.score_sampling import Change, changed

MOST_VIEWS = 2000  # of all pictures together, for time's sake
WAYS = 4  # that a place is seen in, as it is and changed; fewer, where there are many pictures


@dataclass(frozen=True)
class Views:
    """Features (n, c) and targets (n, k) of places, the number (n,) of the picture of each, and whether it is seen unchanged."""

    features: Array
    targets: Array
    picture: NDArray[np.int64]
    plain: NDArray[np.bool_]


def view_features(network: PatchNet, pictures: Sequence[Picture], *, change: Change, target: Target, seed: int = 0) -> Views:
    """See `Views`; of many places some are drawn, of each picture as many as of the others, and of very many pictures some.

    Args:
        network: of `build_lite`.
        pictures: labelled images.
        change: how places are changed, see `Change`.
        target: what a patch of a marked image is taught.
        seed: of the changes.
    """
    rng, side = np.random.default_rng(seed), network.input_px
    ways = int(np.clip(MOST_VIEWS // len(pictures), 1, WAYS))
    most = max(MOST_VIEWS // (ways * len(pictures)), 1)
    places = []
    for k in _some(pictures, MOST_VIEWS, rng):
        chosen = rng.permutation(len(pictures[k].corners))[:most]
        places += [(k, int(j), way) for j in chosen for way in range(ways)]
    features, targets = [], []
    for first in range(0, len(places), CHUNK):
        seen = [_view(pictures[k], j, side, change if way else None, target, rng) for k, j, way in places[first : first + CHUNK]]
        features.append(features_of(network, np.stack([patch for patch, _ in seen])))
        targets += [true for _, true in seen]
    numbers = np.array(places)
    return Views(np.concatenate(features), np.stack(targets), numbers[:, 0], numbers[:, 2] == 0)


def _some(pictures: Sequence[Picture], most: int, rng: np.random.Generator) -> list[int]:
    """Numbers of at most so many pictures, evenly over the order of their labels: each label keeps its share."""
    labels = np.stack([one.targets.mean(axis=0) for one in pictures])
    order = np.lexsort((rng.random(len(pictures)), *labels.T[::-1]))
    return sorted(order[np.arange(0, len(order), max(len(order) / most, 1)).astype(int)].tolist())


def _view(
    one: Picture, place: int, side: int, change: Change | None, target: Target, rng: np.random.Generator
) -> tuple[Array, Array]:
    """A patch (c, s, s) and its target (k,); unchanged where there is no change."""
    if change is not None:
        return changed(one, one.corners[place], side, change=change, target=target, rng=rng)
    y, x = one.corners[place].tolist()
    return one.image.read(y, x, side, side), one.targets[place]

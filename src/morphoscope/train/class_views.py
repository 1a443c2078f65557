"""Labelled images seen in more ways than one: turned, mirrored, closer up. A head learns more from few images that way."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.train.score_sampling import TURNS, turn

MOST_SEEN = 2000  # views of all images together, for time's sake
WAYS = (15, 7, 3)  # more that each image is seen in, the most that time allows
CLOSER = (0.55, 0.9)  # share of the side that a closer view shows
Array = NDArray[np.float32]


def ways(images: int) -> int:
    """In how many more ways each of so many images is seen."""
    return next((more for more in WAYS if images * (more + 1) <= MOST_SEEN), 0)


def more_views(view: Array, count: int, rng: np.random.Generator, *, upright: bool = False) -> list[Array]:
    """An image (3, h, w) in other ways, each with mean 0 and standard deviation 1.

    The first are the seven turned and mirrored ones (of what has an up and a down the mirrored one), the others parts of it,
    turned at random and brought to the same size.

    Args:
        view: the image as a network sees it.
        count: how many.
        rng: where the parts lie.
        upright: images have an up and a down.
    """
    turns = [4] if upright else list(range(1, TURNS))
    found = [turn(view, way) for way in turns[:count]]
    for _ in range(count - len(found)):
        way = int(rng.choice([0, 4])) if upright else int(rng.integers(TURNS))
        found.append(turn(closer(view, float(rng.uniform(*CLOSER)), rng), way))
    return found


def closer(view: Array, share: float, rng: np.random.Generator) -> Array:
    """A part of an image (3, h, w) somewhere in it, that share of its sides, brought to its size and to mean 0 and spread 1."""
    height, width = view.shape[1:]
    tall, wide = (max(round(n * share), 1) for n in (height, width))
    top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
    part = view[:, top : top + tall, left : left + wide].transpose(1, 2, 0)
    large = cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR).transpose(2, 0, 1)
    return np.ascontiguousarray((large - large.mean()) / max(float(large.std()), 1e-6), np.float32)

"""Post-processing of a per-pixel network of particles (version `instances-1`): maps to a label image.

Seeds are the connected parts where the core stands out, and they flood the foreground from the core down. There is no cap on
the number of particles.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

INSTANCES = "instances-1"
CHANNELS = ("foreground", "border", "core", "centre", "to_centre_x", "to_centre_y")
REACH_PX = 32.0  # px of the maps that one unit of the way to the centre stands for
SMALLEST, SUREST = 12, 0.75  # seeds and particles have so many px of the maps, particles this mean probability of foreground
LEVELS = 16
OVERHANG_PX = 1.5  # how far labels are carried on beyond the maps' foreground before the fine outline cuts them
Maps = NDArray[np.float32]
Labels = NDArray[np.int32]
Places = NDArray[np.int64]


def labels_from_maps(maps: Maps, threshold: float) -> Labels:
    """Label image (h, w) of the network's maps (6, h, w) as logits, see `CHANNELS`; labels 1, 2, ... without gaps.

    Args:
        maps: the network's output.
        threshold: least core value of a seed: higher splits more and finds fewer.
    """
    foreground, core = probability(maps[0]), probability(maps[2])
    inside = foreground > 0.5
    parts, _ = ndimage.label(inside & (core > threshold))
    seeds = _keep(parts, np.bincount(parts.ravel()) >= SMALLEST)
    if not seeds.any():
        return np.zeros(inside.shape, np.int32)
    flooded = _flood(seeds, core, inside, threshold)
    area = np.bincount(flooded.ravel())
    sure = np.bincount(flooded.ravel(), foreground.ravel()) / np.maximum(area, 1)
    return _keep(flooded, (area >= SMALLEST) & (sure >= SUREST))


def _flood(seeds: NDArray[Any], core: Maps, inside: NDArray[np.bool_], highest: float) -> Labels:
    """Seeds grown pixel by pixel over what is inside, level by level down the core: they meet where it is lowest.

    (The watersheds of scipy and OpenCV order pixels by steps between neighbours instead of by level.)
    """
    inside, core, labels = np.pad(inside, 1), np.pad(core, 1), np.pad(seeds.astype(np.float32), 1)  # no neighbour wraps around
    flat, width = labels.ravel(), labels.shape[1]
    around = np.array([-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1])
    turns = np.zeros(flat.size, np.int32)
    for level in np.linspace(highest, 0, LEVELS + 1)[1:]:
        waits = ((inside & (core > level) if level > 0 else inside) & (labels == 0)).ravel()
        waiting = np.flatnonzero(waits)
        flat[waiting] = cv2.dilate(labels, np.ones((3, 3), np.uint8)).ravel()[waiting]
        front = waiting[flat[waiting] > 0]
        left = len(waiting) - len(front)
        while left and len(front):
            waits[front] = False
            front = _next(flat, waits, front, around, turns)
            left -= len(front)
    return labels[1:-1, 1:-1].astype(np.int32)


def _next(flat: Maps, waits: NDArray[np.bool_], front: Places, around: Places, turns: Labels) -> Places:
    """Places that wait beside the front (n,), each once, now with the highest label of the front beside them."""
    near = (front[:, None] + around).ravel()
    free = np.flatnonzero(waits[near])
    near = near[free]
    np.maximum.at(flat, near, flat[front][free // len(around)])
    turn = np.arange(len(near), dtype=np.int32)
    turns[near] = turn
    return np.asarray(near[turns[near] == turn])


def enlarge(labels: Labels, foreground: Maps, shape: tuple[int, int]) -> Labels:
    """Labels (h, w) of the maps brought to an image of `shape`, with the smooth outline of the foreground's logits.

    The grids share their corners, so a pixel of the maps stands for shape / (h, w) pixels of the image.
    """
    if not labels.any():
        return np.zeros(shape, np.int32)
    away, (row, column) = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    carried = np.where(away <= OVERHANG_PX, labels[row, column], 0)
    y, x = ((np.arange(n) + 0.5) * m / n - 0.5 for n, m in zip(shape, labels.shape, strict=True))
    near_y, near_x = (np.clip(np.rint(at).astype(np.int64), 0, m - 1) for at, m in zip((y, x), labels.shape, strict=True))
    outline = cv2.resize(foreground, shape[::-1], interpolation=cv2.INTER_LINEAR) > 0
    fine = np.where(outline, carried[near_y[:, None], near_x], 0)
    return _keep(fine, np.bincount(fine.ravel()) > 0)


def _keep(labels: NDArray[Any], kept: NDArray[np.bool_]) -> Labels:
    """The labels that are kept, numbered anew."""
    kept[0] = False
    number = np.where(kept, np.cumsum(kept), 0).astype(np.int32)
    return np.asarray(number[labels], np.int32)


def edges(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """(h, w) pixels of a particle that touch, side by side, something else; the image's edge is nothing else."""
    edge = np.zeros(labels.shape, bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    edge[1:] |= down
    edge[:-1] |= down
    edge[:, 1:] |= right
    edge[:, :-1] |= right
    return edge & (labels > 0)


def depth_below_edge(labels: NDArray[Any]) -> NDArray[np.float64]:
    """Depth (h, w) of each pixel below the edge of its particle in px, 1 at the edge and 0 outside; see `edges`."""
    inside = labels > 0
    return np.asarray(cv2.distanceTransform((inside & ~edges(labels)).astype(np.uint8), cv2.DIST_L2, 5) + inside, float)


def probability(logits: Maps) -> Maps:
    """Probability of logits."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -20, 20))), np.float32)

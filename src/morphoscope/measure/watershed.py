"""Touching particles parted: a watershed of the distance to the background, from the middles of the particles.

The flooding by levels of Beucher & Lantuejoul (1979) as two steps over all pixels at once: each pixel climbs to the maximum that
lies steepest above it, then basins join across their highest saddles until each holds one seed, which is the minimum spanning
forest rooted in the seeds (Cousty et al., IEEE Trans. Pattern Anal. Mach. Intell. 31 (2009) 1362).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.spatial import cKDTree

from morphoscope.measure.smooth import smoothed

Heights = NDArray[np.float32]
Inside = NDArray[np.bool_]
Labels = NDArray[np.int32]
Ints = NDArray[np.int64]

RIDGE = 0.2  # smoothing of the distance map, of the least distance of two centres
LEAST_RIDGE_PX = 0.5
LEAST_APART_PX = 5.0


def part_touching(inside: Inside, separate_px: float | None = None, smallest_px: int = 1) -> Labels:
    """Label image of foreground: connected parts (8 neighbours), those with several middles parted between them.

    Middles are the maxima of the smoothed distance to the background; of two of one part that are nearer than `separate_px`, the
    one nearer to the background goes. Parts with one middle stay whole, and every part has one.

    Args:
        inside: (h, w) foreground.
        separate_px: least distance of two middles; 0: nothing is parted. None: the radius of the largest disc that fits into
            the typical part (half of the foreground lies in parts with a smaller one), 5 px at least.
        smallest_px: least area of a particle in the end.

    Returns:
        (h, w): 0 for the background, particles 1, 2, ... in the order of their first pixels, row by row.
    """
    parts, area = connected(inside, 8)
    if separate_px != 0 and len(area) > 1 and not inside.all():  # without a background there is no distance to it
        away = np.asarray(
            cv2.distanceTransform(np.ascontiguousarray(inside).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32
        )
        separate_px = _typical_radius(away, parts, area) if separate_px is None else separate_px
        depth = smoothed(away, max(RIDGE * separate_px, LEAST_RIDGE_PX))
        depth[~inside] = 0  # the blur spills over into gaps: beside a deep particle they would be higher than a shallow one
        flats, _ = connected(inside & (depth >= cv2.dilate(depth, np.ones((3, 3), np.uint8))), 8)
        seed, several = _seeds(depth, flats, parts, separate_px)
        if several.any():
            place = np.flatnonzero(several[parts])
            parts.ravel()[place] = len(area) + _climbed(depth, flats, seed, place)
    return numbered(parts, smallest_px)


def _typical_radius(away: Heights, parts: Labels, area: Ints) -> float:
    """Median of the greatest distance to the background in each part, weighted by area."""
    place = np.flatnonzero(parts)
    greatest = np.zeros(len(area), np.float32)
    np.maximum.at(greatest, parts.ravel()[place], away.ravel()[place])
    order = np.argsort(greatest[1:], kind="stable") + 1
    reached = np.cumsum(area[order])
    return max(float(greatest[order[np.searchsorted(reached, reached[-1] / 2)]]), LEAST_APART_PX)


def _seeds(depth: Heights, flats: Labels, parts: Labels, apart: float) -> tuple[Ints, Inside]:
    """The seed (from 1; 0: none) of each flat top of `depth`, and which parts hold more than one."""
    place = np.flatnonzero(flats)
    flat, first = np.unique(flats.ravel()[place], return_index=True)
    place = place[first]
    owner, height = parts.ravel()[place], depth.ravel()[place]
    rank = np.empty(len(place), np.int64)
    rank[np.lexsort((place, -height))] = np.arange(len(place))
    crowd = np.flatnonzero(np.bincount(owner)[owner] > 1)
    apart *= 1 - 1e-7
    at = np.column_stack(
        [*np.divmod(place[crowd], depth.shape[1]), owner[crowd] * (2 * apart)]
    )  # parts lie out of each other's reach
    pairs = crowd[cKDTree(at).query_pairs(apart, output_type="ndarray")]
    kept = np.ones(len(place), bool)
    kept[np.where(rank[pairs[:, 0]] > rank[pairs[:, 1]], pairs[:, 0], pairs[:, 1])] = False
    seed = np.zeros(len(flat) + 1, np.int64)
    seed[flat[kept]] = np.arange(1, int(kept.sum()) + 1)
    return seed, np.bincount(owner[kept], minlength=int(parts.max()) + 1) > 1


def _climbed(depth: Heights, flats: Labels, seed: Ints, place: Ints) -> Ints:
    """The seed (k,) of each of the pixels at the flat places (k,), which are whole parts."""
    width = depth.shape[1] + 2  # with a rim that is lower than everything
    height = np.full((depth.shape[0] + 2, width), -1, np.float32)
    row, column = np.divmod(place, depth.shape[1])
    at = (row + 1) * width + column + 1
    height.ravel()[at] = depth.ravel()[place]
    height = height.ravel()
    number = np.full(height.size, -1, np.int64)
    number[at] = np.arange(len(at))
    basin, tops = _basins(height, number, at, width, flats.ravel()[place])
    low, high, saddle = _saddles(height, number, at, width, basin)
    return _forest(seed[tops], low, high, saddle)[basin]


def _basins(height: Heights, number: Ints, at: Ints, width: int, flats: NDArray[Any]) -> tuple[Ints, Ints]:
    """The basin (k,) of each pixel, from 0, and the flat top (m,) of each basin."""
    best, highest = at.copy(), height[at]
    for step in (-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1):
        beside = height[at + step]
        better = beside > highest
        best[better], highest[better] = at[better] + step, beside[better]
    up = number[best]
    top = np.flatnonzero(flats)
    tops, first, whose = np.unique(flats[top], return_index=True, return_inverse=True)
    up[top] = top[first][whose]
    while not np.array_equal(further := up[up], up):
        up = further
    basin = np.full(len(at), -1, np.int64)
    basin[top[first]] = np.arange(len(tops))
    return basin[up], tops


def _saddles(height: Heights, number: Ints, at: Ints, width: int, basin: Ints) -> tuple[Ints, Ints, NDArray[np.float64]]:
    """Pairs of basins that touch, and the height of the highest pass between them."""
    codes, passes = [], []
    for step in (1, width - 1, width, width + 1):
        other = number[at + step]
        there = np.flatnonzero(other >= 0)
        mine, yours = basin[there], basin[other[there]]
        there = there[mine != yours]
        mine, yours = basin[there], basin[other[there]]
        codes.append(np.minimum(mine, yours) * (len(at) + 1) + np.maximum(mine, yours))
        passes.append(np.minimum(height[at[there]], height[at[there] + step]))
    code, saddle = np.concatenate(codes), np.concatenate(passes).astype(float)
    order = np.lexsort((-saddle, code))
    code, saddle = code[order], saddle[order]
    first = np.flatnonzero(np.diff(code, prepend=-1))
    low, high = np.divmod(code[first], len(at) + 1)
    return low, high, saddle[first]


def _forest(seed: Ints, low: Ints, high: Ints, saddle: NDArray[np.float64]) -> Ints:
    """The seed of each basin (m,): its own, or that of the seeded basin the highest passes lead to."""
    count = len(seed)
    rooted = np.flatnonzero(seed)
    weight = np.concatenate([2 + saddle.max(initial=0) - saddle, np.ones(len(rooted))])
    ends = (np.concatenate([low, rooted]), np.concatenate([high, np.full(len(rooted), count)]))
    tree = minimum_spanning_tree(coo_array((weight, ends), shape=(count + 1, count + 1)).tocsr()).tocsr()
    _, group = connected_components(tree[:count, :count], directed=False)
    of_group = np.zeros(count, np.int64)
    of_group[group[rooted]] = seed[rooted]
    return np.asarray(of_group[group], np.int64)


def connected(inside: Inside, neighbours: int) -> tuple[Labels, Ints]:
    """Connected parts (h, w) of foreground with 4 or 8 neighbours, and the area of each, that of the background first."""
    mask = np.ascontiguousarray(inside).view(np.uint8)
    _, parts, facts, _ = cv2.connectedComponentsWithStats(mask, connectivity=neighbours, ltype=cv2.CV_32S)
    return np.asarray(parts), np.asarray(facts[:, cv2.CC_STAT_AREA], np.int64)


def numbered(labels: NDArray[Any], smallest_px: int = 1) -> Labels:
    """Labels (h, w) of `smallest_px` or more, numbered anew without gaps by their first pixels, row by row."""
    flat = labels.ravel()
    area = np.bincount(flat)
    first = np.zeros(len(area), np.int64)
    places = np.flatnonzero(flat)[::-1]
    first[flat[places]] = places
    kept = np.flatnonzero(area >= smallest_px)
    kept = kept[kept != 0]
    number = np.zeros(len(area), np.int32)
    number[kept[np.argsort(first[kept], kind="stable")]] = np.arange(1, len(kept) + 1)
    return np.asarray(number[labels])

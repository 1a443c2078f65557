"""Scale bars burnt into pictures: where one may be and how long it is.

A bar is a level stretch of one grey value, wider than high, with sharp ends; it may carry ticks at its ends. A ruler is a row of
even marks. What a text says is read elsewhere; here are arrays only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

LEVELS = 14  # grey values of the picture at which it is cut, beside these
FIXED_LEVELS = (8, 30, 60, 128, 190, 225, 246)
SHORTEST, LONGEST = 0.02, 0.95  # of the picture's width
THICKEST = 0.06  # of the picture's height
FLATTEST = 2.2  # width over thickness
USUAL_MARKS = 11  # of a ruler


@dataclass(frozen=True)
class Bar:
    """A possible scale bar.

    Its box in px edges (ticks left out), its length in px between half grey levels, the grey value inside and around it, how
    bar-like it is (0 to 1), and the gap (x0, x1) of a bar that its text interrupts.
    """

    x0: int
    y0: int
    x1: int
    y1: int
    length_px: float
    inside: float
    around: float
    quality: float
    gap: tuple[int, int] | None = None


def to_bytes(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Grey values spread over 0 to 255; 8-bit pictures as they are."""
    if image.dtype == np.uint8:
        return np.asarray(image, dtype=np.uint8)
    values = image.astype(np.float32)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    spread = np.nan_to_num((values - low) / max(high - low, 1e-12) * 255)
    return np.asarray(np.clip(np.rint(spread), 0, 255), dtype=np.uint8)


def find_bars(image: NDArray[np.uint8], *, info_bar: int | None = None) -> list[Bar]:
    """Possible scale bars of a picture (height, width), the most bar-like first.

    Args:
        image: the picture.
        info_bar: the row an info bar begins at; it is searched on its own too, where nothing of the picture touches its marks.
    """
    found = _bars_in(image)
    if info_bar is not None:
        below = _bars_in(np.ascontiguousarray(image[info_bar:]), of_height=image.shape[0])
        found += [replace(bar, y0=bar.y0 + info_bar, y1=bar.y1 + info_bar) for bar in below]
    return distinct(found)


def _bars_in(image: NDArray[np.uint8], of_height: int | None = None) -> list[Bar]:
    found: list[Bar] = []
    levels = np.unique(np.quantile(image, np.linspace(0.02, 0.98, LEVELS)).astype(int)).tolist()
    for level in sorted({*levels, *FIXED_LEVELS}):
        for mask in (image > level, image <= level):
            whole = list(_rectangles(mask, image, of_height or image.shape[0]))
            found += [*whole, *_interrupted(whole), *_rulers(mask, image, of_height or image.shape[0])]
    return found


def _rectangles(mask: NDArray[np.bool_], image: NDArray[np.uint8], height: int) -> Iterator[Bar]:
    width = image.shape[1]
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    wide, high = stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]
    fits = (
        (wide >= max(SHORTEST * width, 12))
        & (wide <= LONGEST * width)
        & (high <= max(0.15 * height, 4))
        & (wide >= FLATTEST * high)
    )
    fits[0] = False
    for number in np.flatnonzero(fits):
        x, y, w, h = (int(v) for v in stats[number, :4])
        part = labels[y : y + h, x : x + w] == number
        band = _level_band(part)
        if band is None or band[1] - band[0] > max(THICKEST * height, 3) or w < FLATTEST * (band[1] - band[0]):
            continue
        bar = _weigh(image, (x, y, x + w, y + h), (y + band[0], y + band[1]), part)
        if bar is not None:
            yield bar


def _interrupted(bars: list[Bar]) -> Iterator[Bar]:
    """Pairs of like bars on one line with room for a text between them, taken for one bar."""
    for left in bars:
        for right in bars:
            gap, wide, other = right.x0 - left.x1, left.x1 - left.x0, right.x1 - right.x0
            level = abs(left.y0 - right.y0) <= 1 and abs(left.y1 - right.y1) <= 1
            if level and 8 <= gap <= 3 * (wide + other) and max(wide, other) <= 1.5 * min(wide, other):
                length = right.length_px + left.length_px + gap + (wide - left.length_px + other - right.length_px) / 2
                quality = min(left.quality, right.quality) ** 0.5
                yield replace(left, x1=right.x1, length_px=length, quality=round(quality, 4), gap=(left.x1, right.x0))


def _level_band(part: NDArray[np.bool_]) -> tuple[int, int] | None:
    """The rows of a component that run from end to end; None where there are none or they are not together."""
    full = np.flatnonzero(part.mean(axis=1) > 0.93)
    if full.size == 0 or full[-1] - full[0] + 1 != full.size:
        return None
    middle = part[:, round(0.1 * part.shape[1]) : max(round(0.9 * part.shape[1]), 1)]
    outside = np.delete(middle, full, axis=0)
    return (int(full[0]), int(full[-1]) + 1) if outside.sum() <= 0.35 * outside.size else None


def _weigh(
    image: NDArray[np.uint8], box: tuple[int, int, int, int], rows: tuple[int, int], part: NDArray[np.bool_]
) -> Bar | None:
    x0, y0, x1, y1 = box
    if x0 == 0 or x1 == image.shape[1] or rows[0] == 0 or rows[1] == image.shape[0]:
        return None  # cut by the picture's edge: its length is not known
    core = image[rows[0] : rows[1], x0:x1].astype(np.float32)
    inner = core[:, 1:-1] if x1 - x0 > 4 else core
    inside, spread = float(np.median(inner)), float(inner.std())
    margin = 3 + (rows[1] - rows[0]) // 2
    ring = image[max(y0 - margin, 0) : y1 + margin, max(x0 - margin, 0) : x1 + margin].astype(np.float32)
    hole = np.zeros(ring.shape, dtype=bool)
    top, left = y0 - max(y0 - margin, 0), x0 - max(x0 - margin, 0)
    hole[max(top - 1, 0) : top + y1 - y0 + 1, max(left - 1, 0) : left + x1 - x0 + 1] = True
    if hole.all():
        return None
    around = float(np.median(ring[~hole]))
    contrast = abs(inside - around)
    if contrast < 12:
        return None
    length, sharp = _ends(image, rows, x0, x1, inside)
    level = 1 - min(spread / contrast, 1)
    filled = float(part[rows[0] - y0 : rows[1] - y0].mean())
    quality = level * filled * sharp * min(contrast / 80, 1) ** 0.5 * _free(image, rows, x0, x1, contrast)
    return Bar(x0, rows[0], x1, rows[1], length, inside, around, round(float(quality), 4))


def _free(image: NDArray[np.uint8], rows: tuple[int, int], x0: int, x1: int, contrast: float) -> float:
    """1 where it is alike above and below a bar, less along the edge of something else, such as the outline of a larger bar."""
    deep = max(2, (rows[1] - rows[0]) // 2)
    above = image[max(rows[0] - 1 - deep, 0) : max(rows[0] - 1, 1), x0:x1]
    below = image[rows[1] + 1 : rows[1] + 1 + deep, x0:x1]
    if above.size == 0 or below.size == 0:
        return 1.0
    step = abs(float(np.median(above)) - float(np.median(below)))
    return float(np.clip(1.5 - step / contrast, 0.1, 1))


def _ends(image: NDArray[np.uint8], rows: tuple[int, int], x0: int, x1: int, inside: float) -> tuple[float, float]:
    """The length between half levels at both ends, and how sharp the ends are (0 to 1)."""
    profile = image[rows[0] : rows[1]].astype(np.float32).mean(axis=0)
    left, sharp_left = _edge(profile[::-1], len(profile) - x0 - 1, inside)
    right, sharp_right = _edge(profile, x1 - 1, inside)
    return right + left - len(profile), min(sharp_left, sharp_right)


def _edge(profile: NDArray[np.float32], last: int, inside: float) -> tuple[float, float]:
    """Where the level falls half-way behind the last pixel inside (px edges), and the share of the fall within 2 px."""
    beyond = profile[last + 1 : last + 7]
    if beyond.size == 0:
        return float(last + 1), 0.0
    outside = float(np.median(beyond[min(2, beyond.size - 1) :]))
    drop = inside - outside
    if abs(drop) < 1:
        return float(last + 1), 0.0
    share = (profile[max(last - 1, 0) : last + 4] - outside) / drop
    start = max(last - 1, 0)
    below = np.flatnonzero(share < 0.5)
    sharp = float(np.clip(1 - abs(share[min(3, share.size - 1)]), 0, 1))
    if below.size == 0 or below[0] == 0:
        return float(last + 1), sharp
    k = int(below[0])
    return start + k - 0.5 + float((share[k - 1] - 0.5) / (share[k - 1] - share[k])), sharp


def _rulers(mask: NDArray[np.bool_], image: NDArray[np.uint8], height: int) -> Iterator[Bar]:
    """Rows of six or more even marks at an even pitch, as some instruments draw scales (the length is from first to last)."""
    width = image.shape[1]
    count, _, stats, centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    small = np.flatnonzero(
        (stats[:, cv2.CC_STAT_HEIGHT] <= max(0.04 * height, 4)) & (stats[:, cv2.CC_STAT_WIDTH] <= 0.012 * width + 2)
    )
    if not 6 <= small.size or count > 20000:
        return
    small = small[small > 0]
    tops, bottoms = stats[small, cv2.CC_STAT_TOP], stats[small, cv2.CC_STAT_TOP] + stats[small, cv2.CC_STAT_HEIGHT]
    tried: set[tuple[int, int]] = set()
    for side in (tops, bottoms):
        for row, number in zip(*np.unique(side, return_counts=True), strict=True):
            same = side == row
            band = int(np.median(tops[same])), int(np.median(bottoms[same]))
            if number < 5 or band in tried:
                continue
            tried.add(band)  # marks at the ends and in the middle may be longer than the others
            shared = np.minimum(bottoms, band[1]) - np.maximum(tops, band[0])
            members = small[shared >= 0.6 * (band[1] - band[0])]
            yield from _even_marks(sorted(members.tolist(), key=lambda k: centres[k][0]), stats, centres, image)


def _even_marks(numbers: list[int], stats: NDArray[Any], centres: NDArray[Any], image: NDArray[np.uint8]) -> Iterator[Bar]:
    places = np.array([centres[k][0] for k in numbers])
    steps = np.diff(places)
    pitch = float(np.median(steps)) if len(steps) else 0.0
    even = np.abs(steps - pitch) <= max(0.06 * pitch, 1.05)
    if pitch < 4:
        return
    starts = np.flatnonzero(np.diff(np.concatenate(([0], even.astype(int), [0]))))
    for first, last in zip(starts[::2], starts[1::2], strict=True):
        if last - first >= 5:
            marks = numbers[first : last + 1]
            x0, y0 = int(stats[marks, 0].min()), int(stats[marks, 1].min())
            x1, y1 = int((stats[marks, 0] + stats[marks, 2]).max()), int((stats[marks, 1] + stats[marks, 3]).max())
            inside = float(np.median([image[int(centres[k][1]), int(centres[k][0])] for k in marks]))
            around = float(np.median(image[y0:y1, x0:x1]))
            if abs(inside - around) >= 40 and x1 - x0 >= 0.1 * image.shape[1]:
                quality = 1.0 if len(marks) == USUAL_MARKS else min(0.7 + 0.01 * len(marks), 0.9)
                yield Bar(x0, y0, x1, y1, float(places[last] - places[first]), inside, around, quality)


def distinct(bars: list[Bar]) -> list[Bar]:
    """The best of those that lie on each other, best first; of equally good ones the longer."""
    kept: list[Bar] = []
    for bar in sorted(bars, key=lambda b: (-b.quality * b.length_px**0.25, b.y0, b.x0)):
        if not any((bar.gap is None) == (other.gap is None) and _overlap(bar, other) > 0.6 for other in kept):
            kept.append(bar)
    return kept


def _overlap(a: Bar, b: Bar) -> float:
    wide, high = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
    if wide <= 0 or high <= 0:
        return 0.0
    return wide * high / min((a.x1 - a.x0) * (a.y1 - a.y0), (b.x1 - b.x0) * (b.y1 - b.y0))

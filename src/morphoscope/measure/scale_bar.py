"""Scale bars burnt into pictures: where one may be and how long it is, and where its text stands.

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

LEVELS = 14
SHORTEST, LONGEST = 0.02, 0.95  # of the picture's width
THICKEST = 0.06  # of the picture's height
FLATTEST = 2.2  # width over thickness
MOST_LINES = 12  # next to a bar
INK_LEVELS = (0.5, 0.8)  # between the grey values around and inside the bar


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


@dataclass(frozen=True)
class Line:
    """A line of text: its box in px edges."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def height(self) -> int:
        """Height in px."""
        return self.y1 - self.y0


def to_bytes(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Grey values spread over 0 to 255; 8-bit pictures as they are."""
    if image.dtype == np.uint8:
        return np.asarray(image, dtype=np.uint8)
    values = image.astype(np.float32)
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    spread = np.nan_to_num((values - low) / max(high - low, 1e-12) * 255)
    return np.asarray(np.clip(np.rint(spread), 0, 255), dtype=np.uint8)


def find_bars(image: NDArray[np.uint8]) -> list[Bar]:
    """Possible scale bars of a picture (height, width), the most bar-like first."""
    found: list[Bar] = []
    levels = np.unique(np.quantile(image, np.linspace(0.02, 0.98, LEVELS)).astype(int)).tolist()
    levels = sorted({*levels, 8, 30, 60, 128, 190, 225, 246})
    for level in levels:
        for mask in (image > level, image <= level):
            whole = list(_rectangles(mask, image))
            found += [*whole, *_interrupted(whole), *_rulers(mask, image)]
    return _distinct(found)


def _rectangles(mask: NDArray[np.bool_], image: NDArray[np.uint8]) -> Iterator[Bar]:
    height, width = image.shape
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


def _rulers(mask: NDArray[np.bool_], image: NDArray[np.uint8]) -> Iterator[Bar]:
    """Rows of six or more even marks at an even pitch, as some instruments draw scales (the length is from first to last)."""
    height, width = image.shape
    count, _, stats, centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    small = np.flatnonzero(
        (stats[:, cv2.CC_STAT_HEIGHT] <= max(0.04 * height, 4)) & (stats[:, cv2.CC_STAT_WIDTH] <= 0.012 * width + 2)
    )
    if not 6 <= small.size or count > 20000:
        return
    tops = stats[:, cv2.CC_STAT_TOP]
    for side in (tops, tops + stats[:, cv2.CC_STAT_HEIGHT]):
        rows: dict[int, list[int]] = {}
        for number in small[small > 0]:
            rows.setdefault(int(side[number]), []).append(int(number))
        for numbers in rows.values():
            if len(numbers) >= 6:
                yield from _even_marks(sorted(numbers, key=lambda k: centres[k][0]), stats, centres, image)


def _even_marks(numbers: list[int], stats: NDArray[Any], centres: NDArray[Any], image: NDArray[np.uint8]) -> Iterator[Bar]:
    places = np.array([centres[k][0] for k in numbers])
    steps = np.diff(places)
    pitch = float(np.median(steps))
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
                quality = min(0.8 + 0.01 * len(marks), 1.0)
                yield Bar(x0, y0, x1, y1, float(places[last] - places[first]), inside, around, quality)


def _distinct(bars: list[Bar]) -> list[Bar]:
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


def lines_near(image: NDArray[np.uint8], bar: Bar, *, inverse: bool = False) -> list[tuple[Line, NDArray[np.float32]]]:
    """Lines of text near a bar, each with its crop (height, width), text bright: 1 where as bright or dark as the bar.

    Args:
        image: the picture (height, width).
        bar: a bar in it.
        inverse: look for text that is on the other side of the background's grey value than the bar.
    """
    height, width = image.shape
    wide = bar.x1 - bar.x0
    reach = max(round(0.2 * height), 40)
    x0, x1 = max(bar.x0 - wide - 60, 0), min(bar.x1 + wide + 60, width)
    y0, y1 = max(bar.y0 - reach, 0), min(bar.y1 + reach, height)
    window = image[y0:y1, x0:x1].astype(np.float32)
    ink = (window - bar.around) / (bar.inside - bar.around)
    ink = np.clip(-ink * 1.5 if inverse else ink, -0.5, 1.5)
    found: dict[Line, NDArray[np.float32]] = {}
    for level in INK_LEVELS:
        mask = (ink > level).astype(np.uint8)
        _erase(mask, replace(bar, x0=bar.x0 - x0, x1=bar.x1 - x0, y0=bar.y0 - y0, y1=bar.y1 - y0), x0)
        for a, b, c, d in _line_boxes(mask, reach, 0.4 * width):
            margin = max(round(0.12 * (d - c)), 1)
            crop = ink[max(c - margin, 0) : d + margin, max(a - margin, 0) : b + margin]
            found.setdefault(Line(a + x0, c + y0, b + x0, d + y0), crop)
    return sorted(found.items(), key=lambda pair: distance(bar, pair[0]))[:MOST_LINES]


def distance(bar: Bar, line: Line) -> float:
    """Px from a bar to a line of text; 0 inside the gap of a bar that its text interrupts."""
    beside = max(line.x0 - bar.x1, bar.x0 - line.x1, 0)
    above = max(line.y0 - bar.y1, bar.y0 - line.y1, 0)
    return float(np.hypot(beside, above))


def _erase(mask: NDArray[np.uint8], bar: Bar, offset: int) -> None:
    """Take a bar and the ticks at its ends out of a window's mask."""
    thick = bar.y1 - bar.y0
    pieces = [(bar.x0, bar.x1)] if bar.gap is None else [(bar.x0, bar.gap[0] - offset), (bar.gap[1] - offset, bar.x1)]
    for a, b in pieces:
        mask[max(bar.y0 - 1, 0) : bar.y1 + 1, max(a - 1, 0) : b + 1] = 0
    end = max(2, round(0.03 * (bar.x1 - bar.x0)))
    for a, b in ((bar.x0 - 1, bar.x0 + end), (bar.x1 - end, bar.x1 + 1)):
        mask[max(bar.y0 - 3 * thick - 2, 0) : bar.y1 + 3 * thick + 2, max(a, 0) : b] = 0


def _line_boxes(mask: NDArray[np.uint8], tallest: int, broadest: float) -> Iterator[tuple[int, int, int, int]]:
    """Boxes x0, x1, y0, y1 of what may be lines of text."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    tall, broad = stats[1:, cv2.CC_STAT_HEIGHT], stats[1:, cv2.CC_STAT_WIDTH]
    letters = stats[1:][(tall >= 4) & (tall <= tallest) & (broad <= 8 * tall) & (broad <= broadest)]
    for group in _lines(letters[:400]):
        a, b = int(group[:, 0].min()), int((group[:, 0] + group[:, 2]).max())
        c, d = int(group[:, 1].min()), int((group[:, 1] + group[:, 3]).max())
        if d - c >= 5 and 1.0 <= (b - a) / (d - c) <= 14:
            yield a, b, c, d


def _lines(letters: NDArray[Any]) -> list[NDArray[Any]]:
    """Groups of letter boxes (x, y, width, height) that stand side by side."""
    left, top = letters[:, 0].astype(float), letters[:, 1].astype(float)
    wide, tall = letters[:, 2].astype(float), letters[:, 3].astype(float)
    low, high = np.minimum.outer(tall, tall), np.maximum.outer(tall, tall)
    shared = np.minimum.outer(top + tall, top + tall) - np.maximum.outer(top, top)
    gap = np.maximum.outer(left, left) - np.minimum.outer(left + wide, left + wide)
    joined = (shared > 0.5 * low) & (gap < 1.2 * high) & (high < 2.6 * low)
    groups: list[NDArray[Any]] = []
    left_over = np.ones(len(letters), dtype=bool)
    while left_over.any():
        member = np.zeros(len(letters), dtype=bool)
        member[np.flatnonzero(left_over)[0]] = True
        while (grown := joined[member].any(axis=0) & left_over | member).sum() > member.sum():
            member = grown
        left_over &= ~member
        groups.append(letters[member])
    return groups

"""Lines of text near a scale bar: where they stand, and their crops. What they say is read elsewhere; here are arrays only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.measure.scale_bar import Bar

MOST_LINES = 12  # next to a bar
INK_LEVELS = (0.5, 0.8)  # between the grey values around and inside the bar


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

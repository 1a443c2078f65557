"""The band with texts that instruments put under a picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphoscope.measure.scale_bar import to_bytes

LOWEST, HIGHEST = 0.015, 0.3  # of the picture's height
LEVEL = 6  # grey values that pass for one in a compressed picture
INK = 50  # grey values between background and ink


def find_info_bar(image: NDArray[Any]) -> int | None:
    """The first row of the info bar under a picture (height, width); None where there is none.

    An info bar reaches over the whole width down to the last row, has one grey value behind its texts, and begins at a
    straight line. Where the picture above it is as black as the bar, none is found.
    """
    if min(image.shape) < 32:
        return None
    spread = None if image.dtype == np.uint8 else _bar_in(_as_picture(image))
    return _bar_in(to_bytes(image)) if spread is None else spread


def _as_picture(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Bytes spread over the grey values of the picture's upper part, which may fill little of the range that texts have."""
    upper = image[: round(image.shape[0] * (1 - HIGHEST))].astype(np.float32)
    low, high = np.nanpercentile(upper, (0.5, 99.5))
    return to_bytes(np.clip(image.astype(np.float32), low, high)) if high > low else to_bytes(image)


def _bar_in(grey: NDArray[np.uint8]) -> int | None:
    height = grey.shape[0]
    found: list[int] = []
    for value in _backgrounds(grey):
        share = (np.abs(grey.astype(np.int16) - value) <= LEVEL).mean(axis=1)
        for row in range(round(height * (1 - HIGHEST)), round(height * (1 - LOWEST))):
            if _jump(share, row) > 0.25 and _is_bar(share[row:]) and _has_ink(grey[row:], value):
                found.append(row)
                break
    return _with_border(grey, min(found)) if found else None


def _backgrounds(grey: NDArray[np.uint8]) -> list[int]:
    """Grey values that fill most of the lowest rows."""
    height = grey.shape[0]
    found = []
    for part in (0.015, 0.04, 0.08):
        counts = np.bincount(grey[round(height * (1 - part)) :].ravel(), minlength=256)
        wide = np.convolve(counts, np.ones(2 * LEVEL + 1), mode="same")
        if wide.max() > 0.45 * counts.sum():
            middle = int(wide.argmax())
            first = max(middle - LEVEL, 0)
            found.append(first + int(counts[first : middle + LEVEL + 1].argmax()))
    return list(dict.fromkeys(found))


def _jump(share: NDArray[np.float64], row: int) -> float:
    """How much more of a row has the background's value just below a line than just above it."""
    return float(share[row : row + 2].min() - share[max(row - 4, 0) : row - 1].max(initial=0.0)) if row >= 4 else 0.0


def _is_bar(share: NDArray[np.float64]) -> bool:
    """Whether rows are a background with some ink on it, from beginning to end."""
    body = share[: max(len(share) - 2, 1)]
    if len(body) < 2:
        return False
    ink = 1 - float(body.mean())
    return bool(body[1:4].mean() > 0.6 and np.quantile(body, 0.1) > 0.35 and 0.005 < ink < 0.5)


def _has_ink(band: NDArray[np.uint8], value: int) -> bool:
    """Whether the background is level and what stands on it is far from it, as texts are and samples are not."""
    away = np.abs(band.astype(np.int16) - value)
    level = away <= LEVEL
    return bool((away[level] <= 2).mean() > 0.7 and (away > INK).mean() > max(0.004, 0.25 * (1 - level.mean())))


def _with_border(grey: NDArray[np.uint8], row: int) -> int:
    """The row where the bar begins, a line of one grey value drawn along its top counted in."""
    first = row
    for above in range(row - 1, max(row - 8, 0), -1):
        line = grey[above].astype(np.int16)
        if (np.abs(line - np.median(line)) <= LEVEL).mean() > 0.9:
            first = above
        else:
            break
    return first

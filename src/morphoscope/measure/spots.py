"""Round spots found without training: band-pass, local maxima, refined centroids (Crocker & Grier 1996).

doi 10.1006/jcis.1996.0217, with a square running mean as background. `method="trackpy"` finds what `trackpy.locate` 0.7 finds, to
the last digits and faster, rounding of grey levels and all; `method="plain"` rounds nothing and has limits in units of the
noise.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from morphoscope.errors import InputError, UsageError

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Ints = NDArray[np.int64]
Polarity = Literal["dark", "bright"]

Method = Literal["plain", "trackpy"]

COLUMNS = ("x_px", "y_px", "mass", "gyration_px", "eccentricity", "signal")
MOVES = 10  # a mask follows the centroid by at most so many pixels
MOVE_PX = 0.6
TRUNCATE = 4.0  # standard deviations that the smoothing kernel goes out to
MAD_TO_SIGMA = 1.4826
CLIP = 1.0  # times the noise: what is lower is background, where no threshold is given
PEAK = 5.0  # times the noise: what a peak must reach, where no mass is given
PERCENTILE = 64  # of trackpy: of the levels above the background, what a peak must exceed


def spots(
    image: NDArray[Any],
    *,
    diameter_px: int,
    polarity: Polarity = "bright",
    min_mass: float | None = None,
    threshold: float | None = None,
    separation_px: float | None = None,
    smoothing_px: float = 1.0,
    method: Method = "plain",
) -> pd.DataFrame:
    """Bright or dark round spots of about one size, in order of rows.

    The noise is 1.4826 times the median absolute value of the band-passed picture; where spots cover much of it, that is too
    much and weak spots are lost: give `min_mass` and `threshold` then. Between strong spots of the other polarity the background
    itself looks raised, and may be found.

    Args:
        image: (height, width) of any type, a grey picture.
        diameter_px: odd; a little more than the spots' own, so that a mask of it holds one whole.
        polarity: of the spots against their background.
        min_mass: what a spot must have in all above the background, in grey levels; none: its peak must reach 5 times the noise
            (trackpy: no limit).
        threshold: grey levels above the background that count as none; none: the noise (trackpy: 1 for integers, else 1/255).
        separation_px: least distance between centres, the weaker one goes; none: one more than the diameter.
        smoothing_px: standard deviation of the smoothing; 0 for none.
        method: `plain`, or `trackpy` for its results: the running mean of integers is rounded down along rows and columns, which
            raises everything by about one grey level; band-passed levels are rounded down to the picture's type; peaks must
            exceed the 64th percentile of what is above the background.

    Returns:
        A row per spot: `x_px`, `y_px` its centre of brightness; `mass` its brightness in all above the background; `gyration_px`
        the radius of gyration; `eccentricity` 0 for a round one; `signal` its peak above the background. Spots nearer to the
        edge than `margin` are not looked for.

    Raises:
        UsageError: an impossible size or method.
        InputError: not a grey picture, or pixels that are not numbers.
    """
    gap = _checked(image, diameter_px, separation_px, smoothing_px)
    rim = margin(diameter_px, gap)
    if method == "trackpy":
        clean, scale = _rounded(image, diameter_px, polarity, threshold, smoothing_px)
        start = _maxima(clean, int(gap * math.sqrt(2)), rim, _percentile(clean))
    elif method == "plain":
        passed, scale = band_pass(image, diameter_px, smoothing_px) * np.float32(-1 if polarity == "dark" else 1), 1.0
        noise = MAD_TO_SIGMA * float(np.median(np.abs(passed)))
        clean = np.where(passed >= (CLIP * noise if threshold is None else threshold), np.maximum(passed, 0), np.float32(0))
        start = _maxima(clean, 2 * int(gap / math.sqrt(2)) + 1, rim, PEAK * noise if min_mass is None else 0.0)
    else:
        raise UsageError(f"method must be plain or trackpy, got {method}")
    found = _refined(clean, start, diameter_px // 2, centre_turns=method == "trackpy")
    found = found[_strongest(found, gap)] / [1, 1, scale, 1, 1, scale]
    if min_mass is not None:
        found = found[found[:, 2] > min_mass]
    return pd.DataFrame(found[np.lexsort((found[:, 0], found[:, 1]))], columns=list(COLUMNS))


def margin(diameter_px: int, separation_px: float | None = None) -> int:
    """Width (px) of the rim without spots: the field that `spots` searches is `searched`."""
    gap = diameter_px + 1 if separation_px is None else separation_px
    return max(diameter_px // 2, int(gap / 2) - 1)


def searched(
    shape: tuple[int, int], *, diameter_px: int, separation_px: float | None = None
) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 (px) of the part of a picture (height, width) in which `spots` starts to look for centres."""
    rim = margin(diameter_px, separation_px) - 0.5
    return rim, rim, shape[1] - 1 - rim, shape[0] - 1 - rim


def band_pass(image: NDArray[Any], diameter_px: int, smoothing_px: float = 1.0) -> Image:
    """The picture (height, width) smoothed by a Gaussian, less its running mean over a square of `diameter_px`."""
    wide: NDArray[Any] = image.astype(np.float32 if image.dtype.itemsize < 4 else np.float64)
    grey: Image = np.asarray(wide - wide.mean(dtype=np.float64), dtype=np.float32)
    back = cv2.blur(grey, (diameter_px, diameter_px), borderType=cv2.BORDER_REFLECT)
    return np.asarray(_smooth(grey, smoothing_px, cv2.BORDER_REFLECT) - back, dtype=np.float32)


def _smooth(grey: NDArray[Any], smoothing_px: float, border: int) -> NDArray[Any]:
    if smoothing_px == 0:
        return grey
    kernel = cv2.getGaussianKernel(2 * int(TRUNCATE * smoothing_px + 0.5) + 1, smoothing_px)
    return np.asarray(cv2.sepFilter2D(grey, -1, kernel, kernel, borderType=border))


def _rounded(
    image: NDArray[Any], diameter_px: int, polarity: Polarity, threshold: float | None, smoothing_px: float
) -> tuple[Image, float]:
    """The band-passed picture in whole levels, and how many of them a grey level is."""
    whole = image.dtype.kind in "iu"
    top = int(np.iinfo(image.dtype).max) if whole else 1
    grey: NDArray[Any] = image.astype(np.float32 if image.dtype.itemsize == 1 else np.float64)
    grey = np.subtract(top, grey, out=grey) if polarity == "dark" else grey
    back, least = grey, threshold if threshold is not None else (1.0 if whole else 1 / 255)
    for size in ((1, diameter_px), (diameter_px, 1)):
        total: NDArray[Any] = cv2.boxFilter(back, -1, size, normalize=False, borderType=cv2.BORDER_REPLICATE)
        total = np.divide(total, diameter_px, out=total)
        back = np.trunc(total, out=total) if whole else total
    passed = _smooth(grey, smoothing_px, cv2.BORDER_CONSTANT) - back
    passed *= passed >= least
    np.maximum(passed, 0, out=passed)
    highest = float(passed.max())
    scale = (top if whole else 255) / highest if highest > 0 else 1.0
    passed *= scale
    return np.trunc(passed, out=passed).astype(np.float32, copy=False), scale


def _percentile(clean: Image) -> float:
    some = clean[clean > 0]
    return float(np.percentile(some, PERCENTILE)) if len(some) else 0.0


def _checked(image: NDArray[Any], diameter_px: int, separation_px: float | None, smoothing_px: float) -> float:
    if image.ndim != 2:
        raise InputError(f"wanted a grey picture (height, width), got an array of shape {image.shape}; choose a channel")
    if image.dtype.kind not in "biuf":
        raise InputError(f"wanted whole or real numbers, got pixels of type {image.dtype}")
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise InputError("the picture holds pixels that are not numbers; fill them first")
    gap = diameter_px + 1.0 if separation_px is None else float(separation_px)
    if diameter_px < 3 or diameter_px % 2 == 0 or not gap > 0 or not 0 <= smoothing_px < diameter_px:
        raise UsageError(
            "wanted an odd diameter of at least 3 px, a separation above 0 and less smoothing than the diameter, "
            f"got {diameter_px}, {separation_px}, {smoothing_px}"
        )
    return gap


def _maxima(clean: Image, side: int, rim: int, least: float) -> Ints:
    """Rows and columns (n, 2) of pixels above `least` that none exceeds in a square of `side` px about them."""
    height, width = clean.shape
    if min(height, width) <= 2 * rim:
        return np.empty((0, 2), np.int64)
    highest = cv2.dilate(clean, np.ones((side, side), np.uint8), anchor=((side - 1) // 2, (side - 1) // 2))
    top = (clean == highest) & (clean > least)
    return np.argwhere(top[rim : height - rim, rim : width - rim]) + rim


class _Disc(NamedTuple):
    """The k pixels of a mask: rows and columns from its centre (k,), and of a picture's flat pixels."""

    dy: Ints
    dx: Ints
    flat: Ints


def _disc(radius: int, width: int) -> _Disc:
    dy, dx = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    inside = dy**2 + dx**2 <= radius**2
    return _Disc(dy[inside], dx[inside], (dy * width + dx)[inside])


def _refined(clean: Image, start: Ints, radius: int, *, centre_turns: bool) -> Array:
    """Move a mask from each start (n, 2) until the centre of brightness lies in its middle, and describe it: (n, 6) `COLUMNS`."""
    height, width = clean.shape
    disc = _disc(radius, width)
    if not len(start):
        return np.empty((0, len(COLUMNS)))
    lattice = np.stack([disc.dy, disc.dx], axis=1).astype(np.float32)
    at, limit = start.copy(), np.array([height - 1 - radius, width - 1 - radius])
    off = np.zeros((len(at), 2))
    pixels = np.empty((len(at), len(disc.flat)), np.float32)
    moving = np.arange(len(at))
    for _ in range(MOVES):
        own = clean.ravel()[(at[moving] @ [width, 1])[:, None] + disc.flat]
        pixels[moving], off[moving] = own, (own @ lattice) / own.sum(axis=1)[:, None]
        step = np.where(np.abs(off[moving]) > MOVE_PX, np.sign(off[moving]), 0).astype(np.int64)
        new = np.clip(at[moving] + step, radius, limit)
        changed = (new != at[moving]).any(axis=1)
        centre = at + off
        at[moving], moving = new, moving[changed]
        if not len(moving):
            break
    return np.column_stack([centre[:, ::-1], _described(pixels, disc, centre_turns)])


def _described(pixels: Image, disc: _Disc, centre_turns: bool) -> Array:
    """Mass, radius of gyration, eccentricity and peak (n, 4) of what is in the masks (n, k).

    In trackpy the pixel in the middle counts in the eccentricity, as if it lay to the right.
    """
    mass = pixels.sum(axis=1, dtype=np.float64)
    square = (disc.dy**2 + disc.dx**2).astype(np.float32)
    turn = np.exp(2j * np.arctan2(disc.dy, disc.dx)) * (1.0 if centre_turns else square > 0)
    ecc = np.hypot(pixels @ turn.real, pixels @ turn.imag)
    around = mass - pixels[:, np.flatnonzero(square == 0)[0]]
    ecc = np.divide(ecc, around, out=np.zeros_like(ecc), where=around > 0)
    return np.column_stack([mass, np.sqrt(pixels @ square / mass), ecc, pixels.max(axis=1)])


def _strongest(found: Array, gap: float) -> NDArray[np.bool_]:
    """Spots (n,) without a stronger one nearer than `gap`."""
    kept = np.ones(len(found), bool)
    if len(found) > 1:
        pairs = cKDTree(found[:, :2]).query_pairs(gap * (1 - 1e-7), output_type="ndarray")
        first, second = found[pairs[:, 0], 2], found[pairs[:, 1], 2]
        kept[np.where(first < second, pairs[:, 0], pairs[:, 1])] = False
    return kept

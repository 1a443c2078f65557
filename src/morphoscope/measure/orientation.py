"""What a field of wires comes to: histogram of directions, how far order reaches, the aligned fraction with its interval."""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from morphoscope.measure.alignment import Directions

Array = NDArray[np.float64]
BINS = 36
FEWEST_BLOCKS = 4  # with fewer of them that hold wires there is no interval
Z95 = 1.96


class Histogram(NamedTuple):
    """Share of the wires per direction: centres of the bins (degrees) and shares (n,), which sum to 1 (nan without wires)."""

    angle_deg: Array
    share: Array


def orientation_histogram(field: Directions, weight: NDArray[Any], *, bins: int = BINS) -> Histogram:
    """Directions of wires with weights (h, w), in bins from 0 to 180 degrees."""
    place = np.minimum((field.angle_deg * (bins / 180)).astype(np.int64), bins - 1)
    counts = np.bincount(place.ravel(), weights=np.asarray(weight, float).ravel(), minlength=bins)
    total = counts.sum()
    return Histogram((np.arange(bins) + 0.5) * 180 / bins, counts / total if total > 0 else np.full(bins, np.nan))


class Correlation(NamedTuple):
    """g(r) = <cos 2(theta_p - theta_q)> of wires p and q at a distance r (n,) px; nan where there are no pairs."""

    r_px: Array
    g: Array


def orientation_correlation(field: Directions, weight: NDArray[Any], *, step_px: float = 1.0) -> Correlation:
    """Orientation correlation over all pairs of wires, by Fourier transform, in rings `step_px` wide up to half the shorter side.

    Args:
        field: directions of length 1 where there are wires (h, w).
        weight: of each pixel, 0 off the wires.
        step_px: width of a ring.
    """
    height, width = weight.shape
    shape = (cv2.getOptimalDFTSize(2 * height), cv2.getOptimalDFTSize(2 * width))
    both = [_autocorrelation(weight * part, shape) for part in (field.cos2, field.sin2)]
    pairs = _autocorrelation(np.asarray(weight, np.float32), shape)
    y, x = (np.fft.fftfreq(n, 1 / n) for n in shape)
    distance = np.hypot(y[:, None], x[None, : shape[1] // 2 + 1])
    count = max(int(min(height, width) / 2 / step_px), 1)
    ring = np.minimum((distance / step_px + 0.5).astype(np.int64), count).ravel()
    twice = np.ones(shape[1] // 2 + 1)
    twice[1 : (shape[1] + 1) // 2] = 2
    weights = np.broadcast_to(twice, distance.shape).ravel()
    total, of = (
        np.bincount(ring, weights=weights * values[:, : shape[1] // 2 + 1].ravel(), minlength=count + 1)[:count]
        for values in (both[0] + both[1], pairs)
    )
    least = 1e-6 * max(float(of.max(initial=0.0)), 1e-12)
    return Correlation(np.arange(count, dtype=np.float64) * step_px, np.where(of > least, total / np.maximum(of, least), np.nan))


def _autocorrelation(values: NDArray[Any], shape: tuple[int, int]) -> Array:
    spectrum = np.fft.rfft2(values, s=shape)
    return np.asarray(np.fft.irfft2(np.abs(spectrum) ** 2, s=shape))


def coherence_length(found: Correlation, s2: float) -> float:
    """The distance (px) at which order that is not that of the whole picture has fallen to 1 / e; nan where it has not.

    (g(r) - S2^2) / (g(0) - S2^2), with S2^2 what is left of g far away: where domains end, or wires that wind lose their
    direction. nan also where all wires run one way, and there is nothing to fall.
    """
    floor = s2 * s2
    if not np.isfinite(floor) or len(found.g) < 2 or found.g[0] - floor < 0.02:
        return float("nan")
    left = (found.g - floor) / (found.g[0] - floor)
    below = np.flatnonzero(left < 1 / np.e)
    if not len(below):
        return float("nan")
    k = int(below[0])
    share = (left[k - 1] - 1 / np.e) / (left[k - 1] - left[k])
    return float(found.r_px[k - 1] + share * (found.r_px[k] - found.r_px[k - 1]))


class Fraction(NamedTuple):
    """A share of the wires with its 95 % interval; nan where it is not known. `blocks`: how many the interval rests on."""

    value: float
    low: float
    high: float
    blocks: int


def fraction_interval(part: NDArray[Any], whole: NDArray[Any], *, block_px: float, model_sd: float = 0.0) -> Fraction:
    """sum(part) / sum(whole) over a picture, with what it would vary by in other fields of view of the same kind.

    The ratio's variance between square blocks (jackknife over blocks, Efron and Stein, Ann. Stat. 9 (1981) 586), to which the
    square of the model's own error is added. Blocks should be larger than what neighbouring wires share.

    Args:
        part: what counts (h, w), such as the probability of aligned wires.
        whole: of what (h, w), such as the probability of wires.
        block_px: least side of a block.
        model_sd: standard deviation of the model's error of a picture.
    """
    tops, all_of = (_blocks(np.asarray(values, np.float64), block_px) for values in (part, whole))
    used = all_of > 0.01 * max(float(all_of.mean()), 1e-12)
    top, of = float(tops.sum()), float(all_of.sum())
    if of <= 0:
        return Fraction(float("nan"), float("nan"), float("nan"), 0)
    value, count = top / of, int(used.sum())
    if count < FEWEST_BLOCKS:
        return Fraction(value, float("nan"), float("nan"), count)
    without = (top - tops[used]) / (of - all_of[used])
    variance = (count - 1) / count * float(((without - without.mean()) ** 2).sum())
    half = float(np.hypot(student.ppf(0.975, count - 1) * np.sqrt(variance), Z95 * model_sd))
    return Fraction(value, max(value - half, 0.0), min(value + half, 1.0), count)


def _blocks(values: Array, block_px: float) -> Array:
    """Sums over about square blocks."""
    rows, columns = (max(int(n / block_px), 1) for n in values.shape)
    ends = [np.rint(np.linspace(0, n, k + 1)).astype(int)[:-1] for n, k in zip(values.shape, (rows, columns), strict=True)]
    return np.asarray(np.add.reduceat(np.add.reduceat(values, ends[0], axis=0), ends[1], axis=1)).ravel()

"""Order seen as waves: the structure factor S(q) of the points in a rectangular field."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import fft
from scipy.special import i0
from scipy.stats import t

from morphoscope.calibration import Calibration
from morphoscope.errors import UsageError
from morphoscope.physics.points import Field, Points, points

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
REACH = 4.0  # times 2 pi over the mean spacing that S(q) goes out to where nothing is said
WIDTH = 10  # grid points that a point is spread over along each axis
BETA = 2.3 * WIDTH  # of the Kaiser-Bessel window, for a grid twice as fine as the waves need
BLOCK = 50_000  # points spread at a time
MOST_WAVES = 4_000_000
WAVES = "more waves than {most} lie below q_max = {q:g} per px; ask for a smaller q_max or a smaller field"


def structure_factor(
    objects: pd.DataFrame,
    calibration: Calibration,
    *,
    field: Field,
    q_max_per_px: float | None = None,
    bins: int = 100,
    by_frame: bool = False,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """S(q) = <|sum exp(-i q r)|^2> / <N>, averaged over directions; 1 where points know nothing of each other.

    Only the waves that fit the field, q = 2 pi (n / W, m / H), are taken: for them the sum over an empty field vanishes, so
    the shape of the field adds nothing. Peaks come out no sharper than 2 pi / W. q is the angular wave number: a spacing d has
    its wave at 2 pi / d.

    Args:
        objects: see `points.points`.
        calibration: without a scale `q_per_nm` is null.
        field: see `points.points`.
        q_max_per_px: none: four times 2 pi over the mean spacing.
        bins: of equal width from 0 to that.
        by_frame: a curve for each frame instead of one of all.
        confidence: of the interval, from the scatter between the waves of a bin, each first averaged over all frames, so
            that slow changes in a video make it no narrower. It takes waves as independent: of clustered points, where they
            are not quite, it covers 88 % instead of 95 %, and in bins of few waves 90 %.

    Returns:
        A row per bin (and frame) that holds a wave: `frame` where asked for, `q_low_per_px`, `q_per_px` the mean over its waves,
        `q_high_per_px`, `q_per_nm`, `n_waves` (q and -q count once), `S`, `low`, `high` (null for fewer than 3 waves).

    Raises:
        UsageError: an impossible wave number or number of bins, or more than 4 million waves.
    """
    if bins < 1 or not 0 < confidence < 1:
        raise UsageError(f"wanted at least 1 bin and 0 < confidence < 1, got {bins} and {confidence}")
    frames = list(points(objects, calibration, field=field))
    if not frames:
        none = np.empty(0)
        return _table(none, none, np.linspace(0, 1, bins + 1), calibration, confidence, frame=0 if by_frame else None)
    number, size = sum(len(made.xy) for made in frames), frames[0].size
    q_max = q_max_per_px
    if q_max is None:
        q_max = REACH * 2 * math.pi * math.sqrt(number / len(frames) / frames[0].area)
    n, m = waves(size, q_max)
    edges, q = np.linspace(0, q_max, bins + 1), 2 * math.pi * np.hypot(n / size[0], m / size[1])
    if not by_frame:
        power = sum((np.abs(amplitudes(made, n, m)) ** 2 for made in frames), np.zeros(len(n)))
        return _table(q, power / number, edges, calibration, confidence)
    each = [
        _table(q, np.abs(amplitudes(made, n, m)) ** 2 / len(made.xy), edges, calibration, confidence, frame=made.frame)
        for made in frames
    ]
    return pd.concat(each, ignore_index=True)


def waves(size: Array, q_max: float) -> tuple[Ints, Ints]:
    """Numbers of periods along x and y, (k,) and (k,), of all waves that fit a field and have 0 < |q| <= q_max; one of q and -q.

    Args:
        size: width and height of the field (2,).
        q_max: in rad per unit of `size`.

    Raises:
        UsageError: not a single wave, or more than 4 million.
    """
    most = np.asarray(size) * q_max / (2 * math.pi)
    if not (np.isfinite(most).all() and most.max() >= 1):
        raise UsageError(f"q_max must be at least 2 pi / {max(size):g} = {2 * math.pi / max(size):g} per px, got {q_max}")
    if math.pi / 2 * most.prod() > MOST_WAVES:
        raise UsageError(WAVES.format(most=MOST_WAVES, q=q_max))
    n, m = np.meshgrid(np.arange(0, int(most[0]) + 1), np.arange(-int(most[1]), int(most[1]) + 1), indexing="ij")
    kept = (np.hypot(n / most[0], m / most[1]) <= 1) & ((n > 0) | (m > 0))
    return n[kept], m[kept]


def amplitudes(made: Points, n: Ints, m: Ints) -> NDArray[np.complex128]:
    """sum_j exp(-2 pi i (n x_j / W + m y_j / H)) of each wave (k,), to about 1e-9 of the number of points.

    Points are spread on a grid twice as fine as the shortest wave needs with a Kaiser-Bessel window, the grid is transformed, and
    the window's own transform is divided out (non-uniform FFT; Fourmont 2003, doi 10.1007/s00041-003-0021-1).
    """
    reach = (int(np.abs(n).max(initial=0)), int(np.abs(m).max(initial=0)))
    shape = tuple(fft.next_fast_len(max(4 * k + 2, 2 * WIDTH)) for k in reach)
    grid = np.zeros(shape[0] * shape[1])
    for part in range(0, len(made.xy), BLOCK):
        (x, along_x), (y, along_y) = (
            _spread(made.xy[part : part + BLOCK, a] * (shape[a] / made.size[a]), shape[a]) for a in (0, 1)
        )
        cell, weight = x[:, :, None] * shape[1] + y[:, None, :], along_x[:, :, None] * along_y[:, None, :]
        grid += np.bincount(cell.ravel(), weight.ravel(), minlength=len(grid))
    found = fft.fft2(grid.reshape(shape))[n % shape[0], m % shape[1]]
    return np.asarray(found / (_window(n / shape[0]) * _window(m / shape[1])))


def _spread(place: Array, length: int) -> tuple[Ints, Array]:
    """Grid columns (n, WIDTH) around places given in grid spacings (n,), and the window there."""
    first = np.ceil(place - WIDTH / 2).astype(np.int64)
    column = first[:, None] + np.arange(WIDTH)
    away = np.clip((column - place[:, None]) / (WIDTH / 2), -1, 1)
    return column % length, np.asarray(i0(BETA * np.sqrt(1 - away**2)))


def _window(cycles: Array) -> Array:
    """Fourier transform of the window at a frequency in cycles per grid spacing (any shape)."""
    root = np.sqrt(BETA**2 - (math.pi * WIDTH * cycles) ** 2)
    return np.asarray(WIDTH * np.sinh(root) / root)


def _table(
    q: Array, S: Array, edges: Array, calibration: Calibration, confidence: float, *, frame: int | None = None
) -> pd.DataFrame:
    bins = len(edges) - 1
    place = np.clip(np.searchsorted(edges, q, side="left") - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    many = np.maximum(count, 1)
    middle, mean = (np.bincount(place, value, minlength=bins) / many for value in (q, S))
    square = np.bincount(place, (S - mean[place]) ** 2, minlength=bins)
    half = t.ppf(0.5 + confidence / 2, np.maximum(count - 1, 1)) * np.sqrt(square / (many * np.maximum(count - 1, 1)))
    half = np.where(count >= 3, half, np.nan)
    columns = {
        "q_low_per_px": edges[:-1],
        "q_per_px": middle,
        "q_high_per_px": edges[1:],
        "q_per_nm": middle / calibration.mean_pixel_nm,
        "n_waves": count,
        "S": mean,
        "low": np.maximum(mean - half, 0),
        "high": mean + half,
    }
    table = pd.DataFrame(columns if frame is None else {"frame": frame, **columns})
    return table[table["n_waves"] > 0].reset_index(drop=True)

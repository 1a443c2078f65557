"""Figures of the statistics of motion and life: mean squared displacement, van Hove function, survival."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from morphoscope.calibration import Calibration
from morphoscope.physics.anomalous import Anomalous
from morphoscope.physics.msd import track_msd
from morphoscope.physics.van_hove import NonGaussian
from morphoscope.report.style import BLUE, GREEN, GREY, SINGLE, VERMILION, empty_note, new_figure, styled

THIN = 150  # longest tracks whose own MSDs are drawn
FEW, FAINT = 10, 0.35  # tracks that are drawn plainly; width (pt) and opacity of the lines of many
WIDEST = 1e3  # times the MSDs of all tracks: how far beyond these the range goes for single tracks
SMALL = 1e-12


@styled
def msd(objects: pd.DataFrame, table: pd.DataFrame, fit: Anomalous, calibration: Calibration) -> Figure:
    """Time-averaged MSDs of the longest tracks, the ensemble's with its interval, and the fit with localisation error.

    Args:
        objects: linked and registered: `frame`, `track_id`, `x_reg_px`, `y_reg_px`.
        table: `schema.MSD`.
        fit: of the same tracks.
        calibration: gives the units.
    """
    figure = new_figure(SINGLE * 1.25, 3.0)
    nm, seconds = calibration.has_scale, calibration.frame_interval_s is not None
    column, lag = ("msd_nm2" if nm else "msd_px2"), ("lag_s" if seconds else "lag_frames")
    shown = table[table[column] > SMALL]
    if len(shown) < 2:
        return empty_note(figure, "no track is long enough for a mean squared displacement")
    ax = figure.subplots()
    near = shown[column].to_numpy(float)
    widest = (float(near.min()) / WIDEST, float(near.max()) * WIDEST)
    low_end, high_end = _own_msds(ax, objects, calibration, (column, lag), int(shown["lag_frames"].max()), widest)
    known = shown[shown[f"{column}_low"].notna()]
    low, high = (known[f"{column}_{end}"].clip(lower=SMALL) for end in ("low", "high"))
    ax.fill_between(known[lag], low, high, color=BLUE, alpha=0.3, linewidth=0, label="95 % interval")
    ax.plot(shown[lag], shown[column], color=BLUE, label="all tracks", marker="o", markersize=2.2, linewidth=1.0)
    _fitted(ax, fit, shown[lag].to_numpy(float), nm, seconds, calibration)
    ax.set(xscale="log", yscale="log")
    ax.set_ylim(min(low_end, near.min()) / 1.5, max(high_end, near.max()) * 1.5)
    for side in (ax.xaxis, ax.yaxis):
        side.set_major_locator(LogLocator(numticks=8))
        side.set_minor_formatter(NullFormatter())
    unit = "nm" if nm else "px"
    ax.set(xlabel=f"lag ({'s' if seconds else 'frames'})", ylabel=f"mean squared displacement ({unit}$^2$)")
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.1, columnspacing=1.2)
    return figure


def _own_msds(
    ax: Axes, objects: pd.DataFrame, calibration: Calibration, names: tuple[str, str], reach: int, widest: tuple[float, float]
) -> tuple[float, float]:
    """A thin line per track, the fewer the plainer; the range of values that holds them, `widest` at most: others are counted."""
    column, lag = names
    linked = objects[objects["track_id"].notna()]
    longest = linked["track_id"].value_counts(sort=True).index[:THIN]
    own = track_msd(linked[linked["track_id"].isin(longest)], calibration, max_lag=reach)
    own = own[own[column] > SMALL]
    lines = [g[[lag, column]].to_numpy(float) for _, g in own.groupby("track_id") if len(g) > 1]
    plain = float(np.clip(FEW / max(len(lines), 1), FAINT, 0.8))
    thin = LineCollection(lines, colors=GREY, linewidths=plain, alpha=plain)
    said = "each track" if len(lines) < THIN else f"{THIN} longest tracks"
    leaving = sum(bool(line[:, 1].min() < widest[0] or line[:, 1].max() > widest[1]) for line in lines)
    thin.set_label(said + (f" ({leaving} leave{'s' * (leaving == 1)} the range)" if leaving else ""))
    ax.add_collection(thin)
    if not lines:
        return widest[1], widest[0]  # none to hold
    values = np.clip(np.concatenate([line[:, 1] for line in lines]), *widest)
    return float(values.min()), float(values.max())


def _fitted(
    ax: Axes, fit: Anomalous, lags: np.ndarray[tuple[int], np.dtype[np.float64]], nm: bool, seconds: bool, c: Calibration
) -> None:
    """The curve 4 D_alpha t^alpha + 4 sigma^2 in the units shown."""
    step = float(c.frame_interval_s or 1.0)
    frames = lags / step if seconds else lags
    if nm and math.isfinite(fit.D_alpha_nm2):
        curve = 4 * fit.D_alpha_nm2 * (frames * step) ** fit.exponent + 4 * fit.localisation_nm**2
    else:
        size = c.mean_pixel_nm if nm else 1.0
        curve = (4 * fit.D_alpha_px2 * frames**fit.exponent + 4 * fit.localisation_px**2) * size**2
    if not np.isfinite(curve).all():
        return
    said = f"$4 D t^\\alpha + 4\\sigma^2$, $\\alpha$ = {fit.exponent:.2f}"
    if math.isfinite(fit.low):
        said += f" ({fit.low:.2f} to {fit.high:.2f})"
    ax.plot(lags, curve, color=VERMILION, linewidth=1.1, linestyle=(0, (4, 2)), label=said)


@styled
def van_hove(table: pd.DataFrame, calibration: Calibration, *, lag_frames: int, alpha: NonGaussian | None = None) -> Figure:
    """How displacements along one axis are distributed, beside the Gaussian of the same variance.

    Args:
        table: `schema.VAN_HOVE`.
        calibration: gives the unit, and the lag in s.
        lag_frames: the lag they belong to.
        alpha: the non-Gaussian parameter, said in the figure.
    """
    figure = new_figure(SINGLE * 1.25, 2.7)
    if table.empty:
        return empty_note(figure, "no track has two detections that far apart in time")
    unit, end = ("nm", "_nm") if calibration.has_scale else ("px", "")
    ax = figure.subplots()
    x, seen, normal = (table[name].to_numpy(float) for name in (f"displacement_{unit}", f"density{end}", f"gaussian{end}"))
    found = seen > 0
    ax.plot(x[found], seen[found], "o", color=BLUE, markersize=3, label="displacements in x and y")
    ax.plot(x, normal, color=VERMILION, linewidth=1.1, linestyle=(0, (4, 2)), label="Gaussian of the same variance")
    ax.set_yscale("log")
    ax.set_ylim(seen[found].min() / 2, max(float(seen.max()), float(normal.max())) * 2)
    seconds = calibration.frame_interval_s
    lag = f"{lag_frames * seconds:.3g} s" if seconds else f"{lag_frames} frame{'s' if lag_frames > 1 else ''}"
    ax.set(xlabel=f"displacement along one axis in {lag} ({unit})", ylabel=f"probability density ({unit}$^{{-1}}$)")
    if alpha is not None and math.isfinite(alpha.value):
        said = f"$\\alpha_2$ = {alpha.value:.2g}" + (
            f"\n({alpha.low:.2g} to {alpha.high:.2g})" if math.isfinite(alpha.low) else ""
        )
        ax.text(0.03, 0.95, said, transform=ax.transAxes, ha="left", va="top", fontsize=7.5)
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, borderaxespad=0.1, columnspacing=1.2)
    return figure


@styled
def survival(table: pd.DataFrame, lived: pd.DataFrame, calibration: Calibration) -> Figure:
    """Kaplan-Meier curve of lives that were seen to begin, with its interval and a tick for each life that was cut.

    Args:
        table: `schema.SURVIVAL`.
        lived: the lives it was made from (`lives.lives`), for the ticks.
        calibration: gives the unit of time.
    """
    figure = new_figure(SINGLE * 1.25, 2.7)
    if table.empty or lived.empty:
        return empty_note(figure, "no track was seen to appear and to end")
    seconds = calibration.frame_interval_s
    step, unit = (seconds, "s") if seconds else (1.0, "frames")
    age = np.concatenate([[0.0], table["duration_frames"].to_numpy(float)]) * step
    share, low, high = (np.concatenate([[1.0], table[name].to_numpy(float)]) for name in ("survival", "low", "high"))
    last = max(float(lived["age_frames"].max()) * step, float(age[-1]))
    age, share, low, high = np.append(age, last), *(np.append(v, v[-1]) for v in (share, low, high))
    ax = figure.subplots()
    ax.fill_between(age, low, high, step="post", color=GREEN, alpha=0.22, linewidth=0, label="95 % interval")
    ax.step(age, share, where="post", color=GREEN, label="Kaplan-Meier")
    cut = lived.loc[~lived["died"], "age_frames"].to_numpy(float) * step
    at = share[np.searchsorted(age, cut, side="right") - 1]
    ax.plot(cut, at, "|", color="#1d2329", markersize=5, markeredgewidth=0.7, label=f"cut off ({len(cut)})")
    ax.axhline(0.5, color=GREY, linewidth=0.7, linestyle=(0, (2, 2)))
    ax.set(xlabel=f"life ({unit})", ylabel="share of tracks still there", ylim=(0, 1.03))
    ax.set_xlim(0, last * 1.02)
    ax.text(
        0.98,
        0.97,
        f"{len(lived)} tracks, {int(lived['died'].sum())} ends seen",
        transform=ax.transAxes,
        ha="right",
        va="top",
        fontsize=7,
    )
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.1, columnspacing=1.2)
    return figure

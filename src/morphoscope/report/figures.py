"""The figures of a run: table in, matplotlib `Figure` out. Units on every axis; px and counts where there is no scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from morphoscope.calibration import Axis, Calibration
from morphoscope.physics.density import poisson_interval
from morphoscope.report.by_size import diffusion_by_size
from morphoscope.report.evaluation import f1_vs_iou, matched_boxes, noise_robustness, recall_by_size
from morphoscope.report.growth import track_growth
from morphoscope.report.motion import msd, survival, van_hove
from morphoscope.report.stories import slowest_fastest, track_story
from morphoscope.report.style import (
    BLUE,
    GREEN,
    GREY,
    SINGLE,
    VERMILION,
    axis_for,
    empty_note,
    even_labels,
    math_unit,
    new_figure,
    nothing_drawn,
    panel_letter,
    power_of_ten,
    save_figure,
    styled,
)
from morphoscope.report.trajectories import displacement, trajectory_map

__all__ = [
    "density_and_size",
    "diffusion_by_size",
    "displacement",
    "f1_vs_iou",
    "matched_boxes",
    "msd",
    "noise_robustness",
    "nothing_drawn",
    "recall_by_size",
    "save_figure",
    "size_boxes",
    "slowest_fastest",
    "survival",
    "track_growth",
    "track_story",
    "trajectory_map",
    "van_hove",
]


FEW = 8  # frames that are drawn with a mark each
_ABOVE: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.1, "columnspacing": 1.2}


@styled
def density_and_size(
    frames: pd.DataFrame, calibration: Calibration, *, axis: str | None = None, truth: pd.DataFrame | None = None
) -> Figure:
    """Density with its 95 % counting interval and, where sizes are known, their median with quartiles, against the axis.

    Args:
        frames: `schema.FRAMES`, in frame order.
        calibration: gives the axis, and whether sizes are in nm.
        axis: name of the axis; none for the main one.
        truth: hand counts: `frame`, `count` and where known `size_median_nm` or `size_median_px`, drawn as points.
    """
    sized = bool(frames["size_median_px"].notna().any())
    figure = new_figure(SINGLE * 1.25, 4.4 if sized else 2.4)
    if frames.empty:
        return empty_note(figure, "no frames")
    along = axis_for(calibration, axis)
    panels = list(figure.subplots(2 if sized else 1, 1, sharex=True, squeeze=False).flat)
    x = along.at(frames["frame"])
    _density(panels[0], frames, x, along, truth)
    if sized:
        _sizes(panels[1], frames, x, along, truth, calibration.has_scale)
    panels[-1].set_xlabel(along.label)
    panels[-1].margins(x=0.02)
    for ax, letter in zip(panels, "ab", strict=False):
        if sized:
            panel_letter(ax, letter)
        ax.set_ylim(bottom=0)
    return figure


def _line(x: Any) -> dict[str, Any]:
    """How values along x are drawn: few of them with a mark each, as a single one would not show as a line."""
    return {"linewidth": 1.1} | ({"marker": "o", "markersize": 4.5} if len(x) < FEW else {})


def _band(ax: Axes, x: Any, low: Any, high: Any, *, color: str, label: str) -> None:
    """An interval along x: a band, of a single value a bar."""
    if len(x) > 1:
        ax.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0, label=label)
    else:
        ax.vlines(x, low, high, color=color, alpha=0.35, linewidth=5, label=label)


def _density(ax: Axes, frames: pd.DataFrame, x: Any, along: Axis, truth: pd.DataFrame | None) -> None:
    has_density = "density" in frames and frames["density"].notna().any()
    count = frames["count"].to_numpy(float)
    if has_density:
        middle, low, high, raw = (frames[c].to_numpy(float) for c in ("density", "density_low", "density_high", "density_raw"))
        unit = math_unit(str(frames["density_unit"].dropna().iloc[0]))
        per_count = float(np.nanmedian(middle[count > 0] / count[count > 0])) if (count > 0).any() else math.nan
    else:
        middle, raw, per_count, unit = count, count, 1.0, ""
        low, high = poisson_interval(count)
    exponent = power_of_ten(high)
    scale = 10.0**-exponent
    _band(ax, x, low * scale, high * scale, color=BLUE, label="95 % counting interval")
    corrected = has_density and not np.allclose(middle, raw, equal_nan=True)
    ax.plot(x, middle * scale, color=BLUE, **_line(x), label="corrected for visibility" if corrected else "measured")
    if corrected:
        ax.plot(x, raw * scale, color=GREY, linewidth=0.9, linestyle=(0, (4, 2)), label="as counted")
    if truth is not None and len(truth):
        points = truth["count"].to_numpy(float) * per_count * scale
        ax.plot(along.at(truth["frame"]), points, **_points("given count"))
    power = f"10$^{{{exponent}}}$ " if exponent else ""
    ax.set_ylabel(f"density ({power}{unit})" if has_density else "objects per frame")
    ax.legend(**_ABOVE, ncols=2)


def _sizes(ax: Axes, frames: pd.DataFrame, x: Any, along: Axis, truth: pd.DataFrame | None, nm: bool) -> None:
    unit = "nm" if nm else "px"
    low, middle, high = (frames[f"size_{c}_{unit}"].to_numpy(float) for c in ("q1", "median", "q3"))
    _band(ax, x, low, high, color=GREEN, label="quartiles")
    ax.plot(x, middle, color=GREEN, **_line(x), label="median")
    column = f"size_median_{unit}"
    if truth is not None and column in truth and truth[column].notna().any():
        ax.plot(along.at(truth["frame"]), truth[column], **_points("given"))
    ax.set_ylabel(f"size, major axis ({unit})")
    ax.legend(**_ABOVE, ncols=3)


def _points(label: str) -> dict[str, Any]:
    return {
        "linestyle": "none",
        "marker": "o",
        "markersize": 4,
        "markerfacecolor": "white",
        "markeredgecolor": VERMILION,
        "markeredgewidth": 1.1,
        "label": label,
        "zorder": 5,
    }


@styled
def size_boxes(
    objects: pd.DataFrame, calibration: Calibration, values: Sequence[float] = (), *, axis: str | None = None
) -> Figure:
    """Box plots of size at chosen values of the axis, with every object as a point and their number.

    Args:
        objects: `schema.OBJECTS`.
        calibration: gives the axis and the unit.
        values: where on the axis; the nearest analysed frame is taken. None for five even ones.
        axis: name of the axis; none for the main one.
    """
    figure = new_figure(SINGLE * 1.25, 2.9)
    size, unit = ("major_nm", "nm") if calibration.has_scale else ("major_px", "px")
    sized = objects[objects[size].notna()]
    if sized.empty:
        return empty_note(figure, "no object has a size")
    along = axis_for(calibration, axis)
    known = np.unique(objects["frame"].to_numpy())
    at = along.at(known)
    wanted = np.asarray(values, dtype=float) if len(values) else np.linspace(at.min(), at.max(), min(5, known.size))
    chosen = list(dict.fromkeys(int(known[np.abs(at - value).argmin()]) for value in wanted))
    samples = [sized.loc[sized["frame"] == frame, size].to_numpy() for frame in chosen]
    ax = figure.subplots()
    rng = np.random.default_rng(0)
    for spot, sample in enumerate(samples, start=1):
        ax.plot(spot + rng.uniform(-0.16, 0.16, sample.size), sample, ".", color=BLUE, alpha=0.35, markersize=3.5, mew=0)
    ax.boxplot(samples, **_box_style())
    top = max((float(s.max()) for s in samples if s.size), default=1.0)
    for spot, sample in enumerate(samples, start=1):
        ax.text(spot, top * 1.06, f"n = {sample.size}", ha="center", va="bottom", fontsize=7, color=GREY)
    ax.set_ylim(0, top * 1.16)
    ax.set_xticks(range(1, len(chosen) + 1), even_labels(along.at(chosen)))
    ax.grid(axis="x", visible=False)
    ax.set_xlabel(along.label)
    ax.set_ylabel(f"size, major axis ({unit})")
    return figure


def _box_style() -> dict[str, Any]:
    line = {"color": "#222222", "linewidth": 0.9}
    return {
        "widths": 0.5,
        "showfliers": False,
        "boxprops": line,
        "whiskerprops": line,
        "capprops": line,
        "medianprops": {"color": VERMILION, "linewidth": 1.6},
    }

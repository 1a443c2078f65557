"""The figure of how the longest tracks grew: a line or its straight stretches, and each rate with its interval."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from morphoscope.calibration import Axis, Calibration
from morphoscope.physics.growth import theil_sen
from morphoscope.report.style import DOUBLE, GREY, ORANGE, VERMILION, axis_for, empty_note, new_figure, styled

Array = NDArray[np.float64]
RATE = "growth_px_per_frame"
MOST_RATES = 3  # written into one panel
STEPS = (("\N{MICRO SIGN}m", 1e-3), ("nm", 1.0), ("pm", 1e3), ("fm", 1e6))  # units of length per nm


class Rate(NamedTuple):
    """A rate of growth with its 95 % interval; nan where it is not known."""

    value: float
    low: float
    high: float


class Track(NamedTuple):
    """What a panel shows: the line through (frame, size) knots, and the rate of each stretch of it."""

    knots: Array
    line: Array
    rates: list[Rate]


@styled
def track_growth(
    objects: pd.DataFrame,
    tracks: pd.DataFrame,
    calibration: Calibration,
    *,
    axis: str | None = None,
    most: int = 12,
    segments: pd.DataFrame | None = None,
) -> Figure:
    """Size against the axis of the longest tracks, one panel each, with the Theil-Sen line, or straight stretches, and the rates.

    Args:
        objects: `schema.OBJECTS` with `track_id`.
        tracks: `schema.TRACKS`: the rates shown are its own, per frame where it has none per second.
        calibration: gives the axis and the unit.
        axis: name of the axis; none for the main one.
        most: number of tracks shown.
        segments: `schema.GROWTH_SEGMENTS`: tracks with two stretches or more are shown by these.
    """
    size, unit = ("major_nm", "nm") if calibration.has_scale else ("major_px", "px")
    longest = tracks.sort_values(["n_points", "track_id"], ascending=[False, True], kind="stable").head(most)
    longest = longest.sort_values("first_frame", kind="stable")
    if longest.empty:
        return empty_note(new_figure(DOUBLE, 2.0), "no track is long enough")
    along = axis_for(calibration, axis)
    columns = min(4, len(longest))
    rows = math.ceil(len(longest) / columns)
    figure = new_figure(DOUBLE, 0.55 + 1.4 * rows)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    grouped = dict(tuple(objects[objects[size].notna()].groupby("track_id")))
    shown = [(ax, row, grouped.get(row["track_id"])) for ax, row in zip(grid.flat, longest.to_dict("records"), strict=False)]
    found = [None if own is None else _track(own.sort_values("frame"), row, size, segments, calibration) for _, row, own in shown]
    said = rate_unit([rate.value for track in found if track is not None for rate in track.rates], calibration)
    for (ax, row, own), track in zip(shown, found, strict=True):
        ax.set_title(f"track {row['track_id']}", fontsize=7.5, pad=2)
        if own is not None and track is not None:
            ax.plot(along.at(own["frame"]), own[size], ".", color=GREY, alpha=0.55, markersize=2.6, mew=0)
            _draw(ax, track, along, said)
    for ax in grid.flat[len(longest) :]:
        ax.set_visible(False)
    for ax in grid.flat:
        ax.xaxis.set_major_locator(MaxNLocator(3))
        ax.yaxis.set_major_locator(MaxNLocator(4))
    _leave_room(grid, max((len(track.rates[:MOST_RATES]) for track in found if track is not None), default=1))
    figure.supxlabel(along.label, fontsize=8.5)
    figure.supylabel(f"size, major axis ({unit})", fontsize=8.5)
    return figure


def _leave_room(grid: Any, lines: int) -> None:
    """Axes from 0, with room for that many lines of text above all points."""
    top = grid.flat[0].get_ylim()[1]
    grid.flat[0].set_ylim(0, top * (1 + 0.04 + 0.15 * lines))


def _track(own: pd.DataFrame, row: Any, size: str, segments: pd.DataFrame | None, calibration: Calibration) -> Track:
    """Line and rates of one track, in the unit of `size` per s, or per frame without an interval."""
    stretches = segments[segments["track_id"] == row["track_id"]] if segments is not None else pd.DataFrame()
    seconds = float(calibration.frame_interval_s or 1.0)
    if len(stretches) > 1:
        scale = _ratio(own, size) / seconds
        values = stretches[[RATE, f"{RATE}_low", f"{RATE}_high"]].to_numpy(float) * scale
        return Track(*bent_line(own, size, stretches), [Rate(*map(float, three)) for three in values])
    frame, value = own["frame"].to_numpy(float), own[size].to_numpy(float)
    rate = _table_rate(row) if calibration.has_scale and calibration.frame_interval_s else None
    rate = rate or Rate(*(end / seconds for end in theil_sen(frame, value)))
    if not math.isfinite(rate.value):
        return Track(np.empty(0), np.empty(0), [])
    slope, ends = rate.value * seconds, np.array([frame.min(), frame.max()])
    return Track(ends, slope * ends + float(np.median(value - slope * frame)), [rate])


def _table_rate(row: Any) -> Rate | None:
    names = ("growth_nm_per_s", "growth_nm_per_s_low", "growth_nm_per_s_high")
    found = [float(row[name]) for name in names if name in row and not pd.isna(row[name])]
    return Rate(*found) if len(found) == 3 else None


def _ratio(own: pd.DataFrame, size: str) -> float:
    """What a px of the major axis is in the unit shown."""
    return float(np.nanmedian(own[size].to_numpy(float) / own["major_px"].to_numpy(float)))


def bent_line(own: pd.DataFrame, size: str, segments: pd.DataFrame) -> tuple[Array, Array]:
    """Frames and sizes of the corners of a track's continuous straight stretches.

    Args:
        own: rows of the track: `frame`, `major_px` and the column `size`.
        size: `major_nm` or `major_px`, the unit of the result.
        segments: the rows of `schema.GROWTH_SEGMENTS` of the track, in order.
    """
    frame, value = own["frame"].to_numpy(float), own[size].to_numpy(float)
    knots = np.append(segments["first_frame"].to_numpy(float), float(segments["last_frame"].iloc[-1]))
    rise = np.concatenate([[0.0], np.cumsum(segments[RATE].to_numpy(float) * np.diff(knots))]) * _ratio(own, size)
    return knots, rise + float(np.median(value - np.interp(frame, knots, rise)))


def rate_unit(values: list[float], calibration: Calibration) -> tuple[str, float]:
    """A unit in which the largest rate is a plain number, the same for all panels, and what a rate is to be multiplied with."""
    length, per = ("nm" if calibration.has_scale else "px"), (" s$^{-1}$" if calibration.frame_interval_s else "/frame")
    top = max((abs(value) for value in values if math.isfinite(value)), default=1.0)
    if length == "nm":
        name, factor = next(((name, factor) for name, factor in STEPS if top * factor >= 1), STEPS[-1])
        return name + per, factor
    return f"{length}{per}", 1.0


def _draw(ax: Axes, track: Track, along: Axis, unit: tuple[str, float]) -> None:
    if not len(track.knots):
        return
    ax.plot(along.at(track.knots), track.line, color=ORANGE, linewidth=1.5)
    for knot in track.knots[1:-1]:
        ax.axvline(float(along.at(knot)), color=VERMILION, linewidth=0.7, linestyle=(0, (3, 2)))
    lines = [rate_text(Rate(*(end * unit[1] for end in rate))) for rate in track.rates]
    if len(lines) > MOST_RATES:
        lines = [*lines[: MOST_RATES - 1], f"and {len(lines) - MOST_RATES + 1} more"]
    said = "\n".join(lines) + f" {unit[0]}"
    text = ax.text(0.985, 0.985, said, transform=ax.transAxes, ha="right", va="top", fontsize=6.5, color="#8A5A00")
    text.set(linespacing=1.1, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.9})


def rate_text(rate: Rate) -> str:
    """`5.6 (4.9 to 6.3)`: as many decimals as the interval calls for; the value alone where there is no interval."""
    known = math.isfinite(rate.low) and math.isfinite(rate.high)
    half = (rate.high - rate.low) / 2 if known else 0.0
    if not known or half < 1e-9 * abs(rate.value):  # no interval, or one of rounding alone
        half = abs(rate.value) / 10
    decimals = min(max(1 - math.floor(math.log10(half)), 0), 6) if half > 0 else 3
    value, low, high = (f"{end:.{decimals}f}".replace("-", "\N{MINUS SIGN}") for end in rate)
    return f"{value} ({low} to {high})" if known else value

"""Figures of how particles lie: pair correlation, structure factor, and order in time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from morphoscope.calibration import Axis, Calibration
from morphoscope.report.particles import COLOURS
from morphoscope.report.style import (
    BLUE,
    DOUBLE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SINGLE,
    VERMILION,
    axis_for,
    empty_note,
    new_figure,
    panel_letter,
    styled,
)

ABOVE = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.1, "columnspacing": 1.2}


@styled
def structure_curves(parts: Sequence[tuple[str, pd.DataFrame, pd.DataFrame]], calibration: Calibration) -> Figure:
    """g(r) and S(q) of each group with their 95 % intervals.

    Args:
        parts: of each group its name and its tables of `pair_correlation` and `structure_factor`.
        calibration: gives the unit.
    """
    figure = new_figure(DOUBLE, 2.7)
    known = [part for part in parts if part[1]["g"].notna().any()]
    if not known:
        return empty_note(figure, "fewer than ten particles a frame: nothing to say on how they lie")
    unit = "nm" if calibration.has_scale else "px"
    left, right = figure.subplots(1, 2)
    for colour, (name, pairs, waves) in zip(COLOURS, known, strict=False):
        _curve(left, pairs[f"r_{unit}"], pairs["g"], pairs["low"], pairs["high"], colour, name)
        _curve(right, waves[f"q_per_{unit}"], waves["S"], waves["low"], waves["high"], colour, name)
    for ax, letter in ((left, "a"), (right, "b")):
        ax.axhline(1, color=GREY, linewidth=0.7, linestyle=(0, (2, 2)), zorder=1)
        ax.set_xlim(left=0)
        _limit(ax, [line for line in ax.lines if line.get_gid() == "curve"])
        panel_letter(ax, letter)
    left.set(xlabel=f"distance between centres r ({unit})", ylabel="pair correlation g(r)")
    right.set(xlabel=f"wave number q ({unit}$^{{-1}}$)", ylabel="structure factor S(q)")
    if any(name for name, _, _ in known):
        left.legend(**ABOVE, ncols=min(len(known), 3))
    return figure


def _curve(ax: Axes, x: pd.Series, y: pd.Series, low: pd.Series, high: pd.Series, colour: str, name: str) -> None:
    ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    (line,) = ax.plot(x, y, color=colour, linewidth=1.1, label=name)
    line.set_gid("curve")


def _limit(ax: Axes, lines: Sequence[Any]) -> None:
    """The axis holds every curve; intervals of few pairs may leave it."""
    top = max((float(np.nanmax(line.get_ydata())) for line in lines), default=1.0)
    ax.set_ylim(0, 1.15 * max(top, 1.5))


@styled
def structure_over_time(
    table: pd.DataFrame, by_frame: pd.DataFrame | None, calibration: Calibration, *, axis: str | None = None
) -> Figure:
    """Order and assembly of each frame: number and covered area, spacing, hexatic order, clusters.

    Args:
        table: `schema.STRUCTURE`.
        by_frame: `schema.PARTICLES`; None without masks.
        calibration: gives the axis and the unit.
        axis: name of the axis; none for the main one.
    """
    panels = [_spacing, _order] + ([_clusters] if table["cluster_weighted"].notna().any() else [])
    if by_frame is not None:
        panels.insert(0, _cover)
    figure = new_figure(SINGLE * 1.25, 0.5 + 1.45 * len(panels))
    if len(table) < 2:
        return empty_note(figure, "fewer than two frames have objects")
    along, unit = axis_for(calibration, axis), "nm" if calibration.has_scale else "px"
    axes = list(figure.subplots(len(panels), 1, sharex=True).flat)
    for ax, draw, letter in zip(axes, panels, "abcd", strict=False):
        draw(ax, by_frame if by_frame is not None and draw is _cover else table, along, unit)
        panel_letter(ax, letter)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(**ABOVE, ncols=3)
    axes[-1].set_xlabel(along.label)
    axes[-1].margins(x=0.02)
    return figure


def _plot(ax: Axes, x: Any, y: pd.Series, colour: str, label: str | None = None, **style: Any) -> None:
    values = y.to_numpy(float, na_value=np.nan)
    marks: dict[str, Any] = {"marker": "o", "markersize": 3.5} if len(values) < 8 else {}
    ax.plot(x, values, color=colour, linewidth=1.0, label=label, **marks, **style)


def _cover(ax: Axes, table: pd.DataFrame, along: Axis, unit: str) -> None:
    x = along.at(table["frame"])
    low, high = (table[f"diameter_{q}_{unit}"] for q in ("q1", "q3"))
    ax.fill_between(x, low, high, color=GREEN, alpha=0.2, linewidth=0, label="quartiles")
    _plot(ax, x, table[f"diameter_median_{unit}"], GREEN, "median diameter")
    _from_zero(ax, high)
    ax.set_ylabel(f"diameter ({unit})")
    if not table["area_share"].notna().any():
        return
    other = ax.twinx()
    other.plot(x, 100 * table["area_share"], color=VERMILION, linewidth=1.0, linestyle=(0, (4, 2)))
    ax.plot([], [], color=VERMILION, linewidth=1.0, linestyle=(0, (4, 2)), label="covered area")
    _from_zero(other, 100 * table["area_share"])
    other.grid(visible=False)
    other.spines["right"].set_visible(True)
    other.set_ylabel("covered area (%)")


def _spacing(ax: Axes, table: pd.DataFrame, along: Axis, unit: str) -> None:
    _plot(ax, along.at(table["frame"]), table[f"nearest_median_{unit}"], BLUE, "median distance to the nearest neighbour")
    _from_zero(ax, table[f"nearest_median_{unit}"])
    ax.set_ylabel(f"spacing ({unit})")


def _order(ax: Axes, table: pd.DataFrame, along: Axis, unit: str) -> None:
    x = along.at(table["frame"])
    _plot(ax, x, table["psi6_mean"], PURPLE, "mean of |$\\psi_6$|")
    _plot(ax, x, table["psi6_global"], GREY, "|mean of $\\psi_6$|", linestyle=(0, (4, 2)))
    ax.set_ylim(0, 1.02)
    ax.set_ylabel("hexatic order")


def _clusters(ax: Axes, table: pd.DataFrame, along: Axis, unit: str) -> None:
    x = along.at(table["frame"])
    _plot(ax, x, table["cluster_weighted"], ORANGE, "members, as a particle sees them")
    _plot(ax, x, table["cluster_largest"], GREY, "largest cluster", linestyle=(0, (4, 2)))
    _from_zero(ax, table["cluster_largest"])
    ax.set_ylabel("cluster size")


def _from_zero(ax: Axes, values: pd.Series) -> None:
    top = float(values.max()) if values.notna().any() else 0.0
    ax.set_ylim(0, 1.12 * top if top > 0 else 1.0)

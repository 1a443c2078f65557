"""Figures of scores: time series with their trend, response surfaces with what to measure next, defects on the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.report.style import (
    BLUE,
    DOUBLE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SINGLE,
    SKY,
    VERMILION,
    empty_note,
    new_figure,
    panel_letter,
    scale_bar,
    styled,
)

COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, "#000000", GREY)
MANY = 60  # points from which on intervals are a band
MOST_SERIES = len(COLOURS)
STEADY = 0.8  # |tau| from which on a straight line says something of a series
LEAST_TOP = 1e-3  # of the axis of scores
LARGEST = 900  # px of a picture that is shown
SHADE = LinearSegmentedColormap.from_list("defect", [(0.835, 0.369, 0, 0), (0.835, 0.369, 0, 0.85)])
Array = NDArray[np.float64]


class Curve(NamedTuple):
    """A series: name, times (n,), scores with their interval (n,), and its row of `schema.TRENDS`."""

    name: str
    time: Array
    value: Array
    low: Array
    high: Array
    trend: dict[str, Any]


@styled
def time_series(panels: Mapping[str, Sequence[Curve]], label: str, *, what: str = "share of the area") -> Figure:
    """A panel per score: each image with its interval, the Theil-Sen line of steady trends, Kendall's tau and p.

    The axis of scores is as long as the scores want it; intervals beyond are cut off.

    Args:
        panels: of each score the series, of which the first eight are drawn.
        label: of the time axis.
        what: the scores are.
    """
    figure = new_figure(SINGLE * 1.5, 0.5 + 1.5 * max(len(panels), 1))
    if not any(len(curve.time) > 1 for curves in panels.values() for curve in curves):
        return empty_note(figure, "no two images at different times")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (score, curves), letter in zip(axes, panels.items(), _letters(len(panels)), strict=True):
        for curve, colour in zip(curves, COLOURS, strict=False):
            _curve(ax, curve, colour, alone=len(curves) == 1)
        ax.set_ylabel(f"{score}\n({what})", fontsize=7.5)
        highest = max((float(np.nanmax(curve.value)) for curve in curves if len(curve.value)), default=0.0)
        ax.set_ylim(0, 1.2 * max(highest, LEAST_TOP))
        if len(panels) > 1:
            panel_letter(ax, letter)
        if len(curves) > 1:
            ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=6.5)
    figure.align_ylabels(axes)
    axes[-1].set_xlabel(label)
    return figure


def _curve(ax: Axes, curve: Curve, colour: str, *, alone: bool) -> None:
    order = np.argsort(curve.time, kind="stable")
    t, value, low, high = (part[order] for part in (curve.time, curve.value, curve.low, curve.high))
    if alone or len(t) > MANY:
        ax.fill_between(t, low, high, color=colour, alpha=0.12, linewidth=0)
    else:
        ax.vlines(t, low, high, color=colour, alpha=0.3, linewidth=0.6)
    ax.plot(t, value, "o", color=colour, markersize=2 if len(t) > MANY else 3.5)
    trend = curve.trend
    if np.isfinite(trend["slope"]) and trend["trend"] in ("rises", "falls") and abs(trend["tau"]) >= STEADY:
        ends = np.array([t.min(), t.max()])
        middle = float(np.nanmedian(value - trend["slope"] * t))
        ax.plot(ends, (middle + trend["slope"] * ends).clip(0), color=colour, linewidth=0.9, linestyle=(0, (4, 2)))
    said = _trend_text(trend)
    if alone:
        ax.set_title(said, loc="right", fontsize=7.5, fontweight="normal", color=GREY)
        label = None
    else:
        label = f"{curve.name}\n{said}" if said else curve.name
    ax.plot([], [], "o", color=colour, markersize=3.5, label=label)


def _trend_text(trend: Mapping[str, Any]) -> str:
    """What a panel says of a series: that it changes within the error, or the test."""
    if not np.isfinite(trend["p"]):
        return ""
    error = float(trend.get("error", np.nan))
    doubt = f" (\u00b1 {error:.2g})" if error > 0 else ""
    if trend["trend"] not in ("rises", "falls", "no trend"):
        return f"{trend['trend']}{doubt}"
    return f"$\\tau$ = {trend['tau']:.2f}, {p_text(trend['p_holm'])}: {trend['trend']}"


def p_text(p: float) -> str:
    """A p-value as figures say it."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


class Laid(NamedTuple):
    """A map (rows, columns) of a class, 0 to 1, nan where left out, and what is written above it; centre of its first value and
    the way from value to value, px of the picture as stored."""

    title: str
    values: NDArray[np.floating]
    x: float
    y: float
    stride: float


class Panel(NamedTuple):
    """A response surface: its score, grid of both conditions (m,) and (n,), mean and half width of the interval (n, m), the
    measured conditions (k, 2) with their scores (k,), and the conditions to measure next (s, 2)."""

    score: str
    x: Array
    y: Array
    mean: Array
    half: Array
    measured: Array
    scores: Array
    next: Array


@styled
def response_surface(panels: Sequence[Panel], labels: tuple[str, str]) -> Figure:
    """A row per score: the surface with the measured scores, and half its 95 % interval with what to measure next."""
    figure = new_figure(DOUBLE, 0.35 + 2.65 * max(len(panels), 1))
    if not panels:
        return empty_note(figure, "no score depends on the conditions beyond the error")
    rows = figure.subplots(len(panels), 2, squeeze=False)
    letters = iter(_letters(2 * len(panels)))
    for (left, right), panel in zip(rows, panels, strict=True):
        top = max(float(panel.mean.max()), float(np.nanmax(panel.scores)), 1e-6)
        colours: dict[str, Any] = {"cmap": "viridis", "vmin": 0, "vmax": top}
        shown = left.pcolormesh(panel.x, panel.y, panel.mean, shading="nearest", rasterized=True, **colours)
        levels = left.contour(panel.x, panel.y, panel.mean, levels=5, colors="white", linewidths=0.5, alpha=0.8)
        left.clabel(levels, fontsize=6, fmt="%.2g")
        left.scatter(panel.measured[:, 0], panel.measured[:, 1], c=panel.scores, s=20, edgecolors="white", **colours)
        figure.colorbar(shown, ax=left, pad=0.02)
        doubt = right.pcolormesh(panel.x, panel.y, panel.half, cmap="cividis", vmin=0, shading="nearest", rasterized=True)
        figure.colorbar(doubt, ax=right, pad=0.02)
        right.scatter(
            panel.measured[:, 0], panel.measured[:, 1], s=9, color="white", edgecolors="black", linewidths=0.5, label="measured"
        )
        _suggested(right, panel.next)
        for ax, said in ((left, panel.score), (right, f"{panel.score}: half of the 95 % interval")):
            ax.set_title(f"({next(letters)}) {said}", loc="left", fontsize=7.5)
            ax.set_xlabel(labels[0])
            ax.grid(visible=False)
            ax.use_sticky_edges = False
            ax.margins(0.04)
        left.set_ylabel(labels[1])
    handles, names = rows[0, 1].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=2, fontsize=6.5)
    return figure


def _suggested(ax: Axes, points: Array) -> None:
    ax.scatter(
        points[:1, 0], points[:1, 1], marker="*", s=130, color=VERMILION, edgecolors="white", zorder=5, label="measure next"
    )
    for k, (x, y) in enumerate(points[1:], start=2):
        if not any(np.allclose((x, y), other) for other in points[: k - 1]):
            ax.annotate(str(k), (x, y), color="white", fontsize=7, ha="center", va="center", zorder=5, fontweight="bold")


@styled
def defect_map(
    picture: NDArray[Any], maps: Sequence[Laid], calibration: Calibration, tops: Sequence[float] | None = None
) -> Figure:
    """The picture, and beside it the picture in grey with the score of each class laid over it.

    Args:
        picture: (h, w) or (h, w, 3), as stored.
        maps: of each class.
        calibration: for the scale bar, of the picture as stored.
        tops: the score of the darkest colour of each map; by default its highest.
    """
    highest = [float(np.nanmax(laid.values)) for laid in maps] if tops is None else tops
    colours, zoom = shown(picture)
    grey = colours.mean(axis=2) if colours.ndim == 3 else colours
    high, wide = grey.shape
    columns = min(1 + len(maps), 3)
    rows = -(-(1 + len(maps)) // columns)
    each = DOUBLE / columns
    figure = new_figure(DOUBLE, rows * (each * min(high / wide, 1.6) + 0.3))
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    axes[0].imshow(colours, cmap="gray", vmin=0, vmax=1)
    size = calibration.pixel_size_nm
    if size is not None:
        small = Calibration(pixel_size_nm=(size[0] / zoom, size[1] / zoom))
        scale_bar(axes[0], (0, 0, wide, high), small)
    for ax, laid, top in zip(axes[1:], maps, highest, strict=False):
        top = max(top, LEAST_TOP)
        drawn = _laid_over(ax, grey, laid, zoom, top)
        bar = figure.colorbar(drawn, cax=ax.inset_axes((1.02, 0, 0.04, 1)), ticks=(0, top / 2, top))
        bar.ax.set_yticklabels(["0", f"{top / 2:.2g}", f"{top:.2g}"])
        bar.ax.tick_params(labelsize=6)
    for ax in axes:
        ax.set_axis_off()
    return figure


def _laid_over(ax: Axes, grey: Array, laid: Laid, zoom: float, highest: float) -> Any:
    rows, columns = laid.values.shape
    ends = (
        (first + laid.stride * (np.array([0, n]) - 0.5) + 0.5) * zoom - 0.5 for first, n in ((laid.x, columns), (laid.y, rows))
    )
    (left, right), (top, bottom) = ends
    ax.imshow(0.25 + 0.7 * grey, cmap="gray", vmin=0, vmax=1)
    values, extent = np.ma.masked_invalid(laid.values), (left, right, bottom, top)
    drawn = ax.imshow(values, cmap=SHADE, vmin=0, vmax=highest, extent=extent, interpolation="nearest")
    ax.set_xlim(-0.5, grey.shape[1] - 0.5)
    ax.set_ylim(grey.shape[0] - 0.5, -0.5)
    ax.set_title(laid.title, fontsize=7, fontweight="normal", loc="left")
    return drawn


def shown(picture: NDArray[Any]) -> tuple[Array, float]:
    """A picture as it is shown, 0 to 1 between its 0.1 and 99.9 percentiles, and how much smaller it was made."""
    zoom = min(1.0, LARGEST / max(picture.shape[:2]))
    size = (max(round(picture.shape[1] * zoom), 1), max(round(picture.shape[0] * zoom), 1))
    small = cv2.resize(picture.astype(np.float32), size, interpolation=cv2.INTER_AREA) if zoom < 1 else picture.astype(np.float32)
    low, high = np.percentile(small, (0.1, 99.9))
    return np.clip((np.asarray(small, float) - low) / max(high - low, 1e-9), 0, 1), zoom


def curves(scores: pd.DataFrame, name: str, time: Array, series: pd.Series, trends: pd.DataFrame) -> list[Curve]:
    """The series of a score, from the tables of a run."""
    found = []
    for row in trends[trends["score"] == name].to_dict("records"):
        own = (series == row["series"]).to_numpy() & np.isfinite(time)
        value, low, high = (scores.loc[own, column].to_numpy(float) for column in (name, f"{name}_low", f"{name}_high"))
        found.append(Curve(str(row["series"]), time[own], value, low, high, row))
    return found


def _letters(count: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[:count].ljust(count, "z")

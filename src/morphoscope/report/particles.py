"""Figures of the sizes and shapes of particles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import norm

from morphoscope.physics.size_distribution import LogNormal, weighted_quantile
from morphoscope.report.style import (
    BLUE,
    DOUBLE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    empty_note,
    new_figure,
    panel_letter,
    styled,
)

Array = NDArray[np.float64]
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
MOST = len(COLOURS)  # groups in one figure
FEWEST = 3
SHAPES = (("circularity", "circularity, 4$\\pi$ area / perimeter$^2$"), ("aspect_ratio", "aspect ratio, major / minor axis"))
BINS = 24


@styled
def size_distribution(
    parts: Sequence[tuple[str, pd.DataFrame, LogNormal]], *, unit: str, smallest: float = 0.0, left: int = 0
) -> Figure:
    """Histograms of the diameter by number and by area, with the log-normal curves of the same fits.

    Args:
        parts: of each group its name, its rows of `schema.SIZE_DISTRIBUTION` and its fit, in `unit`.
        unit: nm or px.
        smallest: diameter below which nothing could be seen: the curves are those of what is above.
        left: groups that are not drawn, said in the figure.
    """
    figure = new_figure(DOUBLE, 2.9)
    known = [(name, rows, fit) for name, rows, fit in parts if int(rows["n"].sum()) >= FEWEST]
    if not known:
        return empty_note(figure, "fewer than three particles count for sizes")
    panels = list(figure.subplots(1, 2).flat)
    for ax, weight, letter in zip(panels, ("number", "area"), "ab", strict=True):
        for colour, (name, rows, fit) in zip(COLOURS, known, strict=False):
            _histogram(ax, rows, weight, unit, colour, filled=len(known) == 1)
            _curve(ax, rows, fit, weight, unit, smallest, colour, alone=len(known) == 1)
            ax.plot([], [], color=colour, linewidth=5, alpha=0.6, label=_said(name, rows, fit, weight, unit))
        ax.set(xlabel=f"area-equivalent diameter ({unit})", ylabel=f"share of the {weight} per {unit}")
        ax.set_ylim(bottom=0)
        ax.grid(axis="x", visible=False)
        if ax.get_legend_handles_labels()[1]:  # sizes that are all equal have no curve to be named
            ax.legend(loc="upper right", handlelength=1.0, fontsize=7, title=_more(left) or None, title_fontsize=7)
        top = ax.get_ylim()[1]
        ax.set_ylim(0, top * (1.06 + (0.2 if weight == "number" else 0.1) * len(known)))
        panel_letter(ax, letter)
    return figure


def _more(left: int) -> str:
    return f"{left} more groups are not drawn" if left else ""


def _histogram(ax: Axes, rows: pd.DataFrame, weight: str, unit: str, colour: str, *, filled: bool) -> None:
    edges = np.append(rows[f"size_low_{unit}"].to_numpy(float), rows[f"size_high_{unit}"].to_numpy(float)[-1])
    height = rows[f"{weight}_density_{unit}"].to_numpy(float)
    ax.stairs(height, edges, fill=True, color=colour, alpha=0.45 if filled else 0.16)
    ax.stairs(height, edges, color=colour, linewidth=0.7 if filled else 1.0)


def _curve(
    ax: Axes, rows: pd.DataFrame, fit: LogNormal, weight: str, unit: str, smallest: float, colour: str, *, alone: bool
) -> None:
    """The fit's density by number, or by area: that has its median at median exp(2 sigma^2) (Hatch & Choate 1929)."""
    if not math.isfinite(fit.median):
        return
    sigma = math.log(fit.geometric_sd)
    mu = math.log(fit.median) + (2 * sigma**2 if weight == "area" else 0.0)
    low = max(smallest, float(rows[f"size_low_{unit}"].iloc[0]) * 0.7, 1e-6)
    x = np.linspace(low, float(rows[f"size_high_{unit}"].iloc[-1]) * 1.05, 300)
    seen = float(norm.sf((math.log(smallest) - mu) / sigma)) if smallest > 0 else 1.0
    density = norm.pdf((np.log(x) - mu) / sigma) / (sigma * x) / max(seen, 1e-9)
    label = "log-normal" if alone else None
    ax.plot(x, density, color=VERMILION if alone else colour, linewidth=1.4, label=label)


def _said(name: str, rows: pd.DataFrame, fit: LogNormal, weight: str, unit: str) -> str:
    if weight == "area":
        head = f"{name}: " if name else "log-normal "
        return f"{head}median by area {fit.area_median:.3g} {unit}" if math.isfinite(fit.median) else name
    text = f"{name}, n = {int(rows['n'].sum())}".removeprefix(", ")
    if not math.isfinite(fit.median):
        return text
    text += f"\nmedian {fit.median:.3g} {unit}"
    if math.isfinite(fit.median_low) and fit.median_high < 100 * fit.median:
        text += f" ({fit.median_low:.3g} to {fit.median_high:.3g})"
    return text + f", $\\sigma_g$ {fit.geometric_sd:.3g}"


@styled
def shape_distribution(parts: Sequence[tuple[str, pd.DataFrame]], *, left: int = 0) -> Figure:
    """Histograms of circularity and aspect ratio, weighted for particles left out at the edge.

    Args:
        parts: of each group its name and its particles: `circularity`, `aspect_ratio` and `weight`, null to leave one out.
        left: groups that are not drawn, said in the figure.
    """
    figure = new_figure(DOUBLE, 2.6)
    known = [(name, rows[rows["weight"].notna()]) for name, rows in parts]
    known = [(name, rows) for name, rows in known if len(rows) >= FEWEST]
    if not known:
        return empty_note(figure, "fewer than three particles count for shapes")
    for ax, (column, label), letter in zip(figure.subplots(1, 2).flat, SHAPES, "ab", strict=True):
        edges = _shape_edges(np.concatenate([rows[column].to_numpy(float) for _, rows in known]), column)
        for colour, (name, rows) in zip(COLOURS, known, strict=False):
            _shapes(ax, rows, column, edges, colour, name, filled=len(known) == 1)
        ax.set(xlabel=label, ylabel="share of the number per bin")
        ax.set_ylim(bottom=0)
        ax.grid(axis="x", visible=False)
        ax.legend(loc="upper left" if column == "circularity" else "upper right", fontsize=7, title=_more(left) or None)
        ax.set_ylim(0, ax.get_ylim()[1] * (1.04 + 0.1 * len(known)))
        panel_letter(ax, letter)
    return figure


def _shapes(ax: Axes, rows: pd.DataFrame, column: str, edges: Array, colour: str, name: str, *, filled: bool) -> None:
    value, weight = np.clip(rows[column].to_numpy(float), edges[0], edges[-1]), rows["weight"].to_numpy(float)
    share = np.histogram(value, edges, weights=weight)[0] / weight.sum()
    middle = float(weighted_quantile(rows[column], 0.5, weight))
    ax.stairs(share, edges, fill=True, color=colour, alpha=0.45 if filled else 0.16)
    head = f"{name}: " if name else f"n = {len(rows)}, "
    ax.stairs(share, edges, color=colour, linewidth=1.0, label=f"{head}median {middle:#.3g}")
    ax.axvline(middle, color=colour, linewidth=0.9, linestyle=(0, (3, 2)))


def _shape_edges(values: Any, column: str) -> Array:
    """Even bins over all but the one-percent tails, whose particles are drawn in the outermost bins."""
    known = values[np.isfinite(values)]
    if column == "circularity":
        low = min(0.05 * math.floor(float(np.percentile(known, 0.5)) / 0.05), 0.8)
        return np.linspace(max(low, 0.0), max(1.05, 0.05 * math.ceil(float(np.percentile(known, 99.5)) / 0.05)), BINS + 1)
    high = max(0.25 * math.ceil(float(np.percentile(known, 99)) / 0.25), 1.5)
    return np.linspace(1.0, high, BINS + 1)

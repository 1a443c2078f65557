"""Figures of a run of `classify`: how sure the model is, what was decided in each category, how far images are."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from morphoscope.report.style import DOUBLE, GREEN, GREY, ORANGE, VERMILION, new_figure, panel_letter, styled

COLOURS = {"accept": GREEN, "review": ORANGE, "foreign": VERMILION, "reject": GREY}
MOST = 14  # categories of a figure
BINS = 25
FAR = 3.0  # times the limit, at which distances are cut off
Array = NDArray[np.float64]


@styled
def decisions(images: pd.DataFrame, *, threshold: float | None = None) -> Figure:
    """Three panels: top probabilities and categories by decision, distances to the images learnt.

    Args:
        images: `schema.IMAGES`.
        threshold: the probability from which on images are accepted; None where none are.
    """
    rows = min(images["label"].nunique(), MOST)
    figure = new_figure(DOUBLE, max(2.5, 1.1 + 0.19 * rows))
    first, second, third = figure.subplots(1, 3, gridspec_kw={"width_ratios": [1, 1.25, 1]})
    _probabilities(first, images, threshold)
    _categories(second, images)
    _distances(third, images)
    for axes, letter in zip((first, second, third), "abc", strict=True):
        panel_letter(axes, letter)
    kinds = [name for name in COLOURS if (images["decision"] == name).any()]
    figure.legend([Patch(color=COLOURS[name]) for name in kinds], kinds, loc="outside upper center", ncols=len(kinds))
    return figure


def _probabilities(axes: Axes, images: pd.DataFrame, threshold: float | None) -> None:
    known = images[images["probability"].notna()]
    values = known["probability"].to_numpy(float)
    edges = np.linspace(np.floor(20 * values.min(initial=0.5)) / 20, 1.0, BINS + 1)
    _stacked(axes, np.minimum(values, 1.0), known["decision"].to_numpy(str), edges)
    if threshold is not None:
        axes.axvline(threshold, color="black", linestyle="--", linewidth=0.9)
    axes.set_xlabel("probability of the category")
    axes.set_ylabel("images")


def _distances(axes: Axes, images: pd.DataFrame) -> None:
    far = np.minimum(images["foreign"].to_numpy(float), FAR)
    edges = np.linspace(0, max(1.2, float(far.max(initial=0.0))), BINS + 1)
    _stacked(axes, far, images["decision"].to_numpy(str), edges)
    axes.axvline(1.0, color="black", linestyle="--", linewidth=0.9)
    axes.set_xlabel("distance to the images learnt / limit")
    axes.set_ylabel("images")


def _stacked(axes: Axes, values: Array, kinds: NDArray[np.str_], edges: Array) -> None:
    below = np.zeros(len(edges) - 1)
    for name, colour in COLOURS.items():
        counts, _ = np.histogram(values[kinds == name], edges)
        axes.bar(edges[:-1], counts, np.diff(edges), bottom=below, align="edge", color=colour)
        below += counts
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _categories(axes: Axes, images: pd.DataFrame) -> None:
    order = images["label"].value_counts().index[:MOST][::-1]
    left = np.zeros(len(order))
    for name, colour in COLOURS.items():
        counts = images[images["decision"] == name]["label"].value_counts().reindex(order, fill_value=0).to_numpy(float)
        axes.barh(range(len(order)), counts, left=left, color=colour, height=0.72)
        left += counts
    axes.set_yticks(range(len(order)), [_short(str(name)) for name in order])
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axes.set_xlabel("images")


def _short(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:20]}\N{HORIZONTAL ELLIPSIS}"

"""Figures of an evaluation of a classifier of images: calibration, the top probability, acceptance, sets, pictures in doubt."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from morphoscope.report.style import (
    BLUE,
    DOUBLE,
    GREEN,
    GREY,
    ORANGE,
    SINGLE,
    SKY,
    VERMILION,
    empty_note,
    new_figure,
    show_image,
    styled,
)

ACROSS, MOST_PICTURES = 6, 24
THUMB = 220  # px of a picture's longer side
SIZES = (BLUE, SKY, ORANGE, VERMILION)  # of sets of one, two, three, and more classes


@styled
def reliability_diagram(table: pd.DataFrame, metrics: Mapping[str, float]) -> Figure:
    """Accuracy against confidence in bins, before calibration and calibrated, with the calibration errors.

    Args:
        table: `ClassEvaluation.reliability`.
        metrics: with `ece` and `ece_before`, their bounds.
    """
    figure = new_figure(DOUBLE * 0.86, 3.2)
    axes = figure.subplots(1, 2, sharey=True)
    parts = (("before calibration", "ece_before"), ("calibrated", "ece"))
    for ax, letter, (name, key) in zip(axes, "ab", parts, strict=True):
        rows = table[table["probabilities"] == name]
        _bins(ax, rows)
        low, high = metrics[f"{key}_low"], metrics[f"{key}_high"]
        between = f"\n({low:.3f}\u2013{high:.3f})" if math.isfinite(low) else ""
        ax.set_title(f"({letter}) {name}", loc="left")
        ax.text(0.05, 0.95, f"ECE {metrics[key]:.3f}{between}", transform=ax.transAxes, va="top", fontsize=7.5)
    axes[0].set_ylabel("Share of right answers")
    return figure


def _bins(ax: Axes, rows: pd.DataFrame) -> None:
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    share = rows["n"] / rows["n"].sum()
    ax.bar(rows["low"], share, width=rows["high"] - rows["low"], align="edge", color=SKY, alpha=0.5, edgecolor="white")
    bars = np.abs(rows[["accuracy_low", "accuracy_high"]].to_numpy(float).T - rows["accuracy"].to_numpy(float))
    ax.errorbar(rows["confidence"], rows["accuracy"], yerr=bars, fmt="o", color=BLUE, markersize=3.5, elinewidth=0.8)
    ax.set(xlabel="Probability of the answer", xlim=(0, 1), ylim=(0, 1.02), aspect="equal")


@styled
def top_probability(table: pd.DataFrame, *, threshold: float | None = None) -> Figure:
    """How the probability of the answer is distributed among right and among wrong answers, each on its own scale.

    Args:
        table: `ClassEvaluation.top`.
        threshold: from which on answers are accepted; None where none are.
    """
    figure = new_figure(SINGLE, 3.0)
    axes = figure.subplots(2, 1, sharex=True)
    for ax, name, colour, letter in zip(axes, ("right", "wrong"), (GREEN, VERMILION), "ab", strict=True):
        ax.bar(table["low"], table[name], width=table["high"] - table["low"], align="edge", color=colour, edgecolor="white")
        ax.set_title(f"({letter}) {int(table[name].sum())} {name} answers", loc="left")
        ax.set_ylabel("Images")
        ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
        ax.set_ylim(bottom=0, top=None if table[name].any() else 1)
        if threshold is not None:
            ax.axvline(threshold, color="black", linestyle="--", linewidth=0.9)
    first = table.loc[(table["right"] + table["wrong"]) > 0, "low"].min()
    axes[1].set(xlabel="Probability of the answer", xlim=(min(float(first), 0.5), 1))
    return figure


@styled
def accuracy_against_share(table: pd.DataFrame, metrics: Mapping[str, float]) -> Figure:
    """Accuracy among the accepted against their share, from the most certain answers to all; what was promised and came.

    Args:
        table: `ClassEvaluation.selective`.
        metrics: with `target_accuracy`, `accepted` and `accepted_accuracy`.
    """
    figure = new_figure(SINGLE, 2.6)
    ax = figure.subplots()
    ax.plot(table["accepted"], table["accuracy"], color=BLUE, drawstyle="steps-post")
    target, got = metrics["target_accuracy"], metrics["accepted_accuracy"]
    ax.axhline(target, color=GREY, linestyle="--", linewidth=0.9, label=f"wanted: {100 * target:g} %")
    if math.isfinite(got):
        ax.plot([metrics["accepted"]], [got], "o", color=VERMILION, zorder=4, clip_on=False, label="accepted by the threshold")
    bottom = min(float(table["accuracy"].min()), target, got if math.isfinite(got) else 1.0)
    span = max(1 - bottom, 0.01)
    ax.set(xlabel="Accepted share of images", ylabel="Right among them", xlim=(0, 1), ylim=(1 - 1.15 * span, 1 + 0.05 * span))
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=None if span > 0.05 else 1))
    ax.legend(loc="lower left")
    return figure


@styled
def set_sizes(frames: pd.DataFrame, by_class: pd.DataFrame) -> Figure:
    """How many classes the sets name, by true class, with the share of sets that hold it.

    Args:
        frames: `ClassEvaluation.frames`.
        by_class: with `set_coverage`.
    """
    names = [name for name in by_class["class"][:-1] if (frames["label_true"] == name).any()]
    figure = new_figure(SINGLE, max(2.2, 1.0 + 0.26 * len(names)))
    if by_class["set_coverage"].isna().all():
        return empty_note(figure, "No sets: no images were held out in training.")
    ax, left = figure.subplots(), np.zeros(len(names))
    most = int(frames["classes_in_set"].max())
    for k, colour in enumerate(SIZES[:most]):
        size = frames["classes_in_set"].clip(upper=len(SIZES))
        share = np.array([(size[frames["label_true"] == name] == k + 1).mean() for name in names])
        label = f"{k + 1}" if k < len(SIZES) - 1 else "4 or more"
        ax.barh(range(len(names)), share, left=left, color=colour, height=0.7, label=label)
        left += share
    covered = by_class.set_index("class")["set_coverage"]
    for k, name in enumerate(names):
        ax.text(1.02, k, f"{100 * covered[name]:.0f} %", va="center", transform=ax.get_yaxis_transform(), fontsize=7.5)
    ax.text(1.02, 1.01, "covered", transform=ax.transAxes, fontsize=7.5, va="bottom")
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="Share of the images of the class", xlim=(0, 1))
    ax.invert_yaxis()
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.grid(axis="y", visible=False)
    figure.legend(title="Classes in the set", loc="outside upper center", ncols=len(SIZES), title_fontsize=7.5)
    return figure


@styled
def picture_sheet(rows: pd.DataFrame, pictures: Mapping[str, NDArray[Any]], *, empty: str) -> Figure:
    """Pictures with the true class and what was said of them.

    Args:
        rows: of `ClassEvaluation.frames`; the first 24 with a picture are shown, one of each group.
        pictures: by file name.
        empty: what is said if there are none.
    """
    shown = [row for row in one_of_each_group(rows).to_dict("records") if row["file"] in pictures]
    if not shown:
        return empty_note(new_figure(SINGLE, 0.7), empty)
    down, small = -(-len(shown) // ACROSS), [thumbnail(pictures[row["file"]]) for row in shown]
    tallest = max(image.shape[0] / image.shape[1] for image in small)
    figure = new_figure(DOUBLE, (0.6 + min(tallest, 1.5) * DOUBLE / ACROSS) * down)
    for k, (row, image) in enumerate(zip(shown, small, strict=True)):
        ax = figure.add_subplot(down, ACROSS, k + 1)
        show_image(ax, image)
        said = "\n".join(_said(str(name), row) for name in str(row["labels"]).split("|")[:3])
        ax.set_title(f"true: {_short(row['label_true'])}", fontsize=6, color=GREEN if row["right"] else VERMILION, pad=2)
        ax.text(0.5, -0.04, said, transform=ax.transAxes, ha="center", va="top", fontsize=6, linespacing=1.25)
    return figure


def one_of_each_group(rows: pd.DataFrame) -> pd.DataFrame:
    """The first row of each group, 24 at most, in the same order."""
    return rows.drop_duplicates("group").head(MOST_PICTURES)


def _said(name: str, row: Mapping[str, Any]) -> str:
    return f"{_short(name)} {row[f'prob_{name}']:.2f}"


def _short(name: object) -> str:
    return textwrap.shorten(str(name), 22, placeholder="\N{HORIZONTAL ELLIPSIS}") if " " in str(name) else str(name)[:22]


def thumbnail(image: NDArray[Any]) -> NDArray[np.float32]:
    """A small grey copy (h, w) of a picture (h, w[, 3]) of any dtype."""
    grey = np.asarray(image, np.float32)
    grey = grey if grey.ndim == 2 else grey.mean(axis=2)
    factor = min(THUMB / max(grey.shape), 1.0)
    size = tuple(max(round(n * factor), 1) for n in grey.shape[::-1])
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float32)

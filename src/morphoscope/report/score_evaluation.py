"""The folder `evaluate` writes for a score model: tables, metrics.json, ROC curves, confusion matrix, extents."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from morphoscope.evaluate_scores import ScoreEvaluation
from morphoscope.measure.judged import ALL, Judged
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
    save_figure,
    styled,
)

COLOURS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY)
MOST_CURVES = 6  # each in a colour of its own
MOST_NUMBERS = 12  # classes of a confusion matrix whose cells hold their counts


class Tables(Protocol):
    """Tables of an evaluation of classes that curves and matrices are drawn from."""

    @property
    def roc(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def by_class(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def confusion(self) -> pd.DataFrame: ...  # noqa: D102
    @property
    def judged(self) -> Judged: ...  # noqa: D102


def write_score_evaluation(folder: Path, result: ScoreEvaluation) -> None:
    """Write all tables as CSV, metrics.json and the figures.

    Args:
        folder: made if it is not there.
        result: what `evaluate_scores` gave.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("frames", "by_class", "confusion", "roc", "extents"):
        table = getattr(result, name)
        if len(table):
            table.to_csv(folder / f"{name}.csv", index=False)
    clean = {k: v if math.isfinite(v) else None for k, v in result.metrics.items()}
    (folder / "metrics.json").write_text(json.dumps(clean, indent=2) + "\n", encoding="utf-8")
    save_figure(roc_curves(result), folder / "figures", "roc")
    save_figure(confusion_matrix(result), folder / "figures", "confusion")
    if len(result.extents):
        save_figure(extents_found(result), folder / "figures", "extents")


@styled
def roc_curves(result: Tables) -> Figure:
    """True against false positive rate of each class and of all together, with the areas and their intervals."""
    figure = new_figure(SINGLE, SINGLE)
    curves = list(result.roc.groupby("class", sort=False))
    if not curves:
        return empty_note(figure, "No ROC curve: every class is present everywhere or nowhere.")
    ax = figure.add_subplot()
    areas = result.by_class.set_index("class")
    ax.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), label="chance")
    shown = [(name, points) for name, points in curves if name != ALL][:MOST_CURVES]
    pooled = [(name, points) for name, points in curves if name == ALL and len(curves) > 2]
    for colour, (name, points) in zip((*COLOURS[: len(shown)], "black"), [*shown, *pooled], strict=False):
        area = areas.loc[name]
        label = f"{name}: {area['auc']:.3f} ({area['auc_low']:.3f}\u2013{area['auc_high']:.3f})"
        ax.plot(points["fpr"], points["tpr"], color=colour, label=label, clip_on=False, zorder=3)
    ax.set(xlabel="False positive rate", ylabel="True positive rate", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    ax.legend(
        loc="lower right",
        title="Area under the curve (95 %)",
        title_fontsize=7.5,
        frameon=True,
        facecolor="white",
        edgecolor="none",
    )
    return figure


@styled
def confusion_matrix(result: Tables) -> Figure:
    """Shares of each true class by what was found, with the counts; of classes that may overlap, a small matrix for each."""
    table = result.confusion.set_index("true")
    if result.judged.answer == "multi-label":
        return _by_class(table, result.judged.classes)
    side = float(np.clip(1.3 + 0.42 * len(table), SINGLE, DOUBLE))
    figure = new_figure(side, side * 0.92)
    ax = figure.add_subplot()
    level = result.judged.answer == "ordinal"
    _cells(ax, table, numbers=len(table) <= MOST_NUMBERS)
    ax.set(xlabel="Found level" if level else "Found class", ylabel="True level" if level else "True class")
    if not level and max(map(len, table.columns)) * len(table) > 40:
        ax.tick_params(axis="x", rotation=40)
        for label in ax.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    return figure


def _by_class(table: pd.DataFrame, classes: tuple[str, ...]) -> Figure:
    across = min(len(classes), 3)
    down = -(-len(classes) // across)
    figure = new_figure(SINGLE if across == 1 else DOUBLE * across / 3 + 0.2, 2.3 * down)
    for k, name in enumerate(classes):
        ax = figure.add_subplot(down, across, k + 1)
        _cells(ax, table.loc[[name, f"no {name}"]], numbers=True)
        ax.set(xlabel="Found", ylabel="True")
        ax.set_title(name)
        ax.set_xticks([0, 1], ["present", "absent"])
        ax.set_yticks([0, 1], ["present", "absent"], rotation=90, va="center")
    return figure


def _cells(ax: Axes, table: pd.DataFrame, *, numbers: bool) -> None:
    """A matrix of counts coloured by their share of the row."""
    counts = table.to_numpy(int)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    ax.grid(False)
    for side in ("top", "right"):
        ax.spines[side].set_visible(True)
    ax.set_xticks(range(counts.shape[1]), list(table.columns))
    ax.set_yticks(range(counts.shape[0]), list(table.index))
    ax.tick_params(length=0)
    if not numbers:
        return
    for (row, column), count in np.ndenumerate(counts):
        if count or counts.size <= 36:
            ax.text(column, row, str(count), ha="center", va="center", color="white" if share[row, column] > 0.55 else "#222222")


@styled
def extents_found(result: ScoreEvaluation) -> Figure:
    """Found against true extent of whole images, a panel per class."""
    judged = result.judged
    across = min(len(judged.classes), 3)
    down = -(-len(judged.classes) // across)
    figure = new_figure(SINGLE if across == 1 else DOUBLE, (SINGLE if across == 1 else DOUBLE / across) * down)
    errors = result.extents.set_index("class")
    for k, name in enumerate(judged.classes):
        ax = figure.add_subplot(down, across, k + 1)
        true, found = judged.true_extent[:, k], judged.extent[:, k]
        top = max(float(true.max()), float(found.max()), 0.05) * 1.05
        ax.plot([0, top], [0, top], color=GREY, linewidth=0.8)
        ax.plot(true, found, "o", markersize=3, color=BLUE, alpha=0.6, markeredgewidth=0, clip_on=False)
        ax.set(xlabel="True extent", ylabel="Found extent", xlim=(0, top), ylim=(0, top), aspect="equal")
        ax.set_title(f"{name}: rms {errors.loc[name, 'rms']:.3f}")
        if across > 1:
            panel_letter(ax, chr(97 + k))
            ax.set_title(f"({chr(97 + k)}) {name}: rms {errors.loc[name, 'rms']:.3f}", loc="left")
    return figure

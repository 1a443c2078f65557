"""The folder `compare` writes: the table, figures, a page with both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from morphoscope import __version__
from morphoscope.report.page import box, number, span, table, text, write_page
from morphoscope.report.sections import figures_section, footer
from morphoscope.report.style import BLUE, DOUBLE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, new_figure, save_figure, styled

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, VERMILION, SKY, GREY)
CAPTIONS = {
    "comparison": (
        "Accuracy and macro F1 on images held out, with 95 % intervals (bootstrap over groups), and the calibration error after "
        "(full) and before calibration (open). Small dots: accuracy in each fold."
    ),
    "cost": "Accuracy against the time an image takes and against the time of one training.",
}


def write_comparison(
    folder: Path, *, rows: pd.DataFrame, folds: pd.DataFrame, name: str, notes: tuple[str, ...], warnings: tuple[str, ...]
) -> None:
    """Write compare.csv, folds.csv, the figures and report.html.

    Args:
        folder: made if it is not there.
        rows: a row per backbone and method, see `train.compare.compare_classifiers`.
        folds: accuracy in each fold.
        name: of the data.
        notes: what was found in the data.
        warnings: what is to be known before the figures are used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows.to_csv(folder / "compare.csv", index=False)
    folds.to_csv(folder / "folds.csv", index=False)
    save_figure(comparison_figure(rows, folds), folder / "figures", "comparison")
    save_figure(cost_figure(rows), folder / "figures", "cost")
    facts = f"{rows['images'].max()} images in {rows['groups'].max()} groups, {folds['fold'].nunique()} folds"
    body = "\n".join(
        [
            f'<header><h1>Classifiers of {text(name)} compared</h1><div class="soft">{text(facts)}</div></header>',
            box("warn", "Read this before using the numbers", warnings),
            box("note", "Notes", notes),
            _table(rows),
            figures_section(folder, list(CAPTIONS.items()), []),
            footer({"versions": {"morphoscope": __version__}}),
        ]
    )
    write_page(folder / "report.html", f"Classifiers of {name} compared", body)


def _table(rows: pd.DataFrame) -> str:
    head = ["backbone", "method", "accuracy", "macro F1", "behind the best", "ECE", "before", "training, s", "ms per image", "MB"]
    lines = []
    for row in rows.to_dict("records"):
        values = [_between(row, key) for key in ("accuracy", "f1", "behind", "ece")]
        values += [number(row[key], 2) for key in ("ece_before", "train_s", "ms_per_image", "mb")]
        lines.append([text(row["backbone"]).replace("-", "&#8209;"), text(row["method"]), *values])
    said = '<p class="soft">In grey: 95 % intervals. ECE: expected calibration error, 15 bins, before and after calibration.</p>'
    return f'<section id="results"><h2>Results</h2>{table(head, lines, numeric=range(2, len(head)))}{said}</section>'


def _between(row: dict[str, Any], key: str) -> str:
    """A value with its interval below."""
    bounds = span(row[f"{key}_low"], row[f"{key}_high"]) if row[f"{key}_low"] < row[f"{key}_high"] else ""
    return f'{number(row[key])}<br><small class="soft">{bounds}</small>'


@styled
def comparison_figure(rows: pd.DataFrame, folds: pd.DataFrame) -> Figure:
    """Three panels: accuracy, macro F1 and calibration error of each backbone and method, with intervals."""
    figure = new_figure(DOUBLE, 1.1 + 0.3 * len(rows))
    axes = figure.subplots(1, 3, sharey=True)
    names = [f"{b}, {m}" for b, m in zip(rows["backbone"], rows["method"], strict=True)]
    for k, (b, m) in enumerate(zip(rows["backbone"], rows["method"], strict=True)):
        each = folds[(folds["backbone"] == b) & (folds["method"] == m)]["accuracy"]
        axes[0].plot(each, np.full(len(each), k + 0.22), ".", color=GREY, markersize=3, alpha=0.7)
    _points(axes[0], rows, "accuracy", BLUE)
    _points(axes[1], rows, "f1", BLUE)
    axes[2].plot(rows["ece_before"], np.arange(len(rows)) + 0.2, "o", color=ORANGE, markersize=4, fillstyle="none")
    _points(axes[2], rows, "ece", ORANGE)
    axes[2].set_xlim(left=0)
    labels = ("Accuracy", "Macro F1", "Calibration error")
    for ax, label, letter in zip(axes, labels, "abc", strict=True):
        ax.set_xlabel(label)
        ax.set_title(f"({letter})", loc="left")
        ax.grid(axis="y", visible=False)
    axes[0].set_yticks(range(len(rows)), names)
    axes[0].invert_yaxis()
    return figure


def _points(ax: Axes, rows: pd.DataFrame, key: str, colour: str) -> None:
    values = rows[key].to_numpy(float)
    bars = np.abs(rows[[f"{key}_low", f"{key}_high"]].to_numpy(float).T - values)
    ax.errorbar(values, np.arange(len(rows)), xerr=np.nan_to_num(bars), fmt="o", color=colour, markersize=4, capsize=2)


@styled
def cost_figure(rows: pd.DataFrame) -> Figure:
    """Accuracy against milliseconds an image and against seconds of training, a colour per backbone, a mark per method."""
    figure = new_figure(DOUBLE * 0.9, 2.7)
    axes = figure.subplots(1, 2, sharey=True)
    marks = dict(zip(rows["method"].unique(), "os^Dv", strict=False))
    colours = dict(zip(rows["backbone"].unique(), COLOURS * 2, strict=False))
    for ax, key, label in zip(axes, ("ms_per_image", "train_s"), ("Time an image, ms", "One training, s"), strict=True):
        for row in rows.to_dict("records"):
            style: dict[str, Any] = {"color": colours[row["backbone"]], "marker": marks[row["method"]], "linestyle": "none"}
            ax.plot(row[key], row["accuracy"], label=f"{row['backbone']}, {row['method']}", markersize=5, **style)
        top = rows[key].max()
        if top > 20 * rows[key].min():
            ax.set_xscale("log")
        else:
            ax.set_xlim(0, 1.1 * top)
        ax.set_xlabel(label)
    axes[0].set_ylabel("Accuracy")
    axes[1].legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure

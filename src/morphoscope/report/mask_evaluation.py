"""The folder `evaluate` writes for a segmenter: tables, metrics.json, figures, pictures of true and found outlines."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from morphoscope.evaluate_masks import MaskEvaluation
from morphoscope.io.label_images import Pair
from morphoscope.measure.mask_scores import IOU, areas
from morphoscope.measure.matching import match_labels
from morphoscope.report.evaluation import FALSE, FOUND, MISSED, TRUE, f1_vs_iou, recall_by_size
from morphoscope.report.style import BLUE, DOUBLE, SINGLE, new_figure, place, save_figure, show_image, styled


@dataclass(frozen=True)
class MaskPictures:
    """Writes the picture of each image that is evaluated; for `seen` of `evaluate_particles` and `evaluate_classes`.

    `folder` is the one that `write_mask_evaluation` writes into; `semantic` says whether the data are class maps.
    """

    folder: Path
    semantic: bool

    def __call__(self, one: Pair, image: NDArray[Any], found: NDArray[Any]) -> None:
        """Draw what was found in an image, and what is true."""
        draw = class_outlines if self.semantic else particle_outlines
        save_figure(draw(image, found, one.labels, title=one.name), self.folder / "pictures", one.name)


def write_mask_evaluation(folder: Path, result: MaskEvaluation, *, semantic: bool) -> None:
    """Write all tables as CSV, metrics.json and the figures.

    Args:
        folder: made if it is not there.
        result: what `evaluate_particles` or `evaluate_classes` gave.
        semantic: the data are class maps.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("frames", "by_iou", "by_iou_frame", "by_size", "by_class", "by_tolerance"):
        table = getattr(result, name)
        if len(table):
            table.to_csv(folder / f"{name}.csv", index=False)
    clean = {k: v if math.isfinite(v) else None for k, v in result.metrics.items()}
    (folder / "metrics.json").write_text(json.dumps(clean, indent=2) + "\n", encoding="utf-8")
    figures = folder / "figures"
    if semantic:
        save_figure(iou_by_class(result), figures, "iou_by_class")
    else:
        save_figure(f1_vs_iou(result.by_iou, per_frame=result.by_iou_frame), figures, "f1_vs_iou")
        smallest = result.metrics["smallest_reliable_px"]
        save_figure(recall_by_size(result.by_size, smallest_reliable=smallest), figures, "recall_by_size")


@styled
def iou_by_class(result: MaskEvaluation) -> Figure:
    """IoU of each class with its interval over images; the IoU of single images as points."""
    table = result.by_class.reset_index(drop=True)
    figure = new_figure(SINGLE * 1.1, 0.7 + 0.3 * len(table))
    ax = figure.subplots()
    at = np.arange(len(table))
    ax.barh(at, table["iou"], height=0.62, color=BLUE, alpha=0.35)
    for k, name in enumerate(table["class"]):
        each = result.frames[f"iou_{name}"].dropna()
        ax.plot(each, np.full(len(each), k), ".", color=BLUE, markersize=3, alpha=0.6)
    bounds = np.abs(table[["iou_low", "iou_high"]].to_numpy(float).T - table["iou"].to_numpy(float))
    ax.errorbar(table["iou"], at, xerr=np.nan_to_num(bounds), fmt="o", color="#222222", markersize=3.5, capsize=2)
    for k, value in enumerate(table["iou"]):
        ax.text(1.02, k, f"{value:.3f}" if math.isfinite(value) else "not there", va="center", transform=ax.get_yaxis_transform())
    ax.set_yticks(at, list(table["class"]))
    ax.invert_yaxis()
    ax.set(xlabel="IoU; points: single images, bars: 95 % over images", xlim=(0, 1))
    return figure


@styled
def particle_outlines(image: NDArray[Any], found: NDArray[Any], true: NDArray[Any], *, title: str = "") -> Figure:
    """Outlines of true and found particles (label images (h, w)) on an image; what was missed or falsely found stands out."""
    pairs = match_labels(found, true, IOU)
    right, known = np.isin(found, pairs[:, 0]), np.isin(true, pairs[:, 1])
    number = len(areas(found)[0]), len(areas(true)[0])
    layers = [
        (np.where(known, true, 0), TRUE, 1.2, f"true ({len(pairs)} found)"),
        (np.where(right, found, 0), FOUND, 0.6, f"found ({len(pairs)} right)"),
        (np.where(~known, true, 0), MISSED, 1.2, f"missed ({number[1] - len(pairs)})"),
        (np.where(~right, found, 0), FALSE, 1.2, f"false ({number[0] - len(pairs)})"),
    ]
    return _outlined(image, layers, title)


@styled
def class_outlines(image: NDArray[Any], found: NDArray[Any], true: NDArray[Any], *, title: str = "") -> Figure:
    """Outlines of the classes of two class maps (h, w), true and found, on an image."""
    return _outlined(image, [(true, TRUE, 1.2, "true"), (found, FOUND, 0.6, "found")], title)


def _outlined(image: NDArray[Any], layers: Sequence[tuple[NDArray[Any], str, float, str]], title: str) -> Figure:
    height, width = image.shape
    high = DOUBLE * height / width
    figure = new_figure(DOUBLE, high + 0.55, placed=True)
    ax = place(figure, 0, 0.22, DOUBLE, high)
    show_image(ax, image)
    for labels, colour, line, _ in layers:
        x, y = borders(labels)
        ax.plot(x, y, color=colour, linewidth=line)
    handles = [Line2D([], [], color=colour, linewidth=2, label=text) for _, colour, _, text in layers]
    legend = figure.legend(handles=handles, loc="lower center", ncols=4, facecolor="#444444", framealpha=1, frameon=True)
    for text in legend.get_texts():
        text.set_color("white")
    ax.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    if title:
        ax.set_title(title, loc="left")
    return figure


def borders(labels: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The lines between pixels of different labels (h, w): x (m,) and y (m,) of their ends, nan after each line."""
    down, row = np.nonzero(labels[:, 1:] != labels[:, :-1]), np.nonzero(labels[1:] != labels[:-1])
    gap = np.full(len(down[0]) + len(row[0]), np.nan)
    x0, x1 = np.r_[down[1] + 0.5, row[1] - 0.5], np.r_[down[1] + 0.5, row[1] + 0.5]
    y0, y1 = np.r_[down[0] - 0.5, row[0] + 0.5], np.r_[down[0] + 0.5, row[0] + 0.5]
    return np.column_stack([x0, x1, gap]).ravel(), np.column_stack([y0, y1, gap]).ravel()

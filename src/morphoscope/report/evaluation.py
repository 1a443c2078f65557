"""The figures of `evaluate`: truth beside detections, F1 against overlap, recall by size, robustness against noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from morphoscope.calibration import Calibration
from morphoscope.report.style import (
    BLUE,
    DOUBLE,
    GREEN,
    GREY,
    ORANGE,
    SINGLE,
    SKY,
    VERMILION,
    new_figure,
    place,
    scale_bar,
    show_image,
    styled,
)

_LABEL: dict[str, Any] = {"facecolor": SKY, "edgecolor": "none", "pad": 0.4}
_PLAIN: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
FOUND, TRUE, FALSE, MISSED = SKY, "#FFC20A", "#FF4FA3", "#FF6A00"


@styled
def matched_boxes(
    image: Any,
    detections: pd.DataFrame,
    truth: pd.DataFrame,
    pairs: Any,
    *,
    title: str = "",
    calibration: Calibration | None = None,
) -> Figure:
    """Truth and detections on a frame in two colours; what was missed or falsely found stands out.

    Args:
        image: (height, width).
        detections: `x_px`, `y_px`, `width_px`, `height_px`.
        truth: the same columns.
        pairs: (n, 2) row positions: which detection is which truth.
        title: such as the file's name.
        calibration: for a scale bar.
    """
    matched = np.asarray(pairs, dtype=int).reshape(-1, 2)
    found, known = np.zeros(len(detections), dtype=bool), np.zeros(len(truth), dtype=bool)
    found[matched[:, 0]], known[matched[:, 1]] = True, True
    shape = np.asarray(image).shape
    high = DOUBLE * shape[0] / shape[1]
    figure = new_figure(DOUBLE, high + 0.55, placed=True)
    ax = place(figure, 0, 0.22, DOUBLE, high)
    show_image(ax, image)
    _boxes(ax, truth[known], TRUE, 0.7, (0, (2.5, 1.5)))
    _boxes(ax, detections[found], FOUND, 0.9, "-")
    _boxes(ax, truth[~known], MISSED, 1.5, (0, (2.5, 1.5)))
    _boxes(ax, detections[~found], FALSE, 1.5, "-")
    entries: list[tuple[str, Any, str]] = [
        (FOUND, "-", f"detected ({len(matched)} matched)"),
        (TRUE, (0, (2.5, 1.5)), "its truth"),
        (FALSE, "-", f"false ({int((~found).sum())})"),
        (MISSED, (0, (2.5, 1.5)), f"missed ({int((~known).sum())})"),
    ]
    handles = [Line2D([], [], color=c, linestyle=s, linewidth=2, label=text) for c, s, text in entries]
    legend = figure.legend(handles=handles, loc="lower center", ncols=4, facecolor="#444444", framealpha=1, frameon=True)
    for text in legend.get_texts():
        text.set_color("white")
    ax.set(xlim=(-0.5, shape[1] - 0.5), ylim=(shape[0] - 0.5, -0.5))
    if title:
        ax.set_title(title, loc="left")
    if calibration is not None:
        scale_bar(ax, (0.0, 0.0, shape[1], shape[0]), calibration)
    return figure


def _boxes(ax: Axes, boxes: pd.DataFrame, colour: str, width: float, style: Any) -> None:
    rows = boxes[["x_px", "y_px", "width_px", "height_px"]].to_numpy(float).tolist()
    patches = [Rectangle((x - w / 2, y - h / 2), w, h) for x, y, w, h in rows]
    ax.add_collection(PatchCollection(patches, facecolor="none", edgecolor=colour, linewidth=width, linestyle=style))


@styled
def f1_vs_iou(
    scores: pd.DataFrame, *, per_frame: pd.DataFrame | None = None, reference: tuple[float, float, str] | None = None
) -> Figure:
    """Pooled precision, recall and F1 against the IoU cut-off.

    Args:
        scores: `iou`, `precision`, `recall`, `f1`, one row per cut-off.
        per_frame: `iou`, `f1` of each frame (many rows per cut-off), drawn as a band from the lowest to the highest.
        reference: (iou, f1, label) of a published figure, drawn as a point.
    """
    figure = new_figure(SINGLE * 1.1, 2.7)
    ax = figure.subplots()
    scores = scores.sort_values("iou")
    if per_frame is not None and len(per_frame):
        spread = per_frame.groupby("iou")["f1"].agg(["min", "max"])
        ax.fill_between(spread.index, spread["min"], spread["max"], color=BLUE, alpha=0.14, lw=0, label="F1 of single frames")
    ax.plot(scores["iou"], scores["precision"], color=GREEN, linewidth=1.0, marker="s", markersize=2.5, label="precision")
    ax.plot(scores["iou"], scores["recall"], color=ORANGE, linewidth=1.0, marker="^", markersize=3, label="recall")
    ax.plot(scores["iou"], scores["f1"], color=BLUE, linewidth=1.7, marker="o", markersize=3.5, label="F1, pooled")
    if reference is not None:
        ax.plot(*reference[:2], marker="*", markersize=9, color=VERMILION, linestyle="none", label=reference[2])
    ax.set(xlabel="IoU cut-off", ylabel="score", ylim=(0, 1.02))
    ax.legend(loc="lower left")
    return figure


@styled
def recall_by_size(
    table: pd.DataFrame, *, unit: str = "px", smallest_reliable: float | None = None, smallest_labelled: float | None = None
) -> Figure:
    """Share of the true objects that were found, by size, with 95 % intervals and the number in each bin.

    Args:
        table: `size_low`, `size_high` (bin edges in `unit`), `n`, `recall` and where known `recall_low`, `recall_high`.
        unit: nm or px.
        smallest_reliable: the smallest size found reliably.
        smallest_labelled: the smallest size in the truth.
    """
    figure = new_figure(SINGLE * 1.1, 2.7)
    ax = figure.subplots()
    table = table[table["n"] > 0]
    middle = (table["size_low"] + table["size_high"]) / 2
    width = table["size_high"] - table["size_low"]
    ax.bar(middle, table["recall"], width=width, color=SKY, edgecolor="white", linewidth=1.2)
    if {"recall_low", "recall_high"} <= set(table.columns):
        low, high = table["recall"] - table["recall_low"], table["recall_high"] - table["recall"]
        whiskers = np.maximum(np.stack([low, high]).astype(float), 0)
        ax.errorbar(middle, table["recall"], yerr=whiskers, fmt="none", color="#333333", elinewidth=0.8, capsize=1.5)
    narrow = float(width.min()) < 0.07 * float(table["size_high"].max() - table["size_low"].min()) if len(table) else False
    for x, n in zip(middle, table["n"], strict=True):
        label = ax.text(x, 0.03, f"{int(n)}", ha="center", va="bottom", fontsize=6.5, color="#14425f", bbox=_LABEL, zorder=4)
        label.set_rotation(90 if narrow else 0)
    marks = ((smallest_reliable, VERMILION, "-", "found reliably from"), (smallest_labelled, GREY, "--", "smallest labelled"))
    for value, colour, style, text in marks:
        if value is not None and np.isfinite(value):
            ax.axvline(value, color=colour, linestyle=style, linewidth=1.1, label=f"{text}: {value:.3g} {unit}")
    ax.set(xlabel=f"true size ({unit}); number of objects in each bar", ylabel="recall", ylim=(0, 1.12))
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=2)
    return figure


def _noise_name(kind: str, level: Any) -> str:
    known = kind.lower()
    if known == "none" or pd.isna(level):
        return kind
    if known == "salt and pepper":
        return f"{kind}, {100 * float(level):g} % of px"
    if known == "gaussian":
        return f"Gaussian, variance {float(level):g}"
    return "Poisson" if known == "poisson" and float(level) == 1 else f"{kind.capitalize()} {level:g}"


@styled
def noise_robustness(table: pd.DataFrame, *, published_drop: float | None = 0.2) -> Figure:
    """F1 under added noise beside F1 without, with the relative change written on each bar.

    Args:
        table: `noise` and `level` as in `synth.noise.LEVELS`, `f1`; the row whose `noise` is `none` is the clean one.
        published_drop: relative fall drawn as a dashed limit.
    """
    figure = new_figure(SINGLE * 1.25, 0.6 + 0.27 * max(3, len(table)))
    ax = figure.subplots()
    names = [_noise_name(str(n), lv) for n, lv in zip(table["noise"], table["level"], strict=True)]
    f1 = table["f1"].to_numpy(float)
    is_clean = table["noise"].astype(str).str.lower().isin(["none", "clean"]).to_numpy()
    clean = float(f1[is_clean][0]) if is_clean.any() else float("nan")
    ax.barh(np.arange(len(f1)), f1, height=0.66, color=[GREY if c else BLUE for c in is_clean])
    for y, value in enumerate(f1):
        change = "" if is_clean[y] or not clean > 0 else f"  ({(value / clean - 1) * 100:+.1f} %)"
        ax.text(value + 0.01, y, f"{value:.3f}{change}", va="center", fontsize=7, zorder=4, bbox=_PLAIN)
    if published_drop is not None and clean > 0:
        limit = clean * (1 - published_drop)
        ax.axvline(limit, color=VERMILION, linestyle=(0, (4, 2)), linewidth=1, label=f"{published_drop * 100:.0f} % below clean")
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))
    ax.set_yticks(np.arange(len(f1)), names)
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    ax.set(xlabel="F1", xlim=(0, 1.25))
    ax.set_xticks(np.arange(0, 1.01, 0.2))
    return figure

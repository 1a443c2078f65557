"""Figures that tell of single tracks: the slowest and the fastest on a frame, and how a chosen one grew."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Rectangle

from morphoscope.calibration import Axis, Calibration
from morphoscope.physics.by_size import d_eff_per_track
from morphoscope.report.growth import bent_line
from morphoscope.report.style import (
    DOUBLE,
    GREY,
    ORANGE,
    SKY,
    VERMILION,
    axis_for,
    empty_note,
    even_labels,
    new_figure,
    place,
    scale_bar,
    show_image,
    styled,
)

PICTURES = 4
MIN_STEPS = 10
ON_EDGE = 0.05  # share of detections at the edge of the picture from which a track is not shown as an example
LONG_ENOUGH = 0.5  # of the steps of the longest track: shorter ones have a D_eff by chance


class Extreme(NamedTuple):
    """A track that stands out by its D_eff (nm2/s, or px2/frame without a scale or interval)."""

    track_id: int
    d_eff: float


class Extremes(NamedTuple):
    """The slowest and the fastest track, the unit of their D_eff, and the frame they are best shown on."""

    slowest: Extreme
    fastest: Extreme
    unit: str
    frame: int


def slowest_and_fastest(objects: pd.DataFrame, calibration: Calibration, *, lag: int = 1) -> Extremes | None:
    """The tracks of least and largest D_eff among those at least half as long as the longest; None for fewer than two.

    Args:
        objects: linked, registered rows, of the steady window and the inner region where those are chosen.
        calibration: without a scale or interval tracks are compared in px2 per frame.
        lag: of D_eff, in frame numbers.
    """
    known = calibration.has_scale and calibration.frame_interval_s is not None
    scale = calibration if known else Calibration(pixel_size_nm=(1.0, 1.0), frame_interval_s=1.0)
    per_track = d_eff_per_track(objects, scale, lag=lag)
    steps = per_track["n_steps"]
    compared = per_track[(steps >= MIN_STEPS) & (steps >= LONG_ENOUGH * steps.max())]
    if len(compared) < 2:
        return None
    order = compared.sort_values(["d_eff_nm2_per_s", "track_id"])
    ends = [Extreme(int(row["track_id"]), float(row["d_eff_nm2_per_s"])) for row in (order.iloc[0], order.iloc[-1])]
    spans = [objects.loc[objects["track_id"] == end.track_id, "frame"] for end in ends]
    last = min(int(frames.max()) for frames in spans)
    shown = int(spans[1][spans[1] <= max(last, int(spans[1].min()))].max())
    return Extremes(ends[0], ends[1], "nm$^2$ s$^{-1}$" if known else "px$^2$/frame", shown)


@styled
def slowest_fastest(
    objects: pd.DataFrame,
    found: Extremes | None,
    image: Any,
    calibration: Calibration,
    *,
    shift: tuple[float, float] = (0.0, 0.0),
    stamp: str = "",
) -> Figure:
    """The slowest and the fastest track on a frame, and each enlarged by the same factor.

    Args:
        objects: the rows `found` is from: `frame`, `track_id`, `x_reg_px`, `y_reg_px`, `major_px`.
        found: `slowest_and_fastest`.
        image: (height, width), the frame; None where there are no pictures.
        calibration: gives the scale bars.
        shift: (`shift_x_px`, `shift_y_px`) of the frame, so that the tracks lie on it.
        stamp: which frame that is, said over it.
    """
    if found is None:
        return empty_note(new_figure(DOUBLE, 2.0), "fewer than two tracks are long enough to compare their motion")
    pair = ((found.slowest, "slowest", SKY), (found.fastest, "fastest", ORANGE))
    tracks = [objects[objects["track_id"] == end.track_id].sort_values("frame") for end, _, _ in pair]
    paths = [rows[["x_reg_px", "y_reg_px"]].to_numpy(float) + shift for rows in tracks]
    reach = max(float(np.ptp(p, axis=0).max()) for p in paths) * 1.6
    size = max((float(rows["major_px"].median()) for rows in tracks if rows["major_px"].notna().any()), default=0.0)
    side = max(reach, 1.5 * size, 8.0)
    window = (0.0, 0.0, float(image.shape[1]), float(image.shape[0])) if image is not None else _around(objects, shift)
    figure, whole, parts = _side_by_side(window[3] / window[2])
    _ground(whole, image, window)
    whole.set_title(f"(a) {stamp}".rstrip(), loc="left")
    scale_bar(whole, window, calibration)
    for (end, name, colour), path, ax, letter in zip(pair, paths, parts, "bc", strict=True):
        corner = (path.min(axis=0) + path.max(axis=0)) / 2 - side / 2
        part = (float(corner[0]), float(corner[1]), side, side)
        whole.plot(*path.T, color=colour, linewidth=0.8)
        whole.add_patch(Rectangle(part[:2], side, side, fill=False, edgecolor=colour, linewidth=1.2))
        _ground(ax, image, part)
        ax.plot(*path.T, color=colour, linewidth=0.55)
        for spot, mark in ((path[0], "o"), (path[-1], "s")):
            ax.plot(*spot, mark, color="white", markeredgecolor="black", markersize=3.2, markeredgewidth=0.7)
        scale_bar(ax, part, calibration, share=0.35)
        ax.set_title(f"({letter}) {name}: track {end.track_id}", loc="left", color="black")
        said = f"$D_{{eff}}$ = {end.d_eff:.2g} {found.unit}\n{len(path)} detections"
        ax.text(0.0, -0.04, said, transform=ax.transAxes, ha="left", va="top", fontsize=7)
    return figure


def _around(objects: pd.DataFrame, shift: tuple[float, float]) -> tuple[float, float, float, float]:
    """The box around all positions."""
    x, y = objects["x_reg_px"] + shift[0], objects["y_reg_px"] + shift[1]
    return float(x.min()), float(y.min()), max(float(x.max() - x.min()), 1.0), max(float(y.max() - y.min()), 1.0)


def _side_by_side(ratio: float) -> tuple[Figure, Axes, list[Axes]]:
    """Axes for a frame of a height / width and for two square enlargements on its right."""
    wide = min(3.5, 3.0 / ratio)
    small, gap, top = 1.85, 0.16, 0.22
    figure = new_figure(wide + 2 * (small + gap), top + max(wide * ratio, small + 0.42), placed=True)
    whole = place(figure, 0, top, wide, wide * ratio)
    return figure, whole, [place(figure, wide + gap + i * (small + gap), top, small, small) for i in (0, 1)]


def _ground(ax: Axes, image: Any, window: tuple[float, float, float, float]) -> None:
    """The part of an image (or plain ground) that a window (x, y, width, height in px) shows, and nothing beyond it."""
    x, y, width, height = window
    if image is not None:
        show_image(ax, image)
    else:
        ax.set(xticks=[], yticks=[])
        ax.set_facecolor("#9aa0a6")
        ax.grid(visible=False)
    ax.set(xlim=(x - 0.5, x + width - 0.5), ylim=(y + height - 0.5, y - 0.5), aspect="equal")


def told_track(objects: pd.DataFrame, tracks: pd.DataFrame, chosen: int | None) -> int | None:
    """The track that is told of: the chosen one, else that of most detections among those which stay off the edges.

    Args:
        objects: linked rows with sizes and, where known, `on_edge`.
        tracks: `schema.TRACKS`.
        chosen: its number; None where it is not among the tracks.
    """
    if chosen is not None:
        return chosen if chosen in set(tracks["track_id"]) else None
    sized = objects[objects["track_id"].isin(tracks["track_id"]) & objects["major_px"].notna()]
    if sized.empty:
        return None
    edge = sized["on_edge"].astype(bool) if "on_edge" in sized.columns else pd.Series(False, sized.index)
    whole = edge.groupby(sized["track_id"]).mean() <= ON_EDGE
    count = sized["track_id"].value_counts().sort_index()
    inside = count[count.index.isin(whole.index[whole])]
    return int((inside if len(inside) else count).idxmax())


def pictured(objects: pd.DataFrame, track_id: int) -> list[int]:
    """Four of the track's frames with an ellipse, spread evenly from its first to its last."""
    frames = np.sort(objects.loc[(objects["track_id"] == track_id) & objects["major_px"].notna(), "frame"].to_numpy(np.int64))
    if not len(frames):
        return []
    wanted = np.linspace(frames[0], frames[-1], PICTURES)
    return list(dict.fromkeys(int(frames[np.abs(frames - value).argmin()]) for value in wanted))


@styled
def track_story(
    objects: pd.DataFrame,
    track_id: int | None,
    segments: pd.DataFrame,
    pictures: Mapping[int, Any],
    calibration: Calibration,
    *,
    axis: str | None = None,
) -> Figure:
    """Growth of one track with its change points, and its picture with the fitted ellipse at up to four of its frames.

    Args:
        objects: linked rows: `frame`, `track_id`, sizes and the ellipse.
        track_id: which track; None: there is none.
        segments: `schema.GROWTH_SEGMENTS`.
        pictures: the frames (height, width) to show it on, by number (`pictured`); none without images.
        calibration: gives the axis and the unit.
        axis: name of the axis; none for the main one.
    """
    own = objects[objects["track_id"] == track_id].sort_values("frame") if track_id is not None else objects[:0]
    unit = "nm" if calibration.has_scale else "px"
    own = own[own[f"major_{unit}"].notna()]
    if own.empty:
        return empty_note(new_figure(DOUBLE, 2.0), "the track to tell of is not among those kept, or has no size")
    along = axis_for(calibration, axis)
    side, gap, top = (DOUBLE - 0.6 - 3 * 0.12) / PICTURES, 0.12, 0.22
    curve_top = top + side + 0.38 if pictures else top
    figure = new_figure(DOUBLE, curve_top + 2.0 + 0.42, placed=True)
    ax = place(figure, 0.6, curve_top, DOUBLE - 0.6, 2.0)
    _grown(ax, own, segments[segments["track_id"] == track_id], along, unit)
    ax.set_title(f"track {track_id}" if pictures else f"track {track_id} (no pictures in this run)", loc="left")
    size = 2.1 * float(own.loc[own["frame"].isin(list(pictures)), "major_px"].max()) if pictures else 0.0
    shown = sorted(pictures)
    names = even_labels(along.at(shown)) if shown else []
    for i, (number, said) in enumerate(zip(shown, names, strict=True)):
        row = own[own["frame"] == number].iloc[0]
        crop = place(figure, 0.6 + i * (side + gap), top, side, side)
        _crop(crop, row, pictures[number], max(size, 24.0), calibration)
        crop.set_title(f"({'abcd'[i]}) " + (f"{said} {along.unit}" if along.unit else f"{along.name} {said}"), loc="left")
        here = (float(along.at(number)), float(row[f"major_{unit}"]))
        ax.plot(*here, "o", markersize=8, markerfacecolor="none", markeredgecolor=VERMILION, markeredgewidth=1.1, zorder=5)
        ax.annotate("abcd"[i], here, (0, 6), textcoords="offset points", ha="center", fontsize=8, fontweight="bold")
    return figure


def _crop(ax: Axes, row: Any, image: Any, side: float, calibration: Calibration) -> None:
    x, y = (float(row[name]) for name in ("ellipse_x_px", "ellipse_y_px"))
    if not (math.isfinite(x) and math.isfinite(y)):
        x, y = float(row["x_px"]), float(row["y_px"])
    height, width = image.shape[:2]
    left = min(max(x - side / 2, -0.5), max(width - 0.5 - side, -0.5))
    top = min(max(y - side / 2, -0.5), max(height - 0.5 - side, -0.5))
    window = (left, top, side, side)
    x0, y0 = max(math.floor(left), 0), max(math.floor(top), 0)
    part = image[y0 : y0 + math.ceil(side) + 2, x0 : x0 + math.ceil(side) + 2]
    show_image(ax, part)
    ax.images[0].set_extent((x0 - 0.5, x0 + part.shape[1] - 0.5, y0 + part.shape[0] - 0.5, y0 - 0.5))
    shape = [float(row[name]) for name in ("major_px", "minor_px", "angle_deg")]
    if np.isfinite(shape).all():
        ax.add_patch(Ellipse((x, y), shape[0], shape[1], angle=-shape[2], fill=False, edgecolor=ORANGE, linewidth=1.3))
    ax.set(xlim=(left, left + side), ylim=(top + side, top), aspect="equal")
    scale_bar(ax, window, calibration, share=0.3)


def _grown(ax: Axes, own: pd.DataFrame, segments: pd.DataFrame, along: Axis, unit: str) -> None:
    frame, value = own["frame"].to_numpy(float), own[f"major_{unit}"].to_numpy(float)
    ax.plot(along.at(frame), value, ".", color=GREY, markersize=3.5, mew=0, alpha=0.7, label="measured")
    if len(segments):
        knots, line = bent_line(own, f"major_{unit}", segments)
        ax.plot(along.at(knots), line, color=ORANGE, linewidth=1.6, label="straight stretches")
        for i, knot in enumerate(knots[1:-1]):
            ax.axvline(
                float(along.at(knot)), color=VERMILION, linewidth=0.9, linestyle=(0, (3, 2)), label=None if i else "change point"
            )
    ax.set(xlabel=along.label, ylabel=f"size, major axis ({unit})")
    ax.set_ylim(0, float(value.max()) * 1.15)
    ax.margins(x=0.02)
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.1)

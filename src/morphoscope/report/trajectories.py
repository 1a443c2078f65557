"""Figures of motion: trajectories on a frame and from a common origin, and the camera's displacement."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from morphoscope.calibration import Calibration
from morphoscope.report.style import (
    BLUE,
    DOUBLE,
    GREEN,
    ORANGE,
    SINGLE,
    VERMILION,
    axis_for,
    empty_note,
    new_figure,
    place,
    scale_bar,
    show_image,
    styled,
)

COLOURS = 48  # steps of colour along a trajectory
LONGEST_FIELD = 3.0  # a field without an image is at most this many times longer than wide
WINDOWS = 500  # places of the enlarged part that are tried
COMMON = 40  # trajectories drawn from the common origin: more hide each other


@styled
def trajectory_map(
    objects: pd.DataFrame,
    tracks: pd.DataFrame,
    image: Any,
    calibration: Calibration,
    *,
    axis: str | None = None,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Figure:
    """Registered trajectories on a frame, coloured by dose, time or frame, and all of them from a common origin.

    Args:
        objects: `schema.OBJECTS` with `track_id`, `x_reg_px`, `y_reg_px`.
        tracks: `schema.TRACKS`; its tracks are drawn.
        image: (height, width), the frame behind the trajectories; None for a plain ground that holds them all.
        calibration: gives the axis, the scale bar and the unit.
        axis: name of the axis; none for the main one.
        shift: (`shift_x_px`, `shift_y_px`) of the frame shown, so that the trajectories lie on it.
    """
    along = axis_for(calibration, axis)
    kept = objects[objects["track_id"].isin(tracks["track_id"]) & objects["x_reg_px"].notna()].sort_values(["track_id", "frame"])
    ends_of = np.flatnonzero(np.diff(kept["track_id"].to_numpy(np.int64))) + 1
    paths = [g for g in np.split(kept[["x_reg_px", "y_reg_px", "frame"]].to_numpy(float), ends_of) if len(g) > 1]
    if not paths:
        return empty_note(new_figure(DOUBLE, 2.0), "no track has two points")
    size_y, size_x = calibration.pixel_size_nm or (1.0, 1.0)
    moved = [(p[:, :2] - p[0, :2]) * (size_x, size_y) for p in paths]
    placed = [p[:, :2] + shift for p in paths]
    height, width, corner = _ground(image, placed)
    placed = [p - corner for p in placed]
    values = [along.at(p[:, 2]) for p in paths]
    ends = np.concatenate(values)
    norm = Normalize(float(ends.min()), float(max(ends.max(), ends.min() + 1e-9)))

    figure, left, zoom, right, bar = _map_axes(height / width)
    window = _busiest(placed, (height, width))
    for ax, thick in ((left, 0.9), (zoom, 0.8)):
        _show_ground(ax, image)
        ax.add_collection(_coloured(placed, values, norm, thick))
    left.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    left.add_patch(Rectangle(window[:2], *window[2:], fill=False, edgecolor="white", linewidth=1.0))
    left.set_title(f"(a) {len(paths)} trajectories", loc="left")
    scale_bar(left, (0.0, 0.0, width, height), calibration)
    zoom.set(xlim=(window[0], window[0] + window[2]), ylim=(window[1] + window[3], window[1]))
    zoom.set_title("(b) framed part", loc="left")
    scale_bar(zoom, window, calibration)
    longest = sorted(range(len(paths)), key=lambda i: -len(paths[i]))[:COMMON]
    lines = _coloured([moved[i] for i in longest], [values[i] for i in longest], norm, 0.6)
    lines.set_alpha(0.75)
    right.add_collection(lines)
    _common_origin(right, [moved[i] for i in longest], "nm" if calibration.has_scale else "px")
    right.set_title("(c) common origin" + (f", {COMMON} longest" if len(paths) > COMMON else ""), loc="left", x=-1 / 3)
    figure.colorbar(left.collections[0], cax=bar, orientation="horizontal", label=along.label)
    bar.grid(visible=False)
    return figure


def _map_axes(ratio: float) -> tuple[Figure, Axes, Axes, Axes, Axes]:
    """Axes for the map, its enlarged part, the common origin and the colour bar; `ratio` is the image's height / width."""
    wide = min(4.55, 4.8 / ratio)
    small, top = 2.05 * wide / 4.55, 0.22
    side = 1.5
    high = max(top + wide * ratio + 0.66, top + small * ratio + 0.34 + side + 0.45)
    figure = new_figure(wide + 0.3 + max(small, side + 0.5) + 0.05, high, placed=True)
    left = place(figure, 0, top, wide, wide * ratio)
    zoom = place(figure, wide + 0.3, top, small, small * ratio)
    right = place(figure, wide + 0.8, top + small * ratio + 0.34, side, side)
    return figure, left, zoom, right, place(figure, 0, top + wide * ratio + 0.12, wide, 0.1)


def _ground(image: Any, paths: list[Any]) -> tuple[int, int, Any]:
    """Height and width of what is drawn on, and its corner: the image, or without one a field that holds all paths."""
    if image is not None:
        height, width = np.asarray(image).shape
        return height, width, np.zeros(2)
    ends = np.concatenate(paths)
    low, high = ends.min(axis=0), ends.max(axis=0)
    size = np.maximum(high - low, np.ptp(ends, axis=0).max() / LONGEST_FIELD) + 2
    width, height = np.ceil(size).astype(int)
    return int(height), int(width), (low + high - size) / 2 + 0.5


def _show_ground(ax: Axes, image: Any) -> None:
    if image is not None:
        show_image(ax, image)
        return
    ax.set(facecolor="#26282c", xticks=[], yticks=[], aspect="equal")
    ax.grid(visible=False)


def _common_origin(ax: Axes, moved: list[Any], unit: str) -> None:
    reach = max(float(np.abs(m).max()) for m in moved) * 1.05 or 1.0
    ax.set(xlim=(-reach, reach), ylim=(reach, -reach), aspect="equal")
    for side in (ax.xaxis, ax.yaxis):
        side.set_major_locator(MaxNLocator(5, symmetric=True))
    ax.set(xlabel=f"moved in x ({unit})", ylabel=f"moved in y ({unit})")


def _busiest(paths: list[Any], shape: tuple[int, int]) -> tuple[float, float, float, float]:
    """(x, y, width, height) of the window, a quarter of the frame wide, with the most motion in it."""
    height, width = shape
    size = np.array([width / 4, height / 4])
    centres = np.array([p.mean(axis=0) for p in paths])
    spread = np.array([np.hypot(*np.ptp(p, axis=0)) for p in paths])
    tried = centres[:: -(-len(centres) // WINDOWS)]
    inside = (np.abs(tried[:, None] - centres[None]) < size / 2).all(axis=2)
    best = tried[int((inside @ spread).argmax())]
    corner = np.clip(best - size / 2, 0, np.array([width, height]) - size)
    return float(corner[0]), float(corner[1]), float(size[0]), float(size[1])


def _coloured(paths: list[Any], values: list[Any], norm: Normalize, width: float) -> LineCollection:
    """One polyline per path and colour step: a line per segment would cost a kilobyte each in long videos."""
    runs, colours = [], []
    low, high = (0.0 if end is None else float(end) for end in (norm.vmin, norm.vmax))
    for path, value in zip(paths, values, strict=True):
        step = np.floor((value - low) / (high - low) * COLOURS)
        first = np.concatenate([[0], np.flatnonzero(np.diff(step)) + 1, [len(path) - 1]])
        for start, stop in zip(first[:-1], first[1:], strict=True):
            if stop > start:
                runs.append(path[start : stop + 1])
                colours.append(value[start : stop + 1].mean())
    lines = LineCollection(runs, cmap="plasma", norm=norm, linewidths=width)
    lines.set_array(np.array(colours))
    lines.set_capstyle("round")
    return lines


@styled
def displacement(frames: pd.DataFrame, calibration: Calibration, *, axis: str | None = None) -> Figure:
    """Displacement of the frames' content against the first frame, where the stage jumped, and how well each frame matched.

    Args:
        frames: `schema.FRAMES` with `shift_x_px`, `shift_y_px`, `jump` and, where known, `shift_quality`.
        calibration: gives the axis and the unit.
        axis: name of the axis; none for the main one.
    """
    figure = new_figure(SINGLE * 1.25, 2.4)
    if "shift_x_px" not in frames or not frames["shift_x_px"].notna().any():
        return empty_note(figure, "frames were not registered")
    along = axis_for(calibration, axis)
    rated = "shift_quality" in frames and bool(frames["shift_quality"].notna().any())
    if rated:
        figure.set_size_inches(SINGLE * 1.25, 3.1)
    panels = figure.subplots(2 if rated else 1, 1, sharex=True, squeeze=False, height_ratios=[3, 1][: 2 if rated else 1])[:, 0]
    ax, x = panels[0], along.at(frames["frame"])
    size_y, size_x = calibration.pixel_size_nm or (1.0, 1.0)
    if "jump" in frames:
        for i, spot in enumerate(x[frames["jump"].fillna(False).to_numpy(bool)]):
            for panel in panels:
                panel.axvline(spot, color=VERMILION, linewidth=0.8, linestyle=(0, (3, 2)), label="stage jump" if i == 0 else None)
    ax.plot(x, frames["shift_x_px"] * size_x, color=BLUE, label="x")
    ax.plot(x, frames["shift_y_px"] * size_y, color=ORANGE, label="y (down)")
    ax.set_ylabel(f"displacement ({'nm' if calibration.has_scale else 'px'})")
    ax.margins(x=0.02)
    ax.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.1)
    if rated:
        panels[1].plot(x, frames["shift_quality"], color=GREEN, linewidth=0.9)
        panels[1].set(ylim=(0, 1.05), ylabel="match")
    panels[-1].set_xlabel(along.label)
    figure.align_ylabels(list(panels))
    return figure

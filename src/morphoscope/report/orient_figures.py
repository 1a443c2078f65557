"""Figures of wires: directions in the colours of a wheel, aligned wires, histograms, how far order reaches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.measure.alignment import Directions
from morphoscope.report.score_figures import shown
from morphoscope.report.style import BLUE, DOUBLE, GREEN, GREY, ORANGE, SINGLE, empty_note, new_figure, scale_bar, styled

METHODS = {"learned": BLUE, "structure tensor": ORANGE, "local gradient orientation": GREEN}
COLUMNS = {
    "learned": "aligned_fraction",
    "structure tensor": "aligned_fraction_tensor",
    "local gradient orientation": "aligned_fraction_lgo",
}
CAPTION = (
    "(a) The picture. (b) Directions of the wires by the learned model, in the colours of the wheel; dark: no wires. "
    "(c) Coherently aligned wires in these colours, other wires grey."
)
COMPARED = (
    " (d) Directions at edges by the structure tensor, aligned ones bright. (e) Windows of local gradient orientation: main "
    "direction, bright where the histogram is narrow, which depends on the windows' side and on noise. (f) Histograms of "
    "direction by the three methods."
)
MOST_CURVES = 40
Array = NDArray[np.float64]


class Method(Protocol):
    """What is drawn of a method (`pipeline.orient_image.Told`)."""

    @property
    def field(self) -> Directions:
        """Directions (h, w), or of windows."""
        ...

    @property
    def weight(self) -> NDArray[np.float32]:
        """How much of a wire or an edge there is."""
        ...

    @property
    def aligned(self) -> NDArray[np.float32]:
        """How surely it is aligned."""
        ...

    @property
    def histogram(self) -> Any:
        """`measure.orientation.Histogram`."""
        ...


@styled
def orientation_figure(picture: NDArray[Any], told: Mapping[str, Method], calibration: Calibration) -> Figure:
    """A picture (h, w) beside the directions found in it, with a colour wheel; with several methods all of them.

    Args:
        picture: grey, as looked at.
        told: by method; `learned` first.
        calibration: for the scale bar, of the picture as stored.
    """
    grey, zoom = shown(picture)
    high, wide = grey.shape
    rows = 2 if len(told) > 1 else 1
    each = DOUBLE / 3
    figure = new_figure(DOUBLE, rows * (each * min(high / wide, 1.6) + 0.25))
    axes = figure.subplots(rows, 3, squeeze=False).ravel()
    size = (wide, high)
    learned = told["learned"]
    angle, wire, aligned = (_fitted(part, size) for part in (learned.field, learned.weight, learned.aligned))
    axes[0].imshow(grey, cmap="gray", vmin=0, vmax=1)
    axes[1].imshow(coloured(angle, wire))
    axes[2].imshow(_aligned_only(angle, wire, aligned))
    if len(told) > 1:
        tensor, windows = told["structure tensor"], told["local gradient orientation"]
        parts = (_fitted(part, size) for part in (tensor.field, tensor.weight, tensor.aligned))
        axes[3].imshow(_dimmed(*parts))
        axes[4].imshow(_windows(windows, (picture.shape[1], picture.shape[0])), extent=(-0.5, wide - 0.5, high - 0.5, -0.5))
        _histograms(axes[5], {name: method.histogram for name, method in told.items()})
        axes[5].legend(fontsize=5.5, loc="upper right")
        axes[5].set_ylabel("")
    for ax, letter in zip(axes, "abcdef", strict=False):
        ax.set_title(f"({letter})" + (" % per degree" if letter == "f" else ""), loc="left", fontsize=7.5)
    for ax in axes[:5]:
        ax.set_axis_off()
    if calibration.pixel_size_nm is not None:
        small = Calibration(pixel_size_nm=(calibration.pixel_size_nm[0] / zoom, calibration.pixel_size_nm[1] / zoom))
        scale_bar(axes[0], (0, 0, wide, high), small)
    _wheel(axes[1])
    return figure


def coloured(angle_deg: NDArray[Any], value: NDArray[Any]) -> Array:
    """Directions (h, w) as RGB (h, w, 3): the hue goes once around the wheel in 180 degrees; `value` 0 to 1 is the brightness."""
    hue = np.asarray(angle_deg, float) % 180 / 180
    return np.asarray(hsv_to_rgb(np.dstack([hue, np.full(hue.shape, 0.9), np.clip(value, 0, 1)])))


def _fitted(part: Directions | NDArray[np.float32], size: tuple[int, int]) -> Array:
    """A map at the size of the picture that is shown; of directions the angle."""
    if isinstance(part, Directions):
        cos2, sin2 = (np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA), np.float32) for one in part)
        return np.asarray(Directions(cos2, sin2).angle_deg, float)
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), float)


def _aligned_only(angle: Array, wire: Array, aligned: Array) -> Array:
    grey = np.repeat((0.45 * wire)[..., None], 3, axis=2)
    return np.where((aligned >= 0.5)[..., None], coloured(angle, wire), grey)


def _dimmed(angle: Array, weight: Array, aligned: Array) -> Array:
    return coloured(angle, weight * np.where(aligned >= 0.5, 1.0, 0.4))


def _windows(told: Method, size: tuple[int, int]) -> Array:
    """Windows as large as they are in the picture."""
    rows, columns = told.weight.shape
    coherent = np.clip(np.hypot(*told.field), 0, 1)
    value = np.where(told.aligned >= 0.5, 1.0, 0.4) * (coherent > 0)
    small = coloured(told.field.angle_deg, value)
    side = max(round(size[0] / columns), round(size[1] / rows), 1)
    return np.asarray(np.repeat(np.repeat(small, side, axis=0), side, axis=1)[: size[1], : size[0]])


def _wheel(ax: Axes) -> None:
    """A half wheel of colours at the lower right of a map: each colour lies where its wires point to."""
    inset = ax.inset_axes((0.76, 0.02, 0.22, 0.22))
    y, x = np.mgrid[1:-1:161j, -1:1:161j]
    radius = np.hypot(x, y)
    colours = np.dstack([coloured(np.rad2deg(np.arctan2(y, x)), np.ones_like(x)), (radius <= 1) & (radius >= 0.35)])
    disc = np.dstack([np.zeros((*x.shape, 3)), (radius <= 1.0) * 0.75])
    inset.imshow(disc, extent=(-1.08, 1.08, -1.08, 1.08))
    inset.imshow(colours, extent=(-1, 1, -1, 1))
    inset.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal")
    inset.set_axis_off()


def _histograms(ax: Axes, found: Mapping[str, Any]) -> None:
    for name, histogram in found.items():
        wide = 180 / len(histogram.share)
        edges = np.append(histogram.angle_deg - wide / 2, 180.0)
        ax.stairs(np.asarray(histogram.share) / wide * 100, edges, color=METHODS[name], label=name, linewidth=1.1)
    ax.set(xlim=(0, 180), xticks=(0, 45, 90, 135, 180), xlabel="direction (degrees)", ylabel="% per degree")
    known = [np.asarray(one.share) for one in found.values() if np.isfinite(one.share).any()]
    highest = max((float(np.nanmax(share)) * len(share) / 1.8 for share in known), default=1.0)
    ax.set_ylim(0, 1.35 * highest)  # room for the legend


class _Shares:
    """A histogram that was put together from a table."""

    def __init__(self, table: pd.DataFrame) -> None:
        mean = table.groupby("angle_deg")["share"].mean()
        self.angle_deg, self.share = mean.index.to_numpy(float), mean.to_numpy(float)


@styled
def histogram_figure(histograms: pd.DataFrame) -> Figure:
    """Mean histograms of direction by method, from `schema.ORIENTATION_HISTOGRAM`."""
    figure = new_figure(SINGLE, 2.4)
    ax = figure.subplots()
    _histograms(ax, {str(name): _Shares(part) for name, part in histograms.groupby("method", sort=False)})
    ax.legend()
    return figure


@styled
def correlation_figure(found: Sequence[Array], pixel_size_nm: Array) -> Figure:
    """g(r) of images; in nm where all have a scale.

    Args:
        found: g at 0, 1, 2, ... px of each image.
        pixel_size_nm: of each image; nan without a scale.
    """
    known = [k for k, g in enumerate(found) if np.isfinite(g).any()]
    if not known:
        return empty_note(new_figure(SINGLE, 2.4), "no wires found")
    found, pixel_size_nm = [found[k] for k in known], pixel_size_nm[known]
    figure = new_figure(SINGLE, 2.4)
    ax = figure.subplots()
    scaled = bool(np.isfinite(pixel_size_nm).all())
    steps = pixel_size_nm if scaled else np.ones(len(found))
    for g, step in list(zip(found, steps, strict=True))[:MOST_CURVES]:
        ax.plot(np.arange(len(g)) * step, g, color=GREY if len(found) > 1 else BLUE, linewidth=0.7 if len(found) > 1 else 1.3)
    if len(found) > 1:
        longest = min(len(g) * step for g, step in zip(found, steps, strict=True))
        r = np.linspace(0, longest, 200)
        each = [np.interp(r, np.arange(len(g)) * step, g) for g, step in zip(found, steps, strict=True)]
        ax.plot(r, np.nanmean(each, axis=0), color=BLUE, linewidth=1.8)
    ax.axhline(0, color="#333333", linewidth=0.6)
    ax.set(xlabel="distance (nm)" if scaled else "distance (px)", ylabel="g(r) = <cos 2(difference)>")
    ax.set(ylim=(None, 1.02), xlim=(0, None))
    return figure


@styled
def fraction_figure(table: pd.DataFrame) -> Figure:
    """Aligned fractions of images by all methods, in the order of the learned one (`schema.ORIENTATION`)."""
    rows = table.dropna(subset="aligned_fraction").sort_values("aligned_fraction", kind="stable").reset_index(drop=True)
    figure = new_figure(SINGLE * 1.4, 2.6)
    ax = figure.subplots()
    at = np.arange(len(rows))
    value, low, high = (100 * rows[f"aligned_fraction{end}"].to_numpy(float) for end in ("", "_low", "_high"))
    known = np.isfinite(low)
    ax.vlines(at[known], low[known], high[known], color=BLUE, linewidth=1.0, alpha=0.6)
    for name, column in COLUMNS.items():
        if column in rows:
            mark = "o" if name == "learned" else "_" if name == "structure tensor" else "x"
            shown_ = value if name == "learned" else 100 * rows[column].to_numpy(float)
            ax.plot(at, shown_, mark, color=METHODS[name], markersize=3.5, label=name)
    ax.set(xlabel="image, by aligned fraction", ylabel="aligned fraction (%)", ylim=(-2, 102))
    ax.legend(loc="upper left")
    return figure

"""Which axes of an HDF5 dataset are frames, y and x, and what the file states of their scale.

Sources: NeXus `NXdata` (signal, axes, units), the EMD format of the NCEM (`emd_group_type`, dim vectors with name and units),
HyperSpy's `axis-N` groups, and the attribute `element_size_um` (z, y, x) of ImageJ's and ilastik's HDF5 files. Nothing else is
taken for a scale.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from morphoscope.io.frames import Image
from morphoscope.io.units import evenly_spaced, frame_interval, length_nm, pixel_size, time_s, to_number

MOST_AXIS_VALUES = 10**6


@dataclass(frozen=True)
class Axis:
    """What is stated of an axis: its name, the step from one element to the next, and the step's unit."""

    name: str
    step: float
    unit: str


@dataclass(frozen=True)
class Stated:
    """Scale and timing as a file states them, and notes on what is not believed."""

    pixel_size_nm: tuple[float, float] | None = None
    frame_interval_s: float | None = None
    slice_spacing_nm: float | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Layout:
    """Numbers of the axes of a dataset; all others have length one."""

    y: int
    x: int
    frame: int | None = None
    colour: int | None = None

    @classmethod
    def of(cls, dataset: h5py.Dataset) -> Layout | None:
        """By the names of the axes where the file has them, else ([frames,] y, x[, colours]); None for what is no image."""
        if dataset.dtype.kind not in "buif" or dataset.dtype.names or len(dataset.shape) > 8:
            return None
        shape = dataset.shape
        names = [axis.name.lower() if axis else "" for axis in _axes(dataset)[0]]
        long = [k for k, size in enumerate(shape) if size > 1]
        colour = next((k for k in long if names[k] in ("c", "channel", "rgb")), None)
        named = {"x", "y"} <= {names[k] for k in long}
        if colour is None and not named and len(long) > 2 and long[-1] == len(shape) - 1 and _is_colour(dataset):
            colour = long[-1]
        left = [k for k in long if k != colour]
        if colour is not None and not 2 <= shape[colour] <= 4 or not 2 <= len(left) <= 3:
            return None
        if named:
            y, x = (next(k for k in left if names[k] == name) for name in "yx")
        else:
            y, x = left[-2:]
        return cls(y, x, next((k for k in left if k not in (y, x)), None), colour)

    def place(self, ndim: int, index: int) -> tuple[int | slice, ...]:
        """What selects frame `index`."""
        place: list[int | slice] = [0] * ndim
        for axis in (self.y, self.x, self.colour):
            if axis is not None:
                place[axis] = slice(None)
        if self.frame is not None:
            place[self.frame] = index
        return tuple(place)

    def upright(self, image: Image) -> Image:
        """What was selected as (height, width[, colours])."""
        order = sorted(axis for axis in (self.y, self.x, self.colour) if axis is not None)
        wanted = [order.index(axis) for axis in (self.y, self.x, self.colour) if axis is not None]
        return image.transpose(wanted)


def _is_colour(dataset: h5py.Dataset) -> bool:
    """Whether a last axis of 3 or 4 is colour: bytes or 16-bit values, and the sides before it are far longer."""
    return (
        dataset.shape[-1] in (3, 4)
        and dataset.dtype.kind == "u"
        and dataset.dtype.itemsize <= 2
        and min(dataset.shape[-3:-1]) > 8
    )


def stated_axes(dataset: h5py.Dataset, layout: Layout) -> tuple[Stated, str]:
    """What the file states of a dataset's axes, and where (`header (...)`)."""
    axes, who = _axes(dataset)
    notes: list[str] = []
    y, x = axes[layout.y], axes[layout.x]
    size = pixel_size((abs(y.step), y.unit), (abs(x.step), x.unit), who, notes) if y and x else None
    if (y is None) != (x is None):
        notes.append(f"the {who} header states a pixel size for one direction only; it is not used")
    if who == "EMD" and not {"x", "y"} <= {axis.name.lower() for axis in axes if axis}:
        notes.append("the file does not name its axes x and y; they are taken in the order frames, y, x")
    if not who:
        notes.append("the file states no scale in a way that is known here")
    interval = spacing = None
    if layout.frame is not None and (frame := axes[layout.frame]):
        if time_s(frame.step, frame.unit) is not None:
            interval = frame_interval(frame.step, frame.unit, who, notes)
        elif found := length_nm(abs(frame.step), frame.unit):
            spacing = found
    return Stated(size, interval, spacing, notes), f"header ({who})"


Axes = list[Axis | None]


def _axes(dataset: h5py.Dataset) -> tuple[Axes, str]:
    """What is stated of each axis of a dataset, and by which convention ("" for none)."""
    ways: tuple[tuple[str, Callable[[h5py.Dataset], Axes]], ...] = (
        ("EMD", _emd),
        ("HyperSpy", _hyperspy),
        ("NeXus", _nexus),
        ("element_size_um", _element_size),
    )
    for who, read in ways:
        axes = read(dataset)
        if any(axes):
            return [*axes, *[None] * (dataset.ndim - len(axes))][: dataset.ndim], who
    return [None] * dataset.ndim, ""


def _element_size(dataset: h5py.Dataset) -> Axes:
    sizes = dataset.attrs.get("element_size_um")
    if sizes is None or np.size(sizes) != 3 or dataset.ndim < 2:
        return []
    known: Axes = [Axis("", to_number(size), "um") for size in np.ravel(sizes)]
    colour = int(dataset.ndim > 2 and _is_colour(dataset))
    before = dataset.ndim - colour
    return [*[None] * max(before - 3, 0), *known[max(3 - before, 0) :], *[None] * colour]


def _emd(dataset: h5py.Dataset) -> Axes:
    group = dataset.parent
    if group.attrs.get("emd_group_type") is None:
        return []
    first = 0 if "dim0" in group else 1
    return [_vector(group.get(f"dim{k + first}"), size) for k, size in enumerate(dataset.shape)]


def _nexus(dataset: h5py.Dataset) -> Axes:
    group = dataset.parent
    names = group.attrs.get("axes")
    if (
        names is None
        or text(group.attrs.get("NX_class")) != "NXdata"
        or text(group.attrs.get("signal")) != dataset.name.split("/")[-1]
    ):
        return []
    every = [text(name) for name in np.ravel(names)]
    return [_vector(group.get(name), size, name) for name, size in zip(every, dataset.shape, strict=False)]


def _hyperspy(dataset: h5py.Dataset) -> Axes:
    axes: Axes = [None] * dataset.ndim
    for k in range(dataset.ndim):
        group = dataset.parent.get(f"axis-{k}")
        if isinstance(group, h5py.Group) and "scale" in group.attrs:
            axes[k] = Axis(text(group.attrs.get("name")), to_number(group.attrs["scale"]), text(group.attrs.get("units")))
    return axes


def _vector(found: Any, size: int, name: str = "") -> Axis | None:
    """An axis from its coordinates, where they run evenly and have a unit; two values may stand for the start and the step."""
    if not isinstance(found, h5py.Dataset) or found.ndim != 1 or found.dtype.kind not in "uif":
        return None
    name = text(found.attrs.get("name")) or name
    if found.size > MOST_AXIS_VALUES or found.size not in (size, 2):
        return Axis(name, 0.0, "")
    step = evenly_spaced(found[()]) if found.size > 1 else None
    unit = text(found.attrs.get("units")).strip("[]").replace("_", "")
    return Axis(name, step or 0.0, unit if step else "")


def text(value: Any) -> str:
    """An attribute as text; "" where it is none."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""

"""Registration of a run's frames as they come: what is kept of earlier frames, and the columns that hold the links."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pandas as pd

from morphoscope.pipeline.stages import Image
from morphoscope.track.displacement import BACK, BATCH, DETOURS, Links, detours, displacement, partners
from morphoscope.track.drift import Registrar, Shift, View, shift_variance

Row = dict[str, float | bool]
KEYS = tuple(f"key{k}" for k in range(len(BACK)))
LINKS = (*KEYS, "detour")
UNMOVED: Row = {"dx": 0.0, "dy": 0.0, "quality": 1.0, "jump": False}
Partners = Mapping[int, View]


class Registration:
    """Frames (h, w) of the analysed `numbers`, added one after the other; holds the views later ones are compared with."""

    def __init__(self, shape: tuple[int, int], numbers: range) -> None:
        self._registrar = Registrar(shape)
        self._numbers = numbers
        self._views: dict[int, View] = {}

    def needed_before(self, frames: range) -> list[int]:
        """The earlier frames to be added first where the frames that come are `frames`."""
        start, stop = self._numbers.index(frames.start), self._numbers.index(frames[-1]) + 1
        needed = {j for i in range(start, stop) for j in partners(i) + detours(i) if j < start}
        return [self._numbers[j] for j in sorted(needed)]

    def add(self, number: int, image: Image) -> Callable[[], Row]:
        """Take a frame, which must not change any more; what is returned registers it, in any thread."""
        index = self._numbers.index(number)
        view = self._views[index] = self._registrar.view(image)
        others = {j: self._views[j] for j in partners(index) if j in self._views}
        further = {j: self._views[j] for j in detours(index) if j in self._views}
        oldest, latest = (index // BATCH - max(BACK)) * BATCH, index - DETOURS
        self._views = {j: v for j, v in self._views.items() if j >= latest or (j % BATCH == 0 and j >= oldest)}
        return partial(self._row, index, view, others, further)

    def _row(self, index: int, view: View, others: Partners, further: Partners) -> Row:
        shifts = {j: self._registrar.between(other, view) for j, other in others.items()}
        row, detour = {**UNMOVED}, _link_row("detour", None, None)
        if index - 1 in shifts:
            if not shifts[index - 1].quality:
                detour = self._detour(view, further)
            row |= shifts.pop(index - 1)._asdict()
        for name in KEYS:
            key = next(iter(shifts), None)
            row |= _link_row(name, None, None) if key is None else _link_row(name, self._numbers[key], shifts.pop(key))
        return row | detour

    def _detour(self, view: View, further: Partners) -> Row:
        """The link to the first of these that is recognised."""
        for j, other in further.items():
            shift = self._registrar.between(other, view)
            if shift.quality:
                return _link_row("detour", self._numbers[j], shift)
        return _link_row("detour", None, None)


def _link_row(name: str, number: int | None, shift: Shift | None) -> Row:
    dx, dy, quality = shift[:3] if shift is not None else (np.nan, np.nan, np.nan)
    return {name: np.nan if number is None else float(number), f"{name}_dx": dx, f"{name}_dy": dy, f"{name}_quality": quality}


def displaced(frames: pd.DataFrame) -> pd.DataFrame:
    """`shift_x_px`, `shift_y_px`, `jump`, `shift_quality` of a run's frames.

    Args:
        frames: `frame`, and `dx`, `dy`, `quality` against the row before, as `Registration` gives them; where there are
            columns of keys and detours, these links count as well.
    """
    number = frames["frame"].to_numpy(np.int64)
    rows = np.arange(len(number))
    parts = [np.stack([rows - 1, rows, *frames[["dx", "dy", "quality"]].to_numpy(float).T], axis=1)[1:]]
    for name in (name for name in LINKS if name in frames.columns):
        key = frames[name].to_numpy(float)
        place = np.searchsorted(number, key).clip(max=len(number) - 1)
        there = number[place] == key
        values = frames[[f"{name}_dx", f"{name}_dy", f"{name}_quality"]].to_numpy(float)
        parts.append(np.concatenate([np.stack([place, rows], axis=1), values], axis=1)[there])
    table = np.concatenate(parts)
    quality = table[:, 4]
    variance = np.where(quality > 0, shift_variance(quality), np.nan)
    first, second = table[:, :2].T.astype(np.int64)
    return displacement(Links(first, second, table[:, 2], table[:, 3], variance, quality), len(number)).set_axis(frames.index)

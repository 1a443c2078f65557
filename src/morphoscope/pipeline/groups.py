"""Which frames of a run are told of together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Ints = NDArray[np.int64]
END = 0.05  # the first and last part of a series that its first and final figures are taken from


class Group(NamedTuple):
    """Frames whose particles are told of together: all, those of a sample, or one end of a series.

    `frames` are pooled where that is honest (structure); `frame` is the one that sizes of a series are taken from.
    """

    name: str
    frames: Ints
    sample: str | None = None
    frame: int | None = None

    @property
    def said(self) -> tuple[str, str]:
        """How the group's rows of quantities are named, and what their methods say of its frames."""
        if self.sample is not None:
            return f"{{}} of sample {self.sample}", ""
        if self.frame is None:
            return "{}", ""
        few = len(self.frames)
        which = f"frame {self.frame}"
        if few > 1:
            which += f", that of median size of the {self.name} {few} with particles, as a single frame may be an odd one"
        return f"{self.name} {{}}", f"{which}; frames of one place show the same particles and are no places of their own"


def one_place(frames: pd.DataFrame, *, series: bool) -> bool:
    """Whether frames show one place again and again: those of a series, and those of one file.

    Args:
        frames: a row per frame, `file` among the columns.
        series: whether frames follow each other in time (recipe `frames.series`).
    """
    return len(frames) > 1 and (series or frames["file"].nunique() == 1)


def groups_of(frames: pd.DataFrame, by_frame: pd.DataFrame | None, *, series: bool) -> tuple[Group, ...]:
    """The groups of a run: the two ends of a series, the samples where they are named, else all frames.

    Args:
        frames: a row per frame, `sample` beside it where named.
        by_frame: `schema.PARTICLES`; gives the typical frame of each end.
        series: whether frames show one place again and again (`one_place`); its ends are those of the frames with
            objects, if there are any.
    """
    numbers = frames["frame"].to_numpy(np.int64)
    if series:
        count = frames["count"].to_numpy() if by_frame is None else by_frame["n_counted"].to_numpy()
        peopled = numbers[count > 0]
        peopled = peopled if len(peopled) else numbers
        few = max(1, round(END * len(peopled)))
        ends = [("first", peopled[:few]), ("final", peopled[-few:])][: 2 if len(peopled) > 1 else 1]
        return tuple(Group(name, part, frame=_typical(part, by_frame)) for name, part in ends)
    if "sample" not in frames.columns:
        return (Group("", numbers),)
    found = frames.dropna(subset="sample").groupby("sample", sort=True)["frame"]
    return tuple(Group(str(name), part.to_numpy(np.int64), sample=str(name)) for name, part in found)


def _typical(part: Ints, by_frame: pd.DataFrame | None) -> int:
    """The frame of median diameter."""
    if by_frame is None:
        return int(part[len(part) // 2])
    median = by_frame.set_index("frame")["diameter_median_px"].loc[part].to_numpy()
    return int(part[np.argsort(median, kind="stable")[(len(part) - 1) // 2]])

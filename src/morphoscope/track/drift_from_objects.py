"""How the picture moved, from the places of objects alone: no picture, no tracks.

As with pictures, each frame is compared with the one before and with the key frame of its batch, and `displacement`
reconciles these links, so that errors do not add up. Frames with too few objects to be recognised are passed over, and
placed evenly between their neighbours afterwards. Where all objects move by themselves at random, their mean counts as
drift: nothing tells the two apart.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from morphoscope.errors import InputError
from morphoscope.track.displacement import JUMP_PX, Links, displacement, partners
from morphoscope.track.piles import FEWEST, WIDEST, Pile, Place, Points, find_pile, vote

Array = NDArray[np.float64]
BATCH, BACK = 16, (1, 2, 4, 8, 16)
PLACE = ["shift_x_px", "shift_y_px"]
COLUMNS = ["frame", *PLACE, "jump", "shift_quality"]
THINNEST = 0.02  # width of a field as a part of its length
KEY_WIDEST = 0.2  # wider piles, of objects that went far by themselves, tell nothing the frames between do not tell better


def drift_from_objects(
    objects: pd.DataFrame,
    *,
    frames: NDArray[np.int64] | None = None,
    max_step_px: float | None = None,
    jump_px: float = JUMP_PX,
) -> pd.DataFrame:
    """`frame`, `shift_x_px`, `shift_y_px`, `jump`, `shift_quality`: the displacement of the content against the first frame.

    `shift_quality` is the share of objects that were found again in the best matching earlier frame, 0 where fewer than three
    were or no more than chance would have it. A frame that has three objects is then taken not to have moved; one that has
    fewer is placed evenly between the frames around it that have them, or where the next one lies at either end.

    Args:
        objects: `frame`, `x_px`, `y_px`; rows in any order. Rows without a place are not used.
        frames: (n,) rising frame numbers of the result; None for those that have objects.
        max_step_px: the longest step looked for from frame to frame, along x and along y; None for half the field.
        jump_px: a longer step, less the usual drift in frames passed over, is a jump of the frame it leads to.

    Raises:
        InputError: a column is missing.
    """
    missing = {"frame", "x_px", "y_px"} - set(objects.columns)
    if missing:
        raise InputError(f"drift from objects wants the columns frame, x_px, y_px; {', '.join(sorted(missing))} missing")
    number = objects["frame"].to_numpy(np.int64)
    xy = objects[["x_px", "y_px"]].to_numpy(float)
    known = np.isfinite(xy).all(axis=1)
    wanted = np.unique(number) if frames is None else np.asarray(frames, np.int64)
    sets = _sets(number[known], xy[known], wanted)
    extent = np.ptp(xy[known], axis=0) if known.any() else np.zeros(2)
    step_x, step_y = extent / 2 if max_step_px is None else (max_step_px, max_step_px)
    usable = np.flatnonzero([len(points.xy) >= FEWEST for points in sets])
    links = _Follower([sets[row] for row in usable], (float(step_x), float(step_y))).links()
    if not len(usable):
        return displacement(links, len(wanted)).assign(frame=wanted)[COLUMNS]
    return _spread(displacement(links, len(usable), jump_px=jump_px), usable, wanted, jump_px)[COLUMNS]


def _spread(moved: pd.DataFrame, rows: NDArray[np.int64], wanted: NDArray[np.int64], jump_px: float) -> pd.DataFrame:
    """A row for each wanted frame, from the displacement of those in `rows`."""
    passed = np.diff(rows, prepend=rows[:1] - 1) - 1  # frames between each and the one before
    step = np.hypot(*(np.diff(moved[name], prepend=moved[name][:1]) for name in PLACE))
    usual = float(np.median((step / (passed + 1))[1:])) if len(rows) > 1 else 0.0
    found = pd.DataFrame({"frame": wanted, "jump": False, "shift_quality": 0.0})
    for name in PLACE:
        found[name] = np.interp(wanted, wanted[rows], moved[name])
    found.loc[rows, "jump"] = step - passed * usual > jump_px
    found.loc[rows, "shift_quality"] = moved["shift_quality"].to_numpy()
    return found


def _sets(number: NDArray[np.int64], xy: Array, wanted: NDArray[np.int64]) -> list[Points]:
    """The points of each wanted frame, in an order that the rows have no part in."""
    order = np.lexsort((xy[:, 1], xy[:, 0], number))
    number, xy = number[order], xy[order]
    extent = np.ptp(xy, axis=0) if len(xy) else np.zeros(2)
    area = float(np.prod(np.maximum(extent, THINNEST * extent.max())))  # objects on a line have some room as well
    first, last = np.searchsorted(number, wanted), np.searchsorted(number, wanted, side="right")
    parts = (xy[a:b] for a, b in zip(first, last, strict=True))
    return [Points(part, cKDTree(part), max(area, 1e-12)) for part in parts]


class _Follower:
    """Compares frames one after the other; `_place` is where each was thought to be, told from others of its `_part` alone."""

    def __init__(self, sets: list[Points], max_step: Place) -> None:
        self._sets, self._max_step = sets, max_step
        self._place = np.zeros((len(sets), 2))
        self._part = np.zeros(len(sets), np.int64)

    def links(self) -> Links:
        """All links that were found."""
        rows: list[tuple[int, int, float, float, float, float]] = []
        step: Place = (0.0, 0.0)
        for i in range(1, len(self._sets)):
            before, *keys = partners(i, batch=BATCH, back=BACK)
            pile = self._pile(before, i, [(0.0, 0.0), step], voting=True)
            step = (0.0, 0.0) if pile is None else (pile.dx, pile.dy)
            self._place[i] = self._place[before] + step
            self._part[i] = i if pile is None else self._part[before]
            found = [(before, pile)]
            for key in keys:
                x, y = self._place[i] - self._place[key]
                lost = bool(self._part[i] != self._part[key])
                found.append((key, self._pile(key, i, [(float(x), float(y))], voting=lost, widest=KEY_WIDEST)))
            rows += [(j, i, p.dx, p.dy, p.variance, p.share) for j, p in found if p is not None]
        return Links.of(rows)

    def _pile(self, j: int, i: int, guesses: list[Place], *, voting: bool, widest: float = WIDEST) -> Pile | None:
        before, after = self._sets[j], self._sets[i]
        if min(len(before.xy), len(after.xy)) < FEWEST:
            return None
        for guess in dict.fromkeys(guesses):
            pile = find_pile(before, after, guess, looked=len(guesses), widest=widest)
            if pile is not None:
                return pile
        if not voting:
            return None
        guess, looked = vote(before, after, self._max_step)
        return find_pile(before, after, guess, looked=looked, widest=widest)

"""Why tracks begin and end: the ends of the video, the edge of the field, appearance and disappearance, merges and splits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Array = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Rectangle = tuple[float, float, float, float]
STEPS = 2.0  # an object this many of its own steps from the edge may have crossed it
AROUND = 5  # detections before and after an event that areas are taken from
GAINED = 0.5  # part of the vanished object's area that the other must have gained
EVENTS = {"frame": "int64", "kind": "str", "track_id": "int64", "other_id": "int64"}


def ends(
    objects: pd.DataFrame,
    frames: pd.DataFrame,
    *,
    field: Rectangle | None,
    memory: int,
    exclude: Sequence[Rectangle] = (),
    events: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Why each track began and ended: `track_id`, `began`, `ended`.

    `began` is `start` (it was there within `memory` frames of the first), `edge` (its place came into view, or it stood at the
    edge of the field), `split` or `appeared`. `ended` is `end`, `edge`, `merge` or `gap`: its place stayed in view, but it was
    not found again within the gap that linking bridges.

    Args:
        objects: `frame`, `track_id`, `x_reg_px`, `y_reg_px` and, where known, `major_px`.
        frames: `frame`, `shift_x_px`, `shift_y_px` of all analysed frames, in order.
        field: x0, y0, x1, y1 of what is analysed of each frame, in stored px; None: no edge is known.
        memory: frames that linking bridges.
        exclude: parts of the field that are not analysed; what goes there leaves the field.
        events: merges and splits (`events`).
    """
    rows = _Tracks(objects, frames)
    began = _reasons(rows, field, exclude, memory, ends_=False)
    ended = _reasons(rows, field, exclude, memory, ends_=True)
    table = pd.DataFrame({"track_id": rows.id, "began": began, "ended": ended}).astype({"began": "str", "ended": "str"})
    if events is not None:
        table.loc[table["track_id"].isin(events.loc[events["kind"] == "split", "track_id"]), "began"] = "split"
        table.loc[table["track_id"].isin(events.loc[events["kind"] == "merge", "track_id"]), "ended"] = "merge"
    return table


class _Tracks:
    """First and last detection of each track, in analysed frames, and how near to the edge counts as there."""

    def __init__(self, objects: pd.DataFrame, frames: pd.DataFrame) -> None:
        linked = objects[objects["track_id"].notna()]
        linked = linked.iloc[np.lexsort((linked["frame"].to_numpy(), linked["track_id"].to_numpy(np.int64)))]
        number = linked["track_id"].to_numpy(np.int64)
        self.id, first, count = np.unique(number, return_index=True, return_counts=True)
        self.first, self.last = first, first + count - 1
        self.order = np.searchsorted(frames["frame"].to_numpy(), linked["frame"].to_numpy())
        self.place = linked[["x_reg_px", "y_reg_px"]].to_numpy(float)
        self.shift = np.nan_to_num(frames[["shift_x_px", "shift_y_px"]].to_numpy(float))
        size = linked["major_px"].to_numpy(float) if "major_px" in linked.columns else np.zeros(len(linked))
        self.half = np.nan_to_num(size) / 2
        square = np.r_[0.0, (np.diff(self.place, axis=0) ** 2).sum(axis=1)]
        square[first] = 0.0
        self.step = np.sqrt(np.bincount(np.repeat(np.arange(len(first)), count), square) / np.maximum(count - 1, 1))


def _reasons(tracks: _Tracks, field: Rectangle | None, exclude: Sequence[Rectangle], memory: int, *, ends_: bool) -> list[str]:
    """The reasons of the ends, or of the beginnings, of all tracks."""
    cut, inside = ("end", "gap") if ends_ else ("start", "appeared")
    row = tracks.last if ends_ else tracks.first
    at, last = tracks.order[row], len(tracks.shift) - 1
    beyond = last - at if ends_ else at
    margin = tracks.half[row] + STEPS * tracks.step
    left = np.zeros(len(row), bool)
    for ahead in range(memory + 2) if field is not None else ():
        then = np.clip(at + (ahead if ends_ else -ahead), 0, last)
        # only what the stage takes away leaves later; at the edge itself an object may go by its own motion
        left |= _outside(tracks.place[row] + tracks.shift[then], margin if ahead == 0 else np.zeros_like(margin), field, exclude)
    return [cut if short else "edge" if gone else inside for short, gone in zip(beyond <= memory, left, strict=True)]


def _outside(place: Array, margin: Array, field: Rectangle | None, exclude: Sequence[Rectangle]) -> Flags:
    x, y = place.T
    out = np.zeros(len(place), bool)
    if field is not None:
        out |= (x - margin < field[0]) | (x + margin > field[2]) | (y - margin < field[1]) | (y + margin > field[3])
    for x0, y0, x1, y1 in exclude:
        out |= (x + margin >= x0) & (x - margin < x1) & (y + margin >= y0) & (y - margin < y1)
    return out


def events(objects: pd.DataFrame, ends: pd.DataFrame) -> pd.DataFrame:
    """Merges and splits: `frame`, `kind`, `track_id` (which ended or began), `other_id` (which goes on).

    A track that ends in view merges into another whose outline reaches its last place in its last frame or the next, and whose
    area grows about then by at least half of the vanished one's. A split is the same seen backwards. Areas are medians of five
    detections; objects without a size have no events.

    Args:
        objects: `frame`, `track_id`, `x_reg_px`, `y_reg_px`, `major_px`, `minor_px`.
        ends: `track_id`, `began`, `ended`, see `ends`.
    """
    if not {"major_px", "minor_px"} <= set(objects.columns):
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in EVENTS.items()})
    known = objects[["track_id", "major_px", "minor_px"]].notna().all(axis=1)
    rows = objects[known].reset_index(drop=True).sort_values(["track_id", "frame"], kind="stable")
    gone = ends.loc[ends["ended"] == "gap", "track_id"].to_numpy(np.int64)
    came = ends.loc[ends["began"] == "appeared", "track_id"].to_numpy(np.int64)
    merges = _joins(rows, gone).assign(kind="merge")
    backwards = rows.assign(frame=-rows["frame"]).sort_values(["track_id", "frame"], kind="stable")
    splits = _joins(backwards, came).assign(kind="split")
    splits["frame"] = -splits["frame"]
    found = pd.concat([merges, splits], ignore_index=True)[list(EVENTS)]
    return found.sort_values(["frame", "track_id"], ignore_index=True).astype(EVENTS)


def _joins(rows: pd.DataFrame, gone: Ints) -> pd.DataFrame:
    """Tracks of `gone` that end where another goes on and grows: `frame` (the last), `track_id`, `other_id`."""
    track, frame = rows["track_id"].to_numpy(np.int64), rows["frame"].to_numpy(np.int64)
    place, reach = rows[["x_reg_px", "y_reg_px"]].to_numpy(float), rows["major_px"].to_numpy(float) / 2
    area = np.pi / 4 * rows["major_px"].to_numpy(float) * rows["minor_px"].to_numpy(float)
    number, first, count = np.unique(track, return_index=True, return_counts=True)
    start, stop = dict(zip(number, first, strict=True)), dict(zip(number, first + count, strict=True))
    by_frame = {f: np.asarray(at) for f, at in pd.Series(np.arange(len(rows))).groupby(frame).indices.items()}
    last = {int(frame[stop[t] - 1]) for t in gone if t in stop}
    trees = {f: cKDTree(place[by_frame[f]]) for f in last}
    found = []
    for own in (t for t in gone.tolist() if t in stop):
        end = stop[own] - 1
        lost = float(np.median(area[max(end + 1 - AROUND, start[own]) : end + 1]))
        at = by_frame[frame[end]]
        near = at[trees[frame[end]].query_ball_point(place[end], 2 * float(reach[at].max()))]
        for other in sorted(near.tolist(), key=lambda k: float(((place[k] - place[end]) ** 2).sum())):
            before = area[max(other + 1 - AROUND, start[track[other]]) : other + 1]
            after = area[other + 1 : min(other + 1 + AROUND, stop[track[other]])]
            touches = np.hypot(*(place[other] - place[end])) <= reach[other] + reach[end]
            if track[other] != own and touches and len(after) and np.median(after) - np.median(before) >= GAINED * lost:
                found.append((frame[end], own, track[other]))
                break
    return pd.DataFrame(found, columns=["frame", "track_id", "other_id"])

from __future__ import annotations

import numpy as np
import pandas as pd

from morphoscope.track.ends import ends, events

FIELD = (-0.5, -0.5, 99.5, 99.5)


def frames(n=60, speed=0.0):
    return pd.DataFrame({"frame": np.arange(n), "shift_x_px": speed * np.arange(n), "shift_y_px": 0.0})


def track(number, first, last, x=50.0, y=50.0, size=6.0, speed=0.0):
    at = np.arange(first, last + 1)
    x = np.broadcast_to(x + speed * (at - first), at.shape)
    return pd.DataFrame({"frame": at, "track_id": number, "x_reg_px": x, "y_reg_px": y, "major_px": size, "minor_px": size})


def reasons(tracks, table, **options):
    objects = pd.concat(tracks, ignore_index=True).astype({"track_id": "Int64"})
    found = ends(objects, table, field=options.pop("field", FIELD), memory=options.pop("memory", 5), **options)
    return {int(row.track_id): (row.began, row.ended) for row in found.itertuples()}


def test_the_ends_of_the_video_and_what_happens_between_them():
    tracks = [track(0, 0, 59), track(1, 20, 40, x=20.0), track(2, 4, 55, x=70.0)]
    found = reasons(tracks, frames())
    assert found == {0: ("start", "end"), 1: ("appeared", "gap"), 2: ("start", "end")}


def test_what_leaves_with_the_stage_has_not_died():
    # 1 px per frame to the right: an object at 60 is out of the field from frame 40 on; the one at -20 comes in at frame 20
    found = reasons([track(0, 0, 38, x=60.0), track(1, 21, 59, x=-20.0), track(2, 10, 30, x=0.0)], frames(speed=1.0))
    assert found == {0: ("start", "edge"), 1: ("edge", "end"), 2: ("appeared", "gap")}
    assert reasons([track(0, 0, 38, x=60.0)], frames(speed=1.0), field=None) == {0: ("start", "gap")}


def test_what_walks_out_by_itself_left_at_the_edge():
    found = reasons([track(0, 10, 30, x=40.0, speed=2.7, size=2.0)], frames())
    assert found == {0: ("appeared", "edge")}


def test_an_excluded_part_is_an_edge_too():
    stage = frames(speed=1.0)
    found = reasons([track(0, 0, 20, x=30.0)], stage, exclude=[(55.0, 40.0, 70.0, 60.0)])
    assert found == {0: ("start", "edge")}


def merging():
    kept, lost = track(0, 0, 59, size=8.0), track(1, 0, 29, x=57.0, size=8.0)
    kept.loc[kept["frame"] >= 30, ["major_px", "minor_px"]] = 8 * np.sqrt(2)
    return pd.concat([kept, lost], ignore_index=True).astype({"track_id": "Int64"})


def test_a_merge_is_a_track_that_another_takes_in_and_a_split_the_same_backwards():
    objects = merging()
    plain = ends(objects, frames(), field=FIELD, memory=5)
    found = events(objects, plain)
    assert found.to_dict("records") == [{"frame": 29, "kind": "merge", "track_id": 1, "other_id": 0}]
    assert ends(objects, frames(), field=FIELD, memory=5, events=found)["ended"].tolist() == ["end", "merge"]
    backwards = objects.assign(frame=59 - objects["frame"])
    found = events(backwards, ends(backwards, frames(), field=FIELD, memory=5))
    assert found.to_dict("records") == [{"frame": 30, "kind": "split", "track_id": 1, "other_id": 0}]


def test_no_merge_where_the_other_does_not_grow_or_is_far():
    objects = merging()
    still = objects.assign(major_px=8.0, minor_px=8.0)
    far = objects.assign(x_reg_px=objects["x_reg_px"].where(objects["track_id"] == 0, 80.0))
    for table in (still, far, objects.drop(columns="minor_px"), objects.iloc[:0]):
        assert events(table, ends(table, frames(), field=FIELD, memory=5)).empty

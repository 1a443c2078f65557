from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from morphoscope.errors import InputError
from morphoscope.track.drift_from_objects import drift_from_objects
from morphoscope.track.piles import Points, find_pile, vote

FIELD = (1120, 710)


def detections(
    n=300, frames=60, *, own=0.3, noise=0.7, drift=(0.4, 0.3), jumps=(), missed=0.1, false=0.03, seed=0, field=FIELD, life=None
):
    """Detections of n objects in the field, and the displacement (frames, 2) of the picture."""
    rng = np.random.default_rng(seed)
    path = np.arange(frames)[:, None] * np.array(drift, float)
    for at, jump in jumps:
        path[at:] += jump
    low, high = -path.max(axis=0) - 5, np.array(field) - path.min(axis=0) + 5
    count = round(n * np.prod(high - low) / np.prod(field))
    place = rng.uniform(low, high, (count, 2))
    rows = []
    for t in range(frames):
        place = place + rng.normal(0, own, place.shape)
        if life:
            reborn = rng.random(count) < 1 / life
            place[reborn] = rng.uniform(low, high, (reborn.sum(), 2))
        seen = place + path[t] + rng.normal(0, noise, place.shape)
        seen = seen[((seen >= 0) & (seen < field)).all(axis=1) & (rng.random(count) >= missed)]
        seen = np.concatenate([seen, rng.uniform(0, 1, (rng.poisson(false * n), 2)) * field])
        rows.append(pd.DataFrame({"frame": t, "x_px": seen[:, 0], "y_px": seen[:, 1]}))
    return pd.concat(rows, ignore_index=True).sample(frac=1, random_state=seed), path


def places(table):
    return table[["shift_x_px", "shift_y_px"]].to_numpy()


def rms(error):
    return float(np.sqrt((error**2).sum(axis=1).mean()))


def test_drift_and_jumps_of_detections():
    jumps = [(15, (38.0, -12.0)), (31, (-28.0, -28.0)), (48, (5.0, 40.0))]
    objects, path = detections(jumps=jumps)
    found = drift_from_objects(objects)
    assert list(found.columns) == ["frame", "shift_x_px", "shift_y_px", "jump", "shift_quality"]
    assert found["frame"].tolist() == list(range(60))
    assert rms(places(found) - path) < 0.35
    assert np.flatnonzero(found["jump"]).tolist() == [15, 31, 48]
    assert (found["shift_quality"] > 0.7).all()


@pytest.mark.parametrize(
    ("settings", "most"),
    [
        ({"n": 10}, 1.5),
        ({"n": 5000, "frames": 12}, 0.1),
        ({"own": 4.0, "frames": 20}, 2.5),
        ({"life": 8}, 0.5),
        ({"missed": 0.5, "false": 0.5}, 0.6),
        ({"n": 60, "noise": 0.0, "own": 0.0, "missed": 0.0, "false": 0.0}, 1e-6),
        ({"drift": (9.0, -6.0), "frames": 30}, 0.45),
        ({"drift": (0, 0), "jumps": [(9, (420.0, -250.0))], "frames": 20}, 0.3),
    ],
)
def test_sparse_dense_fast_and_faulty_detections(settings, most):
    objects, path = detections(**settings)
    found = drift_from_objects(objects)
    assert rms(places(found) - path + path[0]) < most
    assert (np.hypot(*np.diff(path, axis=0).T) > 8).tolist() == found["jump"][1:].tolist()


def test_no_drift_gives_no_more_than_the_statistical_error():
    ends, counts = [], []
    for seed in range(8):
        objects, _ = detections(own=0.0, drift=(0, 0), seed=seed, frames=100)
        moved = places(drift_from_objects(objects))
        ends.append(moved[-1])
        counts.append(len(objects) / 100)
    least = 0.7 * np.sqrt(2 / np.mean(counts))  # two frames, each the mean of its detections
    assert np.sqrt(np.mean(np.square(ends))) < 2 * least
    assert 0.7 * np.sqrt(100 / np.mean(counts)) > 6 * least  # what a sum of independent steps would come to


def test_own_motion_of_all_counts_as_drift():
    rng = np.random.default_rng(0)
    place = rng.uniform(0, 700, (400, 2))
    walk = place[None] + np.cumsum(np.concatenate([np.zeros((1, 400, 2)), rng.normal(0, 1.0, (40, 400, 2))]), axis=0)
    objects = pd.DataFrame({"frame": np.repeat(np.arange(41), 400), "x_px": walk[..., 0].ravel(), "y_px": walk[..., 1].ravel()})
    found = places(drift_from_objects(objects))
    assert found == pytest.approx(walk.mean(axis=1) - place.mean(axis=0), abs=0.3)


def test_few_objects_and_empty_frames_are_told():
    objects, path = detections(frames=40)
    few = objects[~objects["frame"].isin([10, 11, 25])]
    two = objects[objects["frame"] == 25].iloc[:2]
    found = drift_from_objects(pd.concat([few, two]), frames=np.arange(45))
    quality = found["shift_quality"]
    assert (quality[[10, 11, 25, 40, 41, 42, 43, 44]] == 0).all() and (quality.drop([10, 11, 25, *range(40, 45)]) > 0.7).all()
    assert rms(places(found)[:40] - path) < 0.4  # evenly on past what is not known
    assert places(found)[40:] == pytest.approx(np.repeat(places(found)[39:40], 5, axis=0), abs=1e-3)
    pair = pd.DataFrame({"frame": [0, 0, 1, 1, 2, 2], "x_px": [0, 50, 1, 51, 2, 52.0], "y_px": [0, 80, 0, 80, 0, 80.0]})
    assert (places(drift_from_objects(pair)) == 0).all()
    assert drift_from_objects(pair)["shift_quality"].tolist() == [1, 0, 0]
    none = drift_from_objects(pair.iloc[:0], frames=np.arange(3))
    assert (places(none) == 0).all() and len(drift_from_objects(pair.iloc[:0])) == 0


def test_objects_on_a_line_or_in_a_point():
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0, 500, 12))
    for y in (np.zeros(12), 0.3 * x):
        moved = [pd.DataFrame({"frame": t, "x_px": x + 2.0 * t, "y_px": y + 0.5 * t}) for t in range(8)]
        found = drift_from_objects(pd.concat(moved))
        assert places(found) == pytest.approx(np.arange(8)[:, None] * [2.0, 0.5], abs=1e-3)
    heap = pd.DataFrame({"frame": np.repeat(np.arange(4), 5), "x_px": 3.0, "y_px": 4.0})
    assert places(drift_from_objects(heap)) == pytest.approx(0, abs=1e-6)


def test_unrelated_frames_are_not_matched():
    rng = np.random.default_rng(0)
    for count in (10, 300):
        xy = rng.uniform(0, 1, (40 * count, 2)) * FIELD
        objects = pd.DataFrame({"frame": np.repeat(np.arange(40), count), "x_px": xy[:, 0], "y_px": xy[:, 1]})
        found = drift_from_objects(objects)
        assert (found["shift_quality"][1:] == 0).all() and (places(found) == 0).all()


def test_rows_without_a_place_do_not_count_and_frame_numbers_may_have_gaps():
    objects, path = detections(frames=20)
    spaced = objects.assign(frame=objects["frame"] * 7 + 3)
    spaced.loc[spaced.index[::50], "x_px"] = np.nan
    found = drift_from_objects(spaced)
    assert found["frame"].tolist() == [7 * i + 3 for i in range(20)]
    assert rms(places(found) - path) < 0.25
    with pytest.raises(InputError, match="y_px"):
        drift_from_objects(objects.drop(columns="y_px"))


def test_the_longest_step_bounds_the_search():
    objects, path = detections(frames=20, n=2000, drift=(0, 0), jumps=[(10, (90.0, 0.0))])
    assert rms(places(drift_from_objects(objects, max_step_px=120)) - path) < 0.2
    assert not drift_from_objects(objects, max_step_px=40)["jump"].any()


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([12, 80, 200]), st.floats(0.02, 50))
def test_order_turns_and_units_make_no_difference(seed, n, unit):
    objects, _ = detections(n=n, frames=18, jumps=[(9, (30.0, 20.0))], seed=seed)
    found = drift_from_objects(objects)
    assert drift_from_objects(objects.sample(frac=1, random_state=seed + 1)).equals(found)
    turned = drift_from_objects(objects.assign(x_px=-objects["y_px"], y_px=objects["x_px"]))
    assert places(turned) == pytest.approx(places(found)[:, ::-1] * [-1, 1], abs=2e-3)
    scaled = drift_from_objects(objects.assign(x_px=objects["x_px"] * unit, y_px=objects["y_px"] * unit))
    assert places(scaled) == pytest.approx(places(found) * unit, abs=1e-4 * unit)


def points(xy, area):
    return Points(xy, cKDTree(xy), area)


def test_the_claimed_variance_of_a_pile_is_its_error():
    rng, errors, claimed = np.random.default_rng(0), [], []
    for _ in range(150):
        place = rng.uniform(0, 500, (250, 2))
        a, b = place + rng.normal(0, 1.0, place.shape), place + rng.normal(0, 1.0, place.shape) + [0.8, -0.4]
        a, b = (p[rng.random(250) > 0.15] for p in (a, b))
        pile = find_pile(points(a, 250_000.0), points(b, 250_000.0), (0.0, 0.0))
        errors.append((pile.dx - 0.8, pile.dy + 0.4))
        claimed.append(pile.variance)
    assert np.square(errors).mean() == pytest.approx(np.mean(claimed), rel=0.25)
    assert abs(np.mean(errors, axis=0)).max() < 0.03
    assert np.mean(claimed) == pytest.approx(2 / (250 * 0.85**2), rel=0.25)  # that of the mean of the pairs


def test_votes_find_a_far_shift():
    rng = np.random.default_rng(1)
    place = rng.uniform(0, 1, (400, 2)) * FIELD
    moved = place + [233.3, -120.2] + rng.normal(0, 1, place.shape)
    guess, looked = vote(points(place, 795_200.0), points(moved, 795_200.0), (560.0, 355.0))
    assert guess == pytest.approx((233.3, -120.2), abs=6) and looked > 1000


def numbered(objects, path, frames):
    """The detections of consecutive frames under other frame numbers, and the error in px of what is then found in those."""
    spaced = objects.assign(frame=np.asarray(frames)[objects["frame"]])
    found = drift_from_objects(spaced, frames=np.arange(frames[-1] + 1))
    return found, rms(places(found)[frames] - path)


@pytest.mark.parametrize("every", [2, 3, 5, 16])
def test_frames_that_were_not_kept_do_not_take_partners_away(every):
    """As every third frame of a video: no key frame of a batch needs to be among those that have objects."""
    objects, path = detections(n=100, own=0.0, noise=0.3, drift=(1.0, 0.0), jumps=[(30, (40.0, 0.0))])
    kept = every * np.arange(60)
    found, error = numbered(objects, path, kept)
    assert error < 0.3
    assert np.flatnonzero(found["jump"]).tolist() == [30 * every]
    assert (found["shift_quality"][kept] > 0.7).all() and (found["shift_quality"].drop(kept) == 0).all()
    between = places(found)[every // 2 : 30 * every - every : every]
    assert between == pytest.approx(path[:29] + [every // 2 / every, 0], abs=0.5)  # evenly on between them


def test_frames_empty_at_random_do_not_break_the_displacement():
    objects, path = detections(n=100, own=0.0, noise=0.3, drift=(1.0, 0.0), jumps=[(30, (40.0, 0.0))])
    for seed in range(5):
        empty = np.random.default_rng(seed).choice(np.arange(1, 60), 18, replace=False)
        kept = np.setdiff1d(np.arange(60), empty)
        found = drift_from_objects(objects[objects["frame"].isin(kept)], frames=np.arange(60))
        assert rms((places(found) - path)[kept]) < 0.3 and found["jump"].sum() == 1
    late = drift_from_objects(objects[objects["frame"] >= 5], frames=np.arange(60))
    assert (places(late)[:6] == 0).all() and rms(places(late)[5:] - path[5:] + path[5]) < 0.3
    assert late["shift_quality"].tolist()[:6] == [0, 0, 0, 0, 0, 1]


def test_steady_drift_over_frames_passed_over_is_no_jump():
    objects, path = detections(n=100, own=0.0, noise=0.3, drift=(2.0, 0.0), frames=20)
    found, error = numbered(objects, path, 6 * np.arange(20))
    assert error < 0.3 and not found["jump"].any()
    faster, error = numbered(*detections(n=100, own=0.0, noise=0.3, drift=(12.0, 0.0), frames=20), 6 * np.arange(20))
    assert error < 0.5 and not faster["jump"].any()  # 2 px a frame

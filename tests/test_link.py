from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.errors import InputError, UsageError
from morphoscope.track.link import Linker, link


def walk(seed, *, n=100, frames=60, field=400.0, step=0.5, noise=0.3, missed=0.0, false=0):
    """Brownian objects with known identity (`true`, -1 for false ones)."""
    rng = np.random.default_rng(seed)
    place, rows = rng.uniform(0, field, (n, 2)), []
    for f in range(frames):
        place = place + rng.normal(0, step, place.shape)
        seen = rng.random(n) >= missed
        xy = np.concatenate([(place + rng.normal(0, noise, place.shape))[seen], rng.uniform(0, field, (false, 2))])
        true = np.concatenate([np.flatnonzero(seen), np.full(false, -1)])
        rows.append(pd.DataFrame({"frame": f, "x_reg_px": xy[:, 0], "y_reg_px": xy[:, 1], "true": true}))
    return pd.concat(rows, ignore_index=True)


def partition(ids):
    return set(frozenset(g) for g in pd.Series(np.arange(len(ids))).groupby(np.asarray(ids)).agg(list))


def agreement(table, ids):
    """Share of detections whose track's most common true object is their own, counting one track per object."""
    best = table.assign(track=ids.to_numpy()).query("true >= 0").groupby(["true", "track"]).size().groupby("true").max()
    return best.sum() / (table["true"] >= 0).sum()


def test_brownian_objects_with_misses_keep_their_identity():
    table = walk(1, n=300, frames=120, field=900, step=0.3, noise=0.7, missed=0.1, false=9)
    ids = link(table, max_distance_px=8, memory=10)
    assert str(ids.dtype) == "Int64" and ids.index.equals(table.index)
    assert agreement(table, ids) > 0.98


def test_still_objects_survive_long_gaps():
    table = walk(2, n=40, frames=60, step=0.0, noise=0.5)
    table = table[~((table["true"] < 20) & table["frame"].between(20, 34))]
    assert agreement(table, link(table, max_distance_px=6, memory=15)) == 1
    assert link(table, max_distance_px=6, memory=5).nunique() == 60


def test_the_range_is_found_from_the_data_whatever_the_step():
    for step in (0.02, 0.3, 2.0):
        table = walk(3, n=150, frames=60, field=600, step=step, noise=0.5, missed=0.1, false=4)
        assert agreement(table, link(table)) > (0.97 if step < 1 else 0.85)


def test_what_the_stage_takes_away_is_known_again_when_it_returns():
    table = walk(10, n=80, frames=60, field=300, step=0.1, noise=0.3)
    shift = np.where(table["frame"].between(20, 44), 90.0, 0.0)
    table = table.assign(x_px=table["x_reg_px"] + shift, y_px=table["y_reg_px"]).query("0 <= x_px < 300")
    assert agreement(table, link(table, memory=3, field=(0, 0, 300, 300))) == 1
    assert agreement(table, link(table, memory=3)) < 0.95
    assert link(table, memory=3, field=(0, 0, 300, 300)).nunique() == table["true"].nunique()


def test_motion_models():
    rng, frames = np.random.default_rng(0), np.arange(40)
    start, angle = rng.uniform(0, 500, (120, 2)), rng.uniform(0, 2 * np.pi, 120)
    way = 9 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    place = start[None] + frames[:, None, None] * way[None] + rng.normal(0, 0.5, (40, 120, 2))
    table = pd.DataFrame(place.reshape(-1, 2), columns=["x_reg_px", "y_reg_px"])
    table = table.assign(frame=np.repeat(frames, 120), true=np.tile(np.arange(120), 40))
    seen = table[rng.random(len(table)) > 0.1]
    assert agreement(seen, link(seen, motion="directed")) > 0.95
    assert agreement(seen, link(seen, motion="brownian")) < 0.9
    still = walk(11, n=100, frames=60, field=300, step=0.0, noise=0.8, missed=0.4)
    assert agreement(still, link(still, motion="still")) >= agreement(still, link(still)) > 0.97


def test_size_tells_neighbours_apart():
    table = walk(12, n=200, frames=40, field=300, step=2.0, noise=0.3)
    rng = np.random.default_rng(0)
    size = np.exp(rng.normal(2, 0.4, 200))[table["true"]] * np.exp(rng.normal(0, 0.05, len(table)))
    assert agreement(table, link(table.assign(major_px=size))) > agreement(table, link(table)) + 0.05


def test_a_table_of_trackpy_is_linked_as_it_is():
    table = walk(13, n=30, frames=10)
    theirs = table.rename(columns={"x_reg_px": "x", "y_reg_px": "y"})
    assert link(theirs).tolist() == link(table).tolist()


def places(paths):
    """A table of paths (frames, objects, 2)."""
    frames, n, _ = paths.shape
    return pd.DataFrame(paths.reshape(-1, 2), columns=["x_reg_px", "y_reg_px"]).assign(frame=np.repeat(np.arange(frames), n))


@pytest.mark.parametrize("angle", [0.0, 0.5])
def test_objects_on_a_line(angle):
    rng = np.random.default_rng(0)
    along = 20 * np.arange(50) + np.cumsum(rng.normal(0, 0.5, (40, 50)), axis=0)
    table = places(along[..., None] * np.array([np.cos(angle), np.sin(angle)]))
    assert link(table).nunique() == 50


@pytest.mark.parametrize("step", [1.0, 2.0, 4.0])
def test_motion_that_begins_late_widens_the_range(step):
    grid = 60.0 * np.stack(np.meshgrid(np.arange(10), np.arange(10)), axis=-1).reshape(-1, 2)
    moves = np.random.default_rng(0).normal(0, step, (50, 100, 2))
    table = places(grid + np.cumsum(np.concatenate([np.zeros((50, 100, 2)), moves]), axis=0))
    assert link(table).nunique() == 100


@pytest.mark.parametrize("step", [0.1, 0.3, 1.0])
def test_positions_in_whole_pixels(step):
    rng = np.random.default_rng(0)
    paths = rng.uniform(0, 500, (1, 50, 2)) + np.cumsum(rng.normal(0, step, (60, 50, 2)), axis=0)
    assert link(places(np.round(paths))).nunique() == 50


def test_one_and_two_objects():
    assert link(places(np.full((20, 1, 2), 5.0))).nunique() == 1
    for seed in range(4):
        walks = np.cumsum(np.random.default_rng(seed).normal(0, 2, (20, 2, 2)), axis=0) + [[0, 0], [100, 0]]
        assert link(places(walks)).nunique() == 2 and link(places(walks[:, :1])).nunique() == 1


def test_no_step_is_longer_than_allowed():
    table = walk(14, n=80, frames=60, field=500, step=1.2, noise=0.3, missed=0.1)
    table = table.assign(track=link(table, max_distance_px=4)).sort_values(["track", "frame"])
    same = (table["track"].diff() == 0) & (table["frame"].diff() == 1)
    assert np.hypot(table["x_reg_px"].diff(), table["y_reg_px"].diff())[same].max() <= 4


def test_frames_must_be_whole_numbers():
    table = walk(15, n=3, frames=3)
    assert link(table.assign(frame=table["frame"].astype(float))).tolist() == link(table).tolist()
    for wrong in (0.5, np.nan):
        with pytest.raises(InputError, match="whole frame numbers"):
            link(table.assign(frame=table["frame"].astype(float).replace(1.0, wrong)))


def test_search_widens_with_the_gap():
    frames = [0, 1, 2, 3, 4, 5, 14]
    x = [0.0, 2.5, -0.5, 2.0, -1.0, 1.5, 6.5]
    table = pd.DataFrame({"frame": frames, "x_reg_px": x, "y_reg_px": 0.0})
    assert link(table, max_distance_px=4, memory=10).nunique() == 1
    assert link(table, max_distance_px=4, memory=10, cost="distance").nunique() == 2


@pytest.mark.filterwarnings("ignore")
def test_against_trackpy_on_an_easy_dense_case():
    trackpy = pytest.importorskip("trackpy")
    trackpy.quiet()
    table = walk(4, n=400, frames=12, field=300, step=0.8, noise=0.0, missed=0.03)
    theirs = trackpy.link(table.rename(columns={"x_reg_px": "x", "y_reg_px": "y"}), 4, memory=2)["particle"].reindex(table.index)
    plain = link(table, max_distance_px=4, memory=2, cost="distance")
    own = link(table, max_distance_px=4, memory=2)
    same = len(partition(plain) & partition(theirs)) / len(partition(theirs))
    assert same > 0.97
    assert agreement(table, own) >= agreement(table, theirs) - 0.002


def test_dense_data_link_without_an_exception():
    table = walk(5, n=3000, frames=4, field=200, step=1.0)
    ids = link(table, max_distance_px=6, memory=2)
    assert ids.notna().all() and not table.assign(t=ids).duplicated(["frame", "t"]).any()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["likelihood", "distance"]))
def test_order_of_rows_makes_no_difference(seed, cost):
    table = walk(seed % 50, n=40, frames=8, field=60, step=1.5, missed=0.1).assign(major_px=10.0)
    table[["x_reg_px", "y_reg_px"]] = table[["x_reg_px", "y_reg_px"]].round(0)  # ties
    table = table.drop_duplicates(["frame", "x_reg_px", "y_reg_px"])
    shuffled = table.sample(frac=1, random_state=seed)
    plain = link(table, max_distance_px=5, memory=2, cost=cost)
    pd.testing.assert_series_equal(link(shuffled, max_distance_px=5, memory=2, cost=cost).reindex(table.index), plain)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 50), st.floats(0, 2 * np.pi), st.floats(1e-3, 1e3), st.sampled_from([None, 5.0]))
def test_turned_and_rescaled_tracks_are_the_same(seed, angle, scale, limit):
    table = walk(seed, n=60, frames=15, field=150, step=1.0, missed=0.05, false=2)
    x, y = table["x_reg_px"], table["y_reg_px"]
    turned = table.assign(
        x_reg_px=scale * (x * np.cos(angle) - y * np.sin(angle)), y_reg_px=scale * (x * np.sin(angle) + y * np.cos(angle))
    )
    same = link(turned, max_distance_px=limit and limit * scale, memory=3)
    assert partition(link(table, max_distance_px=limit, memory=3)) == partition(same)


def test_the_stream_equals_the_table_and_forgets():
    table = walk(7, n=50, frames=30, missed=0.2, false=5).assign(major_px=12.0)
    first = Linker(memory=3)
    for _, group in table.groupby("frame"):
        first.step(group)
    linker, parts = Linker(memory=3, population=first.population), []
    for _, group in table.groupby("frame"):
        parts.append(pd.Series(linker.step(group), group.index))
        assert linker.alive <= 50 + 5 * 6 + 60
    assert pd.concat(parts).to_numpy().tolist() == link(table, memory=3).to_numpy().tolist()
    assert agreement(table, pd.concat(parts)) > 0.97


def test_nan_positions_have_no_track_and_empty_tables_work():
    table = walk(8, n=3, frames=3)
    table.loc[2, "x_reg_px"] = np.nan
    ids = link(table, max_distance_px=5)
    assert ids.isna().sum() == 1 and pd.isna(ids[2])
    assert len(link(table.iloc[:0], max_distance_px=5)) == 0


def test_wrong_use_is_refused():
    table = walk(9, n=2, frames=2)
    with pytest.raises(UsageError, match="max_distance_px"):
        link(table, max_distance_px=0)
    with pytest.raises(UsageError, match="max_distance_px"):
        link(table, cost="distance")
    with pytest.raises(UsageError, match="learned with memory 3"):
        Linker(memory=5, population=Linker(memory=3).population)
    with pytest.raises(UsageError, match="memory"):
        link(table, max_distance_px=1, memory=-1)
    with pytest.raises(InputError, match="x_reg_px"):
        link(table.drop(columns="x_reg_px"), max_distance_px=1)
    linker = Linker(max_distance_px=3)
    linker.step(table[table["frame"] == 1])
    with pytest.raises(InputError, match="one frame after"):
        linker.step(table[table["frame"] == 0])

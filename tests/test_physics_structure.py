from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull, Voronoi

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, UsageError
from morphoscope.physics.clusters import clusters
from morphoscope.physics.neighbours import bonds, mesh, neighbourhood
from morphoscope.physics.structure import nearest_distances, structure
from morphoscope.schema import STRUCTURE

NONE = Calibration()
SCALE = Calibration(pixel_size_nm=(2.0, 2.0), frame_interval_s=0.5)
FIELD = (0.0, 0.0, 120.0, 80.0)
SIZE = np.array(FIELD[2:])


def table(xy, frame=0):
    return pd.DataFrame({"frame": frame, "x_px": xy[:, 0], "y_px": xy[:, 1]})


def thrown(rng, n=60):
    return rng.uniform(0, 1, (n, 2)) * SIZE


def hexagonal(spacing=8.0):
    i, j = np.meshgrid(np.arange(-30, 31), np.arange(-30, 31))
    xy = np.stack([(i + j / 2).ravel(), (j * math.sqrt(3) / 2).ravel()], axis=1) * spacing + [57.3, 41.7]
    return xy[((xy > 0) & (xy < SIZE)).all(axis=1)]


def slow_bonds(xy):
    """Every triple whose circle holds no other point gives three bonds."""
    found = set()
    for a in range(len(xy)):
        for b in range(a + 1, len(xy)):
            for c in range(b + 1, len(xy)):
                matrix = 2 * np.array([xy[b] - xy[a], xy[c] - xy[a]])
                right = [(xy[b] ** 2 - xy[a] ** 2).sum(), (xy[c] ** 2 - xy[a] ** 2).sum()]
                if abs(np.linalg.det(matrix)) < 1e-9:
                    continue
                away = ((xy - np.linalg.solve(matrix, right)) ** 2).sum(axis=1)
                if (np.delete(away, [a, b, c]) > away[a]).all():
                    found |= {(a, b), (a, c), (b, c)}
    return found


def test_bonds_order_and_cells_against_slow_ones():
    xy = thrown(np.random.default_rng(0), 25)
    truth = slow_bonds(xy)
    found = bonds(table(xy), SCALE, field=FIELD)
    assert set(zip(found["first"], found["second"], strict=True)) == truth
    assert found["length_nm"].to_numpy() == pytest.approx([2 * math.dist(xy[a], xy[b]) for a, b in sorted(truth)])
    each, odd = neighbourhood(table(xy), SCALE, field=FIELD), neighbourhood(table(xy), SCALE, field=FIELD, symmetry=3)
    for k in range(25):
        others = [b if a == k else a for a, b in truth if k in (a, b)]
        angles = [math.atan2(xy[k, 1] - xy[o, 1], xy[o, 0] - xy[k, 0]) for o in others]  # y points down
        psi = sum(complex(math.cos(6 * t), math.sin(6 * t)) for t in angles) / len(others)
        turned = math.degrees(math.atan2(psi.imag, psi.real)) / 6 % 60
        assert (each["psi"][k], each["psi_angle_deg"][k]) == pytest.approx((abs(psi), turned))
        assert odd["psi"][k] == pytest.approx(abs(np.mean(np.exp(3j * np.array(angles)))))
        assert each["n_neighbours"][k] == len(others)
        assert each["nearest_px"][k] == pytest.approx(min(math.dist(xy[k], p) for p in np.delete(xy, k, axis=0)))
        assert each["to_edge_px"][k] == pytest.approx(min(*xy[k], *(SIZE - xy[k])))


def test_cells_and_sides_against_scipy():
    xy = thrown(np.random.default_rng(1), 300)
    net, cells = mesh(xy, SIZE), Voronoi(xy)
    whole = np.flatnonzero(net.complete)
    corners = [cells.vertices[cells.regions[cells.point_region[k]]] for k in whole]
    assert net.area[whole] == pytest.approx([ConvexHull(c).volume for c in corners]) and 150 < len(whole) < 300
    length = {tuple(sorted(p)): v for p, v in zip(cells.ridge_points.tolist(), cells.ridge_vertices, strict=True) if -1 not in v}
    for bond, side in zip(net.bond.tolist(), net.side, strict=True):
        if np.isfinite(side):
            assert side == pytest.approx(np.linalg.norm(np.subtract(*cells.vertices[length[tuple(bond)]])), abs=1e-6)
    weighted = neighbourhood(table(xy), NONE, field=FIELD, weights="side")["psi"]
    k = whole[5]
    mine = [(b, s) for b, s in zip(net.bond, net.side, strict=True) if k in b]
    ways = [np.subtract(*xy[b if b[0] == k else b[::-1]]) for b, _ in mine]
    parts = [s * np.exp(6j * np.arctan2(w[1], w[0])) for (_, s), w in zip(mine, ways, strict=True)]
    assert weighted[k] == pytest.approx(abs(sum(parts)) / sum(s for _, s in mine))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(20, 200))
def test_what_is_complete_does_not_depend_on_what_lies_outside(seed, n):
    rng = np.random.default_rng(seed)
    inside = thrown(rng, n)
    outside = rng.uniform(-1, 2, (rng.integers(1, 400), 2)) * SIZE
    outside = outside[((outside < 0) | (outside > SIZE)).any(axis=1)]
    net, more = mesh(inside, SIZE), mesh(np.concatenate([inside, outside]), SIZE)
    whole = np.flatnonzero(net.complete)
    assert more.area[whole] == pytest.approx(net.area[whole])
    all_bonds = set(map(tuple, more.bond.tolist()))
    assert set(map(tuple, net.bond[net.sure].tolist())) <= all_bonds
    for k in whole:
        assert {b for b in map(tuple, net.bond.tolist()) if k in b} == {b for b in all_bonds if k in b}


def test_a_hexagonal_lattice():
    xy = hexagonal()
    each = neighbourhood(table(xy), SCALE, field=FIELD)
    whole = each[each["complete"]]
    assert len(whole) > 80 and (whole["n_neighbours"] == 6).all() and whole["psi"].to_numpy() == pytest.approx(1)
    assert (np.minimum(whole["psi_angle_deg"], 60 - whole["psi_angle_deg"]) < 1e-6).all()
    assert whole["cell_area_px"].to_numpy() == pytest.approx(64 * math.sqrt(3) / 2)
    assert whole["cell_area_nm2"].to_numpy() == pytest.approx(4 * whole["cell_area_px"])
    assert each["nearest_nm"].to_numpy() == pytest.approx(16) and each.loc[~each["complete"], "cell_area_px"].isna().all()
    turn = math.radians(17)  # clockwise as seen, as y points down
    spun = (xy - SIZE / 2) @ [[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]] + SIZE / 2
    spun = neighbourhood(table(spun), NONE, field=FIELD)
    assert spun.loc[spun["complete"], "psi_angle_deg"].to_numpy() == pytest.approx(43, abs=1e-6)
    row = structure(table(xy), SCALE, field=FIELD, cluster_distance_nm=17).iloc[0]
    assert (row["psi6_mean"], row["psi6_global"], row["six_neighbours"]) == pytest.approx((1, 1, 1))
    assert row["nearest_median_nm"] == pytest.approx(16) and row["cell_area_cv"] == pytest.approx(0, abs=1e-9)
    assert row["clark_evans"] == pytest.approx(8 / (0.5 * math.sqrt(9600 / len(xy))))
    assert row["cluster_largest"] == len(xy) and row["n_clusters"] == 1 and row["n_single"] == 0


def test_a_square_lattice_has_fourfold_order_by_sides():
    i, j = np.meshgrid(np.arange(15), np.arange(10))
    xy = np.stack([i.ravel() * 8 + 4.0, j.ravel() * 8 + 4.0], axis=1)
    four = neighbourhood(table(xy), NONE, field=FIELD, symmetry=4, weights="side")
    six = neighbourhood(table(xy), NONE, field=FIELD, weights="side")
    assert four.loc[four["complete"], "psi"].to_numpy() == pytest.approx(1) and four["complete"].sum() >= 13 * 8
    assert six.loc[six["complete"], "psi"].to_numpy() == pytest.approx(0, abs=1e-9)
    assert four.loc[four["complete"], "cell_area_px"].to_numpy() == pytest.approx(64)


def test_clusters_against_growing_them_one_by_one():
    xy = thrown(np.random.default_rng(2), 120)
    found = clusters(table(xy), SCALE, field=FIELD, distance_nm=11)
    label = {}
    for k in range(120):
        if k in label:
            continue
        number, front = len(set(label.values())), [k]
        while front:
            at = front.pop()
            label[at] = number
            front += [o for o in range(120) if o not in label and math.dist(xy[at], xy[o]) <= 5.5]
    assert found["cluster_id"].tolist() == [label[k] for k in range(120)] and 20 < len(set(label.values())) < 100
    members = pd.Series(label).value_counts()
    assert found["cluster_size"].tolist() == [members[label[k]] for k in range(120)]
    near = {label[k] for k in range(120) if min(*xy[k], *(SIZE - xy[k])) < 5.5}
    assert found["cluster_on_edge"].tolist() == [label[k] in near for k in range(120)]
    row = structure(table(xy), NONE, field=FIELD, cluster_distance_px=5.5).iloc[0]
    assert (
        row["n_clusters"] == len(members) and row["cluster_largest"] == members.max() and row["n_single"] == (members == 1).sum()
    )
    assert row["cluster_mean"] == pytest.approx(members.mean())
    assert row["cluster_weighted"] == pytest.approx(found["cluster_size"].mean())


def test_nearest_distances_have_no_edge_bias():
    rng = np.random.default_rng(3)
    objects = pd.concat([table(thrown(rng, 20), f) for f in range(400)])
    found = nearest_distances(objects, SCALE, field=FIELD)
    truth = np.exp(-20 / 9600 * np.pi * found["distance_px"] ** 2)
    middle = (truth > 0.1) & (truth < 0.9)
    assert found["farther"][middle].to_numpy() == pytest.approx(truth[middle], abs=0.02)
    plain = neighbourhood(objects.reset_index(drop=True), NONE, field=FIELD)["nearest_px"]
    assert plain.mean() / (0.5 * math.sqrt(9600 / 20)) > 1.08  # what the correction is for
    assert structure(objects, NONE, field=FIELD)["clark_evans"].mean() == pytest.approx(1, abs=0.03)
    assert found["distance_nm"].to_numpy() == pytest.approx(2 * found["distance_px"])


def test_means_over_complete_cells_are_weighted_so_that_large_ones_are_not_missed():
    rng = np.random.default_rng(6)
    parts = [neighbourhood(table(thrown(rng, 100)), NONE, field=FIELD) for _ in range(150)]
    ratio = [
        [np.average(p["cell_area_px"][p["complete"]], weights=w[p["complete"]]) / 96 for w in (p["weight"], p["complete"])]
        for p in parts
    ]
    weighted, plain = np.mean(ratio, axis=0)
    assert weighted == pytest.approx(1, abs=0.02) and plain < 0.95
    whole = parts[0][parts[0]["complete"]]
    assert (whole["weight"] > 1).all() and (parts[0]["weight"][~parts[0]["complete"]] == 0).all()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), turn=st.booleans(), mirror=st.booleans(), factor=st.sampled_from([0.5, 1.0, 3.0]))
def test_turning_mirroring_shuffling_and_rescaling_change_only_what_they_should(seed, turn, mirror, factor):
    rng = np.random.default_rng(seed)
    xy = thrown(rng, 50)
    new, size, order = xy.copy(), SIZE, rng.permutation(50)
    if mirror:
        new[:, 0] = size[0] - new[:, 0]
    if turn:
        new, size = np.stack([size[1] - new[:, 1], new[:, 0]], axis=1), size[::-1]
    shuffled, field = table(new * factor).iloc[order], (0, 0, *(size * factor))
    one = neighbourhood(table(xy), NONE, field=FIELD)
    two = neighbourhood(shuffled, NONE, field=field).sort_index()
    assert two["psi"].to_numpy() == pytest.approx(one["psi"]) and (two["complete"] == one["complete"]).all()
    assert (two["n_neighbours"] == one["n_neighbours"]).all()
    assert two["nearest_px"].to_numpy() == pytest.approx(one["nearest_px"] * factor)
    assert two["cell_area_px"].to_numpy() == pytest.approx(one["cell_area_px"] * factor**2, nan_ok=True)
    angle = np.exp(6j * np.deg2rad(two["psi_angle_deg"]))
    expected = np.exp((-6j if mirror else 6j) * np.deg2rad(one["psi_angle_deg"])) * (-1 if turn else 1)
    assert angle.to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-6)
    first = structure(table(xy), NONE, field=FIELD, cluster_distance_px=6).iloc[0]
    second = structure(shuffled, NONE, field=field, cluster_distance_px=6 * factor).iloc[0]
    same = [c for c in STRUCTURE if c.startswith(("psi6", "six", "n_", "cluster", "clark", "cell_area_cv"))]
    assert second[same].astype(float).to_numpy() == pytest.approx(first[same].astype(float).to_numpy(), nan_ok=True)


def test_unequal_pixels_are_measured_in_nm():
    nm = hexagonal()
    flat = Calibration(pixel_size_nm=(4.0, 1.0))  # y, x
    each = neighbourhood(table(nm / [1, 4]), flat, field=(0, 0, 120, 20))
    true = neighbourhood(table(nm), Calibration(pixel_size_nm=(1.0, 1.0)), field=FIELD)
    for name in ("psi", "nearest_nm", "to_edge_nm", "cell_area_nm2"):
        assert each[name].to_numpy() == pytest.approx(true[name].to_numpy(), nan_ok=True)
    assert each["cell_area_px"].max() == pytest.approx(16 * math.sqrt(3) / 2) and each["nearest_px"].iloc[0] == pytest.approx(4)


def test_few_on_a_line_twice_outside_and_none():
    few = [
        [],
        [[5, 5]],
        [[5, 5], [9, 8]],
        [[5, 5], [6, 6], [7, 7]],
        [[5, 5], [5, 5], [5, 5]],
        [[5, 5], [5, 5], [9, 5], [5, 9], [9, 9]],
    ]
    for xy in few:
        objects = table(np.array(xy, dtype=float).reshape(-1, 2))
        each = neighbourhood(objects, SCALE, field=FIELD)
        made = structure(objects, SCALE, field=FIELD, cluster_distance_px=3)
        assert len(each) == len(xy) and len(made) == bool(xy) and not each["complete"].any()
        assert list(made.columns) == list(STRUCTURE) and made["psi6_mean"].isna().all()
        assert set(bonds(objects, NONE, field=FIELD).columns) == {
            "frame",
            "first",
            "second",
            "length_px",
            "length_nm",
            "complete",
        }
        assert len(nearest_distances(objects, NONE, field=FIELD)) <= 2
    rng = np.random.default_rng(4)
    objects = table(thrown(rng), rng.integers(0, 3, 60)).set_index(np.arange(100, 160))
    objects.loc[[103, 110], "x_px"] = [-5.0, math.nan]
    each = neighbourhood(objects, NONE, field=FIELD).join(clusters(objects, NONE, field=FIELD, distance_px=9))
    gone = each.loc[[103, 110]]
    assert gone.drop(columns=["complete", "cluster_on_edge"]).isna().all(axis=None) and not gone["complete"].any()
    kept = objects.drop(index=[103, 110])
    pd.testing.assert_frame_equal(each.drop(index=[103, 110])[["psi"]], neighbourhood(kept, NONE, field=FIELD)[["psi"]])
    made = structure(objects, SCALE, field=FIELD)
    assert made["frame"].tolist() == [0, 1, 2] and made["time_s"].tolist() == [0, 0.5, 1] and made["count"].sum() == 58
    assert made["cluster_largest"].isna().all()
    for wrong in ({}, {"distance_px": 1, "distance_nm": 1}, {"distance_px": 0}, {"distance_nm": 3}):
        with pytest.raises(UsageError, match="distance"):
            clusters(objects, NONE, field=FIELD, **wrong)
    for wrong in ({"symmetry": 0}, {"weights": "none"}):
        with pytest.raises(UsageError):
            neighbourhood(objects, NONE, field=FIELD, **wrong)
    with pytest.raises(InputError, match="x_px"):
        structure(objects.drop(columns="x_px"), NONE, field=FIELD)

"""Counts, ROC, thresholds and the bootstrap against pairs counted one by one, and tables of what was judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.measure.classification import (
    auc,
    auc_of_weights,
    best_threshold,
    bootstrap,
    confusion,
    counts,
    half_width,
    rates,
    roc_curve,
    share_interval,
    shared_half_width,
)
from morphoscope.measure.judged import ALL, Judged, class_table, confusion_table, extent_table, headline, pooled, roc_table
from morphoscope.measure.patches import patch_targets

PAIRS = st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=30)


@given(PAIRS)
@settings(deadline=None, max_examples=60)
def test_the_area_is_the_share_of_pairs_in_the_right_order(pairs: list[tuple[bool, int]]) -> None:
    truth, score = np.array([t for t, _ in pairs]), np.array([s for _, s in pairs], float)
    up, down = score[truth], score[~truth]
    if not len(up) or not len(down):
        assert np.isnan(auc(truth, score))
        return
    order = np.sign(up[:, None] - down[None])
    assert auc(truth, score) == pytest.approx((order + 1).mean() / 2)
    false, true, threshold = roc_curve(truth, score)
    for f, t, limit in zip(false, true, threshold, strict=True):
        assert (f, t) == (pytest.approx((down >= limit).mean()), pytest.approx((up >= limit).mean()))
    share = (score + 1) / 7
    best = best_threshold(truth, share)

    def f1(limit: float) -> float:
        return float(rates(counts(truth[:, None], (share >= limit)[:, None]))["f1"][0])

    assert f1(best) == pytest.approx(max(f1(limit) for limit in np.unique(share)))


def test_weights_count_as_often_as_things_do() -> None:
    rng = np.random.default_rng(0)
    truth, score, weight = rng.random(40) < 0.4, rng.integers(0, 9, 40).astype(float), rng.integers(0, 4, 40)
    again = np.repeat(np.arange(40), weight)
    assert auc_of_weights(truth, score)(weight.astype(float)) == pytest.approx(auc(truth[again], score[again]))
    both = truth[:, None], (score > 4)[:, None]
    np.testing.assert_allclose(counts(*both, weight), counts(*(x[again] for x in both)))


def test_counts_and_rates_of_a_case_done_by_hand() -> None:
    truth = np.array([[1], [1], [1], [0], [0]], bool)
    found = np.array([[1], [1], [0], [1], [0]], bool)
    cells = counts(truth, found)
    assert cells[:, 0].tolist() == [2, 1, 1, 1]
    assert {k: round(float(v[0]), 4) for k, v in rates(cells).items()} == {
        "accuracy": 0.6,
        "precision": 0.6667,
        "recall": 0.6667,
        "f1": 0.6667,
    }
    assert np.isnan(rates(np.zeros(4))["precision"])
    np.testing.assert_array_equal(confusion(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), 3), [[1, 1, 0], [0, 1, 0], [1, 0, 0]])


def test_the_bootstrap_of_a_mean_has_its_known_width_and_knows_of_groups() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, 400)

    def mean(weights: np.ndarray) -> float:
        return float(weights @ values / weights.sum())

    low, high = bootstrap(mean, np.arange(400))
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
    values = np.repeat(rng.normal(0, 1, 40), 10)
    alone, together = (np.ptp(bootstrap(mean, groups)) for groups in (np.arange(400), np.arange(400) // 10))
    assert together / alone == pytest.approx(np.sqrt(10), rel=0.25)
    assert np.isnan(bootstrap(mean, np.zeros(400, int))).all()


def test_an_interval_of_errors_holds_the_next_one_in_95_of_100() -> None:
    errors = np.random.default_rng(2).normal(0, 1, (4000, 41))
    inside = np.mean([abs(row[-1]) <= half_width(row[:-1]) for row in errors])
    assert 0.94 < inside < 0.97
    assert half_width([0.1, -0.4]) == 0.4


def test_what_errors_of_a_group_share_is_told_from_their_scatter() -> None:
    rng = np.random.default_rng(3)
    groups = np.repeat(np.arange(2000), 3)
    shared, own = rng.normal(0, 0.1, 2000), rng.normal(0, 0.2, 6000)
    assert shared_half_width(shared[groups] + own, groups) == pytest.approx(0.196, rel=0.1)
    assert shared_half_width(shared[groups] + 0.3, groups) == pytest.approx(0.3 + 0.1645, rel=0.05)
    assert shared_half_width(own, groups) < 0.08
    assert np.isnan(shared_half_width(own[:54], groups[:54]))  # 18 groups
    assert np.isnan(shared_half_width(own, np.arange(6000)))


def _judged(answer: str, truth: np.ndarray, score: np.ndarray, **more: object) -> Judged:
    n, k = truth.shape
    names = tuple("abcdef"[:k])
    given = {"files": tuple(map(str, range(n))), "image": np.arange(n), "group": np.arange(n), **more}
    return Judged(names, answer, (0.5,) * k, truth=truth, score=score, true_extent=truth, extent=score, **given)  # type: ignore[arg-type]


def test_tables_of_exclusive_classes() -> None:
    truth = np.eye(3)[[0, 0, 1, 1, 2, 2]]
    score = np.array([[0.8, 0.1, 0.1], [0.4, 0.5, 0.1], [0.1, 0.9, 0], [0.2, 0.7, 0.1], [0.1, 0.2, 0.7], [0.5, 0.1, 0.4]])
    judged = _judged("exclusive", truth, score)
    table = class_table(judged).set_index("class")
    assert table.loc[["a", "b", "c", ALL], ["tp", "fp", "tn", "fn"]].to_numpy().tolist() == [
        [1, 1, 3, 1],
        [2, 1, 3, 0],
        [1, 0, 4, 1],
        [4, 2, 10, 2],
    ]
    assert table.loc[ALL, "accuracy"] == pytest.approx(4 / 6)
    assert table.loc[ALL, "precision"] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert table.loc["b", "auc"] == 1 and table.loc["c", "auc"] == 1 and table.loc["a", "auc"] == pytest.approx(7 / 8)
    assert (table["accuracy_low"] <= table["accuracy"]).all() and (table["accuracy"] <= table["accuracy_high"]).all()
    assert confusion_table(judged)[["a", "b", "c"]].to_numpy().tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 1]]
    curve = roc_table(judged)
    assert set(curve["class"]) == {"a", "b", "c", ALL}
    assert headline(judged, table.reset_index(), extent_table(judged).iloc[:0])["tp"] == 4


def test_tables_of_overlapping_classes_and_of_levels() -> None:
    truth, score = np.array([[1, 0], [0.7, 0], [0, 1], [0, 0.2]]), np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.1, 0.3]])
    judged = _judged("multi-label", truth, score)
    table = class_table(judged).set_index("class")
    assert table.loc[ALL, ["tp", "fp", "tn", "fn"]].tolist() == [2, 1, 4, 1]
    assert confusion_table(judged).to_numpy().tolist() == [["a", 1, 1], ["no a", 0, 2], ["b", 1, 0], ["no b", 1, 2]]
    extents = extent_table(judged).set_index("class")
    assert extents.loc["a", "bias"] == pytest.approx(-0.025) and extents.loc["a", "mae"] == pytest.approx(0.175)
    levels = _judged("ordinal", np.array([[0.3], [1.0], [0.0]]), np.array([[0.34], [0.88], [0.26]]))
    numbers = headline(levels, class_table(levels), extent_table(levels))
    assert (numbers["level_right"], numbers["level_within_1"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert numbers["level_error"] == pytest.approx((0.4 + 1.2 + 2.6) / 3)
    assert confusion_table(levels).set_index("true").loc["3", "3"] == 1
    half = _judged("ordinal", np.array([[0.35], [0.35], [0.35]]), np.array([[0.31], [0.39], [0.41]]))
    assert headline(half, class_table(half), extent_table(half))["level_right"] == pytest.approx(2 / 3)
    both = pooled([judged, judged])
    assert len(both.files) == 8 and both.group.max() == 7 and class_table(both).set_index("class").loc[ALL, "tp"] == 4


def test_patches_are_taught_what_is_marked_in_them() -> None:
    masks = np.zeros((2, 40, 60), bool)
    masks[0, :20, :30], masks[1, 25, 33] = True, True
    x, y = [9.5, 29.5, 33.0], [9.5, 19.5, 25.0]
    np.testing.assert_allclose(patch_targets(masks, x, y, 20), [[1, 0], [0.25, 1 / 400], [24 / 400, 1 / 400]], atol=1e-6)
    assert patch_targets(masks, x, y, 20, "any").tolist() == [[1, 0], [1, 1], [1, 1]]
    assert patch_targets(masks, x, y, 20, "centre").tolist()[2] == [0, 1]
    assert patch_targets(masks, [0.0], [0.0], 10)[0, 0] == 1


@given(st.integers(0, 1000), st.floats(4, 30), st.floats(0, 59), st.floats(0, 39))
@settings(deadline=None, max_examples=40)
def test_the_share_of_a_patch_is_that_of_its_pixels(seed: int, side: float, x: float, y: float) -> None:
    masks = np.random.default_rng(seed).random((1, 40, 60)) < 0.3
    rows, columns = (np.arange(n) for n in (40, 60))
    in_y = (rows >= np.rint(y + 0.5 - side / 2)) & (rows < np.rint(y + 0.5 + side / 2))
    in_x = (columns >= np.rint(x + 0.5 - side / 2)) & (columns < np.rint(x + 0.5 + side / 2))
    inside = masks[0][np.ix_(in_y, in_x)]
    assert patch_targets(masks, [x], [y], side)[0, 0] == pytest.approx(inside.mean(), abs=1e-6)
    assert patch_targets(masks, [x], [y], side, "any")[0, 0] == float(inside.any())


def test_a_class_is_present_in_a_patch_of_which_it_covers_a_hundredth() -> None:
    truth = np.array([[0.0], [0.02], [0.2], [0.05], [0.0]])
    judged = _judged("multi-label", truth, truth, present_from=0.01)
    limit = best_threshold(judged.positive[:, 0], truth[:, 0])
    table = class_table(replace(judged, thresholds=(limit,))).set_index("class")
    assert 0 < limit <= 0.02 and table.loc["a", ["tp", "fp", "tn", "fn"]].tolist() == [3, 0, 2, 0]
    assert table.loc["a", ["f1", "auc"]].tolist() == [1, 1]
    numbers = headline(judged, table.reset_index(), extent_table(judged))
    assert numbers["present_from"] == 0.01


def test_models_together_decide_each_with_its_own_threshold() -> None:
    truth, score = np.array([[1.0], [0.0]]), np.array([[0.9], [0.7]])
    strict = replace(_judged("multi-label", truth, score), thresholds=(0.8,))
    lax = replace(_judged("multi-label", truth, score - 0.6), thresholds=(0.2,))
    both = pooled([strict, lax])
    assert both.thresholds == (0.5,)
    assert class_table(both).set_index("class").loc["a", ["tp", "fp", "tn", "fn"]].tolist() == [2, 0, 2, 0]


def test_all_right_of_a_few_is_not_certain() -> None:
    truth = np.eye(2)[[0, 1, 1, 0, 1, 0, 1, 0, 1]]
    row = class_table(_judged("exclusive", truth, truth)).set_index("class").loc[ALL]
    assert row["accuracy"] == row["accuracy_high"] == row["f1"] == row["f1_high"] == 1 and row["f1_low"] == row["accuracy_low"]
    assert row["accuracy_low"] == pytest.approx(9 / (9 + 1.959964**2))  # Wilson's bound of n of n: n / (n + z^2)
    low, high = share_interval(0.3, 50)
    for bound in (low, high):  # where the share lies 1.96 of the bound's own standard errors away
        assert abs(0.3 - bound) == pytest.approx(1.959964 * np.sqrt(bound * (1 - bound) / 50))
    assert all(share_interval(1.0, n)[1] == 1 and share_interval(0.0, n)[0] == 0 for n in range(1, 60))


def test_an_interval_of_errors_in_groups_holds_the_next_group_and_counts_groups() -> None:
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(39), 5)
    inside = []
    for _ in range(600):
        shared = rng.normal(0, 1, 40)
        width = half_width(shared[groups] + rng.normal(0, 0.3, len(groups)), groups)
        inside.append(abs(shared[-1] + rng.normal(0, 0.3)) <= width)
    assert 0.93 < np.mean(inside) < 0.99
    errors = np.arange(1.0, 41.0)
    assert half_width(errors) == half_width(errors, np.arange(40)) == 39
    assert half_width(errors, np.repeat(np.arange(4), 10)) == 40  # four groups are too few
    judged = _judged("multi-label", np.zeros((40, 1)), errors[:, None] / 40, group=np.repeat(np.arange(4), 10))
    assert extent_table(judged)["half95"].tolist() == [1, 1]

"""Calibration, prediction sets and acceptance: cases done by hand, and promises kept in simulated worlds whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from scipy.stats import binom, binomtest

from morphoscope.errors import InputError, UsageError
from morphoscope.measure.classification import group_quantile
from morphoscope.measure.honest import (
    HeldOut,
    accept_threshold,
    best_temperature,
    calibrated_error,
    calibration_interval,
    expected_calibration_error,
    lower_bound,
    prediction_sets,
    reliability,
    set_limit,
    sets_from,
)


def images(
    rng: np.random.Generator, groups: int, *, each: int = 1, alike: float = 0.0, spread: float = 1.5
) -> tuple[np.ndarray, ...]:
    """Probabilities (n, 4) that are true of their images, the true classes, and the groups; `alike`: what a group shares."""
    group = np.repeat(np.arange(groups), each)
    shared, own = rng.normal(0, spread, (groups, 4))[group], rng.normal(0, spread, (len(group), 4))
    p = softmax(np.sqrt(alike) * shared + np.sqrt(1 - alike) * own, axis=1)
    draw = np.where(rng.random(len(group)) < alike, rng.random(groups)[group], rng.random(len(group)))
    return p, np.minimum((p.cumsum(axis=1) < draw[:, None]).sum(axis=1), 3), group


def test_held_out_answers_are_checked_and_groups_count_as_one() -> None:
    held = HeldOut.of([[0.7, 0.3], [0.5, 0.5], [0.2, 0.8]], [0, 1, 1], ["b", "a", "a"])
    assert held.truth_probability.tolist() == [0.7, 0.5, 0.8] and held.right.tolist() == [True, False, True]
    assert held.groups == 2 and held.weight.tolist() == [1, 0.5, 0.5] and len(held) == 3
    lists = HeldOut([0.7], [0.7], [True], [12])  # type: ignore[arg-type]  # as a model card has them
    assert lists.groups == 1 and lists.top.dtype == float
    with pytest.raises(InputError, match="one entry per image"):
        HeldOut(np.ones(2), np.ones(3), np.ones(2, bool), np.arange(2))
    with pytest.raises(InputError, match="at least one"):
        HeldOut(np.ones(0), np.ones(0), np.ones(0, bool), np.arange(0))
    with pytest.raises(InputError, match="0 to 1"):
        HeldOut(np.array([1.2]), np.ones(1), np.ones(1, bool), np.arange(1))


def test_calibration_error_of_a_case_done_by_hand() -> None:
    top, right = [0.95, 0.95, 0.95, 0.95, 0.6, 0.6], [1, 1, 1, 0, 0, 1]
    assert expected_calibration_error(top, right, bins=10) == pytest.approx(4 / 6 * 0.2 + 2 / 6 * 0.1)
    assert expected_calibration_error([1.0, 0.0], [1, 0]) == 0
    table = reliability(top, right, bins=10)
    assert table["n"].tolist() == [2, 4] and table["accuracy"].tolist() == [0.5, 0.75]
    assert table["low"].tolist() == [0.5, 0.9] and (table["accuracy_low"] < table["accuracy"]).all()


@given(st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1, max_size=40))
@settings(deadline=None, max_examples=60)
def test_calibration_error_against_bins_counted_one_by_one(pairs: list[tuple[int, bool]]) -> None:
    top, right = np.array([t / 60 for t, _ in pairs]), np.array([r for _, r in pairs])
    slow = 0.0
    for k in range(15):
        inside = [i for i, (t, _) in enumerate(pairs) if 4 * k < t <= 4 * (k + 1)]
        slow += abs(sum(float(right[i]) - float(top[i]) for i in inside)) / len(pairs)
    assert expected_calibration_error(top, right) == pytest.approx(slow, abs=1e-12)
    table = reliability(top, right)
    assert (table["n"] @ (table["accuracy"] - table["confidence"]).abs()) / len(pairs) == pytest.approx(slow, abs=1e-12)


def test_the_error_of_true_probabilities_is_what_chance_makes_it() -> None:
    rng = np.random.default_rng(0)
    top = rng.uniform(0.4, 1, 300)
    mean, most = calibrated_error(top)
    found = [expected_calibration_error(top, rng.random(300) < top) for _ in range(200)]
    assert np.mean(found) == pytest.approx(mean, rel=0.05)
    assert np.mean(np.array(found) <= most) == pytest.approx(0.95, abs=0.04)
    right = rng.random(300) < top**2
    low, high = calibration_interval(top, right, np.arange(300), draws=300)
    assert low < expected_calibration_error(top, right) < high and low > most  # told from chance
    wide = calibration_interval(np.repeat(top, 4), np.repeat(right, 4), np.repeat(np.arange(300), 4), draws=300)
    assert np.ptp(wide) == pytest.approx(high - low, rel=0.15)  # copies add nothing
    assert np.isnan(calibration_interval(top, right, np.zeros(300))).all()


def test_the_temperature_is_found_again_and_stays_finite() -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, (3000, 5))
    truth = np.array([rng.choice(5, p=p) for p in softmax(logits, axis=1)])
    assert best_temperature(3 * logits, truth) == pytest.approx(3, rel=0.07)
    weights = np.repeat([1, 7], 1500)
    again = np.repeat(np.arange(3000), weights)
    assert best_temperature(logits[again], truth[again], again) == pytest.approx(best_temperature(logits, truth), rel=1e-3)
    sure = np.eye(3)[np.arange(60) % 3] * 8
    t = best_temperature(sure, np.arange(60) % 3)
    assert softmax(sure / t, axis=1).max() == pytest.approx((60 + 1 / 3) / 61, abs=1e-3)  # not certainty
    with pytest.raises(InputError, match="labelled images"):
        best_temperature(logits, truth[:5])


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=40), st.sampled_from([0.5, 0.8, 0.9]))
@settings(deadline=None, max_examples=80)
def test_the_quantile_of_groups_against_its_definition(pairs: list[tuple[int, int]], level: float) -> None:
    values, groups = np.array([v for v, _ in pairs], float), np.array([g for _, g in pairs])
    names = sorted(set(groups.tolist()))

    def below(v: float) -> float:
        return sum(float((values[groups == g] <= v).mean()) for g in names)

    kept = [v for v in sorted(values) if below(v) >= level * (len(names) + 1) - 1e-9]
    assert group_quantile(values, groups, level) == (kept[0] if kept else np.inf)


def test_sets_of_cases_done_by_hand() -> None:
    held = HeldOut(np.arange(1, 20) / 20, np.ones(19), np.ones(19, bool), np.arange(19))
    assert set_limit(held, coverage=0.9) == pytest.approx(2 / 20)  # 18 of 19 reach it: 0.9 x 20
    p = np.array([[0.8, 0.15, 0.05], [0.06, 0.06, 0.88], [0.09, 0.09, 0.09]])
    assert prediction_sets(p, held, coverage=0.9).tolist() == [[True, True, False], [False, False, True], [True, True, True]]
    few = HeldOut(np.ones(18), np.ones(18), np.ones(18, bool), np.arange(18))
    assert prediction_sets(p, few, coverage=0.95).all()  # 19 groups are needed
    assert prediction_sets(p, held, coverage=0.95)[0].tolist() == [True, True, True]
    with pytest.raises(UsageError, match="coverage"):
        prediction_sets(p, held, coverage=1)


@given(st.integers(0, 10_000), st.floats(0, 1))
@settings(deadline=None, max_examples=40)
def test_sets_are_never_empty_and_turn_with_the_classes(seed: int, limit: float) -> None:
    rng = np.random.default_rng(seed)
    p = np.round(rng.dirichlet(np.ones(4), 6), 1)
    sets, order = sets_from(p, limit), rng.permutation(4)
    assert sets[np.arange(6), p.argmax(axis=1)].all()
    np.testing.assert_array_equal(sets_from(p[:, order], limit), sets[:, order])
    assert (sets_from(p, limit + 0.1) <= sets).all()
    for row, chosen in zip(p, sets, strict=True):
        assert not chosen.all() or limit <= row.min() or np.ptp(row) == 0
        assert row[chosen].min() >= row[~chosen].max(initial=-1)


@pytest.mark.parametrize(("groups", "each", "alike"), [(40, 1, 0.0), (20, 5, 0.9), (48, 5, 0.5)])
@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_sets_cover_what_they_promise(groups: int, each: int, alike: float, coverage: float) -> None:
    rng, covered = np.random.default_rng(2), []
    for _ in range(500):
        p, truth, group = images(rng, groups + 4, each=each, alike=alike)
        p = softmax(2.5 * np.log(p), axis=1)  # overconfident: the promise does not need calibration
        known = group < groups
        sets = prediction_sets(p[~known], HeldOut.of(p[known], truth[known], group[known]), coverage=coverage)
        covered.append(sets[np.arange(4 * each), truth[~known]].mean())
    error = np.std(covered) / np.sqrt(len(covered))
    assert coverage - 2.5 * error < np.mean(covered) < coverage + 1 / (groups + 1) + 0.03 + 2.5 * error


def test_copies_taken_for_images_of_their_own_would_break_the_promise() -> None:
    """Groups matter: where one group in five has most of the images, images as draws promise what they do not keep."""
    rng, by_group, by_image = np.random.default_rng(3), [], []
    for _ in range(400):
        hard = rng.random(25) < 0.2
        size = np.where(hard, 1, 20)
        group = np.repeat(np.arange(25), size)
        truth_probability = np.where(hard[group], rng.uniform(0, 0.3, len(group)), rng.uniform(0.6, 1, len(group)))
        new = rng.uniform(0, 0.3) if rng.random() < 0.2 else rng.uniform(0.6, 1)
        for found, names in ((by_group, group), (by_image, np.arange(len(group)))):
            held = HeldOut(truth_probability, np.ones(len(group)), np.ones(len(group), bool), names)
            found.append(new >= set_limit(held, coverage=0.9))
    assert np.mean(by_group) > 0.88 and np.mean(by_image) < 0.86


def test_the_lower_bound_is_that_of_the_exact_binomial() -> None:
    for wrong, n in ((0, 10), (3, 50), (50, 50)):
        exact = binomtest(n - wrong, n, alternative="greater").proportion_ci(0.95).low
        assert lower_bound(n, wrong, 0.05) == pytest.approx(exact)
    assert lower_bound(20, 0.5, 0.05) < lower_bound(20, 0, 0.05)


def test_acceptance_of_cases_done_by_hand() -> None:
    def held(n: int, wrong: list[int]) -> HeldOut:
        top = np.linspace(1, 0.5, n)
        return HeldOut(top, top, ~np.isin(np.arange(n), wrong), np.arange(n))

    every = accept_threshold(held(300, []), accuracy=0.99)
    assert every.possible and every.share == 1 and every.threshold == 0.5 and every.needed == 299
    assert every.low == pytest.approx(0.05 ** (1 / 300)) and "accepted from a probability of 0.5 on" in every.sentence
    none = accept_threshold(held(298, []), accuracy=0.99)
    assert not none.possible and none.share == 0 and np.isnan(none.low) and none.threshold == np.inf
    assert "there are 298" in none.sentence and 0.98 < none.promised < 0.99
    assert accept_threshold(held(298, []), accuracy=none.promised).share == 1
    bad_end = accept_threshold(held(1000, list(range(800, 1000))), accuracy=0.98)
    assert bad_end.possible and 0.75 < bad_end.share < 0.83 and bad_end.accuracy > 0.98
    first_wrong = accept_threshold(held(2000, [0, 3]), accuracy=0.99)  # the series begins anew
    assert first_wrong.share == 1 and first_wrong.accuracy == 0.999
    assert "99.9 % are right" in first_wrong.sentence
    late = accept_threshold(held(30_000, [29_999]), accuracy=0.99)
    assert "99.99 % are right" in late.sentence and "accepted from a probability of 0.5 on: 100 %" in late.sentence
    hopeless = accept_threshold(held(400, list(range(0, 400, 2))), accuracy=0.95)
    assert not hopeless.possible and "too many answers" in hopeless.sentence and 0.2 < hopeless.promised < 0.5
    for wrong_use in ({"accuracy": 1.0}, {"accuracy": 0.9, "confidence": 0.0}):
        with pytest.raises(UsageError, match="no model can promise 1"):
            accept_threshold(held(10, []), **wrong_use)


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans(), st.integers(0, 9)), min_size=1, max_size=60), st.floats(0.3, 0.99))
@settings(deadline=None, max_examples=80)
def test_what_is_promised_can_be_had_and_more_is_not_accepted_than_that(rows: list[tuple[int, bool, int]], target: float) -> None:
    top = np.array([t / 30 for t, _, _ in rows])
    held = HeldOut(top, top, np.array([ok for _, ok, _ in rows]), np.array([g for _, _, g in rows]))
    found = accept_threshold(held, accuracy=target)
    if found.promised > 0:
        assert accept_threshold(held, accuracy=found.promised).possible
    if found.possible:
        assert found.low >= target - 1e-6 and found.share == pytest.approx(
            held.weight[top >= found.threshold].sum() / held.groups
        )
        assert found.accuracy >= found.low
        order = np.random.default_rng(0).permutation(len(top))
        again = accept_threshold(HeldOut(top[order], top[order], held.right[order], held.group[order]), accuracy=target)
        assert again.threshold == found.threshold


def test_equal_probabilities_are_accepted_together() -> None:
    right = np.arange(1000) >= 3
    held = HeldOut(np.ones(1000), np.repeat([1.0, 0.7], [600, 400]), right, np.arange(1000))
    found = accept_threshold(held, accuracy=0.98)
    order = np.random.default_rng(0).permutation(1000)
    again = accept_threshold(HeldOut(held.top[order], held.top[order], right[order], order), accuracy=0.98)
    assert (found.threshold, found.share) == (again.threshold, again.share) == (0.7, 1.0)


def test_copies_do_not_buy_a_promise() -> None:
    p, truth, _ = images(np.random.default_rng(4), 200, spread=8)
    once = accept_threshold(HeldOut.of(p, truth), accuracy=0.9)
    many = np.repeat(np.arange(200), 6)
    copied = accept_threshold(HeldOut.of(p[many], truth[many], many), accuracy=0.9)
    assert once.possible and copied.threshold == once.threshold and copied.low == pytest.approx(once.low)
    assert copied.promised == once.promised < accept_threshold(HeldOut.of(p[many], truth[many]), accuracy=0.9).promised


@pytest.mark.parametrize(
    ("groups", "each", "alike", "spread", "target"), [(400, 1, 0.0, 4, 0.95), (300, 1, 0.0, 8, 0.98), (100, 4, 0.9, 4, 0.85)]
)
def test_the_accepted_are_as_right_as_promised(groups: int, each: int, alike: float, spread: float, target: float) -> None:
    """The accuracy among all images to come that reach the threshold falls below the target in 5 % of models at most."""
    rng = np.random.default_rng(5)
    coming = np.sort(images(rng, 40_000, spread=spread)[0].max(axis=1))[::-1]  # probabilities are true: accuracy is their mean
    accuracy = np.cumsum(coming) / np.arange(1, len(coming) + 1)

    def among_accepted(threshold: float) -> float:
        return float(accuracy[np.searchsorted(-coming, -threshold, side="right") - 1])

    broken, shares, too_much = 0, [], 0
    for _ in range(400):
        held = HeldOut.of(*images(rng, groups, each=each, alike=alike, spread=spread))
        found = accept_threshold(held, accuracy=target)
        shares.append(found.share)
        broken += found.possible and among_accepted(found.threshold) < target
        most = accept_threshold(held, accuracy=found.promised)
        assert most.possible
        too_much += among_accepted(most.threshold) < found.promised
    assert max(broken, too_much) <= binom.ppf(0.99, 400, 0.05)
    assert np.mean(shares) > 0.25 * np.mean(accuracy >= target)  # and the promise is not bought by accepting nothing


def test_foreign_images_have_no_say_in_what_is_accepted() -> None:
    n = 800
    top, right, foreign = np.linspace(1, 0.5, n), np.ones(n, bool), np.zeros(n, bool)
    foreign[:80], right[:80] = True, False  # certain and wrong, but like nothing that was learnt
    plain = accept_threshold(HeldOut(top, top, right, np.arange(n)), accuracy=0.99)
    found = accept_threshold(HeldOut(top, top, right, np.arange(n), foreign), accuracy=0.99)
    assert not plain.possible and found.possible and found.accuracy == 1
    assert found.share == pytest.approx(0.9) and found.groups == n  # of all images: those that are foreign are not accepted
    alone = accept_threshold(HeldOut(top, top, right, np.arange(n), np.ones(n, bool)), accuracy=0.6)
    assert not alone.possible and alone.promised == 0 and alone.share == 0
    with pytest.raises(InputError, match="foreign"):
        HeldOut(top, top, right, np.arange(n), foreign[:5])

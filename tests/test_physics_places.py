"""Figures of samples against plain formulas, known variances, and tests that should and should not find a difference."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp, ttest_ind

from morphoscope.errors import InputError
from morphoscope.physics.places import compare_samples, sample_statistics


def sample(rng, name: str, places: int, each: int, *, mean=50.0, between=0.0, within=10.0) -> pd.DataFrame:
    place = np.repeat(np.arange(places), each)
    size = mean + between * rng.normal(size=places)[place] + within * rng.normal(size=places * each)
    return pd.DataFrame({"sample": name, "file": [f"{name}{p}.tif" for p in place], "d_nm": size, "w": 1.0})


def test_with_places_of_one_size_the_mean_is_that_of_place_means():
    table = sample(np.random.default_rng(0), "a", 5, 40, between=5)
    row = sample_statistics(table, "d_nm").iloc[0]
    means = table.groupby("file")["d_nm"].mean()
    wanted = ttest_1samp(means, 0).confidence_interval(0.95)
    assert (row["mean"], row["mean_low"], row["mean_high"]) == pytest.approx((means.mean(), *wanted))
    assert (row["n"], row["n_places"], row["median"]) == (200, 5, table["d_nm"].median())
    assert row["median_low"] < row["median"] < row["median_high"]
    within = math.sqrt(table.groupby("file")["d_nm"].var().mean())
    assert row["sd_within"] == pytest.approx(within)
    assert row["sd_between"] == pytest.approx(math.sqrt(means.var() - within**2 / 40))


def test_variance_between_places_is_found_and_none_is_not():
    rng = np.random.default_rng(1)
    row = sample_statistics(sample(rng, "a", 400, 30, between=6, within=8), "d_nm").iloc[0]
    assert (row["sd_between"], row["sd_within"]) == pytest.approx((6, 8), rel=0.1)
    assert row["share_between"] == pytest.approx(0.36, abs=0.05)
    even = sample_statistics(sample(rng, "a", 400, 30), "d_nm").iloc[0]
    assert even["sd_between"] < 1.5
    uneven = sample(rng, "a", 400, 30, between=6, within=8)
    keep = rng.random(len(uneven)) < uneven["file"].str[1:-4].astype(int).to_numpy() / 400
    row = sample_statistics(uneven[keep], "d_nm").iloc[0]
    assert (row["sd_between"], row["sd_within"]) == pytest.approx((6, 8), rel=0.15)


def test_one_place_has_figures_and_no_interval():
    row = sample_statistics(sample(np.random.default_rng(2), "a", 1, 30), "d_nm").iloc[0]
    assert np.isfinite(row[["mean", "median", "sd", "sd_within"]].astype(float)).all()
    assert row[["mean_low", "mean_high", "median_low", "median_high", "sd_between", "share_between"]].isna().all()


def test_whole_weights_are_repeated_particles_of_their_place():
    rng = np.random.default_rng(3)
    table = sample(rng, "a", 4, 25, between=4)
    table["w"] = rng.integers(1, 4, len(table)).astype(float)
    repeated = table.loc[table.index.repeat(table["w"].astype(int))]
    a, b = sample_statistics(table, "d_nm", weight="w").iloc[0], sample_statistics(repeated, "d_nm").iloc[0]
    for name in ("mean", "mean_low", "mean_high"):
        assert a[name] == pytest.approx(b[name])
    assert a["median"] == pytest.approx(b["median"], abs=1)
    table.loc[table.index[:5], "w"] = np.nan
    assert sample_statistics(table, "d_nm", weight="w")["n"][0] == 95


def test_names_of_places_may_come_again_in_other_samples():
    rng = np.random.default_rng(4)
    table = pd.concat([sample(rng, "a", 3, 10), sample(rng, "b", 4, 10)])
    apart = sample_statistics(table, "d_nm")
    table["file"] = table["file"].str[1:]
    pd.testing.assert_frame_equal(sample_statistics(table, "d_nm"), apart)
    assert apart["n_places"].tolist() == [3, 4]


def test_comparison_of_equal_places_is_welchs_test_of_their_means():
    rng = np.random.default_rng(5)
    table = pd.concat([sample(rng, "a", 5, 40, between=4), sample(rng, "b", 8, 40, mean=60, between=2)])
    row = compare_samples(table, "d_nm").iloc[0]
    means = table.groupby(["sample", "file"])["d_nm"].mean()
    test = ttest_ind(means["b"], means["a"], equal_var=False)
    assert row["p_value"] == pytest.approx(test.pvalue) and row["degrees_of_freedom"] == pytest.approx(test.df)
    assert tuple(row[["difference_low", "difference_high"]]) == pytest.approx(tuple(test.confidence_interval()))
    a, b = (table.loc[table["sample"] == name, "d_nm"].to_numpy() for name in "ab")
    assert row["superiority"] == pytest.approx((b[:, None] > a[None]).mean())
    assert row["ratio"] == pytest.approx(b.mean() / a.mean())
    pooled = math.sqrt((199 * a.var(ddof=1) + 319 * b.var(ddof=1)) / 518)
    assert row["effect_size"] == pytest.approx((b.mean() - a.mean()) / pooled)
    assert row["effect_size_low"] * pooled == pytest.approx(row["difference_low"])


def test_alike_particles_of_a_place_are_no_independent_ones():
    false = naive = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        table = pd.concat([sample(rng, name, 4, 100, between=8) for name in "ab"])
        false += compare_samples(table, "d_nm")["p_value"][0] < 0.05
        a, b = (table.loc[table["sample"] == name, "d_nm"] for name in "ab")
        naive += ttest_ind(a, b).pvalue < 0.05
    assert false <= 8 and naive > 25


def test_p_values_of_many_pairs_are_holms():
    rng = np.random.default_rng(6)
    table = pd.concat([sample(rng, name, 4, 20, mean=m) for name, m in zip("abcd", (50, 50, 58, 70), strict=True)])
    found = compare_samples(table, "d_nm")
    assert list(zip(found["sample_a"], found["sample_b"], strict=True)) == [
        ("a", "b"),
        ("a", "c"),
        ("a", "d"),
        ("b", "c"),
        ("b", "d"),
        ("c", "d"),
    ]
    p = np.sort(found["p_value"])
    plain = [min(1.0, max((6 - j) * p[j] for j in range(i + 1))) for i in range(6)]
    assert np.sort(found["p_holm"]) == pytest.approx(np.sort(plain))
    assert found["p_holm"].iloc[2] < 0.01 < found["p_holm"].iloc[0]


def test_a_sample_of_one_place_has_an_effect_and_no_test():
    rng = np.random.default_rng(7)
    table = pd.concat([sample(rng, "a", 1, 30), sample(rng, "b", 3, 30, mean=70), sample(rng, "c", 3, 30)])
    found = compare_samples(table, "d_nm")
    assert found["difference"].notna().all() and found["p_value"].isna().tolist() == [True, True, False]
    assert found["p_holm"][2] == found["p_value"][2]


def test_missing_columns_and_wrong_weights_are_refused():
    table = sample(np.random.default_rng(8), "a", 2, 5)
    with pytest.raises(InputError, match="lacks the columns size"):
        sample_statistics(table, "size")
    with pytest.raises(InputError, match="positive"):
        compare_samples(table.assign(w=0.0), "d_nm", weight="w")
    empty = table.iloc[:0]
    assert len(sample_statistics(empty, "d_nm")) == 0 and len(compare_samples(empty, "d_nm")) == 0


def test_values_in_steps_have_no_interval_of_no_width() -> None:
    """Areas of whole pixels: nine of ten are the same."""
    steps = pd.DataFrame({"x": [8.0] * 10 + [9.0] * 180 + [10.0] * 10, "sample": "", "file": np.arange(200)})
    found = sample_statistics(steps, "x").iloc[0]
    assert (found["median_low"], found["median"], found["median_high"]) == (8.5, 9.0, 9.5)
    nearly = sample_statistics(steps.assign(x=steps["x"] * (1 + 1e-12 * np.arange(200))), "x").iloc[0]
    assert nearly["median_low"] == pytest.approx(8.5) and nearly["median_high"] == pytest.approx(9.5)
    rng = np.random.default_rng(3)
    smooth = steps.assign(x=rng.normal(10, 1, 200))
    low, high = sample_statistics(smooth, "x").iloc[0][["median_low", "median_high"]]
    assert 0.2 < high - low < 0.6

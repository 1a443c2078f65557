from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.errors import InputError
from morphoscope.physics import response
from morphoscope.physics.response import fit_surface, matern


def lattice(k: int) -> np.ndarray:
    return np.stack(np.meshgrid(np.linspace(0, 1, k), np.linspace(0, 1, k)), -1).reshape(-1, 2)


def drawn(rng: np.random.Generator, points: np.ndarray, length: float) -> np.ndarray:
    cov = matern(points, points, np.array([length, length]))
    return 0.5 + 0.2 * np.linalg.cholesky(cov + 1e-9 * np.eye(len(points))) @ rng.normal(size=len(points))


def test_the_kernel_is_that_of_scikit_learn():
    kernels = pytest.importorskip("sklearn.gaussian_process.kernels")
    points = np.random.default_rng(0).random((9, 2))
    assert matern(points, points, np.array([0.3, 2.0])) == pytest.approx(kernels.Matern([0.3, 2.0], nu=2.5)(points))


def test_one_node_predicts_as_scikit_learn_does(monkeypatch):
    """With one choice of lengths and noise, a large constant for the unknown mean and normal instead of t."""
    process = pytest.importorskip("sklearn.gaussian_process")
    monkeypatch.setattr(response, "LENGTHS", np.array([0.6]))
    monkeypatch.setattr(response, "NOISES", np.array([0.04]))
    rng = np.random.default_rng(1)
    points = np.vstack([lattice(4), lattice(4)[:5]])
    values = rng.random(len(points))
    found = fit_surface(points, values)
    kernels = process.kernels
    (node,) = found._nodes
    kernel = kernels.Matern([0.6, 0.6], nu=2.5) + kernels.ConstantKernel(1e6)
    other = process.GaussianProcessRegressor(kernel, alpha=0.04, optimizer=None).fit(points, values)
    at = rng.random((20, 2))
    mean, sd = other.predict(at, return_std=True)
    got = found.predict(at)
    assert got.mean == pytest.approx(mean, abs=1e-5)
    t_sd = np.sqrt(node.variance * (len(values) - 1) / (len(values) - 3))
    assert got.sd / t_sd == pytest.approx(sd, abs=1e-3)
    # K = M + alpha: the profile of the variance is the generalised least squares of all scores, replicates among them
    cov = matern(points, points, np.array([0.6, 0.6])) + 0.04 * np.eye(len(points))
    one = np.ones(len(points))
    centre = one @ np.linalg.solve(cov, values) / (one @ np.linalg.solve(cov, one))
    assert node.variance == pytest.approx((values - centre) @ np.linalg.solve(cov, values - centre) / (len(values) - 1))


def test_a_plane_without_noise():
    points = lattice(5) * [4, 100]
    found = fit_surface(points, 0.1 + 0.05 * points[:, 0] + 0.004 * points[:, 1])
    at = np.random.default_rng(2).random((50, 2)) * [4, 100]
    got = found.predict(at)
    assert got.mean == pytest.approx(0.1 + 0.05 * at[:, 0] + 0.004 * at[:, 1], abs=2e-3) and found.noise < 2e-3


def test_noise_is_learnt_from_replicates_whatever_intervals_say():
    rng = np.random.default_rng(3)
    points = np.repeat(lattice(4), 6, axis=0)
    values = np.sin(3 * points).sum(1) + rng.normal(0, 0.1, len(points))
    for stated in (None, np.full(len(points), 0.02), np.full(len(points), 2.0)):
        assert fit_surface(points, values, stated).noise == pytest.approx(0.1, rel=0.2)


def test_lengths_are_those_of_the_process():
    rng = np.random.default_rng(4)
    points = lattice(9) * [10, 3]
    cov = matern(points, points, np.array([2.0, 6.0]))
    found = [fit_surface(points, np.linalg.cholesky(cov + 1e-9 * np.eye(81)) @ rng.normal(size=81)).lengths for _ in range(6)]
    first, second = np.exp(np.log(found).mean(0))
    assert 1.2 < first < 3.2 and 3.8 < second < 9.5


def test_the_interval_holds_the_truth_19_times_in_20():
    rng = np.random.default_rng(5)
    grid, points = lattice(9), lattice(6)
    inside = []
    for _ in range(12):
        truth = drawn(rng, np.vstack([points, grid + 1e-3]), 0.5)
        found = fit_surface(points, truth[:36] + rng.normal(0, 0.03, 36), np.full(36, 0.06)).predict(grid)
        inside.append(np.mean((found.low <= truth[36:]) & (truth[36:] <= found.high)))
    assert 0.9 <= np.mean(inside) <= 0.99


def test_what_all_scores_get_wrong_alike_is_in_the_interval_where_it_is_said():
    rng = np.random.default_rng(6)
    points, grid = lattice(6), lattice(9)
    truth = 0.3 + 0.3 * drawn(rng, np.vstack([points, grid + 1e-3]), 0.6)
    scores = truth[:36] + 0.05 + rng.normal(0, 0.005, 36)
    alone, told = (fit_surface(points, scores, np.full(36, 0.1), shared=shared).predict(grid) for shared in (0.0, 0.098))
    inside = [np.mean((one.low <= truth[36:]) & (truth[36:] <= one.high)) for one in (alone, told)]
    assert inside[0] < 0.5 and inside[1] == 1
    assert np.allclose(told.mean, alone.mean, atol=0.01)
    assert (told.high - told.mean >= 0.098).all() and (told.high - told.mean < 0.13).all()


def test_the_hole_is_measured_next():
    points = lattice(6)
    points = points[np.hypot(*(points - [0.6, 0.4]).T) > 0.35]
    found = fit_surface(points, np.sin(4 * points[:, 0]) + points[:, 1] ** 2)
    picked = found.suggest(lattice(21), 3)
    assert np.hypot(*(picked.points[0] - [0.6, 0.4])) < 0.2 and (np.diff(picked.sd) < 0).all()
    assert len(np.unique(picked.points, axis=0)) == 3


def test_what_is_left_after_a_suggestion_is_what_measuring_it_leaves(monkeypatch):
    monkeypatch.setattr(response, "LENGTHS", np.array([0.5]))
    monkeypatch.setattr(response, "NOISES", np.array([0.01]))
    points, grid = lattice(4), lattice(7)
    values = points.sum(1) ** 2
    found = fit_surface(points, values)
    picked = found.suggest(grid)
    (node,) = found._nodes
    more = np.vstack([points, picked.points])
    cov = matern(more, more, np.array([0.5, 0.5])) + 0.01 * np.eye(17)
    inverse, cross = np.linalg.inv(cov), matern(grid, more, np.array([0.5, 0.5]))
    slack = 1 - cross @ inverse.sum(1)
    left = 1 - np.einsum("ij,jk,ik->i", cross, inverse, cross) + slack**2 / inverse.sum()
    assert picked.sd[1] ** 2 == pytest.approx(node.variance * left.mean(), rel=1e-6)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 100), st.floats(-50, 50))
def test_units_of_conditions_and_order_do_not_matter(seed, unit, origin):
    rng = np.random.default_rng(seed)
    points, values = rng.random((9, 2)), rng.random(9)
    order = rng.permutation(9)
    one = fit_surface(points, values).predict(points[:3] + 0.01)
    other = fit_surface(points[order] * unit + origin, values[order]).predict((points[:3] + 0.01) * unit + origin)
    assert other.mean == pytest.approx(one.mean, abs=1e-5) and other.sd == pytest.approx(one.sd, abs=1e-5)


def test_equal_scores_and_bounds():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        flat = fit_surface(lattice(4), np.zeros(16), np.full(16, 0.1), bounds=(0, 1)).predict(lattice(5))
    assert (flat.mean == 0).all() and (flat.low == 0).all() and (flat.high < 0.1).all()


def test_too_little_to_fit():
    with pytest.raises(InputError, match="6 to 500 distinct conditions.*got 4 in 8 scores"):
        fit_surface(np.repeat(lattice(2), 2, axis=0), np.arange(8))
    with pytest.raises(InputError, match="both of them varied"):
        fit_surface(np.stack([np.arange(8), np.ones(8)], 1), np.arange(8))

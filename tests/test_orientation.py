"""Directions by structure tensor and gradients, order, how far it reaches, fractions with intervals: closed forms and oracles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.special import j0
from skimage.feature import structure_tensor as reference_tensor

from morphoscope.measure.alignment import directions, order_parameter
from morphoscope.measure.gradient_orientation import gradient_orientation
from morphoscope.measure.orientation import (
    Correlation,
    coherence_length,
    fraction_interval,
    orientation_correlation,
    orientation_histogram,
)
from morphoscope.measure.structure_tensor import edges, gradients, structure_tensor


def stripes(angle_deg: float, *, shape: tuple[int, int] = (96, 112), period: float = 9.0) -> np.ndarray:
    """A wave whose ridges run at an angle, counter-clockwise from the x axis as seen."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    t = np.deg2rad(angle_deg)
    return 100 + 50 * np.cos(2 * np.pi * (-np.sin(t) * x - np.cos(t) * y) / period)


def apart(first: np.ndarray | float, second: float) -> np.ndarray:
    return np.abs((np.asarray(first) - second + 90) % 180 - 90)


@given(angle=st.floats(0, 180))
@settings(deadline=None, max_examples=20)
def test_stripes_run_where_they_run(angle: float) -> None:
    image = stripes(angle)
    found = structure_tensor(image)
    inner = (slice(12, -12), slice(12, -12))
    assert np.median(apart(found.field.angle_deg[inner], angle)) < 1.5
    assert np.hypot(*found.field)[inner].min() > 0.95
    windows = gradient_orientation(image, side_px=32)
    assert apart(windows.field.angle_deg[1, 1], angle) < 2.0
    assert np.hypot(*windows.field)[1, 1] > 0.95


def test_the_structure_tensor_is_that_of_another_package() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(0, 1, (60, 70)).cumsum(0).cumsum(1)
    gx, gy = gradients(image, sigma_px=1.0)
    found = structure_tensor(image, sigma_px=1.0, window_px=3.0)
    a, b, c = (gaussian_filter(part, 3.0, mode="mirror", truncate=4) for part in (gx * gx, gx * gy, gy * gy))
    assert np.allclose(found.field.cos2, (c - a) / (a + c), atol=0.02)
    assert np.allclose(found.field.sin2, -2 * b / (a + c), atol=0.02)
    rows, _, columns = reference_tensor(image, sigma=3.0, mode="mirror", order="rc")
    assert np.corrcoef((rows - columns).ravel(), (c - a).ravel())[0, 1] > 0.9


def test_noise_has_no_direction_and_a_flat_picture_no_edges() -> None:
    noise = np.random.default_rng(1).normal(0, 1, (128, 128))
    assert np.hypot(*gradient_orientation(noise, side_px=64).field).max() < 0.1
    flat = np.full((64, 64), 7, np.uint8)
    assert not edges(structure_tensor(flat).strength).any()
    assert np.isfinite(structure_tensor(flat).field.cos2).all()
    assert gradient_orientation(flat, side_px=32).share.sum() == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_pictures_of_any_one_grey_have_no_edges(dtype: type) -> None:
    step = 257 if dtype is np.uint16 else 1 if dtype is np.uint8 else 0.1
    for grey in range(256):
        gx, gy = gradients(np.full((20, 23), dtype(grey * step)))
        assert not gx.any() and not gy.any(), grey
    near = np.full((20, 23), 0.1, np.float32)
    near[::2] = np.nextafter(np.float32(0.1), np.float32(1))
    assert not edges(structure_tensor(near).strength).any()


def test_pixels_that_are_left_out_do_not_count() -> None:
    image = np.hstack([stripes(0, shape=(64, 64)), stripes(90, shape=(64, 64))])
    kept = np.ones(image.shape, bool)
    kept[:, 64:] = False
    found = gradient_orientation(image, side_px=64, kept=kept)
    assert found.share[0, 0] > 0.2 and found.share[0, 1] == 0
    assert found.histogram[0, 1].sum() == 0


def test_windows_at_the_border_count_with_what_there_is() -> None:
    found = gradient_orientation(stripes(30, shape=(70, 100)), side_px=32)
    assert found.share.shape == (2, 3) and found.histogram.shape == (2, 3, 36)
    everything = gradient_orientation(stripes(30, shape=(70, 100)), side_px=200)
    assert everything.share.shape == (1, 1)
    whole = edges(np.hypot(*gradients(stripes(30, shape=(70, 100)))))
    assert everything.share[0, 0] == pytest.approx(whole.mean(), rel=1e-6)


def test_histograms_hold_shares_of_the_wires() -> None:
    angle = np.array([[10.0, 100.0], [100.0, 179.9]])
    found = orientation_histogram(directions(angle), np.array([[1, 1], [1, 3]]), bins=18)
    assert found.share.sum() == pytest.approx(1)
    assert found.share[10] == pytest.approx(2 / 6) and found.share[17] == pytest.approx(3 / 6)
    assert np.isnan(orientation_histogram(directions(angle), np.zeros((2, 2))).share).all()


@given(seed=st.integers(0, 20))
@settings(deadline=None, max_examples=8)
def test_the_correlation_is_that_over_all_pairs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    angle, weight = rng.uniform(0, 180, (9, 11)), (rng.random((9, 11)) < 0.6).astype(float)
    found = orientation_correlation(directions(angle), weight)
    y, x = np.nonzero(weight)
    distance = np.hypot(y[:, None] - y, x[:, None] - x)
    alike = np.cos(2 * np.deg2rad(angle[y, x][:, None] - angle[y, x]))
    for r, g in zip(found.r_px, found.g, strict=True):
        ring = (distance + 0.5).astype(int) == r
        assert g == pytest.approx(alike[ring].mean(), abs=2e-3)


def test_a_field_that_turns_evenly_has_a_bessel_correlation() -> None:
    length = 64.0
    angle = np.broadcast_to((180 * np.arange(256) / length) % 180, (256, 256))
    found = orientation_correlation(directions(angle), np.ones((256, 256)))
    near = found.r_px < 50
    assert np.abs(found.g[near] - j0(2 * np.pi * found.r_px[near] / length)).max() < 0.06  # rings are a px wide


def test_the_coherence_length_is_where_order_has_fallen_to_one_over_e() -> None:
    r = np.arange(100.0)
    assert coherence_length(Correlation(r, np.exp(-r / 17)), 0.0) == pytest.approx(17, rel=0.01)
    assert coherence_length(Correlation(r, 0.25 + 0.75 * np.exp(-r / 17)), 0.5) == pytest.approx(17, rel=0.01)
    assert np.isnan(coherence_length(Correlation(r, np.ones(100)), 1.0))
    assert np.isnan(coherence_length(Correlation(r, np.full(100, 0.9)), 0.1))
    assert np.isnan(coherence_length(Correlation(r, np.exp(-r)), float("nan")))


def test_larger_domains_have_a_longer_coherence() -> None:
    def chequered(side: int) -> float:
        rng = np.random.default_rng(2)
        tiles = rng.uniform(0, 180, (256 // side, 256 // side))
        field = directions(np.kron(tiles, np.ones((side, side))))
        weight = np.ones((256, 256))
        return coherence_length(orientation_correlation(field, weight), order_parameter(field, weight).s2)

    assert 6 < chequered(16) < 16
    assert chequered(32) == pytest.approx(2 * chequered(16), rel=0.3)


def test_fractions_and_their_intervals() -> None:
    rng = np.random.default_rng(3)
    whole = np.ones((200, 200))
    part = np.kron(rng.random((20, 20)) < 0.3, np.ones((10, 10)))
    found = fraction_interval(part, whole, block_px=20)
    assert found.value == pytest.approx(part.mean()) and found.blocks == 100
    sd = np.sqrt(part.mean() * (1 - part.mean()) / 400)
    assert (found.high - found.low) / 2 == pytest.approx(1.98 * sd, rel=0.25)
    wider = fraction_interval(part, whole, block_px=20, model_sd=0.1)
    assert wider.high - wider.low > 0.35
    small = fraction_interval(part[:30, :30], whole[:30, :30], block_px=20)
    assert np.isnan(small.low) and small.value == pytest.approx(part[:30, :30].mean())
    none = fraction_interval(part * 0, whole * 0, block_px=20)
    assert np.isnan(none.value) and none.blocks == 0


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(4)
    held = 0
    for _ in range(120):
        part = np.kron(rng.random((12, 12)) < 0.4, np.ones((5, 5)))
        found = fraction_interval(part, np.ones((60, 60)), block_px=10)
        held += found.low <= 0.4 <= found.high
    assert held >= 105

"""Outlines move to half level, by less than a pixel where need be, and stay where the picture shows no step."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.measure.half_level import at_half_level

SHAPE, CENTRE = (120, 140), (70.3, 58.7)


def covered(radius: float, centre: tuple[float, float] = CENTRE) -> np.ndarray:
    """How much of each pixel a disc covers, from 8 x 8 points in it."""
    y, x = (np.mgrid[: SHAPE[0] * 8, : SHAPE[1] * 8] + 0.5) / 8 - 0.5
    inside = np.hypot(x - centre[0], y - centre[1]) <= radius
    return inside.reshape(SHAPE[0], 8, SHAPE[1], 8).mean(axis=(1, 3))


def picture(radius: float, *, step: float = 60, blur: float = 1.5, noise: float = 6, seed: int = 0) -> np.ndarray:
    grey = cv2.GaussianBlur(128 + step * covered(radius), (0, 0), blur)
    return np.clip(grey + np.random.default_rng(seed).normal(0, noise, SHAPE), 0, 255).astype(np.uint8)


def mask(radius: float, label: int = 1) -> np.ndarray:
    return np.where(covered(radius) >= 0.5, label, 0).astype(np.int32)


@settings(max_examples=25, deadline=None)
@given(st.floats(14, 40), st.floats(-2.5, 2.5), st.sampled_from([60, -60]), st.floats(0.5, 2.5), st.integers(0, 99))
def test_discs_outlined_too_wide_or_too_tight_get_their_true_size(
    radius: float, error: float, step: float, blur: float, seed: int
) -> None:
    moved = at_half_level(picture(radius, step=step, blur=blur, seed=seed), mask(radius + error), reach_px=4)
    assert np.sqrt((moved == 1).sum() / np.pi) == pytest.approx(radius, abs=0.4)


def test_no_clear_step_moves_nothing() -> None:
    flat = picture(20, step=0, noise=20)
    np.testing.assert_array_equal(at_half_level(flat, mask(20), reach_px=3), mask(20))
    for empty in (np.zeros(SHAPE, np.int32), np.ones(SHAPE, np.int32)):
        np.testing.assert_array_equal(at_half_level(flat, empty, reach_px=3), empty)


def test_an_outline_is_moved_no_farther_than_it_may() -> None:
    moved = at_half_level(picture(20, noise=0), mask(30), reach_px=3)
    assert np.sqrt(moved.sum() / np.pi) == pytest.approx(30, abs=0.3) or np.sqrt(moved.sum() / np.pi) >= 26.7


def test_the_line_between_touching_particles_stays() -> None:
    both = covered(20, (50, 60)) + covered(20, (90, 60))
    image = cv2.GaussianBlur(100 + 80 * np.minimum(both, 1), (0, 0), 1)
    x = np.arange(SHAPE[1])
    wide = np.maximum(covered(22, (50, 60)), covered(22, (90, 60))) >= 0.5
    labels = np.where(wide, np.where(x < 70, 5, 9), 0).astype(np.int32)
    moved = at_half_level(image, labels, reach_px=4)
    assert set(np.unique(moved)) == {0, 5, 9}
    assert (moved[:, :70] != 9).all() and (moved[:, 70:] != 5).all()
    assert (moved > 0).sum() == pytest.approx(2 * np.pi * 20**2, rel=0.02)


@pytest.mark.parametrize("turn", [lambda a: a[::-1], lambda a: a[:, ::-1], np.rot90, lambda a: a.T])
def test_turned_and_mirrored_pictures_give_turned_and_mirrored_masks(turn) -> None:
    image, labels = picture(21), mask(22.5, 7)
    there = at_half_level(np.ascontiguousarray(turn(image)), np.ascontiguousarray(turn(labels)), reach_px=3)
    differ = there != turn(at_half_level(image, labels, reach_px=3))
    assert differ.mean() < 1e-3


def test_brightness_and_contrast_do_not_matter() -> None:
    image, labels = picture(21).astype(np.float32), mask(22.5)
    first, second = (at_half_level(one, labels, reach_px=3) for one in (image, 300 - 0.1 * image))
    assert (first != second).mean() < 1e-3

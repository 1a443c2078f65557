"""The model that ships: particles that touch, on any side, of any size, are told apart and have their true size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.test_segment import discs

from morphoscope.measure.matching import match_labels
from morphoscope.measure.shape import shapes
from morphoscope.models.segment import Segmenter, load_segmenter

PAIRS = [(x + dx, y) for x in (45.0, 130.0, 215.0) for y in (40.0, 128.0, 216.0) for dx in (-14.5, 14.5)]
RADIUS = 14


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return load_segmenter("particles", threads=1)


def picture(*, scale: int = 1, bright: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Nine touching pairs of discs on a noisy, sloping ground, and the truth."""
    side = 256 * scale
    truth = discs((side, side), [((x + 0.5) * scale - 0.5, (y + 0.5) * scale - 0.5) for x, y in PAIRS], RADIUS * scale)
    grey = np.linspace(100, 130, side) + (70 if bright else -60) * (truth > 0)
    grey = cv2.GaussianBlur(grey, (0, 0), scale) + np.random.default_rng(3).normal(0, 6, truth.shape)
    return np.clip(grey, 0, 255).astype(np.uint8), truth


def median_diameter(labels: np.ndarray) -> float:
    return float(shapes(labels)["equivalent_diameter_px"].median())


@pytest.mark.parametrize("bright", [False, True])
def test_touching_particles_are_parted_and_have_their_size(segmenter: Segmenter, bright: bool) -> None:
    image, truth = picture(bright=bright)
    (found,) = segmenter.segment([image])
    assert len(match_labels(found, truth, 0.8)) == len(PAIRS) == found.max()
    assert median_diameter(found) == pytest.approx(median_diameter(truth), rel=0.03)


@pytest.mark.parametrize("turn", [lambda a: a[::-1], np.rot90, lambda a: a.T])
def test_turned_and_mirrored_pictures_have_the_same_particles(segmenter: Segmenter, turn) -> None:
    image, truth = picture()
    (found,) = segmenter.segment([np.ascontiguousarray(turn(image))])
    assert len(match_labels(found, turn(truth), 0.8)) == len(PAIRS) == found.max()
    assert median_diameter(found) == pytest.approx(median_diameter(truth), rel=0.03)


def test_a_picture_twice_as_large_has_particles_twice_as_large(segmenter: Segmenter) -> None:
    image, truth = picture(scale=2)
    (found,) = segmenter.segment([image])
    assert len(match_labels(found, truth, 0.8)) == len(PAIRS) == found.max()
    assert median_diameter(found) == pytest.approx(2 * median_diameter(picture()[1]), rel=0.03)


def test_grey_levels_and_depth_do_not_matter(segmenter: Segmenter) -> None:
    image, _ = picture()
    first, second = segmenter.segment([image, (image.astype(np.uint16) * 37 + 900)])
    assert first.max() == second.max() and (first != second).mean() < 2e-3

"""Peaks to boxes, suppression and tiling against plain oracles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.models.centres import boxes_from_peaks, suppress
from morphoscope.models.preprocess import robust_scale
from morphoscope.models.tiling import tiles


def test_a_peak_becomes_a_box_in_pixel_coordinates() -> None:
    peaks, boxes = np.zeros((1, 8, 8), np.float32), np.zeros((4, 8, 8), np.float32)
    peaks[0, 3, 5] = 0.9
    boxes[:, 3, 5] = (0.25, -0.25, np.log(2), np.log(3))
    where, score, label = boxes_from_peaks(peaks, boxes, stride=4, threshold=0.5)
    # cell 5 covers the pixels 20 to 23, whose middle is 21.5
    np.testing.assert_allclose(where, [[22.5, 12.5, 8, 12]], rtol=1e-6)
    assert score[0] == pytest.approx(0.9) and label[0] == 0


def _slow_suppress(boxes: np.ndarray, scores: np.ndarray, iou: float) -> list[int]:
    def overlap(a: np.ndarray, b: np.ndarray) -> float:
        sides = [min(a[k] + a[k + 2] / 2, b[k] + b[k + 2] / 2) - max(a[k] - a[k + 2] / 2, b[k] - b[k + 2] / 2) for k in (0, 1)]
        inner = max(sides[0], 0) * max(sides[1], 0)
        return float(inner / (a[2] * a[3] + b[2] * b[3] - inner))

    kept: list[int] = []
    for k in sorted(range(len(boxes)), key=lambda k: (-scores[k], boxes[k, 1], boxes[k, 0])):
        if all(overlap(boxes[k], boxes[other]) <= iou for other in kept):
            kept.append(k)
    return kept


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 60), st.floats(0.05, 0.9))
def test_suppression_equals_the_plain_algorithm(seed: int, count: int, iou: float) -> None:
    rng = np.random.default_rng(seed)
    boxes = np.hstack([rng.uniform(0, 60, (count, 2)), rng.uniform(3, 30, (count, 2))])
    scores = rng.permutation(count) / max(count, 1)
    assert suppress(boxes, scores, iou).tolist() == _slow_suppress(boxes, scores, iou)


def test_five_thousand_objects_survive_suppression() -> None:
    grid = np.stack(np.meshgrid(np.arange(100) * 10.0, np.arange(50) * 10.0), axis=-1).reshape(-1, 2)
    boxes = np.hstack([grid, np.full((5000, 2), 9.0)])
    assert len(suppress(boxes, np.linspace(0, 1, 5000), 0.45)) == 5000


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(0, 100))
def test_each_point_has_one_tile(height: int, width: int, seed: int) -> None:
    parts = list(tiles(height, width, size=1024, margin=64))
    rng = np.random.default_rng(seed)
    for x, y in rng.uniform(-60, (width + 60, height + 60), (20, 2)):
        owners = [t for t in parts if t.owns(x, y)]
        assert len(owners) == 1
        x0, y0, x1, y1 = owners[0].outer
        assert x0 - 64 <= x < x1 + 64 and y0 - 64 <= y < y1 + 64
    assert all(t.outer[2] - t.outer[0] <= 1024 + 16 for t in parts)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 9000), st.sampled_from([16, 32]), st.integers(1, 14), st.integers(1, 60))
def test_tiles_are_of_one_size_and_see_their_margin(length: int, align: int, margin: int, core: int) -> None:
    size = align * (2 * margin + core)
    parts = list(tiles(5, length, size=size, margin=align * margin, align=align))
    covered = [(max(t.inner[0], 0), min(t.inner[2], length)) for t in parts]
    assert (
        covered[0][0] == 0 and covered[-1][1] == length and all(a[1] == b[0] for a, b in zip(covered, covered[1:], strict=False))
    )
    widths = [t.outer[2] - t.outer[0] for t in parts]
    assert max(widths) - min(widths) < align and max(widths) < size + align
    for tile, (first, end) in zip(parts, covered, strict=True):
        assert tile.outer[0] % align == 0 and first % align == 0 and first < end
        assert first == 0 or first - tile.outer[0] >= align * margin
        assert end == length or tile.outer[2] - end >= align * margin


@settings(max_examples=20, deadline=None)
@given(st.floats(0.2, 5), st.floats(0, 40))
def test_input_scaling_forgets_brightness_and_contrast(gain: float, offset: float) -> None:
    image = np.random.default_rng(0).normal(100, 20, (64, 64)).astype(np.float32)
    np.testing.assert_allclose(robust_scale(image * gain + offset), robust_scale(image), atol=2e-3)


def test_input_scaling_of_a_flat_image_is_zero() -> None:
    assert np.abs(robust_scale(np.full((40, 50), 7, np.uint16))).max() < 1e-3

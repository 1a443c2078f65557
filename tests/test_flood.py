"""Flooding of seeds over the maps of particles: one dilation of the whole picture per step is the oracle."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from morphoscope.models import instances
from morphoscope.models.instances import LEVELS, _flood, labels_from_maps


def flood_by_dilation(seeds: np.ndarray, core: np.ndarray, inside: np.ndarray, highest: float) -> np.ndarray:
    labels = seeds.astype(np.float32)
    for level in np.linspace(highest, 0, LEVELS + 1)[1:]:
        waits = (inside & (core > level) if level > 0 else inside) & (labels == 0)
        while True:
            spread = cv2.dilate(labels, np.ones((3, 3), np.uint8)) * waits
            if not spread.any():
                break
            labels += spread
            waits &= spread == 0
    return labels.astype(np.int32)


@given(
    seed=st.integers(0, 10**6),
    shape=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    smooth=st.sampled_from([0.0, 1.0, 3.0]),
    steps=st.sampled_from([4, 16, 1000]),
    highest=st.floats(0.05, 0.95),
)
@settings(deadline=None, max_examples=150)
def test_labels_are_those_of_dilations(seed: int, shape: tuple[int, int], smooth: float, steps: int, highest: float) -> None:
    rng = np.random.default_rng(seed)
    core = ndimage.gaussian_filter(rng.random(shape), smooth)
    core = (np.round((core - core.min()) / max(np.ptp(core), 1e-9) * steps) / steps).astype(np.float32)
    inside = ndimage.gaussian_filter(rng.random(shape), 1) > rng.uniform(0.4, 0.55)
    seeds, _ = ndimage.label(inside & (core > highest))
    seeds[rng.random(shape) < 0.3] = 0
    found = _flood(seeds, core, inside, highest)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, flood_by_dilation(seeds, core, inside, highest))


def test_a_long_wire_is_not_a_dilation_per_pixel_of_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    """A meandering wire with its seed at one end is labelled to the other end."""
    inside = np.zeros((120, 160), bool)
    for k, top in enumerate(range(4, 100, 12)):
        inside[top : top + 6, 4:-4] = True
        inside[top : top + 14, slice(-10, -4) if k % 2 == 0 else slice(4, 10)] = True
    maps = np.full((6, *inside.shape), -10, np.float32)
    maps[0][inside], maps[2][inside], maps[2, 4:10, 4:20] = 10, -3, 10
    sizes = []
    dilate = cv2.dilate
    monkeypatch.setattr(instances.cv2, "dilate", lambda image, kernel: sizes.append(image.size) or dilate(image, kernel))
    np.testing.assert_array_equal(labels_from_maps(maps, 0.6), inside)
    assert len(sizes) <= LEVELS

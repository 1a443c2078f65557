"""Segmentation without training: masks matched, maps turned into labels, tiles that change nothing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.errors import InputError, ModelError
from morphoscope.measure.matching import label_pairs, match_labels
from morphoscope.models.card import ModelCard
from morphoscope.models.instances import CHANNELS, enlarge, labels_from_maps
from morphoscope.models.segment import Segmenter

CARD = {"name": "p", "task": "segment", "classes": ("particle",), "preprocess": "robust-1", "postprocess": "instances-1"}


class LocalMaps:
    """A session whose maps depend on the image up to 24 px away: bright is particle, the brightest is core."""

    input_shape = (None, 1, None, None)

    def __init__(self, **card: object) -> None:
        self.card = ModelCard.model_validate({**CARD, "stride": 32, **card})
        self.sizes: list[tuple[int, int]] = []

    def run(self, batch):
        self.sizes.append(batch.shape[2:])
        out = []
        for (image,) in batch:
            coarse = image.reshape(image.shape[0] // 2, 2, -1, 2).mean(axis=(1, 3))
            smooth = cv2.blur(coarse, (21, 21), borderType=cv2.BORDER_REPLICATE)
            zero = np.zeros_like(coarse)
            out.append(np.stack([(coarse - smooth) * 4, zero - 4, (coarse - smooth) * 4 - 1, zero, zero, zero]))
        return [np.stack(out).astype(np.float32)]


def discs(shape: tuple[int, int], centres: list[tuple[float, float]], radius: float) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    distance = np.stack([np.hypot(x - cx, y - cy) for cx, cy in centres])
    return np.where(distance.min(axis=0) <= radius, distance.argmin(axis=0) + 1, 0).astype(np.int32)


def maps_of(labels: np.ndarray) -> np.ndarray:
    """Perfect maps as logits: foreground, border, core by the plain definition, particle by particle."""
    core, border = np.zeros(labels.shape, np.float32), np.zeros(labels.shape, bool)
    for label in np.unique(labels[labels > 0]):
        mask = (np.pad(labels, 1) == label).astype(np.uint8)
        depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5)[1:-1, 1:-1]
        core = np.maximum(core, depth / depth.max())
        border |= (depth > 0) & (depth <= 1)
    parts = [labels > 0, border, core, core, 0 * core, 0 * core]
    p = np.clip(np.stack(parts).astype(np.float32), 0.01, 0.99)
    return np.log(p / (1 - p)).astype(np.float32)


def slow_iou(a: np.ndarray, b: np.ndarray) -> dict[tuple[int, int], float]:
    names = [(i, j) for i in np.unique(a) for j in np.unique(b) if i and j]
    found = {(int(i), int(j)): ((a == i) & (b == j)).sum() / ((a == i) | (b == j)).sum() for i, j in names}
    return {key: value for key, value in found.items() if value}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 6), st.integers(1, 6))
def test_iou_of_masks_is_that_of_the_plain_definition(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, n + 1, (7, 9)) * 3, rng.integers(0, m + 1, (7, 9))
    rows, columns, values = label_pairs(a, b)
    got = dict(zip(zip(rows.tolist(), columns.tolist(), strict=True), values.tolist(), strict=True))
    assert got == pytest.approx(slow_iou(a, b))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31))
def test_pairs_of_masks_follow_a_relabelling_and_a_mirror(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (np.kron(rng.integers(0, 5, (4, 5)), np.ones((3, 3), int)) for _ in range(2))
    pairs = {tuple(p) for p in match_labels(a, b, 0.3).tolist()}
    assert {tuple(p) for p in match_labels(a[:, ::-1], b[:, ::-1], 0.3).tolist()} == pairs
    assert {(i // 10, j) for i, j in match_labels(a * 10, b, 0.3).tolist()} == pairs
    assert len({i for i, _ in pairs}) == len({j for _, j in pairs}) == len(pairs)


def test_masks_of_other_shapes_are_refused_and_empty_ones_have_no_pairs() -> None:
    with pytest.raises(ValueError, match="one shape"):
        match_labels(np.zeros((2, 3), int), np.zeros((3, 2), int), 0.5)
    assert match_labels(np.zeros((4, 4), int), np.ones((4, 4), int), 0.5).shape == (0, 2)


def test_touching_particles_come_apart_and_none_is_lost_in_a_crowd() -> None:
    centres = [(12.0 + 15 * k, 12.0 + 15 * j) for k in range(14) for j in range(14)]
    true = discs((220, 220), centres, 8.0)
    found = labels_from_maps(maps_of(true), 0.6)
    assert found.max() == len(np.unique(found)) - 1 == 196
    assert len(match_labels(found, true, 0.9)) == 196


def test_a_small_particle_keeps_its_outline_beside_a_large_one() -> None:
    y, x = np.mgrid[:80, :100]
    true = np.where(np.hypot(x - 35, y - 40) <= 30, 1, np.where(np.hypot(x - 75, y - 40) <= 10, 2, 0)).astype(np.int32)
    pairs = match_labels(labels_from_maps(maps_of(true), 0.6), true, 0.9)
    assert len(pairs) == 2


def test_specks_and_doubtful_particles_are_left_out() -> None:
    true = discs((60, 60), [(20.0, 20.0)], 8.0)
    maps = maps_of(true)
    maps[:3, 50, 50] = 4
    assert labels_from_maps(maps, 0.6).max() == 1
    doubtful = maps.copy()
    doubtful[0, true > 0] = 0.1
    assert labels_from_maps(doubtful, 0.6).max() == 0
    assert labels_from_maps(np.full_like(maps, -5), 0.6).dtype == np.int32


@pytest.mark.parametrize("shape", [(120, 160), (90, 120), (61, 79), (30, 40)])
def test_labels_keep_their_places_when_enlarged(shape: tuple[int, int]) -> None:
    true = discs((60, 80), [(20.0, 20.0), (37.0, 20.0), (60.0, 45.0)], 9.0)
    fine = enlarge(true, maps_of(true)[0], shape)
    assert fine.shape == shape and set(np.unique(fine)) == {0, 1, 2, 3}
    for label in (1, 2, 3):
        small, large = (np.argwhere(x == label) for x in (true, fine))
        scale = np.array(shape) / true.shape
        np.testing.assert_allclose((large.mean(axis=0) + 0.5) / scale, small.mean(axis=0) + 0.5, atol=0.5)
        assert len(large) == pytest.approx(len(small) * scale.prod(), rel=0.12)


@pytest.mark.parametrize("tile", [160, 256, 320])
@pytest.mark.parametrize("zoom", [1.0, 0.75])
def test_the_result_is_the_same_whatever_the_tile(tile: int, zoom: float) -> None:
    labels = discs((430, 517), [(30.0 + 45 * k, 30.0 + 45 * j) for k in range(11) for j in range(9)], 14.0)
    image = (80 + 90 * (labels > 0) + np.random.default_rng(0).normal(0, 4, labels.shape)).astype(np.uint8)
    session = LocalMaps(zoom=zoom)
    whole = Segmenter(session).segment([image])[0]
    assert len(session.sizes) == 1 and whole.max() == 99
    cut = Segmenter(session, tile=tile, margin=32)
    np.testing.assert_array_equal(cut.segment([image])[0], whole)
    assert len(session.sizes) > 2 and all(h % 32 == w % 32 == 0 for h, w in session.sizes)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 90), st.integers(1, 90), st.sampled_from(["u1", "u2", "i2", "f4", "f8", "?"]), st.sampled_from([0.5, 1.0, 1.7])
)
def test_any_grey_image_gives_a_label_image_of_its_shape(height: int, width: int, kind: str, zoom: float) -> None:
    image = (np.random.default_rng(height).random((height, width)) * 200).astype(kind)
    (labels,) = Segmenter(LocalMaps(zoom=zoom)).segment([image])
    assert labels.shape == image.shape and labels.dtype == np.int32
    assert set(np.unique(labels)) <= set(range(labels.max() + 1)) and len(np.unique(labels[labels > 0])) == labels.max()


def test_sixteen_bit_and_eight_bit_images_give_the_same_labels() -> None:
    image = (discs((96, 128), [(30.0, 30.0), (80.0, 60.0)], 12.0) > 0).astype(np.uint8) * 150 + 20
    narrow, wide = Segmenter(LocalMaps()).segment([image, image.astype(np.uint16) * 257])
    np.testing.assert_array_equal(narrow, wide)


def test_what_cannot_be_segmented_is_refused() -> None:
    segmenter = Segmenter(LocalMaps())
    with pytest.raises(InputError, match="grey image"):
        segmenter.segment([np.zeros((4, 4, 3))])
    with pytest.raises(InputError, match="nan"):
        segmenter.segment([np.full((8, 8), np.nan)])
    with pytest.raises(ModelError, match="'segment'"):
        Segmenter(LocalMaps(task="detect"))
    with pytest.raises(ModelError, match="update morphoscope"):
        Segmenter(LocalMaps(postprocess="instances-9"))
    assert segmenter.segment([]) == [] and len(CHANNELS) == 6

"""Each picture is magnified as its particles agree best with the network."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.test_segment import CARD, discs, maps_of

from morphoscope.models.card import ModelCard
from morphoscope.models.instances import labels_from_maps
from morphoscope.models.segment import Segmenter
from morphoscope.models.zoom import SIDE, agreement, best_zoom, windows

TWO = [(30.0, 30.0), (60.0, 34.0)]


def test_particles_that_look_as_the_network_says_agree_almost_fully() -> None:
    labels = discs((80, 100), TWO, 14)
    assert agreement(labels, maps_of(labels)) == pytest.approx([0.98, 0.98], abs=0.02)


def test_a_particle_cut_in_two_agrees_worse() -> None:
    labels = discs((80, 100), TWO, 14)
    cut = (labels == 1) * (1 + (np.arange(100) >= 30))
    assert agreement(cut.astype(np.int32), maps_of(labels)).max() < agreement(labels, maps_of(labels)).min() - 0.1


def test_no_particle_has_no_agreement() -> None:
    assert len(agreement(np.zeros((8, 9), np.int32), np.zeros((6, 8, 9), np.float32))) == 0


def test_the_magnification_whose_maps_fit_best_is_taken_and_of_near_equals_the_smallest() -> None:
    clear = maps_of(discs((80, 100), TWO, 14))
    flat = clear.copy()
    flat[2] = np.where(clear[0] > 0, 0.5, -4)
    assert best_zoom({0.5: [flat], 2.0: [clear]}) == 2.0
    assert best_zoom({0.5: [clear], 1.0: [flat], 2.0: [clear]}) == 0.5
    assert best_zoom({0.5: [clear, flat], 2.0: [clear, clear]}) == 2.0


def test_one_particle_that_agrees_well_does_not_outdo_many_that_agree_a_little_less() -> None:
    grid = [(20.0 + 26 * k, 20.0 + 26 * j) for k in range(6) for j in range(4)]
    many, one = maps_of(discs((120, 170), grid, 9)), maps_of(discs((120, 170), grid[:1], 9))
    many[2] = np.where(many[0] > 0, 0.6 * many[2], many[2])
    few, more = (agreement(labels_from_maps(maps, 0.6), maps).mean() for maps in (one, many))
    assert more < few - 0.01
    assert best_zoom({0.5: [one], 2.0: [many]}) == 2.0


def test_where_nothing_is_found_the_magnification_next_to_one_is_taken() -> None:
    none = np.full((6, 40, 40), -9, np.float32)
    assert best_zoom({0.35: [none], 0.8: [none], 2.8: [none]}) == 0.8


@pytest.mark.parametrize("zoom", [0.35, 1.4, 2.8])
def test_large_pictures_are_judged_by_five_windows_inside_them(zoom: float) -> None:
    shape = (5000, 9000)
    parts = list(windows(shape, zoom))
    assert len({(y.start, x.start) for y, x in parts}) == 5
    for y, x in parts:
        assert 0 <= y.start < y.stop <= shape[0] and 0 <= x.start < x.stop <= shape[1]
        assert (y.stop - y.start) * zoom == pytest.approx(SIDE, abs=zoom)
    assert list(windows((300, 200), zoom)) == [(slice(0, 300), slice(0, 200))]


class BestAt40Px:
    """A session that knows discs 40 px wide: its core is right for those and flat for others."""

    input_shape = (None, 1, None, None)

    def __init__(self) -> None:
        self.card = ModelCard.model_validate({**CARD, "stride": 32, "zooms": (0.5, 1.0, 2.0)})

    def run(self, batch):
        out = []
        for (image,) in batch:
            bright = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) > image.max() / 2
            parts = cv2.connectedComponents(bright.astype(np.uint8))[1]
            wide = np.sqrt(4 * np.bincount(parts.ravel())[1:].mean() / np.pi) * 2
            maps = maps_of(parts)
            if abs(wide - 40) > 8:
                maps[2] = np.where(parts > 0, 0.6, -4)
            out.append(maps)
        return [np.stack(out).astype(np.float32)]


@pytest.mark.parametrize(("radius", "zoom"), [(40, 0.5), (20, 1.0), (10, 2.0)])
def test_a_segmenter_finds_the_magnification_of_each_image_and_can_be_kept_at_one(radius: int, zoom: float) -> None:
    labels = discs((256, 320), [(60.0, 70.0), (220.0, 120.0)], radius)
    image = np.where(labels > 0, 200, 10).astype(np.uint8)
    segmenter = Segmenter(BestAt40Px())
    assert segmenter.zoom_of(image) == zoom
    found = segmenter.segment([image])[0]
    np.testing.assert_array_equal(found > 0, segmenter.at(zoom).segment([image])[0] > 0)
    assert found.max() == 2 and abs((found > 0).sum() / (labels > 0).sum() - 1) < 0.1
    assert segmenter.at(1.0).zoom_of(image) == 1.0 and segmenter.zoom_of(image) == zoom
    assert labels_from_maps(segmenter.maps(image), 0.25).shape == (round(128 * zoom), round(160 * zoom))

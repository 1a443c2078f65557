"""What a segmenter is shown of a frame and how its labels are brought back: excluded parts, resampling, magnification."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.test_segment import discs
from tests.test_zoom import BestAt40Px

from morphoscope.calibration import Calibration
from morphoscope.measure.label_resize import resized_labels
from morphoscope.measure.shape import shapes
from morphoscope.models.card import ModelCard
from morphoscope.models.segment import Segmenter
from morphoscope.pipeline.masks import Masks, ThresholdSegmenter
from morphoscope.pipeline.stages import Plan, make_plan, resampled
from morphoscope.recipe import Recipe, parse_recipe

PLACES = [(60.0, 50.0), (200.0, 60.0), (120.0, 160.0)]
BLOCK = {"x0": 0, "y0": 200, "x1": 320, "y1": 256}


def picture(radius: float = 20) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (np.where(discs((256, 320), PLACES, radius) > 0, 90, 50) + rng.normal(0, 3, (256, 320))).astype(np.uint8)


def otsu(recipe: Recipe, shape: tuple[int, int]) -> tuple[Masks, Plan]:
    finder = Masks(ThresholdSegmenter("otsu", recipe.segment), recipe.segment)
    return finder, make_plan(recipe, shape, Calibration((2.0, 2.0)), finder.card)


@pytest.mark.parametrize("grey", [0, 70, 255])
def test_what_is_excluded_does_not_move_the_threshold(grey: int) -> None:
    recipe = parse_recipe({"frames": {"exclude": [BLOCK]}})
    image = picture()
    image[200:] = grey
    finder, plan = otsu(recipe, image.shape)
    measured = finder.measure(image, finder.find(0, image, plan), plan)
    assert np.allclose(measured.objects["equivalent_diameter_px"], 40, rtol=0.03) and len(measured.objects) == 3


def test_nothing_is_found_in_excluded_parts_and_what_they_cut_lies_on_an_edge() -> None:
    image = picture()
    part = {"x0": 100, "y0": 150, "x1": 200, "y1": 200}
    wanted = parse_recipe({"frames": {"exclude": [part]}})
    finder, plan = otsu(wanted, image.shape)
    found = finder.find(0, image, plan)
    assert not found.labels[150:200, 100:200].any()
    table = finder.measure(image, found, plan).objects.sort_values("y_px")
    assert table["on_edge"].tolist() == [False, False, True] and table["edge_weight"].isna().tolist() == [False, False, True]
    left, _ = otsu(parse_recipe({"frames": {"exclude": [part]}, "segment": {"edge": "leave out"}}), image.shape)
    assert len(left.measure(image, found, plan).objects) == 2


@pytest.mark.parametrize("factor", [1 / 8, 1 / 4, 0.6, 1.0, 3.0])
def test_labels_that_are_brought_back_are_as_large_as_before_and_have_no_stairs(factor: float) -> None:
    small = discs(
        (round(240 * factor), round(400 * factor)), [(110 * factor, 120 * factor), (290 * factor, 117 * factor)], 50 * factor
    )
    table = shapes(resized_labels(small, (240, 400)))
    assert np.allclose(table["area_px"], np.bincount(small.ravel())[1:] / factor**2, rtol=0.01)
    assert np.allclose(table["circularity"], 1, atol=0.025) and np.allclose(
        table["x_px"] + 0.5, [110 + 0.5 / factor, 290 + 0.5 / factor], atol=max(0.3 / factor, 1)
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.tuples(st.integers(20, 60), st.integers(20, 60)))
def test_bringing_labels_back_makes_up_no_label(seed: int, shape: tuple[int, int]) -> None:
    labels = np.random.default_rng(seed).integers(0, 3, (5, 6)).repeat(4, 0).repeat(4, 1).astype(np.int32)
    found = resized_labels(labels, shape)
    assert found.shape == shape and found.dtype == np.int32 and set(np.unique(found)) <= set(np.unique(labels))
    assert resized_labels(labels, (20, 24)).tolist() == labels.tolist()


class Soft(BestAt40Px):
    """The same with logits that pass zero gradually, of a model that was trained at 2 nm per px."""

    def __init__(self) -> None:
        super().__init__()
        self.card = ModelCard.model_validate({**self.card.model_dump(), "pixel_size_nm": 2.0})

    def run(self, batch):
        (maps,) = super().run(batch)
        maps[:, 0] = [cv2.GaussianBlur(foreground, (0, 0), 1.0) for foreground in maps[:, 0]]
        return [maps]


@pytest.mark.parametrize(("pixel", "magnified"), [((4.0, 4.0), 1.0), ((4.0, 4.8), 0.5 * (2 * 2.4) ** 0.5)])
def test_magnification_and_resampling_are_combined(pixel: tuple[float, float], magnified: float) -> None:
    image = np.where(discs((128, 160), [(40.0, 50.0), (110.0, 80.0)], 20) > 0, 200, 10).astype(np.uint8)
    finder = Masks(Segmenter(Soft()))
    plan = make_plan(Recipe(), image.shape, Calibration(pixel), finder.card)
    found = finder.find(0, image, plan)
    table = finder.measure(image, found, plan).objects
    assert plan.zoom is not None and found.magnified == pytest.approx(magnified)
    assert len(table) == 2 and np.allclose(table["equivalent_diameter_px"], 40, rtol=0.04)
    assert table["aspect_ratio"].between(1, 1.03 * max(pixel) / min(pixel)).all() and table["solidity"].min() > 0.96
    settled, said = finder.settled([image, image], plan)
    assert "0.5 times" in said[0] and settled.find(0, image, plan).magnified == found.magnified
    assert settled.key(plan) != finder.key(plan)


@pytest.mark.parametrize("dtype", [bool, np.uint32, np.int32, np.float16, np.int64])
def test_frames_of_all_types_are_resampled(dtype: type) -> None:
    image = (discs((40, 60), [(30.0, 20.0)], 10) > 0).astype(dtype)
    assert resampled(image, (0.5, 0.5)).mean() == pytest.approx(float(image.mean(dtype=float)), rel=1e-3)

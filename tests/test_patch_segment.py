"""Segmentation by a model of patches: every pixel has the score of the patch around it."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

import morphoscope as ms
from morphoscope.errors import InputError, ModelError
from morphoscope.models.card import ModelCard
from morphoscope.models.patch_segment import PatchSegmenter
from morphoscope.models.score import Scorer
from morphoscope.pipeline.remarks import outline_warnings


class CentreSession:
    """Sees the pixel in the middle of a patch: bright ones are of the first class, dark ones of the second."""

    input_shape = (None, None, None, None)

    def __init__(self, **changes) -> None:
        values = {
            "name": "m", "task": "score", "classes": ("bright", "dark"), "preprocess": "unit-1", "postprocess": "scores-1",
            "answer": "multi-label", "patch_px": 7, "channels": 1, "thresholds": (0.6, 0.9),
        }  # fmt: skip
        self.card = ModelCard.model_validate({**values, **changes})

    def run(self, batch):
        middle = batch[:, 0, 3, 3].clip(0.01, 0.99)
        odds = np.log(middle / (1 - middle))
        return [np.stack([odds, -odds], axis=1)[:, :, None, None].astype(np.float32)]


@pytest.fixture
def image():
    return np.random.default_rng(3).integers(0, 256, (23, 31)).astype(np.uint8)


def test_each_pixel_up_to_the_edge_has_the_class_of_the_patch_around_it(image):
    segmenter = PatchSegmenter(Scorer(CentreSession()))
    unit = image / 255
    wanted = np.where(unit > 0.6, 1, np.where(unit < 0.1, 2, 0))
    (found,) = segmenter.class_maps([image])
    np.testing.assert_array_equal(found, wanted)
    assert segmenter.card.threshold == pytest.approx(0.75)
    (lower,) = segmenter.class_maps([image], threshold=0.55)
    np.testing.assert_array_equal(lower, np.where(unit > 0.4, 1, np.where(unit < 0.3, 2, 0)))


def test_labels_are_the_connected_parts_of_the_classes():
    image = np.full((20, 20), 128, np.uint8)
    image[3:8, 3:8], image[12:17, 3:8], image[3:8, 12:17] = 250, 250, 5
    ((labels, classes),) = PatchSegmenter(Scorer(CentreSession())).named([image])
    assert classes == ("bright", "bright", "dark")
    assert labels[5, 5] == 1 and labels[14, 5] == 2 and labels[5, 14] == 3
    assert np.bincount(labels.ravel()).tolist() == [325, 25, 25, 25]


def test_a_stride_leaves_blocks(image):
    (found,) = PatchSegmenter(Scorer(CentreSession()), stride_px=3).class_maps([image])
    assert found.shape == image.shape
    assert (found[:, 1:] != found[:, :-1]).any(axis=0).sum() <= 11


def test_what_cannot_be_used_is_said(image):
    with pytest.raises(ModelError, match="none of them the background"):
        PatchSegmenter(Scorer(CentreSession(answer="exclusive")))
    with pytest.raises(InputError, match=r"\(h, w\) or \(h, w, 3\)"):
        PatchSegmenter(Scorer(CentreSession())).maps(image[0])


def test_a_run_says_once_that_patches_blur_outlines(tmp_path, image):
    for name in ("a.tif", "b.tif"):
        tifffile.imwrite(tmp_path / name, image)
    recipe = ms.parse_recipe({"report": {"overlay": False}})
    run = ms.segment(tmp_path, recipe, tmp_path / "run", segmenter=PatchSegmenter(Scorer(CentreSession())))
    said = [line for line in run.warnings if "outlines are blurred" in line]
    assert len(run.objects) and len(said) == 1 and "patch of 7 px" in said[0]
    assert not outline_warnings(CentreSession(training={"target": "centre"}).card)  # was taught the pixel in the middle

"""Patches about single pixels: what they are taught, how often, and what is taken back afterwards."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")

from morphoscope.measure.matching import precision_recall_f1
from morphoscope.models.patch_segment import PatchSegmenter
from morphoscope.models.score import load_scorer
from morphoscope.recipe import parse_recipe
from morphoscope.train.centre_sampling import MARKED, CentreSampler
from morphoscope.train.score import train_scorer
from morphoscope.train.score_job import prepare
from morphoscope.train.score_sampling import Change


def _roads(root: Path, number: int = 6) -> Path:
    """Dark lines 5 px wide on a grey, noisy ground."""
    rng = np.random.default_rng(4)
    for k in range(number):
        mask = np.zeros((80, 96), np.uint8)
        (x0, x1), (y0, y1) = rng.integers(0, 96, 2).tolist(), rng.integers(0, 80, 2).tolist()
        cv2.line(mask, (x0, 0), (x1, 79), 255, 5)
        cv2.line(mask, (0, y0), (95, y1), 255, 5)
        image = np.clip(120 - 25 * (mask > 0) + rng.normal(0, 4, mask.shape), 0, 255).astype(np.uint8)
        for folder, picture in (("image", image), ("mask", mask)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / folder / f"{k}.png"), picture)
    return root


@pytest.fixture(scope="module")
def roads(tmp_path_factory) -> Path:
    return _roads(tmp_path_factory.mktemp("roads"))


def _recipe(**train):
    settings = {"network": "deepthin-road-27", "target": "centre", "folds": 0, **train}
    return parse_recipe({"train": settings, "score": {"patch_px": 27}, "run": {"threads": 1}})


def test_a_patch_is_taught_its_middle_pixel_and_logits_know_how_often_classes_were_drawn(roads: Path) -> None:
    job, _ = prepare(roads, _recipe(), name="m")
    sampler = CentreSampler(job.pictures, 27, change=Change())
    patches, targets, weights = sampler.draw(2000, np.random.default_rng(0))
    assert patches.shape == (2000, 1, 27, 27) and targets.shape == (2000, 1) and (weights == 1).all()
    middle = patches[:, 0, 12:15, 12:15].mean(axis=(1, 2))
    dark = middle < np.quantile(middle, (0.05, 0.95)).mean()
    assert (dark == (targets[:, 0] > 0)).mean() > 0.95
    share = np.mean([one.masks.mean() for one in job.pictures])
    drawn = (1 - MARKED) * share + MARKED
    assert targets.mean() == pytest.approx(drawn, abs=0.05)
    assert sampler.shift == pytest.approx([np.log(drawn / (1 - drawn)) - np.log(share / (1 - share))])
    assert len(sampler) == sum(len(one.corners) for one in job.pictures)


def test_a_model_of_patches_outlines_lines_it_has_not_learnt(roads: Path, tmp_path: Path) -> None:
    trained = train_scorer(roads, tmp_path / "m.onnx", _recipe(epochs=10, patches=32, rate=3e-3))
    assert trained.card.preprocess == "robust-rgb-1" and trained.card.patch_px == 27
    other = _roads(tmp_path / "other", 1)
    image, true = (cv2.imread(str(other / part / "0.png"), cv2.IMREAD_GRAYSCALE) for part in ("image", "mask"))
    segmenter = PatchSegmenter(load_scorer(tmp_path / "m.onnx", threads=1))
    chance = segmenter.maps(image)[0]
    found, line = chance > 0.5, true > 0
    assert precision_recall_f1(int((found & line).sum()), int((found & ~line).sum()), int((line & ~found).sum()))[2] > 0.6
    assert chance.mean() == pytest.approx(line.mean(), abs=0.06)

"""Evaluation against scenes whose scores are known by construction."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from morphoscope.calibration import Calibration
from morphoscope.evaluate import (
    Evaluation,
    above,
    best_threshold,
    counted,
    noise_table,
    recall_by_size,
    score_images,
    smallest_reliable,
    summarise,
)
from morphoscope.io.labels import LabelledImages, read_boxes
from morphoscope.recipe import Region
from morphoscope.synth.noise import add_noise

CENTRES = np.array([(30.0, 30), (90, 30), (150, 30), (30, 90), (90, 90), (150, 90), (30, 150), (90, 150)])


@pytest.fixture
def data(tmp_path: Path) -> LabelledImages:
    """Two images of eight dark discs of radius 8; discs right of x = 120 are not labelled, the labels are complete left of it."""
    rows = []
    for name in ("a.png", "b.png"):
        image = np.full((180, 180), 200, np.uint8)
        for x, y in CENTRES.astype(int):
            cv2.circle(image, (int(x), int(y)), 8, 60, -1)
        cv2.imwrite(str(tmp_path / name), image)
        rows += [(name, "disc", x - 8, y - 8, x + 8, y + 8) for x, y in CENTRES if x < 120]
    pd.DataFrame(rows, columns=["file", "label", "x0", "y0", "x1", "y1"]).to_csv(tmp_path / "boxes.csv", index=False)
    (tmp_path / "labels.toml").write_text('file = "boxes.csv"\ncomplete_region = { x0 = 0, y0 = 0, x1 = 120, y1 = 180 }\n')
    return read_boxes(tmp_path)


def _find(image: np.ndarray) -> pd.DataFrame:
    """Finds all discs but the first, and one thing that is not there; dark discs are taken for real, so noise is survived."""
    del image
    found = np.vstack([CENTRES[1:], [(60.0, 60.0)]])
    score = np.linspace(0.9, 0.6, len(found))
    return pd.DataFrame(
        {"label": "disc", "score": score, "x_px": found[:, 0], "y_px": found[:, 1], "width_px": 16.0, "height_px": 16.0}
    )


def _evaluate(data: LabelledImages) -> Evaluation:
    return summarise(score_images(_find, data))


def test_counts_are_those_of_the_complete_region(data: LabelledImages) -> None:
    result = _evaluate(data)
    row = result.by_iou.set_index("iou").loc[0.15]
    assert (row.tp, row.fp, row.fn) == (10, 2, 2)
    assert result.metrics["f1"] == pytest.approx(20 / 24)
    assert result.metrics["count_error_mean"] == 0
    assert list(result.by_iou["iou"]) == [round(0.05 * k, 2) for k in range(1, 16)]


def test_a_threshold_is_found_where_the_false_one_drops_out(data: LabelledImages) -> None:
    scored = list(score_images(_find, data))
    threshold = best_threshold(scored)
    kept = summarise([above(one, threshold) for one in scored])
    assert 0.6 < threshold <= 0.65 and kept.metrics["precision"] == 1


def test_a_smaller_region_counts_fewer_objects(data: LabelledImages) -> None:
    result = summarise(score_images(_find, data, within=Region(x0=60, y0=0, x1=120, y1=180)))
    row = result.by_iou.set_index("iou").loc[0.15]
    assert (row.tp, row.fp, row.fn) == (6, 2, 0)


def test_pictures_leave_out_what_does_not_count(data: LabelledImages) -> None:
    (one, _) = (counted(s) for s in score_images(_find, data))
    assert len(one.truth) == 6 and len(one.found) == 6 and (one.found["x_px"] < 120).all()


def test_another_class_is_no_match(data: LabelledImages) -> None:
    result = summarise(score_images(lambda image: _find(image).assign(label="void"), data))
    assert result.by_iou["tp"].max() == 0


def test_sizes_are_compared_by_the_same_geometry(data: LabelledImages) -> None:
    result = _evaluate(data)
    assert result.metrics["size_error_worst"] < 0.02
    assert result.frames["size_median_true_px"].to_numpy() == pytest.approx([16, 16], abs=0.5)


def test_an_empty_answer_scores_zero_without_an_error(data: LabelledImages) -> None:
    result = summarise(score_images(lambda image: _find(image).iloc[:0], data))
    assert result.metrics["f1"] == 0 and result.metrics["n_found"] == 0 and np.isnan(result.metrics["size_error_mean"])


def test_noise_that_a_finder_ignores_costs_nothing(data: LabelledImages) -> None:
    table = noise_table(_find, data)
    assert len(table) == 8 and (table["fall"] == 0).all()


def test_recall_by_size_and_the_smallest_reliable_size() -> None:
    sizes = np.arange(1, 101, dtype=float)
    table = recall_by_size(sizes, sizes > 40, bins=5)
    assert table["n"].sum() == 100
    assert table["recall"].tolist() == [0, 0, 1, 1, 1]
    interval = stats.binomtest(20, 20).proportion_ci(method="wilson")
    assert table["recall_low"].iloc[-1] == pytest.approx(interval.low)
    assert smallest_reliable(table) == pytest.approx(table["size_low"].iloc[2])
    assert np.isnan(smallest_reliable(recall_by_size(sizes, sizes < 0)))


@pytest.mark.parametrize(("kind", "level", "variance"), [("gaussian", 0.002, 0.002), ("poisson", 1.0, 128 / 255**2)])
def test_noise_has_the_variance_it_says(kind: str, level: float, variance: float) -> None:
    image = np.full((400, 400), 128, np.uint8)
    noisy = add_noise(image, kind, level, np.random.default_rng(0)) / 255
    assert noisy.var() == pytest.approx(variance, rel=0.03)


def test_salt_and_pepper_hits_the_share_of_pixels_it_says() -> None:
    noisy = add_noise(np.full((400, 400), 128, np.uint8), "salt and pepper", 0.1, np.random.default_rng(0))
    assert (noisy == 0).mean() == pytest.approx(0.05, abs=0.003) and (noisy == 255).mean() == pytest.approx(0.05, abs=0.003)


def test_images_of_the_same_name_get_pictures_of_their_own() -> None:
    from morphoscope.report.evaluation_folder import _picture_name

    assert [_picture_name(name) for name in ("a.png", "x/a.png", "../y/a.png")] == ["a", "x-a", "y-a"]


def test_the_folder_holds_tables_figures_and_pictures(data: LabelledImages, tmp_path: Path) -> None:
    from morphoscope.report.evaluation_folder import write_evaluation

    class Fixed:
        def detect(self, images: list[np.ndarray], *, threshold: float | None = None) -> list[pd.DataFrame]:
            return [_find(image) for image in images]

    folder = tmp_path / "scores"
    write_evaluation(folder, _evaluate(data), Fixed(), data, calibration=Calibration(pixel_size_nm=(0.5, 0.5)))  # type: ignore[arg-type]
    assert json.loads((folder / "metrics.json").read_text())["f1"] == pytest.approx(20 / 24)
    assert {p.name for p in folder.glob("*.csv")} == {"frames.csv", "by_iou.csv", "by_iou_frame.csv", "by_size.csv"}
    assert {p.stem for p in (folder / "pictures").glob("*.png")} == {"a", "b"}
    assert {p.stem for p in (folder / "figures").glob("*.png")} == {"f1_vs_iou", "recall_by_size"}

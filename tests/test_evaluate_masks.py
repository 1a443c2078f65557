"""Evaluation of masks: errors made on purpose, the bootstrap, the folder and the command."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from morphoscope.cli.main import build_app
from morphoscope.errors import InputError, RunExistsError, UsageError
from morphoscope.evaluate_masks import evaluate_classes, evaluate_particles, interval
from morphoscope.io.label_images import Pair, is_semantic, read_classes, read_pairs
from morphoscope.measure.mask_scores import count_pixels, iou_of, mean_iou
from morphoscope.models.card import ModelCard
from morphoscope.models.segment import Segmenter
from morphoscope.report.mask_evaluation import MaskPictures, borders, class_outlines, particle_outlines, write_mask_evaluation

SIDE = 96


class Seen:
    """A session that sees the labels: grey 40 k of the image is class k; maps at half the size."""

    input_shape = (None, 1, None, None)

    def __init__(self, classes: tuple[str, ...], *, semantic: bool) -> None:
        kind = "classes-1" if semantic else "instances-1"
        self.card = ModelCard(
            name="seen", task="segment", classes=classes, preprocess="robust-1", postprocess=kind, stride=32, threshold=0.5
        )

        self.runs = 0

    def run(self, batch):
        self.runs += 1
        half = batch[:, 0, ::2, ::2]
        levels = np.unique(half)
        if self.card.postprocess == "classes-1":
            return [np.stack([np.where(half == level, 8.0, -8.0) for level in levels], axis=1).astype(np.float32)]
        up = np.where(half > levels[0], 8.0, -8.0)
        return [np.stack([up, -up, up, up, up * 0, up * 0], axis=1).astype(np.float32)]


def _squares(number: int, *, classes: int = 1) -> np.ndarray:
    labels = np.zeros((SIDE, SIDE), np.int32)
    for k in range(number):
        y, x = divmod(k, 3)
        labels[8 + 28 * y : 24 + 28 * y, 8 + 28 * x : 24 + 28 * x] = k + 1 if classes == 1 else k % classes + 1
    return labels


def _folder(root: Path, part: str, pictures: dict[str, tuple[np.ndarray, np.ndarray]]) -> Path:
    for name, arrays in pictures.items():
        for folder, array in zip(("image", part), arrays, strict=True):
            (root / folder).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / folder / f"{name}.png"), array)
    return root


@pytest.fixture
def particles(tmp_path: Path) -> Path:
    """In `a` all nine are seen; in `b` six are, of nine true ones; in `c` one of nine is half as large."""
    full, fewer, half = _squares(9), _squares(6), _squares(9)
    half[8:24, 8:20] = 0
    seen = {"a": full, "b": fewer, "c": half}
    pictures = {k: (np.where(v > 0, 200, 50).astype(np.uint8), full.astype(np.uint16)) for k, v in seen.items()}
    return _folder(tmp_path / "particles", "instances", pictures)


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Two classes; in `b` a quarter of the pixels of the second is shown as background."""
    mask = _squares(6, classes=2)
    shown = mask.copy()
    shown[8:24, 36:52] = np.where(np.arange(16)[:, None] < 12, 2, 0)
    pictures = {"a": (mask, mask), "b": (shown, mask)}
    return _folder(
        tmp_path / "classes", "mask", {k: ((s * 40).astype(np.uint8), m.astype(np.uint8)) for k, (s, m) in pictures.items()}
    )


def test_errors_made_on_purpose_are_counted(particles: Path) -> None:
    result = evaluate_particles(Segmenter(Seen(("particle",), semantic=False)), read_pairs(particles))
    frames = result.frames.set_index("file")
    assert frames["tp"].tolist() == [9, 6, 8] and frames["fn"].tolist() == [0, 3, 1] and frames["fp"].tolist() == [0, 0, 1]
    assert result.metrics["f1"] == pytest.approx(2 * 23 / (2 * 23 + 1 + 4))
    assert result.metrics["precision"] == pytest.approx(23 / 24) and result.metrics["recall"] == pytest.approx(23 / 27)
    assert frames.loc["b.png", "count_error"] == pytest.approx(-1 / 3)
    assert result.metrics["count_error_worst"] == pytest.approx(1 / 3) and result.metrics["count_error_median"] == 0
    assert frames.loc["c.png", "diameter_error"] == pytest.approx((8 + np.sqrt(0.25)) / 9 - 1)
    assert result.metrics["f1_low"] <= result.metrics["f1"] <= result.metrics["f1_high"]
    assert result.by_iou.set_index("iou").loc[0.3, "tp"] == 23


def test_iou_of_classes_is_that_of_their_pixels(classes: Path) -> None:
    pairs, names = read_classes(classes)
    result = evaluate_classes(Segmenter(Seen(names, semantic=True)), pairs, names)
    assert names == ("class 1", "class 2")
    table = result.by_class.set_index("class")
    assert table.loc["class 1", "iou"] == 1
    assert table.loc["class 2", "iou"] == pytest.approx((6 * 256 - 64) / (6 * 256))
    assert result.metrics["iou"] == pytest.approx((1 + table.loc["class 2", "iou"]) / 2)
    assert result.metrics["accuracy"] == pytest.approx(1 - 64 / (2 * SIDE * SIDE))
    assert result.metrics["iou_low"] <= result.metrics["iou"] <= result.metrics["iou_high"] == 1
    with pytest.raises(InputError, match="the model one"):
        evaluate_classes(Segmenter(Seen(("one", "two", "three"), semantic=True)), pairs, names)
    with pytest.raises(InputError, match="at least one"):
        evaluate_classes(Segmenter(Seen(names, semantic=True)), [], names)


def test_a_tolerance_forgives_what_lies_beside_the_truth(classes: Path) -> None:
    """A quarter of one of six squares of 16 px is missed, the last four rows: after 2 px half of it counts as found."""
    pairs, names = read_classes(classes)
    result = evaluate_classes(Segmenter(Seen(names, semantic=True)), pairs, names)
    table = result.by_tolerance
    second = table[table["class"] == names[1]].set_index("tolerance_px")
    missed = np.array([second.loc[px, "recall"] for px in (0, 2, 5)])
    np.testing.assert_allclose(missed, 1 - np.array([4, 2, 0]) / (3 * 16) / 2, atol=1e-12)
    assert (second["precision"] == 1).all()
    assert second.loc[0, "f1_low"] <= second.loc[0, "f1"] <= second.loc[0, "f1_high"]
    assert result.metrics["f1_2px"] == pytest.approx((1 + second.loc[2, "f1"]) / 2)


def test_the_interval_is_that_of_the_binomial_for_single_pixels() -> None:
    counts = np.zeros((200, 3), int)
    counts[:140, 0], counts[140:, 1] = 1, 1
    low, high = interval(counts, lambda pooled: float(iou_of(pooled)))
    half = 1.96 * np.sqrt(0.7 * 0.3 / 200)
    assert low == pytest.approx(0.7 - half, abs=0.01) and high == pytest.approx(0.7 + half, abs=0.01)
    assert np.isnan(interval(counts[:1], lambda pooled: 0.0)).all()


def test_counts_of_pixels_are_those_of_a_slow_count() -> None:
    rng = np.random.default_rng(1)
    true, found = rng.integers(0, 4, (2, 9, 11))
    for k, (right, wrong, missed) in enumerate(count_pixels(found, true, 3), 1):
        assert right == ((found == k) & (true == k)).sum() and wrong == ((found == k) & (true != k)).sum()
        assert missed == ((found != k) & (true == k)).sum()


def test_borders_run_between_pixels_of_different_labels() -> None:
    x, y = borders(np.array([[0, 1], [0, 1]]))
    np.testing.assert_array_equal(x, [0.5, 0.5, np.nan, 0.5, 0.5, np.nan])
    np.testing.assert_array_equal(y, [-0.5, 0.5, np.nan, 0.5, 1.5, np.nan])


@pytest.mark.parametrize("semantic", [True, False])
def test_the_folder_holds_tables_metrics_figures_and_pictures(
    semantic: bool, particles: Path, classes: Path, tmp_path: Path
) -> None:
    root = classes if semantic else particles
    pairs, names = read_classes(root) if semantic else (read_pairs(root), ("particle",))
    session, seen = Seen(names, semantic=semantic), MaskPictures(tmp_path / "out", semantic)
    segmenter = Segmenter(session)
    result = evaluate_classes(segmenter, pairs, names, seen=seen) if semantic else evaluate_particles(segmenter, pairs, seen=seen)
    assert is_semantic(root) == semantic and session.runs == len(pairs)
    write_mask_evaluation(tmp_path / "out", result, semantic=semantic)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["iou" if semantic else "f1"] == result.metrics["iou" if semantic else "f1"]
    made = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")}
    wanted = (
        {"by_class.csv", "by_tolerance.csv", "figures/iou_by_class.png"}
        if semantic
        else {"by_iou.csv", "by_size.csv", "figures/f1_vs_iou.png"}
    )
    assert wanted | {"frames.csv", "metrics.json", "pictures/a.png"} <= made


@pytest.mark.parametrize("draw", [particle_outlines, class_outlines])
def test_a_picture_shows_the_whole_image(draw) -> None:
    labels = np.zeros((40, 60), int)
    labels[5:15, 10:30] = 1
    ax = draw(labels * 9.0, labels, labels).axes[0]
    assert ax.get_xlim() == (-0.5, 59.5) and ax.get_ylim() == (39.5, -0.5)


def test_a_class_that_is_nowhere_has_no_part_in_the_mean(tmp_path: Path) -> None:
    """Classes 1 and 2 are seen as they are, 3 is nowhere, 2 in one image of five only."""
    data = []
    for k in range(5):
        mask = _squares(6, classes=2 if k == 0 else 1).clip(max=2 if k == 0 else 1)
        data.append((f"{k}", ((mask * 40).astype(np.uint8), mask.astype(np.uint8))))
    root = _folder(tmp_path / "d", "mask", dict(data))
    (root / "labels.toml").write_text("[classes]\none = 1\ntwo = 2\nthree = 3\n")
    pairs, names = read_classes(root)
    session = Seen(names, semantic=True)
    session.run = lambda batch: [_shown(batch[:, 0, ::2, ::2])]
    result = evaluate_classes(Segmenter(session), pairs, names)
    assert result.metrics["iou"] == result.metrics["iou_low"] == result.metrics["iou_high"] == 1
    table = result.by_class.set_index("class")
    assert table.loc["two", ["iou", "iou_low", "iou_high"]].tolist() == [1, 1, 1]
    assert table.loc["three", ["iou", "iou_low", "iou_high"]].isna().all()
    write_mask_evaluation(tmp_path / "out", result, semantic=True)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text(encoding="utf-8"))["iou_three"] is None
    assert mean_iou(np.array([[[4, 0, 0], [0, 0, 0]], [[0, 1, 0], [2, 0, 0]]])).tolist() == [1, 0.5]
    assert np.isnan(mean_iou(np.zeros((2, 3), int)))


def _shown(half: np.ndarray) -> np.ndarray:
    """Logits of four classes of a picture that `robust-1` has scaled: its levels are the background, one and two."""
    kind = np.searchsorted(np.unique(half), half)
    return np.stack([np.where(kind == k, 8.0, -8.0) for k in range(4)], axis=1).astype(np.float32)


def test_an_image_and_its_labels_have_one_size(tmp_path: Path) -> None:
    root = _folder(tmp_path / "d", "instances", {"a": (np.zeros((9, 9), np.uint8), np.zeros((8, 9), np.uint8))})
    (pair,) = read_pairs(root)
    with pytest.raises(InputError, match="the same"):
        pair.image()
    assert isinstance(pair, Pair)


def test_the_command_knows_a_segmenter_and_keeps_what_is_there(
    classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segmenter = Segmenter(Seen(("class 1", "class 2"), semantic=True))
    (tmp_path / "m.onnx").write_bytes(b"")
    monkeypatch.setattr("morphoscope.models.runtime.read_card", lambda path: segmenter.card)
    monkeypatch.setattr("morphoscope.models.segment.load_segmenter", lambda model: segmenter)
    command = ["evaluate", str(tmp_path / "m.onnx"), str(classes), "-o", str(tmp_path / "out")]
    said = CliRunner().invoke(build_app(), command)
    assert said.exit_code == 0 and "class 2: IoU 0.958" in said.output and (tmp_path / "out" / "metrics.json").exists()
    assert isinstance(CliRunner().invoke(build_app(), command).exception, RunExistsError)
    for option in (["--scale", "2"], ["--no-noise"], ["--min-objects", "3"]):
        refused = CliRunner().invoke(build_app(), [*command[:3], *option]).exception
        assert isinstance(refused, UsageError) and "for detectors only" in str(refused)
    printed = CliRunner().invoke(build_app(), [*command[:3], "--json"])
    assert json.loads(printed.output)["iou_class 1"] == 1

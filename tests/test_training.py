"""Training, export, loading and training on: the detector's whole life on small rendered scenes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")

from morphoscope.errors import ModelError, UsageError  # noqa: E402
from morphoscope.evaluate import evaluate_detector  # noqa: E402
from morphoscope.io.labels import read_boxes  # noqa: E402
from morphoscope.models.card import ModelCard  # noqa: E402
from morphoscope.models.detect import load_detector  # noqa: E402
from morphoscope.models.runtime import load_session  # noqa: E402
from morphoscope.recipe import Recipe, parse_recipe  # noqa: E402
from morphoscope.train import augment  # noqa: E402
from morphoscope.train.centres import loss, targets  # noqa: E402
from morphoscope.train.detect import train_detector  # noqa: E402
from morphoscope.train.export import export_detector  # noqa: E402
from morphoscope.train.networks import CentreNet  # noqa: E402
from morphoscope.train.trained import load_network  # noqa: E402

WIDTHS = (8, 8, 12, 16)


def _blobs(seed: int, count: int = 14, size: int = 160) -> tuple[np.ndarray, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    image = np.full((size, size), 150.0) + rng.normal(0, 6, (size, size))
    rows = []
    spots = np.stack(np.meshgrid(np.arange(20, size, 36), np.arange(20, size, 36)), axis=-1).reshape(-1, 2)
    for x, y in rng.permutation(spots)[:count] + rng.uniform(-6, 6, (count, 2)):
        radius = rng.uniform(4, 8)
        yy, xx = np.mgrid[:size, :size]
        image -= 90 / (1 + np.exp((np.hypot(xx - x, yy - y) - radius) * 2))
        rows.append({"label": "blob", "x0": x - radius, "y0": y - radius, "x1": x + radius, "y1": y + radius})
    return np.clip(image, 0, 255).astype(np.uint8), pd.DataFrame(rows)


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("blobs")
    tables = []
    for k in range(4):
        image, boxes = _blobs(k)
        cv2.imwrite(str(folder / f"{k}.png"), image)
        tables.append(boxes.assign(file=f"{k}.png"))
    pd.concat(tables).to_csv(folder / "boxes.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    settings = {"steps": 120, "batch": 4, "crop_px": 96, "widths": WIDTHS, "folds": 1, "rate": 5e-3, "gap_px": 4}
    return parse_recipe({"train": settings, "run": {"threads": 1}, "calibration": {"pixel_size_nm": 0.5}})


@pytest.fixture(scope="module")
def trained(blobs: Path, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = tmp_path_factory.mktemp("model") / "blobs.onnx"
    train_detector(blobs, model, recipe)
    return model


def test_a_short_training_finds_blobs_it_has_never_seen(trained: Path, tmp_path: Path) -> None:
    image, boxes = _blobs(99)
    cv2.imwrite(str(tmp_path / "new.png"), image)
    boxes.assign(file="new.png").to_csv(tmp_path / "boxes.csv", index=False)
    detector = load_detector(trained, threads=1)
    result = evaluate_detector(detector, read_boxes(tmp_path), threshold=0.3)
    assert result.metrics["f1"] > 0.9
    assert detector.card.metrics["f1"] > 0.8 and detector.card.classes == ("blob",) and detector.card.pixel_size_nm == 0.5


def test_detection_is_the_same_from_run_to_run_in_batches_and_alone(trained: Path) -> None:
    images = np.stack([_blobs(k)[0] for k in range(3)])
    together = load_detector(trained, threads=2).detect(images)
    again = load_detector(trained, threads=2).detect(images)
    for k, (a, b) in enumerate(zip(together, again, strict=True)):
        pd.testing.assert_frame_equal(a, b, check_exact=True)
        alone = load_detector(trained, threads=2).detect(images[k : k + 1])[0]
        pd.testing.assert_frame_equal(a, alone, rtol=1e-4)


def test_sixteen_bit_and_eight_bit_images_give_the_same_boxes(trained: Path) -> None:
    image = _blobs(5)[0]
    detector = load_detector(trained, threads=1)
    wide = detector.detect([image.astype(np.uint16) * 257])[0]
    pd.testing.assert_frame_equal(wide, detector.detect([image])[0], rtol=1e-3)


def test_training_goes_on_from_the_file_with_the_same_outputs(trained: Path, tmp_path: Path) -> None:
    network = load_network(trained).eval()
    again = tmp_path / "again.onnx"
    export_detector(network, load_session(trained).card, again)
    batch = np.random.default_rng(0).normal(size=(1, 1, 64, 64)).astype(np.float32)
    for a, b in zip(load_session(trained).run(batch), load_session(again).run(batch), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_frozen_backbone_stays_as_it_is(trained: Path, blobs: Path, recipe: Recipe, tmp_path: Path) -> None:
    few = recipe.model_copy(update={"train": recipe.train.model_copy(update={"steps": 3, "folds": 0})})
    train_detector(blobs, tmp_path / "tuned.onnx", few, start=trained, freeze="backbone")
    before, after = load_network(trained).state_dict(), load_network(tmp_path / "tuned.onnx").state_dict()
    changed = {k for k in before if not torch.equal(before[k], after[k])}
    assert changed and not any(k.startswith("backbone.") for k in changed)


def test_freezing_without_a_start_is_refused(blobs: Path, recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--from"):
        train_detector(blobs, tmp_path / "x.onnx", recipe, freeze="backbone")


def test_a_model_for_another_task_is_refused(tmp_path: Path) -> None:
    card = ModelCard(name="c", task="classify", classes=("a",), preprocess="robust-1", postprocess="centres-1")
    export_detector(CentreNet(1, widths=WIDTHS), card, tmp_path / "c.onnx")
    with pytest.raises(ModelError, match="'detect'"):
        load_detector(tmp_path / "c.onnx")


def test_several_classes_are_told_apart(tmp_path: Path) -> None:
    card = ModelCard(
        name="two", task="detect", classes=("a", "b"), preprocess="robust-1", postprocess="centres-1", stride=16, threshold=0.01
    )
    export_detector(CentreNet(2, widths=WIDTHS), card, tmp_path / "two.onnx")
    found = load_detector(tmp_path / "two.onnx").detect([_blobs(1)[0]], threshold=0.001)[0]
    assert set(found["label"]) == {"a", "b"}


def test_targets_peak_at_the_object_and_hold_its_box() -> None:
    heat, box = targets(np.array([[10.0, 20.0, 22.0, 28.0, 1.0]]), 2, 16, 4)
    label, row, column = np.unravel_index(heat.argmax(), heat.shape)
    assert (label, row, column) == (1, 6, 4) and heat.max() == 1
    x = (column + 0.5 + box[0, row, column]) * 4 - 0.5
    y = (row + 0.5 + box[1, row, column]) * 4 - 0.5
    assert (x, y) == pytest.approx((16, 24))
    assert np.exp(box[2:4, row, column]) * 4 == pytest.approx([12, 8])
    assert box[4].sum() == 9


def test_nothing_is_learnt_where_labels_are_not_complete() -> None:
    output = torch.zeros(1, 5, 8, 8, requires_grad=True)
    heat, box = targets(np.array([[10.0, 10.0, 20.0, 20.0, 0.0]]), 1, 8, 4)
    valid = torch.zeros(1, 1, 8, 8)
    valid[..., 6:] = 1
    loss(output, torch.from_numpy(heat)[None], torch.from_numpy(box)[None], valid).backward()
    assert output.grad is not None and not output.grad[..., :6].any() and output.grad[..., 6:].any()


@pytest.mark.parametrize("seed", range(8))
def test_boxes_follow_their_objects_through_crops_and_turns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    image, box = np.zeros((120, 140), np.float32), np.array([[61.0, 40.0, 73.0, 48.0, 0.0]])
    image[40:49, 61:74] = 1
    valid = np.ones(image.shape, np.uint8)
    while True:
        part, boxes, mask = augment.crop(image, box, valid, 96, rng)
        part, boxes, mask = augment.turn(part, boxes, mask, rng)
        if len(boxes) and (boxes[0, :4] > 3).all() and (boxes[0, :4] < 92).all():
            break
    rows, columns = np.nonzero(part > 0.5)
    np.testing.assert_allclose(boxes[0, :4], [columns.min(), rows.min(), columns.max(), rows.max()], atol=1.2)

"""Foreign YOLO-family exports load through a sidecar card; the files are made here, with known boxes inside."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="making the model files needs the extra 'train'")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from morphoscope.errors import ModelError  # noqa: E402
from morphoscope.models.card import shipped_models  # noqa: E402
from morphoscope.models.detect import load_detector  # noqa: E402
from morphoscope.models.yolo import letterbox  # noqa: E402

CARD = """
name = "foreign"
task = "detect"
classes = ["loop", "void"]
preprocess = "rgb-letterbox-1"
postprocess = "{layout}"
threshold = 0.5
"""


def _write(path: Path, rows: np.ndarray, layout: str) -> Path:
    """A model that answers `rows` whatever it sees (plus nothing of its input)."""
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 64, 64])
    output = helper.make_tensor_value_info("output0", TensorProto.FLOAT, list(rows.shape))
    nodes = [
        helper.make_node("ReduceMax", ["images"], ["peak"], keepdims=0),
        helper.make_node("Mul", ["peak", "zero"], ["nothing"]),
        helper.make_node("Add", ["rows", "nothing"], ["output0"]),
    ]
    constants = [numpy_helper.from_array(rows.astype(np.float32), "rows"), numpy_helper.from_array(np.float32(0), "zero")]
    graph = helper.make_graph(nodes, "fixed", [image], [output], constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    path.with_suffix(".toml").write_text(CARD.format(layout=layout))
    return path


# two boxes of one object (they overlap), one of another class, one below the threshold: x, y, w, h in px of the 64 px input
BOXES = np.array([[20, 30, 10, 8], [20.5, 30, 10, 8], [48, 32, 6, 6], [5, 32, 4, 4]], float)
SCORES = np.array([[0.9, 0.1], [0.8, 0.1], [0.2, 0.7], [0.3, 0.1]])


@pytest.mark.parametrize("layout", ["yolo-v8-1", "yolo-v5-1"])
def test_boxes_come_back_in_pixels_of_the_image(tmp_path: Path, layout: str) -> None:
    if layout == "yolo-v8-1":
        rows = np.hstack([BOXES, SCORES]).T[None]
    else:
        rows = np.hstack([BOXES, np.ones((4, 1)), SCORES])[None]
    detector = load_detector(_write(tmp_path / "foreign.onnx", rows, layout))
    # 128 x 64 px: shrunk by two, with borders of 16 px above and below
    found = detector.detect([np.full((64, 128), 90, np.uint8)])[0].sort_values("x_px")
    assert found["label"].tolist() == ["loop", "void"]
    np.testing.assert_allclose(found["x_px"], [39.5, 95.5])
    np.testing.assert_allclose(found["y_px"], [27.5, 31.5])
    np.testing.assert_allclose(found["width_px"], [20, 12])
    np.testing.assert_allclose(found["score"], [0.9, 0.7], rtol=1e-6)


def test_a_wrong_class_list_is_said(tmp_path: Path) -> None:
    path = _write(tmp_path / "foreign.onnx", np.zeros((1, 9, 3)), "yolo-v8-1")
    with pytest.raises(ModelError, match="2 classes"):
        load_detector(path).detect([np.zeros((64, 64), np.uint8)])


def test_a_model_without_a_card_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = _write(tmp_path / "foreign.onnx", np.zeros((1, 6, 3)), "yolo-v8-1")
    path.with_suffix(".toml").unlink()
    with pytest.raises(ModelError, match="foreign.toml"):
        load_detector(path)


def test_a_recipe_beside_a_model_is_not_taken_for_its_card(tmp_path: Path) -> None:
    path = shutil.copy(shipped_models()["loops"], tmp_path / "mine.onnx")
    (tmp_path / "mine.toml").write_text('[detect]\nmodel = "mine.onnx"\n')
    assert load_detector(path).card.name == "loops"


@pytest.mark.parametrize(("text", "message"), [("name = 3", "task"), ("name =", "not valid TOML")])
def test_a_bad_card_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = _write(tmp_path / "foreign.onnx", np.zeros((1, 6, 3)), "yolo-v8-1")
    path.with_suffix(".toml").write_text(text)
    with pytest.raises(ModelError, match=message):
        load_detector(path)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_detector(tmp_path / "x.onnx")


def test_letterbox_keeps_the_aspect_ratio() -> None:
    canvas, factor, border = letterbox(np.full((50, 100), 255, np.uint8), 64, 64)
    assert factor == 0.64 and border == (0, 16) and canvas.shape == (3, 64, 64)
    assert canvas[0, 32].min() == pytest.approx(1) and canvas[0, :16].max() == pytest.approx(114 / 255)

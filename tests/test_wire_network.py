"""The network of wires: shapes, what an answer depends on, its file; the shipped one on drawn wires never learnt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from morphoscope.calibration import Calibration
from morphoscope.measure.alignment import Directions
from morphoscope.models.card import ModelCard
from morphoscope.models.orient import Orienter, load_orienter
from morphoscope.models.wire_maps import read_maps
from morphoscope.pipeline.orient_image import orient_image
from morphoscope.recipe import Recipe
from morphoscope.synth.wires import WirePicture
from morphoscope.synth.write_wires import independent_wires
from morphoscope.train.export import export_orienter
from morphoscope.train.wire_network import WireNet

CARD = ModelCard(name="w", task="orient", classes=("wire",), preprocess="robust-1", postprocess="wires-1", stride=16)


def small() -> WireNet:
    torch.manual_seed(0)
    return WireNet(widths=(4, 4, 8, 8), depth=1).eval()


def test_maps_are_half_as_large_and_an_answer_depends_on_its_surroundings_only() -> None:
    network, x = WireNet().eval(), torch.zeros(1, 1, 64, 640)
    with torch.inference_mode():
        base = network(x)
        x[..., 0] = 5.0
        changed = network(x)
    assert base.shape == (1, 4, 32, 320)
    away = (base - changed).abs().amax((0, 1, 2))
    assert away[0] > 0 and away[96:].max() == 0


def test_the_file_gives_the_networks_answers_and_its_card(tmp_path: Path) -> None:
    network = small()
    export_orienter(network, CARD, tmp_path / "w.onnx")
    finder = load_orienter(tmp_path / "w.onnx", threads=1)
    assert finder.card.architecture == {"widths": [4, 4, 8, 8], "depth": 1}
    picture = WirePicture(shape=(64, 96))
    found = finder.maps(picture.image)
    assert found.wire.shape == (64, 96) and 0 <= found.wire.min() and found.aligned.max() <= 1


def test_maps_are_read_as_probabilities_and_directions() -> None:
    found = read_maps(np.array([[[0.0]], [[0.0]], [[1.0]], [[100.0]]], np.float32))
    assert found.wire[0, 0] == 0.5 and found.aligned[0, 0] == pytest.approx(1)
    assert found.field.angle_deg[0, 0] == pytest.approx(45)


@pytest.fixture(scope="module")
def finder() -> Orienter:
    return load_orienter("wires", threads=1)


@pytest.mark.parametrize("grey", [0, 90, 255])
def test_pictures_without_wires_have_no_fraction(finder: Orienter, grey: int) -> None:
    noise = np.random.default_rng(grey).normal(grey, 20, (128, 128)).clip(0, 255)
    for image in (np.full((80, 90), grey, np.uint8), noise.astype(np.uint8)):
        row = orient_image(image, finder, Recipe(), Calibration()).row
        assert row["doubt"] in ("few wires", "unsure") and np.isnan([row["aligned_fraction"], row["S2"], row["S2_lgo"]]).all()


def test_the_shipped_model_tells_drawn_wires(finder: Orienter) -> None:
    wrong, angle = [], []
    for scene in independent_wires(7100, 6, shape=(256, 256)):
        picture = WirePicture(scene)
        found = finder.maps(picture.image)
        wrong.append(float((found.wire * found.aligned).sum() / found.wire.sum()) - picture.aligned_fraction)
        apart = np.abs((found.field.angle_deg - picture.field.angle_deg + 90) % 180 - 90)
        angle.append(float(np.median(apart[picture.mask])))
    assert np.abs(wrong).mean() < 0.03
    assert np.median(angle) < 3.5


def test_turned_and_mirrored_pictures_have_turned_and_mirrored_directions(finder: Orienter) -> None:
    picture = WirePicture(independent_wires(7200, 1, shape=(192, 192))[0])
    base = finder.maps(picture.image)
    turned, mirrored = finder.maps(np.rot90(picture.image).copy()), finder.maps(picture.image[:, ::-1].copy())

    def close(one: Directions, angle: np.ndarray, wire: np.ndarray) -> bool:
        apart = np.abs((one.angle_deg - angle + 90) % 180 - 90)
        return bool(np.median(apart[wire]) < 4)

    assert close(turned.field, np.rot90(base.field.angle_deg + 90), np.rot90(picture.mask))
    assert np.abs(mirrored.wire - base.wire[:, ::-1]).max() < 1e-3  # the mean over mirrored views is the same
    assert close(mirrored.field, -base.field.angle_deg[:, ::-1], picture.mask[:, ::-1])

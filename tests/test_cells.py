"""Networks that answer cell by cell in the light of what lies around: means, tiles, crops to learn from."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from morphoscope.errors import UsageError

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")

from morphoscope.io.score_data import ScoreExample  # noqa: E402
from morphoscope.models import score as scoring  # noqa: E402
from morphoscope.models.card import ModelCard  # noqa: E402
from morphoscope.models.patches import PatchImage  # noqa: E402
from morphoscope.models.score import CELLS_ALIGN, CELLS_MARGIN, Scorer, load_scorer  # noqa: E402
from morphoscope.train import cell_network  # noqa: E402
from morphoscope.train.cell_network import CELL_LAYERS, build_cells  # noqa: E402
from morphoscope.train.crop_sampling import CropSampler, crop_side, fixed_crops, patches_of  # noqa: E402
from morphoscope.train.export import export_scorer  # noqa: E402
from morphoscope.train.score_pictures import Picture  # noqa: E402
from morphoscope.train.score_sampling import Change  # noqa: E402

CARD = ModelCard(
    name="c", task="score", classes=("a", "b"), preprocess="unit-1", postprocess="scores-1", answer="multi-label", seen_px=64.0
)


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    torch.manual_seed(1)
    network = build_cells(outputs=2, input_px=64, layers="8 / 8 / 12 / 16")
    network(torch.rand(4, 3, 128, 128))  # batch norms that do something
    path = tmp_path_factory.mktemp("cells") / "c.onnx"
    export_scorer(network, CARD, path)
    return load_scorer(path, threads=1)


def _image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 255, (height, width, 3), np.uint8)


def test_the_card_says_how_cells_are_read(scorer: Scorer) -> None:
    assert (scorer.card.postprocess, scorer.card.stride, scorer.card.patch_px, scorer.card.dense) == ("cells-1", 8, 64, True)


@pytest.mark.parametrize("answer", ["multi-label", "exclusive"])
def test_a_patch_is_the_mean_of_its_cells(answer: str) -> None:
    network = build_cells(outputs=2, input_px=64, layers="4 / 4 / 8 / 8").eval()
    with torch.inference_mode():
        cells = network(torch.rand(1, 3, 128, 192))
        logits = network.of_patches(torch.rand(1, 3, 128, 192), answer)
        assert cells.shape == (1, 2, 16, 24) and logits.shape == (1, 2, 3, 5)
        image = torch.rand(1, 3, 128, 192)
        share = torch.softmax(network(image), 1) if answer == "exclusive" else torch.sigmoid(network(image))
        told = network.of_patches(image, answer)
        told = torch.softmax(told, 1) if answer == "exclusive" else torch.sigmoid(told)
        assert torch.allclose(told[0, :, 1, 2], share[0, :, 4:12, 8:16].mean(dim=(1, 2)), atol=1e-5)


def test_a_map_is_as_fine_as_its_cells_and_patches_are_its_means(scorer: Scorer) -> None:
    image = _image(192, 256)
    fine, coarse = scorer.scores(image, stride_px=8), scorer.scores(image)
    assert fine.values.shape == (2, 17, 25) and coarse.values.shape == (2, 3, 4)
    assert (coarse.x_px, coarse.stride_px, coarse.patch_px) == (31.5, 64.0, 64.0)
    np.testing.assert_allclose(fine.values[:, ::8, ::8], coarse.values, atol=1e-6)


def test_a_wider_patch_is_seen_smaller(scorer: Scorer) -> None:
    image = np.kron(_image(128, 128), np.ones((2, 2, 1), np.uint8))
    np.testing.assert_allclose(scorer.scores(image, patch_px=128).values, scorer.scores(image[::2, ::2]).values, atol=1e-4)


def test_ready_patches_are_scored_as_images(scorer: Scorer) -> None:
    patches = np.stack([_image(64, 64), _image(64, 64)[::-1]])
    alone = [scorer.scores(one).values[:, 0, 0] for one in patches]
    np.testing.assert_allclose(scorer.patches(patches), alone, atol=1e-5)


def test_the_tile_does_not_matter(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    image = _image(300, 1500)
    whole = scorer.scores(image, stride_px=8).values
    monkeypatch.setattr(scoring, "CELLS_TILE", 1024)
    np.testing.assert_allclose(scorer.scores(image, stride_px=8).values, whole, atol=1e-4)
    monkeypatch.setattr(scoring, "CELLS_MARGIN", 64)
    assert np.abs(scorer.scores(image, stride_px=8).values - whole).max() > 1e-4


def test_the_margin_of_tiles_holds_all_that_a_cell_sees() -> None:
    """A cell's gradient reaches as far as what it sees, where poolings are means and nothing is cut off."""
    network = build_cells(outputs=1, layers=re.sub(r"\d+", "2", CELL_LAYERS)).double().eval()
    assert network.align == CELLS_ALIGN
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, torch.nn.MaxPool2d):
                setattr(module, name, torch.nn.AvgPool2d(2))
            elif isinstance(child, torch.nn.ReLU):
                setattr(module, name, torch.nn.Identity())
    image, reached = torch.rand(1, 3, 64, 1024, dtype=torch.float64, requires_grad=True), 0
    for column in (64, 70):  # the first and last but one of a coarse cell see farthest to one side
        (slope,) = torch.autograd.grad(network(image)[0, 0, 4, column], image)
        seen = torch.nonzero(slope.abs().sum(dim=(0, 1, 2)))[:, 0]
        reached = max(reached, 8 * column - int(seen.min()), int(seen.max()) - 8 * column - 7)
    assert 320 < reached <= CELLS_MARGIN


def test_a_patch_that_the_coarsest_map_does_not_divide_is_refused() -> None:
    with pytest.raises(UsageError, match="cells needs patches of a multiple of 64 px, got 100 px"):
        build_cells(outputs=1, input_px=100)


def _marked(height: int, width: int) -> Picture:
    """A picture whose right part is brighter and marked."""
    grey = np.zeros((height, width), np.uint8)
    grey[:, width // 3 :] = 200
    image = PatchImage(grey, channels=3, preprocess="unit-1")
    corners, targets = np.array([[0, 0], [0, width - 64]]), np.array([[0.0], [1.0]], np.float32)
    return Picture(ScoreExample(name="p", group="p", target=None), image, (grey > 0)[None], corners, targets)


def test_crops_come_with_the_share_of_each_of_their_patches() -> None:
    pictures = [_marked(200, 300), _marked(260, 230)]
    crop = crop_side(pictures, 64)
    assert crop == 192
    change = Change(size=0.1)
    sampler = CropSampler(pictures, 64, crop=crop, exclusive=False, target="fraction", change=change)
    seen, targets, weights = sampler.draw(36, np.random.default_rng(0))
    assert seen.shape == (4, 3, 192, 192) and targets.shape == (4, 1, 5, 5) and weights.shape == (4,)
    bright = (seen[:, 0] > 0.39).reshape(4, 6, 32, 6, 32).mean(axis=(2, 4))
    of_patches = (bright[:, :-1, :-1] + bright[:, 1:, :-1] + bright[:, :-1, 1:] + bright[:, 1:, 1:]) / 4
    np.testing.assert_allclose(targets[:, 0], of_patches, atol=0.03)


def test_what_is_held_out_is_seen_in_crops_too() -> None:
    seen, targets = fixed_crops([_marked(200, 400)], 64, 192, target="fraction", most=9)
    assert seen.shape == (2, 3, 192, 192) and targets.shape == (2, 1, 5, 5)
    np.testing.assert_allclose(targets[1], 1)
    assert patches_of(_marked(64, 64), (0, 0), 64, 1.0, "any").tolist() == [[[1.0]]]
    assert len(fixed_crops([_marked(200, 400)], 64, 192, target="fraction", most=1)[0]) == 1


def test_training_shows_crops_and_the_file_scores_whole_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From labelled masks to a model of cells, which tells bright ground from dark."""
    import cv2

    from morphoscope.recipe import Recipe
    from morphoscope.train.score import train_scorer

    monkeypatch.setattr(cell_network, "CELL_LAYERS", "8 / 8 / 8 / 16")
    monkeypatch.setattr(cell_network, "AROUND", 8)
    rng = np.random.default_rng(0)
    for k in range(6):
        bright = np.zeros((128, 192), np.uint8)
        bright[:, : 20 + 30 * k] = 255
        (tmp_path / "d" / "image").mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / "masks" / "bare").mkdir(parents=True, exist_ok=True)
        picture = np.clip(60 + bright / 2 + rng.normal(0, 8, bright.shape), 0, 255).astype(np.uint8)
        cv2.imwrite(str(tmp_path / "d" / "image" / f"{k}.png"), picture)
        cv2.imwrite(str(tmp_path / "d" / "masks" / "bare" / f"{k}.png"), bright)
    settings = {"network": "cells", "epochs": 4, "patches": 8, "folds": 0}
    recipe = Recipe.model_validate({"score": {"patch_px": 64.0}, "train": settings})
    card = train_scorer(tmp_path / "d", tmp_path / "m.onnx", recipe).card
    assert card.postprocess == "cells-1" and card.patch_px == 64
    again = train_scorer(tmp_path / "d", tmp_path / "n.onnx", recipe, start=tmp_path / "m.onnx").card
    assert again.architecture == card.architecture
    found = load_scorer(tmp_path / "n.onnx", threads=1).scores(picture, stride_px=8).values[0]
    assert found[:, 0].mean() > found[:, -1].mean()

"""Scores of images: a dense pass against patch by patch, where the patches lie, what the answers mean."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.errors import InputError, ModelError, UsageError
from morphoscope.models import score
from morphoscope.models.card import ModelCard
from morphoscope.models.patches import PatchImage, patch_grid
from morphoscope.models.score import Scorer, load_scorer
from morphoscope.models.score_map import ScoreMap, outputs_of, read_logits

RNG = np.random.default_rng(5)


def card(**changes) -> ModelCard:
    values = {
        "name": "m", "task": "score", "classes": ("crack", "dewet"), "preprocess": "unit-1", "postprocess": "scores-1",
        "answer": "multi-label", "patch_px": 8, "channels": 1,
    }  # fmt: skip
    return ModelCard.model_validate({**values, **changes})


class MeanSession:
    """Logits of a patch: the mean of each of its halves, left and right; no pass over more than a patch."""

    input_shape = (None, None, None, None)

    def __init__(self, **changes) -> None:
        self.card = card(**changes)
        self.shapes: set[tuple[int, ...]] = set()

    def run(self, batch):
        self.shapes.add(batch.shape)
        half = batch.shape[3] // 2
        left, right = (part.mean(axis=(1, 2, 3)) for part in (batch[..., :half], batch[..., half:]))
        return [np.stack([left, right], axis=1)[:, :, None, None].astype(np.float32)]


def logit(p):
    return np.log(p / (1 - p))


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Files of networks and the networks: the darkfield one (50 px, colour) and ours for 16 px."""
    torch = pytest.importorskip("torch")
    from morphoscope.train.export import export_scorer
    from morphoscope.train.patch_networks import build_network

    folder, made = tmp_path_factory.mktemp("models"), {}
    for name, channels, side in (("deepthin", 3, 50), ("deepthin-road-27", 1, 27), ("film", 3, 16)):
        torch.manual_seed(3)
        network = build_network(
            name, outputs=2, channels=channels, input_px=side, layers="8 8 / 12 12" if name == "film" else None
        )
        network(torch.rand(16, channels, side, side))
        path = folder / f"{name}.onnx"
        export_scorer(network, card(), path)
        made[name] = (path, network.eval())
    return made


def slow_scores(network, image: np.ndarray, side: int, stride: int) -> np.ndarray:
    """Cut, scale and score each patch by itself with PyTorch."""
    import torch

    unit = (image.astype(np.float64) / np.iinfo(image.dtype).max).astype(np.float32)
    unit = unit[..., None] if unit.ndim == 2 else unit
    rows, columns = ((n - side) // stride + 1 for n in unit.shape[:2])
    y0, x0 = ((n - side - (count - 1) * stride) // 2 for n, count in zip(unit.shape[:2], (rows, columns), strict=True))
    out = np.empty((2, rows, columns))
    with torch.inference_mode():
        for r in range(rows):
            for c in range(columns):
                y, x = y0 + r * stride, x0 + c * stride
                patch = torch.from_numpy(unit[y : y + side, x : x + side].transpose(2, 0, 1).copy())[None]
                out[:, r, c] = torch.sigmoid(network(patch))[0, :, 0, 0].numpy()
    return out


@pytest.mark.parametrize(
    ("name", "shape", "stride"),
    [
        ("deepthin", (70, 83, 3), 4),  # one pass
        ("deepthin", (57, 61, 3), 2),  # four passes
        ("deepthin", (56, 54, 3), 1),  # sixteen
        ("deepthin", (75, 70, 3), 6),  # four passes, some with fewer patches
        ("deepthin-road-27", (40, 45), 4),
        ("deepthin-road-27", (33, 31), 3),  # sixteen passes, some without a second patch
        ("film", (41, 37, 3), 2),
        ("film", (30, 30, 3), 5),
    ],
)
@pytest.mark.parametrize("tile", [60, 512])
def test_a_dense_pass_is_patch_by_patch(exported, monkeypatch, name, shape, stride, tile) -> None:
    path, network = exported[name]
    image = RNG.integers(0, 65536, shape).astype(np.uint16)
    scorer = Scorer(load_scorer(path, threads=1)._session, tile=tile)
    wanted = slow_scores(network, image, scorer.card.patch_px, stride)
    for cost in (0, np.inf):
        monkeypatch.setattr(score, "DENSE_COST", cost)
        got = scorer.scores(image, stride_px=stride)
        assert got.values.shape == wanted.shape and wanted.std() > 0
        np.testing.assert_allclose(got.values, wanted, atol=1e-4)


def test_small_strides_take_the_dense_pass_and_large_ones_batches(exported) -> None:
    scorer = load_scorer(exported["deepthin"][0], threads=1)
    assert scorer._dense_pays((300, 400), patch_grid((300, 400), 50, 4))
    assert scorer._dense_pays((300, 400), patch_grid((300, 400), 50, 24))
    assert scorer._dense_pays((300, 400), patch_grid((300, 400), 50, 1))
    assert not scorer._dense_pays((300, 400), patch_grid((300, 400), 50, 50))
    assert not scorer._dense_pays((300, 400), patch_grid((300, 400), 50, 25))  # sixteen passes for four times the area
    padded = Scorer(MeanSession(patch_px=50, stride=4))
    assert not padded._dense_pays((300, 400), patch_grid((300, 400), 50, 4))


def test_ready_patches_score_as_those_of_an_image(exported) -> None:
    scorer = load_scorer(exported["deepthin-road-27"][0], threads=1)
    image = RNG.integers(0, 256, (54, 81)).astype(np.uint8)
    cut = image.reshape(2, 27, 3, 27).swapaxes(1, 2).reshape(6, 27, 27)
    np.testing.assert_allclose(scorer.patches(cut).T.reshape(2, 2, 3), scorer.scores(image).values, atol=1e-6)
    colour = np.repeat(cut[..., None], 3, axis=3)
    np.testing.assert_allclose(scorer.patches(colour), scorer.patches(cut), atol=1e-6)


@given(
    height=st.integers(8, 60),
    width=st.integers(8, 60),
    side=st.integers(2, 8),
    stride=st.integers(1, 12),
    batch=st.integers(1, 9),
)
@settings(max_examples=60, deadline=None)
def test_patches_lie_within_the_image_and_no_more_would_fit(height, width, side, stride, batch) -> None:
    image = RNG.random((height, width), np.float32)
    got = Scorer(MeanSession(patch_px=side), batch=batch).scores(image, stride_px=stride)
    first_x, first_y = got.x_px - (side - 1) / 2, got.y_px - (side - 1) / 2
    rows, columns = got.values.shape[1:]
    for first, count, length in ((first_y, rows, height), (first_x, columns, width)):
        before, after = first, length - (first + (count - 1) * stride + side)
        assert before == int(before) >= 0 and after - before in (0, 1) and before + after < stride
    y, x = int(first_y + (rows - 1) * stride), int(first_x + (columns - 1) * stride)
    mean = image[y : y + side, x : x + side // 2].mean(dtype=float)
    assert logit(float(got.values[0, -1, -1])) == pytest.approx(mean, abs=1e-4)


@pytest.mark.parametrize("patch", [4.0, 8.0, 20.0, 33.0])
def test_a_patch_of_another_size_is_resized(patch: float) -> None:
    """A step in brightness is found where it is, whatever the image is resized by."""
    image = np.zeros((200, 240), np.uint8)
    image[:, 100:] = 255
    got = Scorer(MeanSession(patch_px=8)).scores(image, patch_px=patch, stride_px=patch)
    assert got.patch_px == patch and got.stride_px == pytest.approx(patch)
    half = patch / 4
    centres = got.x_px - half + got.stride_px * np.arange(got.values.shape[2])  # of the left halves
    inside = np.abs(centres - 99.5) > patch / 4 + 1
    wanted = np.where(centres > 99.5, 1.0, 0.0)
    np.testing.assert_allclose(logit(got.values[0].astype(float))[:, inside] - wanted[inside], 0, atol=1e-3)


def test_what_a_training_patch_covered_is_the_default() -> None:
    image = RNG.integers(0, 256, (64, 64, 3)).astype(np.uint8)
    scorer = Scorer(MeanSession(patch_px=8, seen_px=16.0, channels=3))
    got = scorer.scores(image)
    assert got.values.shape == (2, 4, 4) and (got.patch_px, got.stride_px, got.x_px) == (16.0, 16.0, 7.5)
    np.testing.assert_array_equal(got.values, scorer.scores(image, patch_px=16).values)


def test_the_kinds_of_answers() -> None:
    logits = np.array([[0.0, np.log(3.0)]], np.float32)
    np.testing.assert_allclose(read_logits(logits, card()), [[0.5, 0.75]], rtol=1e-6)
    np.testing.assert_allclose(read_logits(logits, card(answer="exclusive")), [[0.25, 0.75]], rtol=1e-6)
    np.testing.assert_allclose(read_logits(logits * 2, card(answer="exclusive", temperature=2)), [[0.25, 0.75]], rtol=1e-6)
    ordinal = card(answer="ordinal", levels=4)
    assert (outputs_of(ordinal), outputs_of(card())) == (8, 2)
    beyond = np.array([0.9, 0.5, 0.2, 0.1])  # P(y > 0) .. P(y > 3)
    cumulative = np.concatenate([beyond, [1e-9, 1e-9, 1e-9, 1e-9]])
    exact = np.array([0.1, 0.4, 0.3, 0.1, 0.1])  # P(y = 0) .. P(y = 4)
    got = read_logits(logit(cumulative)[None].astype(np.float32), ordinal)
    np.testing.assert_allclose(got, [[exact @ np.arange(5) / 4, 0]], atol=1e-6)
    maps = np.broadcast_to(logit(cumulative)[None, :, None, None], (1, 8, 2, 3)).astype(np.float32)
    np.testing.assert_allclose(read_logits(maps, ordinal), np.broadcast_to(got[..., None, None], (1, 2, 2, 3)), rtol=1e-6)
    assert np.isfinite(read_logits(np.array([[-1e4, 1e4]], np.float32), card())).all()


def test_extents_and_the_map_at_the_size_of_the_image() -> None:
    values = np.array([[[0.0, 1.0], [0.5, 0.25]]], np.float32)
    got = ScoreMap(values, x_px=1.5, y_px=1.5, stride_px=4.0, patch_px=4.0, classes=("crack",))
    assert got.extents() == {"crack": pytest.approx(0.4375)}
    wanted = np.kron(values[0], np.ones((4, 4)))
    np.testing.assert_array_equal(got.to_image((8, 8))[0], wanted)
    assert got.to_image((10, 9)).shape == (1, 10, 9)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, bool])
def test_the_full_range_is_zero_to_one(dtype) -> None:
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    image = np.zeros((8, 8, 3), dtype)
    image[:, 4:] = top
    seen = PatchImage(image, channels=3, preprocess="unit-1").read()
    assert seen.dtype == np.float32 and seen.shape == (3, 8, 8)
    np.testing.assert_allclose(seen[:, :, :4], 0)
    np.testing.assert_allclose(seen[:, :, 4:], 1, rtol=1e-6)


@given(gain=st.floats(0.1, 50), shift=st.floats(-100, 100))
@settings(max_examples=30, deadline=None)
def test_robust_colours_forget_gain_and_offset(gain: float, shift: float) -> None:
    image = cv2.GaussianBlur(np.random.default_rng(1).random((64, 80, 3), np.float32), (0, 0), 6) * 100
    plain = PatchImage(image, channels=3, preprocess="robust-rgb-1").read()
    again = PatchImage((gain * image + shift).astype(np.float32), channels=3, preprocess="robust-rgb-1").read()
    np.testing.assert_allclose(again, plain, atol=2e-2)
    assert np.abs(plain).max() <= 6 and plain.std() > 0.3


def test_a_part_is_read_as_it_is_in_the_whole() -> None:
    image = RNG.integers(0, 256, (40, 50, 3)).astype(np.uint8)
    for preprocess in ("unit-1", "robust-rgb-1"):
        for channels in (1, 3):
            for zoom in (1.0, 0.5, 1.7):
                prepared = PatchImage(image, channels=channels, preprocess=preprocess, zoom=zoom)
                whole = prepared.read()
                assert whole.shape == (channels, *prepared.shape) and prepared.shape == (round(40 * zoom), round(50 * zoom))
                np.testing.assert_array_equal(prepared.read(3, 5, 10, 12), whole[:, 3:13, 5:17])


def test_grey_and_colour_serve_networks_of_both_kinds() -> None:
    grey = RNG.integers(0, 256, (8, 8)).astype(np.uint8)
    three = PatchImage(grey, channels=3, preprocess="unit-1").read()
    assert (three == three[:1]).all()
    rgb = np.zeros((8, 8, 3), np.uint8)
    rgb[..., 1] = 100
    np.testing.assert_allclose(PatchImage(rgb, channels=1, preprocess="unit-1").read(), 59 / 255, rtol=1e-6)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((7, 30), np.uint8), "at least as large as a patch of 8 px, got 30 x 7 px"),
        (np.full((9, 9), np.nan, np.float32), "finite"),
        (np.full((9, 9), 300.0, np.float32), "floats from 300 to 300"),
        (np.zeros((9, 9, 4), np.uint8), r"wanted an image \(h, w\) or \(h, w, 3\)"),
        (np.zeros((9, 9), complex), "integers or floats, got complex"),
    ],
)
def test_images_that_cannot_be_scored(image: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Scorer(MeanSession()).scores(image)


def test_wrong_use_is_refused() -> None:
    with pytest.raises(UsageError, match="more than 0 px, got -3"):
        Scorer(MeanSession()).scores(np.zeros((9, 9), np.uint8), patch_px=-3)
    with pytest.raises(InputError, match=r"wanted patches \(n, s, s\)"):
        Scorer(MeanSession()).patches(np.zeros((2, 8, 9), np.uint8))
    with pytest.raises(ModelError, match="'score', m is for 'segment'"):
        Scorer(MeanSession(task="segment"))
    for wrong in ({"postprocess": "scores-9"}, {"patch_px": None}, {"answer": None}):
        with pytest.raises(ModelError, match="update morphoscope"):
            Scorer(MeanSession(**wrong))
    with pytest.raises(ModelError, match="'unit-9'"):
        Scorer(MeanSession(preprocess="unit-9")).scores(np.zeros((9, 9), np.uint8))


def test_batches_are_of_patches_only_and_memory_does_not_grow_with_the_image() -> None:
    session = MeanSession()
    Scorer(session, batch=16).scores(np.zeros((80, 90), np.uint8))
    assert {shape[1:] for shape in session.shapes} == {(1, 8, 8)} and max(shape[0] for shape in session.shapes) == 16

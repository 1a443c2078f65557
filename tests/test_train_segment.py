"""Training of a segmenter: targets, crops, the network's reach, and the whole life of a file on small drawn images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")
onnx = pytest.importorskip("onnx", reason="training needs the extra 'train'")

from typer.testing import CliRunner  # noqa: E402

from morphoscope.cli.main import build_app  # noqa: E402
from morphoscope.errors import InputError, ModelError, UsageError  # noqa: E402
from morphoscope.measure.mask_scores import count_matches, count_pixels, f1_of, mean_iou  # noqa: E402
from morphoscope.measure.matching import match_labels  # noqa: E402
from morphoscope.models.card import shipped_models  # noqa: E402
from morphoscope.models.class_maps import class_outputs  # noqa: E402
from morphoscope.models.instances import REACH_PX, edges, labels_from_maps  # noqa: E402
from morphoscope.models.runtime import load_session, read_card  # noqa: E402
from morphoscope.models.segment import MARGIN, load_segmenter  # noqa: E402
from morphoscope.recipe import Recipe, parse_recipe  # noqa: E402
from morphoscope.train.class_maps import class_crop, class_loss, read_class_images, typical_px  # noqa: E402
from morphoscope.train.export import export_segmenter  # noqa: E402
from morphoscope.train.instance_network import InstanceNet  # noqa: E402
from morphoscope.train.instances import loss, targets  # noqa: E402
from morphoscope.train.label_images import LabelledImage, crop, fold_of, read_label_images, stretched  # noqa: E402
from morphoscope.train.lessons import INSTANCE_THRESHOLDS as THRESHOLDS  # noqa: E402
from morphoscope.train.lessons import class_lesson, fitting_zoom  # noqa: E402
from morphoscope.train.lite_encoder import Convolution, LiteEncoder  # noqa: E402
from morphoscope.train.segment import FINE, SegmenterTraining, check_kept, fine_tuning, train_segmenter, validate  # noqa: E402
from morphoscope.train.trained import load_segmenter_network, weights_of  # noqa: E402


def _picture(seed: int, size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels, n = np.zeros((size, size), np.uint16), 0
    for y in range(18, size, 30):
        for x in range(18, size, 30):
            n += 1
            cv2.circle(labels, (x, y), int(rng.integers(9, 15)), n, -1)
    image = 70 + 100 * (labels > 0) + rng.normal(0, 8, labels.shape)
    return np.clip(image, 0, 255).astype(np.uint8), labels


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("image", "instances"):
        (tmp_path / part).mkdir()
    for k in range(4):
        image, labels = _picture(k, 64)
        cv2.imwrite(str(tmp_path / "image" / f"{k}.png"), image)
        cv2.imwrite(str(tmp_path / "instances" / f"{k}.png"), labels)
    return tmp_path


def _two_classes(seed: int) -> tuple[np.ndarray, np.ndarray]:
    image, labels = _picture(seed)
    mask = np.where(labels > 0, labels % 2 + 1, 0).astype(np.uint8)
    return np.where(mask == 2, 255 - image, image).astype(np.uint8), mask


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    root = tmp_path / "classes"
    for part in ("image", "mask"):
        (root / part).mkdir(parents=True)
    for k in range(4):
        for part, picture in zip(("image", "mask"), _two_classes(k), strict=True):
            cv2.imwrite(str(root / part / f"{k}.png"), picture)
    (root / "labels.toml").write_text("[classes]\noxide = 1\ncrack = 2\n", encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    for part in ("image", "instances"):
        (root / part).mkdir()
    image, labels = _picture(0)
    cv2.imwrite(str(root / "image" / "0.png"), image)
    cv2.imwrite(str(root / "instances" / "0.png"), labels)
    train_segmenter(root, root / "p.onnx", _recipe(folds=0, licence="MIT"))
    return root / "p.onnx"


def _recipe(**train: object) -> Recipe:
    few = {"steps": 2, "batch": 2, "crop_px": 64, "bands": 2, "folds": 1, **train}
    return parse_recipe({"train": few, "run": {"threads": 1}})


def test_targets_drawn_from_labels_lead_back_to_the_labels() -> None:
    labels = _picture(3)[1].astype(np.int32) * 7
    maps = targets(labels)
    probability = np.clip(maps[:6], 0.01, 0.99)
    found = labels_from_maps(np.log(probability / (1 - probability)), 0.6)
    assert len(match_labels(found, labels, 0.9)) == len(np.unique(labels)) - 1 == found.max()


def test_targets_hold_the_way_to_the_centre_and_weigh_small_particles_more() -> None:
    labels = np.zeros((40, 60), np.int32)
    labels[4:13, 5:20], labels[20:23, 40:43] = 9, 2
    maps = targets(labels)
    y, x = np.nonzero(labels == 9)
    np.testing.assert_allclose(x + maps[4, y, x] * REACH_PX, 12, atol=1e-4)
    np.testing.assert_allclose(y + maps[5, y, x] * REACH_PX, 8, atol=1e-4)
    assert maps[6, 21, 41] > maps[6, 8, 12] > 0 and not maps[6, labels == 0].any()
    assert maps[2, 8, 12] == 1 and maps[3].max() == 1


@pytest.mark.parametrize("labels", [np.zeros((5, 6), np.int32), np.full((5, 6), 4, np.int32)])
def test_targets_of_an_empty_and_of_a_full_image(labels: np.ndarray) -> None:
    maps = targets(labels)
    assert np.isfinite(maps).all() and (maps[0] == (labels > 0)).all() and not maps[1].any()


def test_the_picture_s_edge_is_no_edge_of_a_particle_but_a_neighbour_is() -> None:
    labels = np.array([[1, 1, 2], [1, 1, 2], [1, 1, 0]])
    np.testing.assert_array_equal(edges(labels), [[0, 1, 1], [0, 1, 1], [0, 1, 0]])


def test_nothing_is_learnt_where_nothing_is_known_and_better_maps_cost_less() -> None:
    maps = torch.from_numpy(targets(_picture(1)[1][:32, :32].astype(np.int32)))[None]
    output = torch.zeros(1, 6, 32, 32, requires_grad=True)
    valid = torch.ones(1, 1, 32, 32)
    valid[..., 16:] = 0
    value = loss(output, maps, valid)
    value.backward()
    assert output.grad is not None and not output.grad[..., 16:].any()
    assert all(output.grad[:, k, :, :16].any() for k in range(6))
    better = torch.cat([torch.logit(maps[:, :4].clamp(0.01, 0.99)), maps[:, 4:6]], dim=1)
    assert loss(better, maps, torch.ones_like(valid)) < loss(torch.zeros_like(better), maps, torch.ones_like(valid)) / 2


@pytest.mark.parametrize("seed", range(6))
def test_labels_follow_their_image_through_crops(seed: int) -> None:
    image, labels = _picture(seed, 256)
    flat = np.where(labels > 0, 0.8, 0.2).astype(np.float32)
    picture, maps, valid = crop(LabelledImage("a", flat, labels.astype(np.int32)), 128, np.random.default_rng(seed))
    assert picture.shape == (1, 128, 128) and maps.shape == (7, 64, 64) and valid.shape == (1, 64, 64)
    coarse = cv2.resize(picture[0], (64, 64), interpolation=cv2.INTER_AREA)[valid[0] > 0]
    assert abs(np.corrcoef(coarse, maps[0][valid[0] > 0])[0, 1]) > 0.6


def test_depthwise_convolutions_of_a_bfloat16_training_compute_in_single_precision() -> None:
    """Only their results are rounded, and gradients of the encoder stay those of single precision but for rounding."""
    torch.manual_seed(0)
    depthwise = Convolution(8, 8, 5, 1, 2, groups=8, bias=False)
    image = torch.randn(2, 8, 12, 12).bfloat16()
    exact = torch.nn.functional.conv2d(image.float(), depthwise.weight, None, 1, 2, 1, 8)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(depthwise(image), exact.bfloat16())
    encoder, seen, gradients = LiteEncoder().eval(), torch.randn(1, 1, 64, 64), []
    for rounded in (False, True):
        encoder.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=rounded):
            maps = encoder(seen)
        torch.stack([one.float().square().mean() for one in maps]).sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in encoder.parameters()]))
    assert float((gradients[1] - gradients[0]).norm() / gradients[0].norm()) < 0.05


@pytest.mark.parametrize("fine", [0, 8])
def test_the_margin_of_tiles_is_more_than_the_network_sees_to_one_side(fine: int) -> None:
    network = InstanceNet(width=8, fine=fine).eval().double()
    for name, value in network.state_dict().items():
        if name.endswith("weight") and value.ndim == 4:
            value.fill_(1 / value[0].numel())
    image = torch.ones(1, 1, 32, 1280, dtype=torch.float64, requires_grad=True)
    network(image)[0, :, 16 // network.cell, 640 // network.cell].sum().backward()
    assert image.grad is not None
    seen = np.flatnonzero(image.grad[0, 0].abs().sum(dim=0).numpy())
    reach = max(640 - int(seen[0]), int(seen[-1]) - 641)
    assert 300 < reach < MARGIN


def test_a_model_is_trained_written_loaded_and_used(folder: Path, tmp_path: Path) -> None:
    stages = set()
    kept = tmp_path / "kept"
    output = tmp_path / "p.onnx"
    recipe = _recipe(licence="MIT")
    train_segmenter(folder, output, recipe, keep_folds=kept, progress=lambda stage, step, value: stages.add(stage))
    segmenter = load_segmenter(output, threads=1)
    card = segmenter.card
    assert card.task == "segment" and card.data[0].licence == "MIT" and 0 <= card.metrics["f1"] <= 1
    assert card.threshold in THRESHOLDS and stages == {"fold 1 of 2 held out", "all images"}
    image, _ = _picture(9, 64)
    first, again = segmenter.segment([image]), segmenter.segment([image[:45, :50], image])
    np.testing.assert_array_equal(first[0], again[1])
    assert again[0].shape == (45, 50) and (kept / "fold-0.onnx").exists()


def test_a_kept_fold_is_taken_only_where_settings_and_data_are_the_same(trained: Path, tmp_path: Path) -> None:
    data = [LabelledImage("a", np.zeros((8, 8), np.float32), np.zeros((8, 8), np.int32))] * 2
    known = read_card(trained).data[0].name
    check_kept(SegmenterTraining(data, _recipe(folds=2), "x", known), trained)
    for recipe, name, said in (
        (_recipe(seed=1), known, "seed 0 in place of 1"),
        (_recipe(steps=3), known, "steps 2 in place of 3"),
        (_recipe(), "others", "in place of .'others'.*remove it"),
    ):
        with pytest.raises(UsageError, match=said):
            check_kept(SegmenterTraining(data, recipe, "x", name), trained)
    with pytest.raises(UsageError, match=r"outline learnt in place of half level"):
        check_kept(SegmenterTraining(data, _recipe(outline="half level"), "x", known), trained)
    with pytest.raises(UsageError, match="classes.*fine 0 in place of 16; views 1 in place of 4"):
        check_kept(SegmenterTraining(data, _recipe(), "x", known, lesson=class_lesson(("crack",))), trained)


def test_a_kept_fold_of_upright_images_is_none_of_turned_ones(trained: Path, tmp_path: Path) -> None:
    """A setting that this training leaves at nothing counts, too."""
    card = read_card(trained)
    data = [LabelledImage("a", np.zeros((8, 8), np.float32), np.zeros((8, 8), np.int32))] * 2
    network = load_segmenter_network(trained).eval()
    export_segmenter(network, card.model_copy(update={"training": {**card.training, "upright": True}}), tmp_path / "up.onnx")
    with pytest.raises(UsageError, match="upright True in place of None"):
        check_kept(SegmenterTraining(data, _recipe(), "x", card.data[0].name), tmp_path / "up.onnx")


def test_a_training_with_folds_of_another_one_is_refused(folder: Path, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "fold-0.onnx").write_bytes(trained.read_bytes())
    with pytest.raises(UsageError, match="fold-0.onnx was trained otherwise"):
        train_segmenter(folder, tmp_path / "x.onnx", _recipe(), keep_folds=tmp_path)


@pytest.mark.parametrize(("task", "name"), [("segment", "particles"), ("detect", "loops")])
def test_a_training_goes_on_from_a_shipped_model_by_name(
    task: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def trainer(data, output, recipe, *, start, **more):
        begun.append(start)
        return read_card(start)

    monkeypatch.setattr(f"morphoscope.train.{task}.train_{task}er".replace("detecter", "detector"), trainer)
    command = ["train", task, str(tmp_path), "-o", str(tmp_path / "m.onnx"), "--from"]
    done = CliRunner().invoke(build_app(), [*command, name])
    assert done.exit_code == 0 and begun == [shipped_models()[name]], done.output
    assert "neither" in str(CliRunner().invoke(build_app(), [*command, "nothing"]).exception)


def test_folds_part_the_images_and_the_held_out_one_decides_no_threshold_of_its_own() -> None:
    assert sorted(np.bincount(fold_of(13, 5)).tolist()) == [2, 2, 3, 3, 3]
    np.testing.assert_array_equal(fold_of(13, 5), fold_of(13, 5))
    counts = np.zeros((2, len(THRESHOLDS), 3), np.int64)
    counts[..., 2] = 10
    counts[0, 1], counts[1, 4] = (9, 0, 1), (8, 0, 2)
    ship, chosen, pooled = validate(counts)
    assert chosen == [THRESHOLDS[4], THRESHOLDS[1]] and ship == THRESHOLDS[1]
    assert pooled.tolist() == [0, 0, 20] and f1_of(pooled) == 0


def test_counts_of_right_wrong_and_missed() -> None:
    true = np.zeros((30, 30), np.int32)
    true[2:10, 2:10], true[15:25, 15:25] = 5, 6
    found = np.zeros_like(true)
    found[2:10, 3:10], found[0:2, 20:25] = 1, 2
    assert count_matches(found, true).tolist() == [1, 1, 1]
    assert f1_of(np.array([1, 1, 1])) == 0.5 and f1_of(np.zeros(3, int)) == 0


def test_folders_that_cannot_be_learnt_are_refused(folder: Path, tmp_path: Path) -> None:
    assert [one.name for one in read_label_images(folder)] == ["0", "1", "2", "3"]
    with pytest.raises(UsageError, match="train.folds"):
        train_segmenter(folder, tmp_path / "x.onnx", _recipe(folds=3))
    with pytest.raises(UsageError, match="multiple of 32"):
        train_segmenter(folder, tmp_path / "x.onnx", _recipe(crop_px=80))
    cv2.imwrite(str(folder / "instances" / "1.png"), np.zeros((5, 5), np.uint8))
    with pytest.raises(InputError, match="the same"):
        read_label_images(folder)
    (folder / "instances" / "1.png").unlink()
    with pytest.raises(InputError, match="label image"):
        read_label_images(folder)
    with pytest.raises(InputError, match="image/ and instances/"):
        read_label_images(folder / "image")
    with pytest.raises(ModelError, match="efficientnet"):
        LiteEncoder().load_imagenet(tmp_path / "none.pth")


def test_the_command_trains_a_segmenter_and_refuses_what_it_has_no_use_for(folder: Path, tmp_path: Path) -> None:
    recipe, model = tmp_path / "r.toml", tmp_path / "m.onnx"
    recipe.write_text("[train]\nsteps = 1\nbatch = 1\ncrop_px = 64\nfolds = 0\n[run]\nthreads = 1\n", encoding="utf-8")
    command = ["train", "segment", str(folder), "-o", str(model), "--recipe", str(recipe)]
    done = CliRunner().invoke(build_app(), command)
    assert done.exit_code == 0, done.output
    assert "not validated" in done.output and load_segmenter(model, threads=1).card.task == "segment"
    refused = CliRunner().invoke(build_app(), [*command, "--overwrite", "--freeze", "backbone"])
    assert isinstance(refused.exception, UsageError) and "--from" in str(refused.exception)
    both = [*command, "--overwrite", "--from", str(model), "--imagenet", "x.pth"]
    assert isinstance(CliRunner().invoke(build_app(), both).exception, UsageError)


def test_weights_are_stored_in_half_precision_and_come_back_as_the_network_s_own(trained: Path) -> None:
    network = load_segmenter_network(trained).eval()
    stored = {t.name: t for t in onnx.load(str(trained)).graph.initializer}
    weights = weights_of(trained)
    assert stored["head.0.0.weight"].data_type == onnx.TensorProto.FLOAT16
    assert stored["head.0.1.running_var"].data_type == onnx.TensorProto.FLOAT
    assert set(weights) >= {k for k in network.state_dict() if "num_batches" not in k}
    assert trained.stat().st_size < 5_000_000
    image = np.random.default_rng(0).normal(size=(1, 1, 64, 96)).astype(np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(load_session(trained, threads=1).run(image)[0], expected, atol=1e-4)


def test_a_network_written_anew_gives_the_same_outputs_and_a_file_of_the_same_weights(trained: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.onnx"
    export_segmenter(load_segmenter_network(trained), load_segmenter(trained, threads=1).card, again)
    written = weights_of(again)
    for name, weight in weights_of(trained).items():
        assert torch.equal(weight, written[name]), name
    image, _ = _picture(9)
    first, second = (load_segmenter(path, threads=1).maps(image) for path in (trained, again))
    np.testing.assert_array_equal(first, second)


def test_training_goes_on_from_a_model_whose_encoder_stays_as_it_is(folder: Path, trained: Path, tmp_path: Path) -> None:
    tuned = tmp_path / "tuned.onnx"
    card = train_segmenter(folder, tuned, _recipe(steps=2, folds=0), start=trained, freeze="backbone")
    before, after = weights_of(trained), weights_of(tuned)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert "head.1.weight" in changed and not any(name.startswith("backbone.") for name in changed)
    assert [source.licence for source in card.data] == ["MIT", "not stated"]
    with pytest.raises(UsageError, match="backbone"):
        train_segmenter(folder, tuned, _recipe(), start=trained, freeze="head")


def test_fine_tuning_takes_few_steps_unless_the_recipe_says_otherwise(folder: Path, trained: Path, tmp_path: Path) -> None:
    steps = {}
    for name, recipe in (("told", _recipe(steps=1, folds=0)), ("silent", parse_recipe({"run": {"threads": 1}}))):
        job = fine_tuning(recipe) if name == "silent" else recipe
        steps[name] = job.train.steps, job.train.batch
    assert steps == {"told": (1, 2), "silent": (FINE["steps"], FINE["batch"])}


def test_masks_are_read_as_classes_with_their_names(classes: Path) -> None:
    data, names = read_class_images(classes)
    assert names == ("oxide", "crack") and [one.name for one in data] == ["0", "1", "2", "3"]
    assert set(np.unique(data[0].labels)) == {0, 1, 2}
    (classes / "labels.toml").unlink()
    assert read_class_images(classes)[1] == ("class 1", "class 2")
    (classes / "labels.toml").write_text("[classes]\noxide = 1\n", encoding="utf-8")
    with pytest.raises(InputError, match="no class for the grey values 2"):
        read_class_images(classes)
    for path in (classes / "mask").iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.where(mask > 0, 255, 0)[..., None].repeat(3, axis=2).astype(np.uint8))
    (classes / "labels.toml").unlink()
    data, names = read_class_images(classes)
    assert names == ("foreground",) and set(np.unique(data[0].labels)) == {0, 1}
    assert typical_px(data) == pytest.approx(24, abs=3)


def test_images_with_an_up_and_a_down_stay_upright_and_rare_classes_are_seen() -> None:
    """Bright above dark, and one pixel of the rarer of two classes: in most crops it is there, and up stays up."""
    image = np.repeat(np.linspace(0.9, 0.1, 256, dtype=np.float32)[:, None], 256, axis=1)
    labels = np.zeros((256, 256), np.int32)
    labels[100:140], labels[60:62, 200:202] = 1, 2
    example, rng = LabelledImage("one", image, labels), np.random.default_rng(0)
    crops = [class_crop(example, 64, rng, upright=True) for _ in range(60)]
    assert all(seen[0, :8].mean() > seen[0, -8:].mean() for seen, _, _ in crops)
    assert sum((target == 2).any() for _, target, _ in crops) > 15
    turned = [class_crop(example, 64, rng) for _ in range(60)]
    assert 10 < sum(seen[0, :8].mean() > seen[0, -8:].mean() for seen, _, _ in turned) < 50


def test_classes_follow_their_image_through_crops_and_right_logits_cost_less(classes: Path) -> None:
    one = read_class_images(classes)[0][0]
    flat = LabelledImage("a", (one.labels / 2).astype(np.float32), one.labels)
    picture, target, valid = class_crop(flat, 64, np.random.default_rng(2))
    inside = valid > 0
    assert picture.shape == target.shape == valid.shape == (1, 64, 64)
    assert np.corrcoef(picture[inside], target[inside])[0, 1] > 0.9
    true, known = torch.from_numpy(target)[None], torch.from_numpy(valid)[None]
    right = 12 * torch.nn.functional.one_hot(true[:, 0, ::2, ::2].long(), 3).movedim(-1, 1).float()
    assert class_loss(right, true, known) < class_loss(torch.zeros_like(right), true, known) / 2
    unknown = torch.zeros_like(known)
    assert class_loss(right, true, unknown) == class_loss(-right, true, unknown)


def test_a_network_of_classes_is_trained_written_loaded_and_used(classes: Path, trained: Path, tmp_path: Path) -> None:
    model = tmp_path / "c.onnx"
    card = train_segmenter(classes, model, _recipe(steps=36, rate=1e-2, batch=2), start=trained)
    segmenter = load_segmenter(model, threads=1)
    assert card.classes == ("oxide", "crack") and card.postprocess == "classes-1" and card.metrics["iou"] > 0.3
    assert card.metrics["iou"] == pytest.approx((card.metrics["iou_oxide"] + card.metrics["iou_crack"]) / 2, abs=1e-3)
    image, mask = _two_classes(9)
    (found,) = segmenter.class_maps([image])
    assert found.shape == mask.shape and mean_iou(count_pixels(found, mask, 2)) > 0.3
    ((labels, names),) = segmenter.named([image])
    assert len(names) == labels.max() and set(names) == {"oxide", "crack"}
    for label, name in enumerate(names, 1):
        assert (found[labels == label] == card.classes.index(name) + 1).all()
    np.testing.assert_array_equal(segmenter.segment([image])[0], labels)


def test_maps_of_classes_are_as_fine_as_the_image_and_do_not_know_left_from_right(classes: Path, tmp_path: Path) -> None:
    """Logits are the mean over mirror images, so those of a mirrored image are the mirrored logits; a single view's are not."""
    image, _ = _two_classes(5)
    model, mirrored = tmp_path / "c.onnx", np.ascontiguousarray(image[:, ::-1])
    train_segmenter(classes, model, _recipe(folds=0, zoom=1.0))
    segmenter = load_segmenter(model, threads=1)
    assert segmenter.card.views == 4 and segmenter.maps(image).shape == (3, *image.shape)
    np.testing.assert_allclose(segmenter.maps(mirrored), segmenter.maps(image)[:, :, ::-1], atol=1e-4)
    np.testing.assert_allclose(segmenter.maps(image[::-1]), segmenter.maps(image)[:, ::-1], atol=1e-4)
    segmenter.card = segmenter.card.model_copy(update={"views": 1})
    assert np.abs(segmenter.maps(mirrored) - segmenter.maps(image)[:, :, ::-1]).max() > 0.01


def test_training_goes_on_with_each_class_by_its_name(classes: Path, tmp_path: Path) -> None:
    """Another folder may number the same classes otherwise; and six maps of classes are not the six of particles."""
    model = tmp_path / "c.onnx"
    train_segmenter(classes, model, _recipe(folds=0))
    image = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        was, now, particles = (
            load_segmenter_network(model, outputs=class_outputs(names), fine=fine).eval()(image)
            for names, fine in ((("oxide", "crack"), 16), (("crack", "oxide", "pore"), 16), (("a", "b", "c", "d", "e"), 16))
        )
    assert torch.allclose(now[:, :3], was[:, [0, 2, 1]], atol=1e-5) and torch.allclose(particles[:, 0], was[:, 0], atol=1e-5)
    assert not torch.allclose(particles[:, 1:3], was[:, 1:], atol=1e-2)


def test_pixels_right_wrong_and_missed_of_each_class() -> None:
    true, found = np.array([[0, 1, 1, 2]]), np.array([[1, 1, 2, 2]])
    np.testing.assert_array_equal(count_pixels(found, true, 2), [[1, 1, 1], [1, 1, 0]])
    assert mean_iou(count_pixels(found, true, 2)) == pytest.approx((1 / 3 + 1 / 2) / 2)


def test_small_objects_of_a_known_size_are_magnified_and_narrow_greys_spread(folder: Path) -> None:
    data = read_label_images(folder)
    assert fitting_zoom([]) == 1.0
    small = [LabelledImage(one.name, one.image[::4, ::4], one.labels[::4, ::4]) for one in data]
    binary = [LabelledImage(one.name, one.image, (one.labels > 0).astype(np.int32)) for one in small]
    assert fitting_zoom(binary) == 2.5
    recipe = _recipe()
    assert SegmenterTraining(small, recipe, "a", "b").zoom is None
    assert SegmenterTraining(small, recipe, "a", "b", None, Path("m.onnx")).zoom is None
    assert SegmenterTraining(binary, recipe, "a", "b", lesson=class_lesson(("a",))).zoom == 2.5
    narrow = np.random.default_rng(0).uniform(0.04, 0.11, (50, 60)).astype(np.float32)
    spread = stretched(narrow)
    assert spread.max() - spread.min() > 0.75 and np.corrcoef(spread.ravel(), narrow.ravel())[0, 1] > 0.999
    np.testing.assert_array_equal(stretched(spread), spread)

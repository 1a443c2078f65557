"""Training of classifiers on small drawn images with a small untrained backbone: the whole life of a file, and bad data."""

from __future__ import annotations

import hashlib
import shutil
import tomllib
import tracemalloc
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")
pytest.importorskip("onnx", reason="training needs the extra 'train'")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from morphoscope.cli.main import build_app  # noqa: E402
from morphoscope.errors import InputError, PartialError, RecipeError, UsageError  # noqa: E402
from morphoscope.io.colour import read_colour  # noqa: E402
from morphoscope.io.score_data import ScoreData, ScoreExample  # noqa: E402
from morphoscope.models.classify import load_classifier  # noqa: E402
from morphoscope.recipe import Recipe, parse_recipe  # noqa: E402
from morphoscope.recipe_text import recipe_toml  # noqa: E402
from morphoscope.train import class_data, class_views, classify, duplicates  # noqa: E402
from morphoscope.train.backbones import build_backbone  # noqa: E402
from morphoscope.train.class_data import ClassImages, Source, silent  # noqa: E402
from morphoscope.train.class_figures import Honest, class_rows, macro_f1  # noqa: E402
from morphoscope.train.class_folds import Frozen, deal_parts, frozen_folds, unlearnt  # noqa: E402
from morphoscope.train.class_heads import WIDTHS, Guesses, Lessons, linear_path, scaled_lessons  # noqa: E402
from morphoscope.train.class_job import prepare, without_copies  # noqa: E402
from morphoscope.train.class_network import ClassNet, squared_distances  # noqa: E402
from morphoscope.train.class_spread import self_taught, similar, spread  # noqa: E402
from morphoscope.train.class_tuning import RATE, _optimiser, drawn, logits_of, rescale  # noqa: E402
from morphoscope.train.class_views import closer, more_views, ways  # noqa: E402
from morphoscope.train.classify import train_classifier  # noqa: E402
from morphoscope.train.duplicates import NEAR, SAME, find_copies  # noqa: E402
from morphoscope.train.export import export_backbone  # noqa: E402
from morphoscope.train.trained import load_class_network  # noqa: E402

KINDS = ("dots", "grain", "stripes")


def tiny(**train: object) -> Recipe:
    return parse_recipe({"train": {"backbone": "tiny", "bands": 2, **train}, "run": {"threads": 1}})


def picture(kind: str, seed: int, *, size: int = 72, dtype: type = np.uint8) -> np.ndarray:
    rng = np.random.default_rng((KINDS.index(kind), seed))
    grey = rng.normal(0, 0.08, (size, size))
    if kind == "stripes":
        x = np.arange(size)[None] + rng.uniform(0, 9)
        grey += 0.5 * (x % 9 < 4)
    elif kind == "dots":
        for x, y in rng.integers(8, size - 8, (6, 2)):
            cv2.circle(grey, (int(x), int(y)), int(rng.integers(4, 7)), 1.0, -1)
    else:
        grey = cv2.GaussianBlur(rng.normal(0, 1, (size, size)), (0, 0), 1.2)
    grey = (grey - grey.min()) / np.ptp(grey)
    return np.rint(grey * np.iinfo(dtype).max).astype(dtype)


def draw(root: Path, count: int, *, first: int = 0) -> Path:
    for kind in KINDS:
        (root / kind).mkdir(parents=True, exist_ok=True)
        for k in range(first, first + count):
            cv2.imwrite(str(root / kind / f"{kind}{k}.png"), picture(kind, k, dtype=np.uint16 if k % 2 else np.uint8))
    return root


@pytest.fixture(autouse=True)
def fewer_views(monkeypatch):
    """Each image is seen in four ways at most: there is less to learn, which takes less time."""
    monkeypatch.setattr(class_views, "MOST_SEEN", 80)


@pytest.fixture(autouse=True)
def backbones_written_once(monkeypatch, written):
    """A backbone is written to a file once for all tests: what is in the file is a matter of test_classify_model.py."""

    def once(backbone, path):
        key = hashlib.sha1(b"".join(one.numpy().tobytes() for one in backbone.state_dict().values())).hexdigest()
        kept = written / f"{key}.onnx"
        if not kept.exists():
            export_backbone(backbone, kept)
        shutil.copy(kept, path)

    monkeypatch.setattr(class_data, "export_backbone", once)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("written")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("images"), 6)


@pytest.fixture(scope="module")
def frozen(images, tmp_path_factory: pytest.TempPathFactory):
    """A classifier, its file and the stages of its training."""
    path, stages = tmp_path_factory.mktemp("frozen") / "m.onnx", list[str]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(class_views, "MOST_SEEN", 80)
        trained = train_classifier(images, path, tiny(), progress=lambda stage, step, loss: stages.append(stage))
    return trained, path, stages


@pytest.mark.parametrize("method", ["frozen", "neighbours", "fine-tuned"])
def test_a_classifier_is_learnt_validated_and_knows_what_it_does_not_know(images, frozen, tmp_path, method):
    path, stages = tmp_path / "m.onnx", list[str]()
    if method == "frozen":
        trained, path, stages = frozen
    else:
        recipe = tiny(method=method, epochs=2)
        trained = train_classifier(images, path, recipe, progress=lambda stage, step, loss: stages.append(stage))
    card = trained.card
    assert card.classes == KINDS and card.training["method"] == method and not trained.skipped
    assert card.metrics["accuracy"] >= 0.9 and card.metrics["accuracy_low"] <= card.metrics["accuracy"]
    assert card.held_out is not None and len(card.held_out.right) == 18
    assert np.mean(card.held_out.right) == pytest.approx(card.metrics["accuracy"], abs=1e-4)
    assert trained.classes["held_out"].tolist() == [6, 6, 6] and {"images", "all images"} <= set(stages)
    model = load_classifier(path, threads=1)
    new = model.answers([model.prepare(picture(kind, seed)) for kind in KINDS for seed in range(50, 53)])
    assert (new.probability.argmax(axis=1) == np.repeat(range(3), 3)).all()
    odd = (np.indices((72, 72)).sum(axis=0) % 2 * 255).astype(np.uint8)
    assert float(model.answers([model.prepare(odd)]).foreign[0]) > max(1.0, float(new.foreign.max()))
    known = model.answers([model.prepare(read_colour(images / "dots" / "dots0.png"))])
    assert known.foreign[0] < 0.1


def test_fine_tuning_changes_the_backbone_and_goes_on(images, tmp_path):
    recipe = tiny(method="fine-tuned", epochs=1, folds=0)
    train_classifier(images, tmp_path / "a.onnx", recipe)
    again = train_classifier(images, tmp_path / "b.onnx", recipe, start=tmp_path / "a.onnx")
    assert "may flatter" in again.card.limits and again.notes[-1] in again.card.limits
    start = build_backbone("tiny").state_dict()
    first, second = (load_class_network(tmp_path / f"{name}.onnx").backbone.state_dict() for name in "ab")
    name = "body.layers.2.0.weight"
    assert not torch.equal(start[name], first[name]) and not torch.equal(first[name], second[name])
    with pytest.raises(UsageError, match="contradict"):
        train_classifier(images, tmp_path / "c.onnx", recipe, start=tmp_path / "a.onnx", freeze="backbone")


def test_a_new_scale_leaves_the_answers_as_they_are():
    network, rng = ClassNet(build_backbone("tiny"), classes=3, known=2), np.random.default_rng(0)
    with torch.no_grad():
        network.head.last.weight.normal_()
    features = rng.normal(2, 3, (20, network.backbone.features)).astype(np.float32)
    before = logits_of(network, torch.from_numpy(features))
    rescale(network, features)
    assert torch.allclose(logits_of(network, torch.from_numpy(features)), before, atol=1e-3, rtol=1e-3)
    assert float(network.scaled(torch.from_numpy(features)).pow(2).sum(dim=1).mean()) == pytest.approx(3, rel=1e-3)


def test_what_is_drawn_to_learn_from_is_a_square_of_the_view():
    view, rng = np.random.default_rng(0).normal(0, 1, (1, 64, 160)).astype(np.float16), np.random.default_rng(1)
    found = [drawn(view, rng) for _ in range(20)]
    assert {one.shape for one in found} == {(3, 64, 64)} and len({one.tobytes() for one in found}) == 20
    assert all(one.dtype == np.float32 and (one[0] == one[2]).all() for one in found)
    ramp = np.broadcast_to(np.arange(64, dtype=np.float16)[:, None], (1, 64, 96))
    assert all(np.diff(drawn(ramp, rng, upright=True)[0, :, 5]).min() >= 0 for _ in range(8))


def test_training_twice_gives_the_same_answers(images, frozen, tmp_path):
    train_classifier(images, tmp_path / "again.onnx", tiny())
    models = [load_classifier(path, threads=1) for path in (frozen[1], tmp_path / "again.onnx")]
    seen = models[0].prepare(picture("dots", 9))
    one, two = (model.answers([seen]) for model in models)
    np.testing.assert_array_equal(one.probability, two.probability)


def test_training_goes_on_from_a_model_with_other_classes(images, frozen, tmp_path):
    first, start, _ = frozen
    two = tmp_path / "two"
    for kind in KINDS[:2]:
        shutil.copytree(images / kind, two / kind)
    plain = parse_recipe({"train": {"method": "neighbours"}, "run": {"threads": 1}})
    again = train_classifier(two, tmp_path / "b.onnx", plain, start=start, freeze="backbone")
    assert not again.card.limits  # what it goes on from has learnt nothing but ImageNet
    assert again.card.classes == KINDS[:2] and again.card.architecture["backbone"] == "tiny"
    assert [one.name for one in again.card.data] == [*(one.name for one in first.card.data), "two"]
    with pytest.raises(UsageError, match="has its own, tiny"):
        train_classifier(two, tmp_path / "c.onnx", tiny(backbone="lite1"), start=start)


def test_the_same_image_in_two_classes_is_said_and_not_learnt(tmp_path):
    root = draw(tmp_path / "d", 5)
    shutil.copy(root / "dots" / "dots0.png", root / "grain" / "again.png")
    job = prepare(root, tiny())
    said = [note for note in job.notes if "two classes" in note]
    assert len(said) == 1 and "dots/dots0.png" in said[0] and "grain/again.png" in said[0]
    assert np.bincount(job.images.truth).tolist() == [4, 5, 5]


def test_near_copies_are_held_out_together(tmp_path):
    root = draw(tmp_path / "d", 4)
    for k in range(3):
        grey = picture("dots", 0).astype(np.int16) + np.random.default_rng(k).integers(-1, 2, (72, 72))
        cv2.imwrite(str(root / "dots" / f"copy{k}.png"), np.clip(grey, 0, 255).astype(np.uint8))
    job = prepare(root, tiny())
    assert any("are near copies" in note for note in job.notes)
    rows = class_rows(None, job.images)
    assert rows["groups"].tolist()[0] == 4 and rows["images"].tolist() == [7, 4, 4]
    copies = [k for k, one in enumerate(job.images.data.examples) if "copy" in one.name or one.name.endswith("dots0.png")]
    assert len(copies) == 4 and len(set(job.part[copies].tolist())) == 1


def test_damaged_files_are_listed_and_skipped(tmp_path):
    root = draw(tmp_path / "d", 4)
    (root / "dots" / "broken.png").write_bytes(b"\x89PNG no")
    (root / "dots" / "empty.tif").write_bytes(b"")
    result = CliRunner().invoke(build_app(), _command(root, tmp_path / "m.onnx", "--method", "neighbours"))
    assert isinstance(result.exception, PartialError) and (tmp_path / "m.onnx").is_file()
    assert "broken.png" in str(result.exception) and "empty.tif" in str(result.exception)


def _command(root: Path, output: Path, *more: str) -> list[str]:
    return ["train", "classify", str(root), "-o", str(output), "--backbone", "tiny", *more]


def test_a_class_with_one_image_is_refused(tmp_path):
    root = draw(tmp_path / "d", 3)
    for k in (1, 2):
        (root / "grain" / f"grain{k}.png").unlink()
    with pytest.raises(InputError, match=r"at least 2 images.*grain \(1\)"):
        train_classifier(root, tmp_path / "m.onnx", tiny())
    assert not (tmp_path / "m.onnx").exists()


def test_of_a_class_in_one_group_it_is_said_that_it_cannot_be_validated(images, tmp_path):
    rows = [f"{kind}/{kind}{k}.png,{kind},{kind if kind == 'dots' else f'{kind}{k}'}" for kind in KINDS for k in range(6)]
    table = images / "labels.csv"
    table.write_text("file,label,group\n" + "\n".join(rows), encoding="utf-8")
    try:
        trained = train_classifier(table, tmp_path / "m.onnx", tiny(method="neighbours"))
    finally:
        table.unlink()
    assert any("dots are all of one group" in note for note in trained.notes)
    assert trained.classes["held_out"].tolist() == [0, 6, 6] and len(trained.card.held_out.right) == 12
    assert trained.card.held_out.by_class == (0, 6, 6) and trained.card.unvalidated == ("dots",)
    assert "no images of dots were held out" in trained.card.limits


def test_the_recipe_may_name_the_classes(images, tmp_path):
    trained = train_classifier(images, tmp_path / "m.onnx", tiny(method="neighbours", folds=0, classes=("Stripes", "GRAIN")))
    assert trained.card.classes == ("Stripes", "GRAIN") and trained.classes["images"].tolist() == [6, 6]
    assert any("6 images of other categories" in note for note in trained.notes)
    with pytest.raises(InputError, match="names wires, the data have dots"):
        train_classifier(images, tmp_path / "m.onnx", tiny(classes=("dots", "wires")))


def test_nothing_is_validated_without_folds(images, tmp_path):
    trained = train_classifier(images, tmp_path / "m.onnx", tiny(method="neighbours", folds=0))
    assert trained.card.held_out is None and not trained.card.metrics and list(trained.classes) == ["class", "images", "groups"]


def test_images_without_a_label_help(tmp_path):
    few, rest = draw(tmp_path / "few", 3), tmp_path / "rest"
    draw(rest, 5, first=10)
    source = Source(few, unlabelled=rest)
    trained = train_classifier(source, tmp_path / "m.onnx", tiny(bands=2))
    assert any("15 images without a label help" in note for note in trained.notes)
    with pytest.raises(UsageError, match="frozen"):
        train_classifier(source, tmp_path / "n.onnx", tiny(method="neighbours"))
    model = load_classifier(tmp_path / "m.onnx", threads=1)
    new = model.answers([model.prepare(picture(kind, seed)) for kind in KINDS for seed in range(50, 54)])
    assert (new.probability.argmax(axis=1) == np.repeat(range(3), 4)).mean() >= 0.9


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--method", "best"], "train.method"),
        (["--backbone", "vgg"], "train.backbone"),
        (["--freeze", "backbone"], "--from MODEL.onnx"),
        (["--good"], "no --good"),
    ],
)
def test_wrong_use_is_refused(images, tmp_path, more, said):
    result = CliRunner().invoke(build_app(), _command(images, tmp_path / "m.onnx", *more))
    assert isinstance(result.exception, (UsageError, RecipeError)) and said in str(result.exception)


def test_options_of_other_tasks_are_refused(images, tmp_path):
    others = ["train", "score", str(images), "-o", str(tmp_path / "m.onnx"), "--method", "frozen"]
    assert "no --method" in str(CliRunner().invoke(build_app(), others).exception)


def test_the_command_says_how_good_the_model_is(images, tmp_path):
    result = CliRunner().invoke(build_app(), _command(images, tmp_path / "m.onnx", "--method", "neighbours"))
    assert result.exit_code == 0, result.output
    assert "3 classes, neighbours tiny" in result.output and "accuracy" in result.output and "calibration error" in result.output
    again = CliRunner().invoke(build_app(), _command(images, tmp_path / "m.onnx"))
    assert "--overwrite" in str(again.exception)


def lessons(n: int = 30, d: int = 6, classes: int = 3, apart: float = 3.0) -> Lessons:
    rng = np.random.default_rng(0)
    truth = np.arange(n) % classes
    features = rng.normal(0, 1, (n, d)) + apart * np.eye(classes, d)[truth]
    targets = np.eye(classes, dtype=np.float32)[truth]
    return Lessons(features.astype(np.float32), targets, np.zeros((n, 0, d), np.float32))


def test_the_linear_layer_is_that_of_a_reference():
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    given = lessons()
    scaled, seen = scaled_lessons(given, [6])
    strength = 1e-3
    weight, bias = linear_path(scaled.level(seen), given, [1e-2, strength])[-1]
    # scikit-learn: the sum of the losses and half the squared weights over C; ours: their mean and strength times these
    wanted = linear.LogisticRegression(C=1 / (2 * strength * 30), max_iter=5000, tol=1e-8)
    wanted.fit(scaled.level(seen).numpy(), given.targets.argmax(axis=1))
    ours = torch.softmax(scaled.level(seen) @ weight.T + bias, dim=1).numpy()
    np.testing.assert_allclose(ours, wanted.predict_proba(scaled.level(seen).numpy()), atol=5e-3)


def test_classes_weigh_alike_while_learning_and_keep_their_shares_in_the_answers():
    given = lessons(n=40, classes=2)
    kept = np.r_[np.flatnonzero(given.targets[:, 0] == 1), np.flatnonzero(given.targets[:, 1] == 1)[:5]]
    few = given.some(kept)
    totals = few.weights @ few.targets
    assert totals[0] == pytest.approx(totals[1]) and few.weights.mean() == pytest.approx(1, abs=1e-6)
    scaled, seen = scaled_lessons(few, [6])
    weight, bias = linear_path(0 * seen, few, [1.0])[-1]  # nothing is known of the images: their shares are the answer
    np.testing.assert_allclose(torch.softmax(bias, dim=0).numpy(), [0.8, 0.2], atol=1e-3)
    assert not weight.any()


def test_parts_hold_out_what_was_not_learnt():
    given = lessons(n=24)
    flipped = given.targets.copy()
    flipped[0] = np.roll(flipped[0], 1)  # a wrong label
    wrong = Lessons(given.features, flipped, given.more)
    part = np.arange(24) % 4
    how = Frozen((6,), "neighbours")
    held = frozen_folds(wrong, part, how, groups=[str(k) for k in range(24)], parts=range(4))
    assert held.logits[0].argmax() == given.targets[0].argmax()  # its own wrong label had no say
    some = frozen_folds(wrong, part, how, groups=[str(k) for k in range(24)], parts=range(2))
    assert (some.part >= 0).tolist() == (part < 2).tolist() and some.answered.tolist() == np.flatnonzero(part < 2).tolist()


def test_answers_of_a_single_part_have_the_temperature_of_the_model():
    given, part = lessons(n=60, apart=1.5), np.arange(60) % 4
    names = [str(k) for k in range(60)]
    one = frozen_folds(given, part, Frozen((6,), "neighbours"), groups=names, parts=[0])
    assert one.settled != 1 and (one.temperature[one.answered] == np.float32(one.settled)).all()
    assert one.chosen == WIDTHS[len(WIDTHS) // 2]  # the answers are those of the width that the model will have


def test_a_recipe_that_lists_all_settings_asks_for_nothing(images):
    listed = tomllib.loads(recipe_toml(Recipe()))
    assert listed["train"]["folds"] == 1 and listed["train"]["rate"] == 2e-3
    recipe = parse_recipe({**listed, "train": {**listed["train"], "backbone": "tiny", "method": "neighbours"}})
    job = prepare(images, recipe)
    assert job.held == [0, 1, 2, 3, 4] and len(job.hold_out(silent).answered) == 18
    assert _optimiser(ClassNet(job.backbone, classes=2, known=2), recipe.train).param_groups[0]["lr"] == RATE
    asked = parse_recipe({"train": {"bands": 3, "folds": 2, "rate": 1e-3}})
    assert replace(job, recipe=asked).held == [0, 1]
    assert _optimiser(ClassNet(job.backbone, classes=2, known=2), asked.train).param_groups[0]["lr"] == 1e-3


def test_a_class_that_is_in_one_part_only_has_no_answer():
    assert unlearnt(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 0])).tolist() == [False, False, True, True]


def test_a_card_keeps_whole_groups_and_says_what_was_foreign(monkeypatch):
    monkeypatch.setattr(classify, "MOST_HELD", 50)
    rng, truth = np.random.default_rng(0), np.arange(120) % 3
    p = rng.dirichlet(np.ones(4), 120).astype(np.float32)
    group = np.repeat(np.arange(12), [3, 5, 8, 20, 4, 10, 10, 10, 20, 10, 10, 10])
    kept = classify._kept(Honest(p, p, truth, group), group % 2 == 0, seed=0)
    sizes = np.bincount(kept.group)
    assert 30 < sizes.sum() <= 50 and kept.by_class == (40, 40, 40, 0)
    whole = {tuple(np.floor(p[group == g].max(axis=1).astype(float) * 1e6) / 1e6): bool(g % 2 == 0) for g in range(12)}
    for k in range(len(sizes)):
        own = np.array(kept.group) == k
        assert set(np.array(kept.foreign)[own]) == {whole[tuple(np.array(kept.top)[own])]}


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 12), st.integers(2, 5), st.integers(0, 99))
def test_groups_are_never_split(groups, parts, seed):
    rng = np.random.default_rng(seed)
    names = [f"g{k}" for k in rng.integers(0, groups, 40)]
    targets = np.eye(3, dtype=np.float32)[rng.integers(0, 3, 40)]
    part = deal_parts(names, targets, parts=parts, seed=seed)
    assert all(len({p for p, g in zip(part, names, strict=True) if g == name}) == 1 for name in set(names))


def test_copies_are_found_by_distance_and_by_content():
    base = torch.zeros(7, 4)
    base[:, 0] = torch.tensor([0.0, 0.01, 0.2, 0.4, 5.0, 9.0, 20.0])
    found = find_copies(
        base,
        stages=2,
        truth=np.array([0, 1, 1, 1, 2, 2, 0]),
        groups=["a", "b", "c", "d", "e", "e", "f"],
        digests=["1", "2", "3", "4", "5", "6", "5"],
    )
    assert found.twofold == (0, 1, 4, 6)  # all but the same place, and the same content in two classes
    assert found.groups[0] == found.groups[1] == found.groups[2] == found.groups[3]  # a chain of near ones
    assert found.groups[4] == found.groups[5] == found.groups[6] and found.groups[4] != found.groups[0]
    assert found.joined == 6 and found.unlike == ()
    said = " ".join(found.notes(list("stuvwxy")))
    assert "4 images are in two classes" in said and "s, t, w and 1 more" in said


def test_copies_do_not_depend_on_the_other_views():
    rng = np.random.default_rng(0)
    features = rng.normal(0, 1, (20, 6)).astype(np.float32)
    features[19] = features[18] + 0.01
    examples = tuple(ScoreExample(f"{k}.png", f"{k}", np.eye(2, dtype=np.float32)[k % 2]) for k in range(20))
    data, digest = ScoreData("d", ("a", "b"), "exclusive", examples), tuple(map(str, range(20)))
    for more in (np.zeros((20, 0, 6), np.float32), rng.normal(0, 50, (20, 3, 6)).astype(np.float32)):
        kept, _ = without_copies(ClassImages(data, features, more, digest), (6,))
        assert kept.groups == [f"{k}" for k in range(18)]  # the two alike are in two classes


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2), st.integers(0, 5), st.booleans()), min_size=1, max_size=14))
def test_copies_are_those_of_a_plain_search(rows):
    place, truth = np.array([0.05 * p for p, *_ in rows]), np.array([c for _, c, _, _ in rows])
    names, digests = [f"g{g}" for *_, g, _ in rows], [f"{p}" if whole else f"{p}-{k}" for k, (p, _, _, whole) in enumerate(rows)]
    features = torch.from_numpy(np.stack([place, 0 * place], axis=1).astype(np.float32))
    found = find_copies(features, stages=1, truth=truth, groups=names, digests=digests)
    far, n = np.abs(place[:, None] - place) / np.sqrt(2), len(rows)
    same = (far < SAME) | (np.array(digests)[:, None] == np.array(digests))
    assert found.twofold == tuple(k for k in range(n) if (same[k] & (truth != truth[k])).any())
    near = (far < NEAR) | same
    for _ in range(n):
        near = near @ near
    group = np.array(names)[:, None] == np.array(names)
    assert found.joined == sum(bool((near[k] & ~group[k]).any()) for k in range(n))
    both = near | group
    for _ in range(n):
        both = both @ both
    assert found.groups == tuple(names[int(np.flatnonzero(both[k])[0])] for k in range(n))
    wrong = {(digests[i], digests[j]) for i in range(n) for j in range(i) if far[i, j] < NEAR and truth[i] != truth[j]}
    left = {frozenset(pair) for pair in wrong} - {
        frozenset(pair) for pair in wrong if any(digests[k] in pair for k in found.twofold)
    }
    assert {frozenset((digests[i], digests[j])) for i, j in found.unlike} == left and len(found.unlike) == len(left)


def test_thousands_of_copies_take_no_pairs(monkeypatch):
    """All images alike, each with a content of its own or all with the same: a list of their pairs would be of millions."""
    monkeypatch.setattr(duplicates, "ROWS", 256)
    n, seen = 3000, []
    monkeypatch.setattr(duplicates, "squared_distances", lambda a, b: seen.append(len(a)) or squared_distances(a, b))
    same = find_copies(torch.zeros(n, 2), stages=1, truth=np.zeros(n, int), groups=[f"{k}" for k in range(n)], digests=["a"] * n)
    assert sum(seen) == 1 and set(same.groups) == {"0"} and same.joined == n
    some = 600
    tracemalloc.start()
    near = find_copies(
        torch.zeros(some, 2), stages=1, truth=np.zeros(some, int), groups=["g"] * some, digests=[f"{k}" for k in range(some)]
    )
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert set(near.groups) == {"g"} and near.joined == 0 and most < 15e6


def test_views_are_turned_and_closer_up():
    view = np.random.default_rng(0).normal(0, 1, (3, 64, 96)).astype(np.float32)
    found = more_views(view, 15, np.random.default_rng(1))
    assert len(found) == 15 and {one.shape for one in found} == {(3, 64, 96), (3, 96, 64)}
    assert len({one.tobytes() for one in found}) == 15
    assert all(np.sort(one, axis=None).tolist() == np.sort(view, axis=None).tolist() for one in found[:7])
    assert all(one.mean() == pytest.approx(0, abs=1e-4) and one.std() == pytest.approx(1, abs=1e-3) for one in found[7:])
    upright = more_views(view, 3, np.random.default_rng(1), upright=True)
    assert {one.shape for one in upright} == {(3, 64, 96)}
    np.testing.assert_array_equal(upright[0], view[:, :, ::-1])
    ramp = np.broadcast_to(np.arange(96, dtype=np.float32), (3, 64, 96))
    assert np.diff(closer(ramp, 0.5, np.random.default_rng(0))[0, 30]).min() >= 0
    assert ways(5) == 15 and ways(20) == 3 and ways(10_000) == 0


def test_few_labels_spread_over_a_graph():
    t = np.linspace(0, np.pi, 60)
    moons = np.concatenate([np.c_[np.cos(t), np.sin(t)], np.c_[1 - np.cos(t), 0.4 - np.sin(t)]]).astype(np.float32)
    known = np.zeros((120, 2), np.float32)
    known[0, 0] = known[60, 1] = 1
    graph = similar(torch.from_numpy(moons), neighbours=5)
    assert abs(graph - graph.T).max() < 1e-12
    found = spread(graph, known, 0.99, steps=400)
    assert (found.argmax(axis=1) == np.repeat([0, 1], 60)).all()


def test_guesses_are_learnt_beside_labels():
    given = lessons(n=120, apart=4.0)
    few, others = given.some(np.arange(15)), given.features[15:]
    taught = self_taught(few, others, stages=[6])
    assert isinstance(taught.guesses, Guesses) and taught.guesses.targets.shape == (105, 3)
    assert (taught.guesses.targets.argmax(axis=1) == given.targets[15:].argmax(axis=1)).mean() > 0.9
    targets, weights = taught.rows
    assert len(targets) == len(taught.views) == 120 and weights.mean() == pytest.approx(1, abs=1e-5)
    assert self_taught(few, others[:0], stages=[6]) is few


def test_macro_f1_is_that_of_a_reference():
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    rng = np.random.default_rng(0)
    truth, found, weight = rng.integers(0, 4, 50), rng.integers(0, 4, 50), rng.random(50)
    wanted = metrics.f1_score(truth, found, average="macro", sample_weight=weight)
    assert macro_f1(truth, found, 4, weight) == pytest.approx(wanted)

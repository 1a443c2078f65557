"""Training of score models: split, sampling, losses, and the whole life of a file on small drawn images."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")
pytest.importorskip("onnx", reason="training needs the extra 'train'")

from click.testing import Result  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from morphoscope.cli.main import build_app  # noqa: E402
from morphoscope.cli.scores import NUMBERS, say_trained  # noqa: E402
from morphoscope.errors import InputError, PartialError, UsageError  # noqa: E402
from morphoscope.evaluate_scores import evaluate_scores  # noqa: E402
from morphoscope.io.score_data import read_score_data  # noqa: E402
from morphoscope.measure import judged  # noqa: E402
from morphoscope.models.runtime import read_card  # noqa: E402
from morphoscope.models.score import load_scorer  # noqa: E402
from morphoscope.recipe import Recipe, parse_recipe  # noqa: E402
from morphoscope.train import lite_patches, lite_views, score_loop  # noqa: E402
from morphoscope.train.lite_patches import STRENGTHS, Learnt, build_lite, features_of, fit_head, last_layer  # noqa: E402
from morphoscope.train.score import Trained, leak, train_scorer  # noqa: E402
from morphoscope.train.score_job import prepare  # noqa: E402
from morphoscope.train.score_loop import loss_of  # noqa: E402
from morphoscope.train.score_pictures import as_pictures, survey  # noqa: E402
from morphoscope.train.score_plan import Plan, make_plan  # noqa: E402
from morphoscope.train.score_refusals import refuse_unfit, refuse_useless  # noqa: E402
from morphoscope.train.score_sampling import Change, Sampler, balanced, drawn_too_often, relit, turn  # noqa: E402
from morphoscope.train.score_split import deal, split  # noqa: E402
from morphoscope.train.trained import weights_of  # noqa: E402

SIDE = 16


def _recipe(*, patch: float | None = None, **train: object) -> Recipe:
    few = {"epochs": 4, "patches": 16, "bands": 2, "rate": 5e-3, **train}
    return parse_recipe({"train": few, "score": {"patch_px": patch}, "run": {"threads": 1}})


def _lite(*, patch: float | None = None, **train: object) -> Recipe:
    return parse_recipe({"train": {"bands": 2, **train}, "score": {"patch_px": patch}, "run": {"threads": 1}})


def _film(seed: int, *, striped: bool, size: int = SIDE) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = np.arange(size)[None] + rng.integers(0, 6)
    grey = 90 + (80 * (x % 6 < 2) if striped else 27) + rng.normal(0, 10, (size, size))
    return np.clip(grey, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """The pretrained encoder read once, one penalty and few draws of the bootstrap; the test of penalties tries them all."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(lite_patches, "load_segmenter_network", cache(lite_patches.load_segmenter_network))
        patched.setattr(lite_patches, "STRENGTHS", STRENGTHS[4:5])
        patched.setattr(judged, "_draws", lambda truth: 40)
        yield


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("films")
    for name, striped in (("cracked", True), ("smooth", False)):
        (root / name).mkdir()
        for k in range(8):
            cv2.imwrite(str(root / name / f"{k}.png"), _film(k, striped=striped))
    return root


@pytest.fixture(scope="module")
def trained(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.onnx"
    train_scorer(films, path, _recipe(licence="MIT", epochs=5, network="film"))
    return path


@pytest.fixture(scope="module")
def made(films: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The last layer on pretrained features, as the command makes it, and what that says."""
    folder = tmp_path_factory.mktemp("lite")
    (folder / "r.toml").write_text("[train]\nbands = 2\n[run]\nthreads = 1\n", encoding="utf-8")
    arguments = ["train", "score", str(films), "-o", str(folder / "l.onnx"), "--recipe", str(folder / "r.toml")]
    return folder / "l.onnx", CliRunner().invoke(build_app(), arguments)


def test_groups_stay_together_and_every_part_has_its_share_of_all_labels() -> None:
    rng = np.random.default_rng(0)
    groups = [f"g{k}" for k in rng.permutation(np.repeat(np.arange(60), 3))]
    label = np.array([int(name[1:]) % 3 for name in groups])
    targets = np.eye(3, dtype=np.float32)[label]
    part = deal(groups, targets, 4)
    for name in set(groups):
        assert len({p for p, g in zip(part, groups, strict=True) if g == name}) == 1
    table = np.array(
        [[len({g for g, p, c in zip(groups, part, label, strict=True) if (p, c) == (k, j)}) for j in range(3)] for k in range(4)]
    )
    assert (table == 5).all()
    chosen = split(groups, targets, parts=4, fold=1)
    sets = [{groups[k] for k in some} for some in (chosen.train, chosen.validation, chosen.test)]
    assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2]) and sum(map(len, sets)) == 60
    np.testing.assert_array_equal(chosen.test, np.flatnonzero(part == 1))
    with pytest.raises(UsageError, match=r"train.folds = 0"):
        split(["a", "b"], targets[:2], parts=4, fold=0)


def test_draws_are_balanced_and_weights_make_up_for_it() -> None:
    exclusive = np.eye(2, dtype=np.float32)[[0] * 9 + [1]]
    share, weight = balanced(exclusive, exclusive=True)
    np.testing.assert_allclose(share @ exclusive, [0.5, 0.5])
    rng = np.random.default_rng(0)
    rare = (rng.random((500, 2)) * (rng.random((500, 2)) < 0.02)).astype(np.float32)
    share, weight = balanced(rare, exclusive=False)
    assert share.sum() == pytest.approx(1) and (share * (rare > 0).any(axis=1)).sum() > 0.5
    np.testing.assert_allclose((share * weight) @ rare, rare.mean(axis=0), rtol=1e-5)
    assert balanced(np.zeros((3, 1), np.float32), exclusive=False)[1].tolist() == [1, 1, 1]


def test_probabilities_of_classes_drawn_equally_are_those_of_the_pictures() -> None:
    targets = np.eye(3, dtype=np.float32)[[0] * 17 + [1] * 3]
    share, weight = balanced(targets, exclusive=True)
    shift = drawn_too_often(targets, share * weight)
    odds = np.exp(np.log([0.5, 0.5]) - shift[:2])
    np.testing.assert_allclose(odds / odds.sum(), [0.85, 0.15])
    assert shift[2] == 0
    network = build_lite(outputs=3, channels=1, input_px=64)
    features = np.zeros((20, network.head[1].in_channels), np.float32)  # of which nothing can be told
    learnt = Learnt(features, targets, (share * weight * 20).astype(np.float32), shift.astype(np.float32))
    fit_head(network, learnt, answer="exclusive", levels=10, strength=1e-2)
    chance = torch.softmax(network.head(torch.zeros(1, features.shape[1], 1, 1))[0, :, 0, 0], dim=0).numpy()
    np.testing.assert_allclose(chance[:2], [0.85, 0.15], atol=0.02)


def test_a_last_layer_goes_on_from_what_it_had_learnt() -> None:
    rng = np.random.default_rng(0)
    network = build_lite(outputs=2, channels=1, input_px=64)
    features = rng.normal(3, 2, (30, network.head[1].in_channels)).astype(np.float32)
    targets = np.eye(2, dtype=np.float32)[(features[:, 0] > 3).astype(int)]
    learnt = Learnt(features, targets, np.ones(30, np.float32))
    fit_head(network, learnt, answer="exclusive", levels=10, strength=1e-2)
    before = last_layer(network)
    logits = network.head(torch.from_numpy(features)[:, :, None, None])[:, :, 0, 0]
    assert torch.allclose(logits, torch.from_numpy(features) @ before.weight.T + before.bias, rtol=1e-3, atol=1e-3)
    other = Learnt(features[:10] * 2 + 1, targets[:10], np.ones(10, np.float32))
    fit_head(network, other, answer="exclusive", levels=10, strength=1e4, start=before)
    assert torch.allclose(last_layer(network).weight, before.weight, rtol=1e-2, atol=1e-4)


def test_large_patches_are_judged_a_few_at_a_time() -> None:
    seen = []

    class Means(torch.nn.Module):
        def of_patches(self, x: torch.Tensor, answer: str) -> torch.Tensor:
            seen.append(len(x))
            return x.mean(dim=(1, 2, 3), keepdim=True)

    patches = np.random.default_rng(0).random((5, 1, 512, 512), dtype=np.float32)
    logits = score_loop.logits_of(Means(), patches)
    np.testing.assert_allclose(logits[:, 0], patches.mean(axis=(1, 2, 3)), rtol=1e-5)
    assert seen == [2, 2, 1]


def test_of_very_many_pictures_some_are_seen_each_label_by_its_share(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, _ = prepare(films, _lite(), name="l")
    monkeypatch.setattr(lite_views, "MOST_VIEWS", 8)
    monkeypatch.setattr(lite_views, "features_of", lambda network, patches: np.zeros((len(patches), 3), np.float32))

    class Network:
        input_px = 64

    views = lite_views.view_features(Network(), job.pictures, change=Change(), target="fraction")
    assert len(views.features) == 8 and views.plain.all() and views.targets.sum(axis=0).tolist() == [4, 4]
    few = lite_views.view_features(Network(), job.pictures[:4], change=Change(), target="fraction")
    assert len(few.features) == 8 and few.plain.sum() == 4


def test_settings_that_would_change_nothing_are_refused(films: Path, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, _ = prepare(films, _lite(), name="l")
    for name, value in (("epochs", 3), ("patches", 20), ("rate", 1e-3), ("patience", 2), ("target", "any")):
        with pytest.raises(UsageError, match=rf"train.{name} = .* would change nothing"):
            refuse_unfit(replace(job, recipe=_lite(**{name: value})))
    refuse_unfit(job)
    for recipe, message in (
        (_recipe(folds=0, patience=2), "patience = 2 would change nothing: nothing is held out"),
        (_recipe(folds=0, split="copy"), "split = 'copy' would change nothing"),
        (_recipe(network="cells"), "network = 'cells' would change nothing: .* its own network, film"),
    ):
        with pytest.raises(UsageError, match=message):
            refuse_useless(recipe, trained, None)
    refuse_useless(_recipe(network="film"), trained, None)
    with pytest.raises(UsageError, match="has learnt nothing for these labels.*leave out --from"):
        refuse_unfit(replace(job, plan=replace(job.plan, start=trained), data=replace(job.data, classes=("x", "y"))))


def test_what_a_model_may_have_learnt_before_is_said(
    trained: Path, films: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card = load_scorer(trained, threads=1).card
    parts = pd.DataFrame([dict.fromkeys(("part", "images", "class", "tp", "fp", "tn", "fn", *NUMBERS), 1)])
    for started, words in ((True, "the model of --from may have learnt them"), (False, "images never learnt")):
        say_trained(trained, Trained(card, parts, (), (), started))
        said = capsys.readouterr().out
        assert words in said and ("beside what the model of --from had learnt" in said) == started
    assert f"learnt data named {films.name}, too" in leak(films.name, trained)
    assert leak("others", trained) == ""
    bare = card.model_copy(update={"data": ()})
    monkeypatch.setattr("morphoscope.train.score.read_card", lambda path: bare)
    assert "does not say what it has learnt" in leak("others", trained)


def test_eight_ways_to_turn_are_all_different_and_light_keeps_its_shape() -> None:
    patch = np.arange(2 * 5 * 5, dtype=np.float32).reshape(2, 5, 5)
    seen = {turn(patch, way).tobytes() for way in range(8)}
    assert len(seen) == 8 and patch.tobytes() in seen
    rng = np.random.default_rng(0)
    assert relit(patch, Change(), rng) is patch
    other = relit(patch, Change(contrast=0.3, brightness=0.3, noise=0.1), rng)
    assert other.shape == patch.shape and other.dtype == np.float32 and not np.array_equal(other, patch)


def test_losses_are_least_where_probabilities_are_right() -> None:
    target = torch.tensor([[0.3, 0.7]])
    for answer in ("multi-label", "ordinal"):
        outputs = 2 * (10 if answer == "ordinal" else 1)
        logits = torch.zeros(1, outputs, requires_grad=True)
        optimiser = torch.optim.LBFGS([logits], max_iter=60, line_search_fn="strong_wolfe")

        def value(logits: torch.Tensor = logits, answer: str = answer) -> torch.Tensor:
            logits.grad = None
            loss = loss_of(logits, target, answer, 10).sum()
            loss.backward()
            return loss

        optimiser.step(value)
        chance = torch.sigmoid(logits.detach()).reshape(2, -1).mean(dim=1)
        np.testing.assert_allclose(chance, [0.3, 0.7], atol=0.03)
    right, wrong = (
        float(loss_of(torch.tensor([x]), torch.tensor([[0.0, 1.0]]), "exclusive", 10)) for x in ([0.0, 5.0], [5.0, 0.0])
    )
    assert right < 0.01 < 4 < wrong


def test_a_model_is_trained_written_loaded_and_right_on_images_never_learnt(trained: Path, films: Path, tmp_path: Path) -> None:
    scorer = load_scorer(trained, threads=1)
    card = scorer.card
    assert card.answer == "exclusive" and card.classes == ("cracked", "smooth") and card.seen_px == SIDE and card.channels == 1
    assert {"accuracy", "train_accuracy", "validation_accuracy", "auc", "tp", "train_fn"} <= set(card.metrics)
    assert card.metrics["n_images"] == 8 and card.data[0].licence == "MIT"
    for striped in (True, False):
        (right,) = [scorer.scores(_film(100, striped=striped)).extents()["cracked" if striped else "smooth"]]
        assert right > 0.6
    result = evaluate_scores(scorer, read_score_data(films))
    assert result.metrics["accuracy"] > 0.9 and len(result.frames) == 16


def test_the_last_layer_on_pretrained_features_learns_from_few_images(
    films: Path, made: tuple[Path, Result], tmp_path: Path
) -> None:
    card = read_card(made[0])
    assert card.architecture["name"] == "lite" and card.patch_px == 64 and card.metrics["accuracy"] == 1
    assert len(card.data) > 1 and made[0].stat().st_size < 5e6
    again = train_scorer(films, tmp_path / "again.onnx", _lite(folds=0), start=made[0]).card
    assert again.metrics == {} and again.data[:-1] == card.data and again.seen_px == card.seen_px
    image = _film(100, striped=True)
    assert load_scorer(tmp_path / "again.onnx", threads=1).scores(image).extents()["cracked"] > 0.6
    tinted = np.stack([image, image, image // 2], axis=2)
    pale = np.stack([image, image, image], axis=2)
    network = build_lite(outputs=2, channels=3, input_px=64)
    patches = [
        np.ascontiguousarray(np.resize(x.transpose(2, 0, 1), (3, 64, 64))).astype(np.float32) / 255 for x in (tinted, pale)
    ]
    features = features_of(network, np.stack(patches))
    assert np.abs(features[0, :3] - features[1, :3]).max() > 0.05  # colour is not lost


def test_the_penalty_is_chosen_on_what_is_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lite_patches, "STRENGTHS", STRENGTHS)
    rng = np.random.default_rng(0)
    network = build_lite(outputs=2, channels=1, input_px=64)
    width = network.head[1].in_channels
    label = rng.integers(0, 2, 60)
    features = rng.normal(0, 1, (60, width)).astype(np.float32)
    features[:, 0] += 3 * label
    targets = np.eye(2, dtype=np.float32)[label]
    learnt = Learnt(features[:40], targets[:40], np.ones(40, np.float32))
    held = features[40:], targets[40:]
    strength = fit_head(network, learnt, answer="exclusive", levels=10, held=held)
    assert strength in STRENGTHS and strength > STRENGTHS[0]  # noise in hundreds of features wants a penalty

    def loss() -> float:
        logits = network.head(torch.from_numpy(held[0])[:, :, None, None])[:, :, 0, 0]
        return float(loss_of(logits, torch.from_numpy(held[1]), "exclusive", 10).mean())

    best = loss()
    for other in (STRENGTHS[0], STRENGTHS[-1]):
        fit_head(network, learnt, answer="exclusive", levels=10, strength=other)
        assert loss() >= best - 1e-6


def test_training_goes_on_from_a_model_whose_backbone_stays_as_it_is(trained: Path, films: Path, tmp_path: Path) -> None:
    tuned = tmp_path / "t.onnx"
    card = train_scorer(films, tuned, _recipe(epochs=1, folds=0), start=trained, freeze="backbone").card
    before, after = weights_of(trained), weights_of(tuned)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and all(name.startswith("head.") for name in changed)
    assert [source.licence for source in card.data] == ["MIT", "not stated"]
    with pytest.raises(UsageError, match="--from"):
        train_scorer(films, tuned, _recipe(), freeze="backbone")


def test_marked_images_teach_the_share_of_each_patch(tmp_path: Path) -> None:
    root = tmp_path / "marked"
    for part in ("image", "masks/hole"):
        (root / part).mkdir(parents=True)
    for k in range(8):
        rng = np.random.default_rng(k)
        mask = np.zeros((48, 64), bool)
        mask[: rng.integers(10, 40), : rng.integers(10, 50)] = True
        cv2.imwrite(
            str(root / "image" / f"{k}.png"), np.clip(60 + 120 * mask + rng.normal(0, 8, mask.shape), 0, 255).astype(np.uint8)
        )
        cv2.imwrite(str(root / "masks/hole" / f"{k}.png"), (255 * mask).astype(np.uint8))
    found = train_scorer(root, tmp_path / "h.onnx", _recipe(patch=16, patches=32))
    assert (
        found.card.seen_px == 16
        and found.card.answer == "multi-label"
        and set(found.parts["part"]) == {"train", "validation", "test"}
    )
    assert found.card.metrics["extent_rms"] < 0.15 and found.card.metrics["auc"] > 0.9
    assert found.card.extent_error == {}  # too few images for an interval
    job, _ = prepare(root, _recipe(patch=16), name="h")
    sampler = Sampler(job.pictures, 16, exclusive=False, target="fraction", change=Change())
    patches, targets, weights = sampler.draw(64, np.random.default_rng(0))
    assert np.corrcoef(patches.mean(axis=(1, 2, 3)), targets[:, 0])[0, 1] > 0.99 and weights.shape == (64,)


def test_levels_are_learnt_as_such_and_small_or_damaged_images_are_skipped(tmp_path: Path) -> None:
    rows = ["file,dirt,group"]
    for k in range(24):
        level = k % 4 * 3
        picture = np.full((SIDE, SIDE), 40 + 20 * level, np.uint8)
        cv2.imwrite(str(tmp_path / f"{k}.png"), picture[:9] if k == 5 else picture)
        rows.append(f"{k}.png,{level},{k // 2}")
    (tmp_path / "7.png").write_bytes(b"no picture")
    (tmp_path / "labels.csv").write_text("\n".join([*rows, "99.png,3,0"]), encoding="utf-8")
    found = train_scorer(tmp_path, tmp_path / "l.onnx", _lite(patch=SIDE))
    assert found.card.answer == "ordinal" and found.card.metrics["level_error"] < 2 and "0 to 10" in found.notes[0]
    assert [one.split(":")[0] for one in found.skipped] == ["99.png", "7.png", "5.png"]
    assert "smaller than a patch of 16 px" in found.skipped[2]


def test_what_is_left_without_bad_images_must_still_have_two_classes(films: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    for k in range(4):
        cv2.imwrite(str(tmp_path / "a" / f"{k}.png"), _film(k, striped=True))
        cv2.imwrite(str(tmp_path / "b" / f"{k}.png"), _film(k, striped=False)[:8])
    with pytest.raises(InputError, match="same label for a, b"):
        train_scorer(tmp_path, tmp_path / "m.onnx", _lite(patch=SIDE))


def test_the_command_trains_and_evaluates_and_ends_with_4_where_images_were_skipped(
    films: Path, made: tuple[Path, Result], tmp_path: Path
) -> None:
    (model, done), runner = made, CliRunner()
    assert done.exit_code == 0, done.output
    for word in ("train", "validation", "test", "TP", "FN", "cracked", "auc", "images never learnt: accuracy 1.000 (0.676 to"):
        assert word in done.output
    assert [line.removesuffix(" ...") for line in done.stderr.splitlines()] == [
        "images and labels read",
        "part 1 of 2 held out",
        "all images",
    ]
    out = tmp_path / "scores"
    command = ["evaluate", str(model), str(films), "-o", str(out)]
    done = runner.invoke(build_app(), command)
    assert done.exit_code == 0 and "16 images" in done.output, done.output
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["n_images"] == 16 and (out / "figures" / "roc.png").is_file() and (out / "figures" / "confusion.png").is_file()
    assert {path.name for path in out.glob("*.csv")} == {"frames.csv", "by_class.csv", "confusion.csv", "roc.csv"}
    table = tmp_path / "labels.csv"
    names = [f"{films / 'smooth' / f'{k}.png'},smooth" for k in range(3)] + [f"{films / 'cracked' / '0.png'},cracked"]
    table.write_text("\n".join(["file,label", *names, "gone.png,smooth"]), encoding="utf-8")
    done = runner.invoke(build_app(), ["evaluate", str(model), str(table), "--json"])
    assert (
        isinstance(done.exception, PartialError)
        and "gone.png" in str(done.exception)
        and json.loads(done.output)["n_images"] == 4
    )
    done = runner.invoke(build_app(), ["evaluate", str(model), str(films), "--scale", "2"])
    assert isinstance(done.exception, UsageError) and "--scale" in str(done.exception)


def test_copies_of_an_image_are_dealt_apart_only_where_that_is_asked_for(films: Path) -> None:
    job, _ = prepare(films, _recipe(split="copy"), name="c")
    assert len(job.pictures) == 8 * 16
    chosen = job.split(0)
    learnt, tested = ({job.pictures[k].example.name.split("#")[0] for k in some} for some in (chosen.train, chosen.test))
    assert learnt & tested
    job, _ = prepare(films, _recipe(), name="i")
    chosen = job.split(0)
    learnt, tested = ({job.pictures[k].example.name for k in some} for some in (chosen.train, chosen.test))
    assert not learnt & tested


def test_a_patch_suits_the_images_unless_the_recipe_says_otherwise(tmp_path: Path) -> None:
    for k in range(4):
        for name, size in (("a", 300 + k), ("b", 250)):
            (tmp_path / name).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / name / f"{k}.png"), _film(k, striped=name == "a", size=size)[:, :240])
    cv2.imwrite(str(tmp_path / "a" / "small.png"), _film(0, striped=True, size=40))
    data = read_score_data(tmp_path)
    read, skipped = survey(data)
    assert not skipped and len(read) == 9 and all(one.grey and one.dtype == np.uint8 for one in read)

    def plan(**given: dict[str, object]) -> Plan:
        return make_plan(data, read, parse_recipe(given))

    usual = plan()  # the small image does not count, it is skipped
    assert (usual.network, usual.seen_px, usual.side, usual.channels, usual.preprocess) == ("lite", 240, 192, 1, "unit-1")
    assert (plan(score={"patch_px": 120}).seen_px, plan(score={"patch_px": 120}).side) == (120, 128)
    nm = {"score": {"patch_nm": 80}, "calibration": {"pixel_size_nm": 2.0}}
    assert (plan(**nm).seen_px, plan(**nm).pixel_size_nm) == (40, 2)
    with pytest.raises(UsageError, match="states none"):
        plan(score={"patch_nm": 80})
    film, thin = plan(train={"network": "film"}), plan(train={"network": "deepthin-road-27"})
    assert (film.side, film.seen_px, thin.side, thin.channels, thin.change) == (64, 240, 27, 1, Change())
    deep = [replace(one, dtype=np.dtype(np.uint16)) for one in read]
    assert make_plan(data, deep, Recipe()).preprocess == "robust-rgb-1"
    _, misfits = as_pictures(data.examples, channels=1, side=64, seen_px=240, preprocess="unit-1", target="fraction")
    assert len(misfits) == 1 and "40 x 40 px is smaller than a patch of 240 px" in misfits[0]

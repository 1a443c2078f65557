"""Evaluating a classifier of images: tables against counts by hand, promises against fresh images, the folder and the command."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from morphoscope.cli.main import main
from morphoscope.errors import InputError
from morphoscope.evaluate_classes import evaluate_classifier, tabulate
from morphoscope.io.score_data import ScoreData, ScoreExample
from morphoscope.measure.class_answers import ClassAnswers, Rest, mean_interval
from morphoscope.measure.honest import HeldOut
from morphoscope.models.card import HeldOutAnswers, ModelCard, held_out_of
from morphoscope.models.classify import ImageAnswers, probabilities
from morphoscope.report import class_evaluation
from morphoscope.report.class_evaluation import write_class_evaluation
from morphoscope.report.class_evaluation_figures import accuracy_against_share, picture_sheet, set_sizes
from morphoscope.report.style import nothing_drawn, save_figure

CLASSES = ("films", "tips", "wires")


def card(held: HeldOutAnswers | None = None, **more: object) -> ModelCard:
    return ModelCard.model_validate(
        {
            "name": "sem",
            "task": "classify",
            "classes": CLASSES,
            "preprocess": "standard-rgb-1",
            "postprocess": "classes-of-image-1",
            "view_px": 64,
            "held_out": held,
            **more,
        }
    )


@dataclass
class Said:
    """A classifier whose logits are the first pixels of the image; the next is how foreign it is."""

    card: ModelCard

    def prepare(self, image: np.ndarray) -> np.ndarray:
        if image.shape == (1, 1):
            raise InputError("too small")
        return image.astype(np.float32)

    def answers(self, prepared: list[np.ndarray]) -> ImageAnswers:
        z = np.array([one[0, :3] for one in prepared], np.float32).reshape(-1, 3)
        far = np.array([one[0, 3] for one in prepared], np.float32)
        return ImageAnswers(probabilities(z, temperature=self.card.temperature), z, z, far)


def world(n: int, *, seed: int, sharp: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits (n, 3) that are true, and classes drawn from them."""
    rng = np.random.default_rng(seed)
    z = rng.normal(0, sharp, (n, 3))
    return z, np.array([rng.choice(3, p=p) for p in softmax(z, axis=1)])


def labelled(z: np.ndarray, truth: np.ndarray, *, foreign: float = 0.5) -> ScoreData:
    pictures = [np.r_[row, foreign, np.zeros(8)][None].repeat(9, axis=0) for row in z]
    examples = [
        ScoreExample(f"{k}.tif", f"{k // 2}", np.eye(3, dtype=np.float32)[t], array=picture)
        for k, (t, picture) in enumerate(zip(truth, pictures, strict=True))
    ]
    return ScoreData("sem", CLASSES, "exclusive", tuple(examples))


def held_out(n: int = 600) -> HeldOutAnswers:
    z, truth = world(n, seed=1)
    held = HeldOut.of(softmax(z, axis=1), truth)
    names = ("truth_probability", "top", "right", "group")
    return HeldOutAnswers.model_validate({name: getattr(held, name).tolist() for name in names})


def test_tables_of_a_case_done_by_hand() -> None:
    z = np.log([[0.7, 0.2, 0.1], [0.5, 0.45, 0.05], [0.1, 0.1, 0.8], [0.6, 0.3, 0.1]])
    result = evaluate_classifier(Said(card()), labelled(z, np.array([0, 1, 2, 0])))  # type: ignore[arg-type]
    assert result.metrics["accuracy"] == 0.75 and result.metrics["f1"] == pytest.approx((0.8 + 0 + 1) / 3)
    assert result.metrics["n_groups"] == 2 and result.metrics["foreign"] == 0
    assert result.metrics["ece"] == result.metrics["ece_before"]
    assert np.isnan(result.metrics["set_coverage"]) and "nothing can be promised" in result.sentence
    assert result.frames["label"].tolist() == ["films", "films", "wires", "films"]
    assert result.frames["margin"].to_numpy() == pytest.approx([0.5, 0.05, 0.7, 0.3], abs=1e-6)
    assert result.frames["decision"].tolist() == ["review"] * 4
    assert result.confusion.set_index("true").to_numpy().tolist() == [[2, 0, 0], [1, 0, 0], [0, 0, 1]]
    assert result.by_class["n"].tolist() == [2, 1, 1, 4]
    assert result.by_class.loc[2, ["recall", "recall_high"]].tolist() == [1, 1] and 0 < result.by_class.loc[2, "recall_low"] < 0.3
    assert result.top.set_index(result.top["low"].round(2))["wrong"].loc[0.5] == 1 and result.top["right"].sum() == 3
    assert result.selective["accuracy"].to_numpy() == pytest.approx([1, 1, 1, 0.75])
    assert result.boundary["file"].iloc[0] == "1.tif"  # all sets are of all classes: the closest call comes first


def test_promises_hold_on_fresh_images() -> None:
    z, truth = world(1500, seed=2)
    warm = card(held_out(), temperature=2.0)
    result = evaluate_classifier(Said(warm), labelled(2 * z, truth), accuracy=0.93, coverage=0.9)  # type: ignore[arg-type]
    m = result.metrics
    assert m["set_coverage_low"] < m["set_coverage"] < m["set_coverage_high"] and 0.88 < m["set_coverage"] < 0.93
    assert 1 < m["set_size"] < 2 and m["several_classes"] == (result.frames["classes_in_set"] > 1).mean()
    assert m["accepted"] > 0.3 and m["accepted_accuracy"] > 0.93 and "accepted from a probability of" in result.sentence
    assert m["ece"] < 0.03 < m["ece_before"] and m["ece"] < m["ece_of_true_probabilities_95"] + 0.01
    own = result.frames.apply(lambda row: row["label_true"] in row["labels"].split("|"), axis=1)
    assert own.mean() == m["set_coverage"]
    every = result.by_class.set_index("class")
    assert every.loc["all", "accepted"] == m["accepted"] and every.loc["all", "set_coverage"] == m["set_coverage"]
    far = evaluate_classifier(Said(warm), labelled(2 * z, truth, foreign=1.5), accuracy=0.93)  # type: ignore[arg-type]
    assert far.metrics["foreign"] == 1 and far.metrics["accepted"] == 0 and set(far.frames["decision"]) == {"foreign"}


def test_answers_of_classes_that_were_not_held_out_are_not_accepted() -> None:
    z, truth = world(60, seed=2, sharp=9.0)
    every = HeldOutAnswers.model_validate({**held_out().model_dump(), "by_class": (300, 300, 0)})
    some = evaluate_classifier(Said(card(every)), labelled(z, truth), accuracy=0.9)  # type: ignore[arg-type]
    decided = some.frames.groupby("label")["decision"].agg(set)
    assert decided["wires"] == {"review"} and "accept" in decided["films"] and "accept" in decided["tips"]
    assert some.sentence.endswith("No images of wires were held out: answers that name it are not accepted")


def test_wrong_images_are_named_and_wrong_data_refused() -> None:
    data = labelled(*world(6, seed=3))
    broken = ScoreExample("broken.tif", "b", np.eye(3, dtype=np.float32)[0], array=np.zeros((1, 1)))
    more = ScoreData("sem", CLASSES, "exclusive", (*data.examples, broken))
    result = evaluate_classifier(Said(card()), more)  # type: ignore[arg-type]
    assert result.skipped == ("broken.tif: too small",) and result.metrics["n_images"] == 6
    with pytest.raises(InputError, match="none of the 1 labelled"):
        evaluate_classifier(Said(card()), ScoreData("sem", CLASSES, "exclusive", (broken,)))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="powder"):
        other = ScoreData("sem", ("films", "powder", "wires"), "exclusive", data.examples)
        evaluate_classifier(Said(card()), other)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="multi-label"):
        evaluate_classifier(Said(card()), ScoreData("sem", CLASSES, "multi-label", data.examples))  # type: ignore[arg-type]


def test_classes_are_matched_by_name_and_a_test_set_may_lack_some() -> None:
    z = np.log([[0.1, 0.2, 0.7], [0.7, 0.2, 0.1]])
    two = [
        ScoreExample(f"{k}.tif", f"{k}", np.eye(2, dtype=np.float32)[k], array=np.r_[row, np.zeros(9)][None].repeat(9, axis=0))
        for k, row in enumerate(z)
    ]
    result = evaluate_classifier(Said(card()), ScoreData("other", ("wires", "films"), "exclusive", tuple(two)))  # type: ignore[arg-type]
    assert result.metrics["accuracy"] == 1 and result.metrics["f1"] == 1
    assert result.frames["label_true"].tolist() == ["wires", "films"] and result.by_class["n"].tolist() == [1, 0, 1, 2]


def test_a_mean_of_groups_and_of_what_never_happened() -> None:
    rng = np.random.default_rng(0)
    x = rng.random(200)
    mean, low, high = mean_interval(x, np.arange(200))
    assert mean == x.mean() and high - low == pytest.approx(2 * 1.96 * x.std() / np.sqrt(200), rel=0.1)
    _, low, high = mean_interval(np.repeat(x, 5), np.repeat(np.arange(200), 5))
    assert high - low == pytest.approx(2 * 1.96 * x.std() / np.sqrt(200), rel=0.1)
    assert mean_interval(np.ones(9), np.arange(9), share=False) == (1, 1, 1)
    never = mean_interval(np.zeros(50), np.arange(50) // 5)
    assert never[:2] == (0, 0) and never[2] == pytest.approx(0.278, abs=0.001)  # Wilson, of 10


def test_the_card_gives_back_what_was_held_out() -> None:
    held = held_out(20)
    found = held_out_of(card(held))
    assert found is not None and found.top.tolist() == list(held.top) and found.groups == 20
    assert held_out_of(card()) is None and not found.foreign.any() and card(held).unvalidated == ()
    more = held.model_copy(update={"foreign": (True,) + (False,) * 19, "by_class": (5, 0, 15)})
    again = held_out_of(card(more))
    assert again is not None and again.foreign.sum() == 1 and card(more).unvalidated == ("tips",)


@pytest.fixture(autouse=True)
def small_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures of few pixels, for time's sake."""
    monkeypatch.setattr(class_evaluation, "save_figure", partial(save_figure, dpi=40))


def test_the_folder_holds_tables_figures_and_a_page(tmp_path: Path) -> None:
    z, truth = world(20, seed=4, sharp=1.0)
    data = labelled(z, truth)
    model = Said(card(held_out()))
    result = evaluate_classifier(model, data, accuracy=0.9)  # type: ignore[arg-type]
    write_class_evaluation(tmp_path / "out", result, data, model.card)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["accuracy"] == result.metrics["accuracy"] and metrics["target_accuracy"] == 0.9
    assert len(pd.read_csv(tmp_path / "out" / "frames.csv")) == 20
    drawn = {path.stem for path in (tmp_path / "out" / "figures").glob("*.png")}
    assert drawn == {"confusion", "roc", "reliability", "top_probability", "acceptance", "sets", "boundary", "mistakes"}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Sets that hold the true class" in page and "Acceptance: " in page and page.count("<figure") == 8


def test_figures_with_nothing_to_show_say_so() -> None:
    plain = tabulate(_all_right(), Rest(None), accuracy=0.99, coverage=0.9)
    wrong = plain.frames[~plain.frames["right"]]
    assert nothing_drawn(picture_sheet(wrong, {}, empty="No answer was wrong.")) == "No answer was wrong."
    assert "no images were held out in training" in nothing_drawn(set_sizes(plain.frames, plain.by_class))
    assert not nothing_drawn(accuracy_against_share(plain.selective, plain.metrics))


def _all_right() -> ClassAnswers:
    p = np.eye(3)[np.arange(9) % 3] * 0.7 + 0.1
    return ClassAnswers(CLASSES, tuple(map(str, range(9))), np.arange(9), np.arange(9) % 3, p, p, np.zeros(9))


def test_the_command_evaluates_a_model_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch = pytest.importorskip("torch", reason="training is an extra; pip install 'morphoscope[train]'")
    import cv2

    from morphoscope.train.backbones import build_backbone
    from morphoscope.train.class_network import ClassNet
    from morphoscope.train.export import export_classifier

    torch.manual_seed(0)
    network = ClassNet(build_backbone("tiny"), classes=3, known=4)
    network.eval()
    export_classifier(network, card(held_out(300)), tmp_path / "m.onnx")
    rng = np.random.default_rng(0)
    for name in CLASSES:
        (tmp_path / "data" / name).mkdir(parents=True)
        for k in range(3):
            cv2.imwrite(str(tmp_path / "data" / name / f"{k}.png"), rng.integers(0, 255, (64, 80), np.uint8))
    command = ["evaluate", str(tmp_path / "m.onnx"), str(tmp_path / "data")]
    main_ok([*command, "--accuracy", "0.9"])
    said = capsys.readouterr().out
    assert "macro F1" in said and "calibration error (15 bins)" in said and "sets hold the true class in" in said
    main_ok([*command, "--json", "--coverage", "0.8"])
    assert json.loads(capsys.readouterr().out)["target_coverage"] == 0.8
    with pytest.raises(SystemExit) as stop:
        main([*command, "--threshold", "0.5"])
    assert stop.value.code == 2 and "--threshold" in capsys.readouterr().err


def main_ok(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0

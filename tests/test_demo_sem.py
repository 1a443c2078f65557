"""The demo of SEM pictures: the story from labels to corrections and back, what its marks say of good and bad models."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from class_doubles import held_out
from morphoscope import demo_sem
from morphoscope.cli.main import main
from morphoscope.demo_sem import compare_decisions, compare_later, compare_wires, correct_by_hand, run_sem_demo
from morphoscope.errors import UsageError
from morphoscope.models.card import ModelCard
from morphoscope.models.classify import ImageAnswers
from morphoscope.pipeline import classify_outputs, classifying
from morphoscope.synth import categories
from morphoscope.synth.categories import BETWEEN, CATEGORIES, ODD
from morphoscope.synth.wire_scene import WireScene
from morphoscope.synth.wires import WirePicture

ALL = (*CATEGORIES, ODD, BETWEEN)


def plain(kind: str, seed: int, *, shape: tuple[int, int]) -> np.ndarray:
    """A picture that bears the number of its category and is like no other."""
    image = np.full((24, 32), 30 * ALL.index(kind), np.uint8)
    image[0] = np.random.default_rng((seed, ALL.index(kind))).integers(0, 256, 32)
    return image


class Reader:
    """Reads that number; what it was not taught it is not sure of."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.card = ModelCard.model_validate(
            {
                "name": "reader",
                "task": "classify",
                "classes": classes,
                "preprocess": "standard-rgb-1",
                "view_px": 32,
                "postprocess": "classes-of-image-1",
                "held_out": held_out(),
            }  # fmt: skip
        )

    def prepare(self, image):
        return np.broadcast_to(image[None].astype(np.float32), (3, *image.shape))

    def answers(self, prepared):
        kinds = [ALL[int(one[0, 5, 5]) // 30] for one in prepared]
        p = np.full((len(kinds), len(self.card.classes)), 0.02, np.float32)
        for row, kind in zip(p, kinds, strict=True):
            row[self.card.classes.index(kind) if kind in self.card.classes else 0] = 1 if kind in self.card.classes else 0.05
        p /= p.sum(axis=1, keepdims=True)
        features = np.random.default_rng(1).normal(size=(len(kinds), 4)).astype(np.float32)
        return ImageAnswers(p, p, features, np.zeros(len(kinds), np.float32))


@pytest.fixture
def small(monkeypatch):
    """No figures, plain pictures, a model that is what was taught."""
    monkeypatch.setattr(classify_outputs, "decisions", lambda *_, **__: Figure())
    monkeypatch.setattr(classify_outputs, "save_figure", lambda *_: None)
    monkeypatch.setattr(categories, "draw_category", plain)
    taught: dict[str, tuple[str, ...]] = {}

    def teach(data: Path, project: Path | None, target: Path) -> None:
        from morphoscope.io.score_data import read_score_data
        from morphoscope.io.score_project import with_project

        found = read_score_data(data)
        taught[str(target.resolve())] = (found if project is None else with_project(found, project)).classes
        target.touch()

    monkeypatch.setattr(classifying, "_load", lambda recipe: Reader(taught[recipe.classify.model]))

    def oriented(images: Path, recipe: object, output: Path, **_: object) -> SimpleNamespace:
        truth = pd.read_csv(images.parent / "wires.csv")
        return SimpleNamespace(orientation=truth, report=output / "report.html", exit_code=0, path=output)

    monkeypatch.setattr(demo_sem, "orient", oriented)
    drawn = partial(WirePicture, WireScene(shape=(64, 80), length_px=40))
    monkeypatch.setattr(demo_sem, "WirePicture", lambda **settings: drawn(**settings))
    return teach


def test_the_whole_story(small, tmp_path: Path) -> None:
    story = run_sem_demo(tmp_path, 5, labelled=3, pool=4, fresh=2, teacher=small)
    assert [check.passed for check in story.checks] == [True] * 6, story.checks
    assert story.first.info["decisions"] == {"accept": 24, "review": 4, "foreign": 0, "reject": 0}
    assert story.moved.counts == {BETWEEN: 2, "foreign": 2} and story.moved.new == [BETWEEN]
    assert story.told.images == 16 and story.told.same == 4 and story.told.wrong == []  # four of the twenty were moved before
    assert set(story.second.images["label"]) == {*CATEGORIES, BETWEEN}
    again = run_sem_demo(tmp_path, 5, labelled=3, pool=4, fresh=2, teacher=small, overwrite=True)
    assert again.first.info["decisions"] == story.first.info["decisions"]


def test_the_command(small, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo_sem, "_teach", small)
    monkeypatch.setattr(demo_sem, "run_sem_demo", partial(run_sem_demo, labelled=2, pool=2, fresh=1))
    with pytest.raises(SystemExit) as ended:
        main(["demo", "sem", "-o", "d", "--seed", "2"])
    out = capsys.readouterr().out
    assert ended.value.code in (0, None) and out.strip().splitlines()[-1] == "report: d/run/report.html"
    assert "moved between the sorted folders" in out and BETWEEN in out and out.count("pass") == 6


def test_without_pytorch_it_says_what_to_install(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "morphoscope.train.class_data", None)
    with pytest.raises(UsageError, match=r"pip install 'morphoscope\[train\]'"):
        demo_sem._teach(tmp_path, None, tmp_path / "m.onnx")


def table(rows: list[tuple[str, str, str]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    files = [f"{k}.png" for k in range(len(rows))]
    said, decision, true = zip(*rows, strict=True)
    images = pd.DataFrame({"file": files[::-1], "label": said[::-1], "decision": decision[::-1]})
    return images, pd.DataFrame({"file": files, "label": true})


def test_marks_tell_good_from_bad() -> None:
    good = [("tip", "accept", "tip")] * 9 + [("tip", "review", ODD), ("tip", "review", BETWEEN)]
    assert [check.passed for check in compare_decisions(*table(good))] == [True, True, True]
    wrong = [("tip", "accept", "particles")] * 2 + [("tip", "accept", "tip")] * 8 + [("tip", "accept", ODD)]
    assert [check.passed for check in compare_decisions(*table(wrong))] == [False, True, False]
    careful = [("tip", "accept", "tip")] * 5 + [("tip", "review", "tip")] * 5 + [("tip", "foreign", ODD)]
    assert [check.passed for check in compare_decisions(*table(careful))] == [True, False, True]
    later = [("tip", "accept", "tip")] * 9 + [(BETWEEN, "accept", BETWEEN)] * 2 + [("tip", "accept", BETWEEN)] * 3
    assert [check.passed for check in compare_later(*table(later))] == [True, False]


@pytest.mark.parametrize(("off", "passed"), [(0.02, True), (0.08, False)])
def test_wires_are_held_against_their_truth(off: float, passed: bool) -> None:
    truth = pd.DataFrame({"file": ["0.png", "1.png"], "aligned_fraction": [0.9, 0.4]})
    run = SimpleNamespace(orientation=truth.assign(aligned_fraction=truth["aligned_fraction"] + [off, -off]).iloc[::-1])
    assert compare_wires(run, truth).passed is passed


def test_only_what_was_left_over_is_corrected(tmp_path: Path) -> None:
    for place in ("accept/tip/a.png", "review/tip/b.png", "review/tip/c.png", "foreign/d.png", "foreign/e.png"):
        path = tmp_path / "sorted" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    truth = pd.DataFrame({"file": ["a.png", "b.png", "c.png", "d.png", "e.png"], "label": ["particles", "tip", ODD, ODD, "tip"]})
    assert correct_by_hand(SimpleNamespace(path=tmp_path), truth) == 3
    there = {path.relative_to(tmp_path / "sorted").as_posix() for path in tmp_path.rglob("*.png")}
    assert there == {"accept/tip/a.png", "accept/tip/b.png", "foreign/c.png", "foreign/d.png", "accept/tip/e.png"}

"""The demo of films: what it holds against the truth, what it does without PyTorch, and the command."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from morphoscope import demo_films
from morphoscope.cli.main import main
from morphoscope.demo import Check
from morphoscope.demo_films import MODEL, Story, compare_series, compare_surface, run_films_demo, teach
from morphoscope.models.card import resolve_model
from morphoscope.pipeline import score_outputs
from morphoscope.synth.write_films import dewetting_surface


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(score_outputs, "_figures", lambda *_: {})
    monkeypatch.setattr(score_outputs, "_stills", lambda *_: {})
    monkeypatch.setattr(demo_films, "teach", lambda *_: MODEL)
    small = partial(run_films_demo, n_pictures=6, grid=(3, 3), labelled=2, shape=(128, 192))
    monkeypatch.setattr(demo_films, "run_films_demo", small)

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([str(a) for a in arguments])
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


def test_the_command_tells_the_whole_story(command, tmp_path: Path) -> None:
    code, out, _ = command("demo", "films", "-o", "d", "--seed", 3)
    words = ("dewetting at the end", "rank correlation", "no trend", "response surface", "rms of the surface", "PyTorch is not")
    assert all(word in out for word in words), out
    assert "report: d/run-series/report.html" in out
    assert out.strip().splitlines()[-1] == "report: d/run/report.html"
    assert code in (0, 1)  # few small films; what the marks say of a model is below
    for run in ("run", "run-series"):
        assert (tmp_path / "d" / run / "run.json").is_file()
    assert len(pd.read_csv(tmp_path / "d" / "surface" / "conditions.csv")) == 9
    code, _, error = command("demo", "films", "-o", "d")
    assert code == 2 and "--overwrite" in error


@pytest.mark.parametrize(("found", "code", "failed"), [([0.01, 0.21, 0.41, 0.61, 0.81], 0, 0), ([0.5] * 4 + [0.51], 1, 3)])
def test_a_bad_model_fails_and_a_good_one_does_not(
    command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: list[float], code: int, failed: int
) -> None:
    def scored(*_: object, **__: object) -> Story:
        checks = _series(tmp_path, found)
        run = SimpleNamespace(report=tmp_path / "report.html", exit_code=0)
        return Story(run, run, checks, "mine.onnx")

    monkeypatch.setattr(demo_films, "run_films_demo", scored)
    ended, out, _ = command("demo", "films", "-o", "d", "--seed", 3)
    assert (ended, out.split().count("FAIL"), out.split().count("pass")) == (code, failed, 4 - failed), out


def test_without_pytorch_the_shipped_model_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "morphoscope.train.score", None)
    assert teach(tmp_path, tmp_path / "mine.onnx") == MODEL


def test_with_pytorch_the_labelled_films_teach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    def train_scorer(data: Path, output: Path, recipe: object, **settings: object) -> None:
        seen.update(settings, data=data, output=output, patch=recipe.score.patch_px)

    monkeypatch.setitem(sys.modules, "morphoscope.train.score", SimpleNamespace(train_scorer=train_scorer))
    assert teach(tmp_path / "labelled", tmp_path / "mine.onnx") == str(tmp_path / "mine.onnx")
    wanted = {
        "data": tmp_path / "labelled",
        "output": tmp_path / "mine.onnx",
        "start": resolve_model(MODEL),
        "freeze": "backbone",
        "patch": 128,
    }
    assert seen == wanted


def _series(tmp_path: Path, found: list[float]) -> list[Check]:
    names = [f"{k}.tif" for k in range(len(found))]
    true = [k / (len(found) - 1) * 0.8 for k in range(len(found))]
    pd.DataFrame({"file": names[::-1], "S_dewetting": found[::-1]}).to_parquet(tmp_path / "scores.parquet")
    pd.DataFrame({"file": names, "dewetting": true}).to_csv(tmp_path / "scores.csv", index=False)
    pd.DataFrame({"score": ["S_dewetting"], "p_holm": [1e-4]}).to_csv(tmp_path / "trends.csv", index=False)
    return compare_series(SimpleNamespace(path=tmp_path), tmp_path)


def _passed(tmp_path: Path, found: list[float]) -> list[bool]:
    return [check.passed for check in _series(tmp_path, found)]


def test_a_series_is_held_against_its_truth(tmp_path: Path) -> None:
    assert _passed(tmp_path, [0.01, 0.21, 0.41, 0.61, 0.81]) == [True, True, True, True]
    assert _passed(tmp_path, [0.01, 0.41, 0.21, 0.61, 0.6]) == [False, False, False, True]


def test_a_surface_is_held_against_its_law(tmp_path: Path) -> None:
    points = pd.DataFrame([(r / 4, 5 + 55 * m / 4) for m in range(5) for r in range(5)], columns=["ratio", "anneal_min"])
    law = dewetting_surface(points["ratio"], points["anneal_min"])
    for shift, passed in ((0.02, [True, True, True]), (0.05, [True, True, False]), (0.2, [False, False, False])):
        mean = law + shift
        points.assign(score="S_dewetting", mean=mean, low=mean - 0.03, high=mean + 0.03).to_csv(
            tmp_path / "response.csv", index=False
        )
        assert [check.passed for check in compare_surface(SimpleNamespace(path=tmp_path))] == passed

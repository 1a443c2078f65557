"""Comparing classifiers: the same images in the same parts for all, groups together, and what is wrong refused."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch", reason="training is an extra; pip install 'morphoscope[train]'")

from morphoscope.cli.main import main
from morphoscope.errors import InputError, UsageError
from morphoscope.measure import judged
from morphoscope.measure.class_answers import ClassAnswers
from morphoscope.measure.classification import bootstrap
from morphoscope.recipe import Recipe
from morphoscope.report import comparison
from morphoscope.report.style import save_figure
from morphoscope.train import class_views
from morphoscope.train.class_job import prepare
from morphoscope.train.compare import METHODS, Plan, _as_first, _difference, _settings, compare_classifiers

QUICK = Recipe.model_validate({"run": {"threads": 1}, "train": {"view_px": 64}})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each image is seen in three ways at most, bounds are of fewer draws."""
    monkeypatch.setattr(class_views, "MOST_SEEN", 80)
    monkeypatch.setattr(judged, "bootstrap", partial(bootstrap, draws=100))


@pytest.fixture(scope="module")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fine and coarse stripes, twelve images of each, two views of each of twelve samples; one file is broken."""
    folder, rng = tmp_path_factory.mktemp("stripes"), np.random.default_rng(0)
    lines = ["file,label,group"]
    for k in range(24):
        name, sample = ("fine", "coarse")[k % 2], k // 4
        period = (4, 14)[k % 2] * (1 + 0.15 * np.sin(sample))
        angle, shift = rng.uniform(0, np.pi), rng.uniform(0, 9)
        y, x = np.mgrid[:64, :72]
        wave = 128 + 60 * np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle) + shift) / period)
        cv2.imwrite(str(folder / f"{k}.png"), np.clip(wave + rng.normal(0, 20, wave.shape), 0, 255).astype(np.uint8))
        lines.append(f"{k}.png,{name},{name}{sample}")
    (folder / "broken.png").write_bytes(b"no picture")
    (folder / "labels.csv").write_text("\n".join([*lines, "broken.png,fine,z"]) + "\n")
    return folder


def test_all_answer_the_same_images_held_out_in_the_same_parts(stripes: Path) -> None:
    plan = Plan(("tiny",), ("frozen", "neighbours"), folds=3)
    result = compare_classifiers(stripes, QUICK, plan)
    assert list(result.table["method"]) == ["frozen", "neighbours"] and len(result.skipped) == 1
    one, other = result.answers.values()
    assert one.files == other.files and len(one.files) == 24 and np.array_equal(one.truth, other.truth)
    assert (result.table["groups"] <= 12).all() and result.folds.groupby("method")["images"].sum().tolist() == [24, 24]
    for row in result.table.to_dict("records"):
        own = result.answers["tiny", row["method"]]
        assert row["accuracy"] == own.right.mean() and row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]
        folds = result.folds[result.folds["method"] == row["method"]]
        assert folds["accuracy"] @ folds["images"] / 24 == pytest.approx(row["accuracy"])
        assert row["train_s"] > 0 and row["ms_per_image"] > 0 and 0 < row["mb"] < 1
    best = result.table.loc[result.table["accuracy"].idxmax()]
    assert best["behind"] == 0 and result.table["behind"].max() == pytest.approx(np.ptp(result.table["accuracy"]))


def test_groups_stay_together_unless_that_is_asked_for(stripes: Path) -> None:
    plan = Plan(("tiny",), folds=3)
    job = prepare(stripes, _settings(QUICK, plan, "tiny", "neighbours"))

    def parts_of_groups(plan: Plan) -> int:
        part = _as_first(job, None, plan).part
        return max(len(set(part[np.array(job.images.groups) == name])) for name in set(job.images.groups))

    assert parts_of_groups(plan) == 1 < parts_of_groups(replace(plan, by_image=True))
    fewer = replace(job, images=job.images.some(range(20, 3, -1)))
    same = _as_first(fewer, _as_first(job, None, plan), plan)
    assert [one.name for one in same.images.data.examples] == [f"{k}.png" for k in range(4, 21)]  # in the order of the first


def test_what_one_lacks_to_another_is_paired_image_by_image() -> None:
    def said(right: list[int], files: str) -> ClassAnswers:
        p = np.array([[0.9, 0.1] if ok else [0.1, 0.9] for ok in right])
        n = len(right)
        return ClassAnswers(("a", "b"), tuple(files), np.arange(n), np.zeros(n, np.int64), p, p, np.zeros(n))

    less, low, high = _difference(said([1, 1, 1, 0], "wxyz"), said([0, 1, 0], "zyx"))
    assert less == pytest.approx((1 - 0 + 1 - 1 + 0 - 0) / 3) and low <= less <= high


def test_what_cannot_be_compared_is_refused(stripes: Path) -> None:
    for plan, said in (
        (Plan(("resnet",)), "wanted a backbone of lite0"),
        (Plan(("tiny",), ("svm",)), "wanted a method of frozen, neighbours, fine-tuned"),
        (Plan(("tiny", "tiny")), "each backbone once"),
        (Plan(("tiny",), folds=1), "two folds or more"),
        (Plan(("tiny",), weights={"resnet18": stripes}), "resnet18, which is not compared"),
    ):
        with pytest.raises(UsageError, match=said):
            compare_classifiers(stripes, QUICK, plan)
    with pytest.raises(InputError, match="groups only"):
        compare_classifiers(stripes, QUICK, Plan(("tiny",), ("frozen",), folds=20))
    assert Plan().methods == METHODS == ("frozen", "neighbours", "fine-tuned")


def test_the_command_prints_the_table_and_writes_the_folder(
    stripes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(comparison, "save_figure", partial(save_figure, dpi=40))
    (tmp_path / "r.toml").write_text("[train]\nview_px = 64\n[run]\nthreads = 1\n")
    command = ["compare", str(stripes), "--backbone", "tiny", "--method", "neighbours", "--folds", "3", "--recipe"]
    command += [str(tmp_path / "r.toml"), "--by-image"]
    assert run([*command, "-o", str(tmp_path / "out")]) == 4  # a file is broken
    shown = capsys.readouterr()
    assert "this flatters" in shown.out and "macro F1" in shown.out and "broken.png" in shown.err
    table = pd.read_csv(tmp_path / "out" / "compare.csv")
    assert table["accuracy"].between(0, 1).all() and len(pd.read_csv(tmp_path / "out" / "folds.csv")) == 3
    page = (tmp_path / "out" / "report.html").read_text()
    assert "all figures flatter" in page and page.count("<figure") == 2
    assert run([*command, "-o", str(tmp_path / "out")]) == 2 and "--overwrite" in capsys.readouterr().err
    assert run([*command, "--json"]) == 4
    assert json.loads(capsys.readouterr().out)[0]["backbone"] == "tiny"
    assert run([*command, "--weights", "resnet18"]) == 2 and "BACKBONE=FILE" in capsys.readouterr().err


def run(arguments: list[str]) -> object:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    return stop.value.code

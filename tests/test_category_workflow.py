"""From labels to corrections and back, by the commands: train, classify, move pictures, take, train again, classify again."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra 'train'")
pytest.importorskip("onnx", reason="training needs the extra 'train'")

from matplotlib.figure import Figure  # noqa: E402

from morphoscope.cli.main import main  # noqa: E402
from morphoscope.errors import InputError  # noqa: E402
from morphoscope.models.runtime import read_card  # noqa: E402
from morphoscope.pipeline import classify_outputs  # noqa: E402
from morphoscope.project import Project  # noqa: E402
from morphoscope.recipe import parse_recipe  # noqa: E402
from morphoscope.train import class_job, class_views  # noqa: E402
from morphoscope.train.class_data import Source  # noqa: E402
from morphoscope.train.class_job import prepare  # noqa: E402

RECIPE = """
[train]
backbone = "tiny"
method = "neighbours"
bands = 2
[run]
threads = 1
[report]
overlay = false
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(class_views, "MOST_SEEN", 80)
    monkeypatch.setattr(classify_outputs, "decisions", lambda *_, **__: Figure())
    monkeypatch.setattr(classify_outputs, "save_figure", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    Path("r.toml").write_text(RECIPE)


def picture(kind: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng((seed, len(kind)))
    grey = rng.normal(0.5, 0.05, (64, 72))
    x, y = np.arange(72)[None] + rng.uniform(0, 8), np.arange(64)[:, None] + rng.uniform(0, 8)
    grey += {"upright": 0.4 * (x % 8 < 4), "level": 0.4 * (y % 8 < 4), "fine": 0.4 * ((x % 3 < 1.5) ^ (y % 3 < 1.5))}[kind]
    return np.clip(grey * 180, 0, 255).astype(np.uint8)


def draw(folder: str, kind: str, count: int, first: int = 0) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    for k in range(first, first + count):
        cv2.imwrite(f"{folder}/{kind}{k}.png", picture(kind, k))


def call(*arguments: str) -> int:
    try:
        main([*arguments])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_a_new_category_is_taught_by_moving_pictures(capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("upright", "level"):
        draw(f"labelled/{kind}", kind, 6)
    for kind in ("upright", "level", "fine"):
        draw("disk", kind, 4, first=20)
    assert call("train", "classify", "labelled", "-o", "first.onnx", "--recipe", "r.toml") == 0
    classify = ("classify", "disk", "--recipe", "r.toml", "--accuracy", "0.5", "--project", "own.project")
    assert call(*classify, "--model", "first.onnx", "-o", "run", "--sort", "copy") == 0
    images = pd.read_parquet("run/images.parquet").set_index("file")
    assert set(images["label"]) == {"upright", "level"} and read_card(Path("first.onnx")).classes == ("level", "upright")
    new = Path("run/sorted/accept/fine")
    new.mkdir()
    for path in sorted(Path("run/sorted").rglob("fine*.png"))[:3]:
        shutil.move(path, new / path.name)
    shutil.move(next(Path("run/sorted").rglob("level20.png")), "run/sorted/reject/level20.png")
    assert call("labels", "take", "run", "--project", "own.project") == 0
    assert "new       categories fine" in capsys.readouterr().out
    second = ("train", "classify", "labelled", "--from-project", "own.project", "-o", "second.onnx", "--recipe", "r.toml")
    assert call(*second) == 0
    card = read_card(Path("second.onnx"))
    assert card.classes == ("fine", "level", "upright") and card.training["images"] == 12 + 3
    assert call(*classify, "--model", "second.onnx", "-o", "run2") == 0
    later = pd.read_parquet("run2/images.parquet").set_index("file")
    people = later[later["by"] == "person"]
    assert people["decision"].value_counts().to_dict() == {"accept": 3, "reject": 1}
    assert later.loc[[f"fine{k}.png" for k in range(20, 24)], "label"].tolist() == ["fine"] * 4  # one of them was not taught
    alone = ("train", "classify", "--from-project", "own.project", "-o", "alone.onnx", "--recipe", "r.toml")
    assert call(*alone) != 0 and "fine" in capsys.readouterr().err  # one category only


def test_what_people_rejected_or_named_is_no_picture_without_a_label() -> None:
    """Of six pictures that lie aside two are unknown; the others are rejected, labelled, or of a class left out."""
    for kind in ("upright", "level", "fine"):
        draw(f"labelled/{kind}", kind, 2)
    draw("aside", "level", 4, first=10)
    shutil.copy("labelled/fine/fine0.png", "aside/other.png")
    shutil.copy("labelled/level/level0.png", "aside/copy.png")
    with Project.open(Path("own.project")) as project:
        project.set_label(project.add_image("aside/level10.png"), None, decision="reject")
        project.set_label(project.add_image("aside/level11.png"), "level")
    recipe = parse_recipe({"train": {"backbone": "tiny", "classes": ["upright", "level"]}, "run": {"threads": 1}})
    job = prepare(Source(Path("labelled"), Path("own.project"), Path("aside")), recipe)
    assert job.others is not None and len(job.others) == 2
    assert "2 images without a label help to learn" in job.notes
    assert Source(Path("own.project")).people == Path("own.project") and Source(Path("labelled")).people is None


def test_one_image_of_a_new_category_is_left_out_and_said_before_anything_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("upright", "level"):
        draw(f"labelled/{kind}", kind, 2)
    draw("aside", "fine", 1)
    with Project.open(Path("own.project")) as project:
        project.set_label(project.add_image("aside/fine0.png"), "fine")
    recipe = parse_recipe({"train": {"backbone": "tiny"}, "run": {"threads": 1}})
    job = prepare(Source(Path("labelled"), Path("own.project")), recipe)
    assert job.images.data.classes == ("level", "upright") and len(job.images.truth) == 4
    assert [one.split(":")[1] for one in job.images.data.skipped] == [" the only image of fine; 2 make a category"]
    shutil.copytree("aside", "labelled/fine")
    monkeypatch.setattr(class_job, "look_at", None)  # refused by the labels alone
    with pytest.raises(InputError, match=r"fewer of fine \(1\).*train.classes"):
        prepare(Source(Path("labelled")), recipe)

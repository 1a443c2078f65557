"""The page and the figure of a run of `classify`."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

import morphoscope as ms
from class_doubles import GreyClassifier, flat
from morphoscope.pipeline import classify_outputs, open_run
from morphoscope.pipeline.contact_sheets import SIDE, embedded
from morphoscope.recipe import parse_recipe
from morphoscope.report.class_figures import decisions
from morphoscope.report.contact_sheet import Sheet, Tile, sheets_section


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    for k in range(20):
        flat(folder / "in" / f"p{k}.png", 12 * k + 4)
    cv2.imwrite(str(folder / "in" / "<b>odd.png"), np.full((20, 24, 3), (10, 100, 240), np.uint8))
    keep = classify_outputs.save_figure
    classify_outputs.save_figure = lambda figure, *_, **__: keep(figure, folder / "run" / "figures", "decisions", dpi=60)
    try:
        yield ms.classify(folder / "in", parse_recipe({}), folder / "run", classifier=GreyClassifier())
    finally:
        classify_outputs.save_figure = keep


def test_the_page_shows_every_decision(run) -> None:
    page = run.report.read_text(encoding="utf-8")
    for said in ("Accepted as dark", "Left to a person, proposed as middle", "Foreign: like none", "What to label next"):
        assert said in page
    assert page.count("data:image/webp") == len(run.images) and "http" not in page.replace("http-equiv", "")
    assert "<b>odd" not in page and "&lt;b&gt;odd" in page
    assert "exact binomial tests in a fixed sequence" in page and "10.1038/s41598-017-13565-z" in page
    ids = set(re.findall(r'id="(\w+)"', page))
    assert set(re.findall(r'href="#(\w+)"', page)) <= ids
    assert 'alt="Decisions"' in page


def test_a_sheet_says_how_many_it_stands_for() -> None:
    few = Sheet("Accepted as x", "accept", 9, "in order", (Tile("a.png", "", "x 99 %"),))
    assert "1 of 9 shown, in order" in sheets_section([few]) and "unreadable" in sheets_section([few])
    assert sheets_section([]) == ""


@pytest.mark.parametrize(
    "image",
    [
        np.full((900, 1200), 40000, np.uint16),
        np.linspace(-1, 1, 120 * 90, dtype=np.float32).reshape(120, 90),
        np.full((50, 30, 3), 200, np.uint8),
        (np.arange(64 * 48 * 3) % 5000).astype(np.uint16).reshape(64, 48, 3),
    ],
    ids=["deep", "float", "small colour", "deep colour"],
)
def test_small_pictures_of_any_image(image) -> None:
    data = np.frombuffer(base64.b64decode(embedded(image)), np.uint8)
    small = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert max(small.shape[:2]) == SIDE
    assert small.shape[1] / small.shape[0] == pytest.approx(image.shape[1] / image.shape[0], rel=0.02)


def test_the_figure_counts_all_images(run) -> None:
    figure = decisions(run.images, threshold=run.info["promise"]["threshold"])
    first, second, third = figure.axes
    for axes in (first, third):
        assert sum(patch.get_height() for patch in axes.patches) == len(run.images)
    assert sum(patch.get_width() for patch in second.patches) == len(run.images)
    assert [text.get_text() for text in second.get_yticklabels()][-1] == run.images["label"].value_counts().index[0]


def test_what_a_run_writes_is_known_as_a_runs(run, tmp_path: Path) -> None:
    assert {"images.parquet", "next.csv", "quantities.csv", "recipe.toml", "report.html", "run.json"} <= {
        path.name for path in run.path.iterdir()
    }
    ms.classify(run.path.parent / "in" / "p3.png", parse_recipe({}), run.path, classifier=GreyClassifier(), overwrite=True)
    assert open_run(run.path).images["file"].tolist() == ["p3.png"]

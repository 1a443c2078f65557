"""Scale bars and info bars: drawn pictures with known truth, and what must not be taken for one."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.calibration import Calibration
from morphoscope.cli.main import main
from morphoscope.errors import InputError, UsageError
from morphoscope.measure.info_bar import find_info_bar
from morphoscope.models.read_text import parse_length
from morphoscope.models.scale_bar import find_scale_bar
from morphoscope.pipeline.scale import settle_scale
from morphoscope.synth.info_bar import Style, add_info_bar, draw_scale_bar


def sample(height: int = 300, width: int = 400, seed: int = 0) -> np.ndarray:
    """A grainy grey picture."""
    rng = np.random.default_rng(seed)
    return np.clip(120 + 6 * rng.normal(size=(height, width)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("style", ["plain", "ticks", "ruler"])
@pytest.mark.parametrize("grey", [0, 255])
@pytest.mark.parametrize(("length", "text", "nm"), [(100, "200 nm", 200), (157, "5 µm", 5000), (61, "50 nm", 50)])
def test_drawn_bars_are_measured_and_read(style: Style, grey: int, length: int, text: str, nm: float) -> None:
    picture = sample()
    draw_scale_bar(picture, (180, 240), length, text, style=style, grey=grey)
    found = find_scale_bar(picture)
    assert found is not None
    assert found.length_nm == nm
    assert found.length_px == pytest.approx(length, abs=1.0)
    assert found.pixel_size_nm == pytest.approx(nm / length, rel=0.015)


@settings(max_examples=12, deadline=None)
@given(st.integers(40, 250), st.integers(0, 60), st.integers(0, 5), st.floats(0.0, 0.3))
def test_gain_and_depth_do_not_change_the_length(length: int, x: int, seed: int, offset: float) -> None:
    picture = sample(seed=seed)
    draw_scale_bar(picture, (20 + x, 200), length, "100 nm", thickness=5)
    eight = find_scale_bar(picture)
    sixteen = find_scale_bar((picture.astype(np.float64) * 200 + offset * 1000).astype(np.uint16))
    assert eight is not None and sixteen is not None
    assert eight.length_px == pytest.approx(length, abs=1.0)
    assert sixteen.length_px == pytest.approx(length, abs=1.0)


def test_a_picture_without_a_bar_has_none() -> None:
    assert find_scale_bar(sample()) is None
    assert find_scale_bar(np.zeros((64, 64), np.uint8)) is None
    assert find_scale_bar(np.full((64, 64), np.nan, np.float32)) is None


def test_a_bar_cut_by_the_edge_has_no_length() -> None:
    picture = sample()
    draw_scale_bar(picture, (340, 240), 100, "200 nm")
    assert find_scale_bar(picture) is None


@pytest.mark.parametrize(
    ("text", "nm"),
    [
        ("200 nm", 200),
        ("0.5 µm", 500),
        ("0.5 um", 500),
        ("1μm", 1000),
        ("2.0 mm", 2e6),
        ("1,5 µm", 1500),
        ("3 Å", 0.3),
        ("7 pm", 7e-3),
    ],
)
def test_lengths_are_understood(text: str, nm: float) -> None:
    assert parse_length(text) == pytest.approx(nm)


@pytest.mark.parametrize("text", ["", "nm", "200", "0 nm", "15 kV", "x 200 nm", "200 nm 5", "2 m", "-1 nm", "12345 nm"])
def test_what_is_no_length_is_none(text: str) -> None:
    assert parse_length(text) is None


@pytest.mark.parametrize(("grey", "ink"), [(0, 255), (255, 0), (40, 220)])
def test_info_bars_are_found_where_they_begin(grey: int, ink: int) -> None:
    picture = add_info_bar(sample(), 40, [(10, "15.0 kV"), (150, "x50,000"), (280, "WD 7.5 mm")], grey=grey, ink=ink)
    assert find_info_bar(picture) == 300


def test_an_info_bar_is_found_under_a_dim_picture_of_16_bits() -> None:
    dim = (sample().astype(np.uint16) * 18)[:300]
    bar = np.zeros((40, dim.shape[1]), np.uint16)
    bar[12:28, 20:90:2] = bar[12:28, 200:300:3] = 65535
    assert find_info_bar(np.vstack([dim, bar])) == len(dim)
    assert find_info_bar(dim) is None


def test_pictures_without_an_info_bar_are_left_whole() -> None:
    assert find_info_bar(sample()) is None
    dark = sample()
    dark[260:] = 3  # a dark part of the sample, without texts
    assert find_info_bar(dark) is None
    assert find_info_bar(np.zeros((20, 20), np.uint8)) is None


def known(size: float | None) -> Calibration:
    return Calibration() if size is None else Calibration().updated("header (test)", pixel_size_nm=(size, size))


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """A bar of 100 px that reads 200 nm: 2 nm per px."""
    drawn = sample()
    draw_scale_bar(drawn, (180, 240), 100, "200 nm")
    return drawn


def test_a_bar_is_told_and_not_used_by_default(picture: np.ndarray) -> None:
    scale = settle_scale(known(None), picture, "check")
    assert not scale.calibration.has_scale
    assert "200 nm" in scale.warnings[0] and "--scale-bar read" in scale.warnings[0]


def test_a_header_that_agrees_is_noted_and_one_that_does_not_is_warned_of(picture: np.ndarray) -> None:
    agrees = settle_scale(known(2.0), picture, "check")
    assert not agrees.warnings and "agrees" in agrees.notes[0]
    for wanted in ("check", "read"):
        differs = settle_scale(known(2.5), picture, wanted)
        assert "disagree" in differs.warnings[0] and "2.5" in differs.warnings[0] and "200 nm" in differs.warnings[0]
        assert differs.calibration.pixel_size_nm == (2.5, 2.5)


def test_a_scale_read_from_the_picture_says_so(picture: np.ndarray) -> None:
    scale = settle_scale(known(None), picture, "read")
    assert scale.calibration.pixel_size_nm == pytest.approx((2.0, 2.0), rel=0.015)
    assert "scale bar" in scale.calibration.provenance["pixel_size_nm"]
    assert "read from the picture" in scale.warnings[0]


def test_a_stated_length_wins_and_contradictions_are_said(picture: np.ndarray) -> None:
    scale = settle_scale(known(2.0), picture, "500 nm")
    assert scale.calibration.pixel_size_nm == pytest.approx((5.0, 5.0), rel=0.015)
    assert any("stated to be 500 nm" in said for said in scale.warnings)
    assert any("disagree" in said for said in scale.warnings)


def test_off_does_not_look(picture: np.ndarray) -> None:
    assert settle_scale(known(2.5), picture, "off") == (known(2.5), (), ())


def test_a_bar_that_is_not_there_is_an_error_where_it_was_asked_for() -> None:
    for wanted in ("read", "200 nm"):
        with pytest.raises(InputError, match="no scale bar was found"):
            settle_scale(known(None), sample(), wanted)
    with pytest.raises(UsageError, match="wanted the length"):
        settle_scale(known(None), sample(), "long")


def run_on(tmp_path: Path, picture: np.ndarray, *options: str) -> tuple[dict, pd.DataFrame]:
    """run.json and the frames table of `analyze` of a picture with one given object."""
    cv2.imwrite(str(tmp_path / "p.png"), picture)
    (tmp_path / "l.csv").write_text("file,label,x0,y0,x1,y1\np.png,disc,50,50,70,70\n")
    command = [
        "analyze",
        str(tmp_path / "p.png"),
        "--objects",
        str(tmp_path / "l.csv"),
        "--no-overlay",
        "-o",
        str(tmp_path / "run"),
    ]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--overwrite", *options])
    assert ended.value.code == 0
    return json.loads((tmp_path / "run" / "run.json").read_text()), pd.read_parquet(tmp_path / "run" / "frames.parquet")


def test_analyze_cuts_the_info_bar_and_reads_the_scale_where_asked(tmp_path: Path) -> None:
    picture = add_info_bar(sample(), 60, [(10, "15.0 kV"), (120, "SE")])
    draw_scale_bar(picture, (230, 335), 100, "200 nm")
    told, frames = run_on(tmp_path, picture)
    assert told["calibration"]["pixel_size_nm"] is None
    assert any("--scale-bar read" in said for said in told["warnings"])
    assert any("info bar from row 300" in said for said in told["notes"])
    assert frames["valid_area_px"].tolist() == [300 * 400]
    read, frames = run_on(tmp_path, picture, "--scale-bar", "read")
    assert read["calibration"]["pixel_size_nm"] == pytest.approx([2.0, 2.0], rel=0.015)
    assert read["calibration"]["provenance"]["pixel_size_nm"].startswith("scale bar")
    stated, _ = run_on(tmp_path, picture, "--scale-bar", "1 um")
    assert stated["calibration"]["pixel_size_nm"] == pytest.approx([10.0, 10.0], rel=0.015)
    contradicted, _ = run_on(tmp_path, picture, "--scale", "3.0")
    assert contradicted["calibration"]["pixel_size_nm"] == [3.0, 3.0]
    assert any("Two scales disagree" in said for said in contradicted["warnings"])


def test_info_shows_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = add_info_bar(sample(), 60, [(10, "15.0 kV"), (120, "SE")])
    draw_scale_bar(picture, (230, 335), 100, "200 nm")
    cv2.imwrite(str(tmp_path / "p.png"), picture)
    with pytest.raises(SystemExit):
        main(["info", str(tmp_path / "p.png")])
    said = capsys.readouterr().out
    assert "scale bar 100.0 px" in said and "200 nm" in said and "from row 300" in said
    with pytest.raises(SystemExit):
        main(["info", str(tmp_path / "p.png"), "--json"])
    assert json.loads(capsys.readouterr().out)["scale_bar"]["length_nm"] == 200

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from morphoscope.calibration import Axis, Calibration
from morphoscope.recipe import parse_recipe
from morphoscope.report.captions import PIECES, caption_of
from morphoscope.report.figures import save_figure
from morphoscope.report.html import write_report
from morphoscope.report.methods import PAPER, citations, methods_paragraph
from morphoscope.report.methods_motion import BERGLUND, KAPLAN_MEIER, MICHALET
from morphoscope.report.page import number, span, unit
from morphoscope.report.results import COUNTED, main_rows
from morphoscope.report.sections import LARGE
from morphoscope.report.style import new_figure
from morphoscope.schema import FRAMES, QUANTITIES, TRACKS, empty

NASTY = '"><script>alert(1)</script><img src=http://x.invalid/a onerror=x>'
CALIBRATION = Calibration().updated(
    "recipe", pixel_size_nm=(0.4, 0.4), frame_interval_s=1.75, axes=(Axis("dose", "dpa", 0.85, 0.0014),)
)
CARD = {
    "name": "loops",
    "classes": ("loop",),
    "pixel_size_nm": 0.372,
    "threshold": 0.31,
    "data": [{"name": "d", "citation": "Cite that"}],
}


def _run(**changed: object) -> dict[str, object]:
    recipe = parse_recipe({"physics": {"thickness_nm": 75.0, "visibility_factor": 1.75}, "report": {"citation": "Doe 2021"}})
    return {
        "title": "a run",
        "inputs": [{"path": "in/video.mp4", "sha256": "ab" * 32, "frames": 20}],
        "recipe": recipe.model_dump(),
        "model": {"name": "loops", "sha256": "cd" * 32},
        "calibration": CALIBRATION.to_dict(),
        "counts": {"frames": 20, "objects": 100},
        "timings_s": {"detect": 2.0, "measure": 0.5},
        "versions": {"morphoscope": "0.1.0"},
        "provider": "cpu",
        "precision": "fp32",
        **changed,
    }


def _quantities() -> pd.DataFrame:
    rows = [
        ("density_at_end", 2.31e16, 1.9e16, 2.8e16, "cm^-3", 108, "mean"),
        ("tracks", 12.0, np.nan, np.nan, "", None, "linked"),
    ]
    return pd.DataFrame(rows, columns=list(QUANTITIES)).astype({"n": "Int64"})


def _write(folder: Path, run: dict[str, object], **changed: object) -> str:
    frames = pd.DataFrame({"frame": range(20), "count": 5})
    given = {"frames": frames, "tracks": empty(TRACKS), "quantities": _quantities(), "card": CARD, "figures": [], **changed}
    path = write_report(folder, run=run, **given)  # type: ignore[arg-type]
    assert path == folder / "report.html"
    assert not list(folder.glob("*.part"))
    return path.read_text(encoding="utf-8")


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def _tags(page: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = _Tags()
    parser.feed(page)
    assert parser.open == []
    return parser.tags


def test_page_is_well_formed_and_asks_for_nothing(tmp_path: Path) -> None:
    save_figure(new_figure(2, 2), tmp_path / "figures", "displacement")
    (tmp_path / "overlay.mp4").touch()
    page = _write(tmp_path, _run(), figures=[("displacement", ""), ("absent", "")])
    tags = _tags(page)
    sources = [a["src"] for _, a in tags if a.get("src")]
    assert len(sources) == 1 and str(sources[0]).startswith("data:image/png;base64,")
    assert not any(name in ("link", "iframe", "object", "video") for name, _ in tags)
    links = [str(a["href"]) for name, a in tags if name == "a"]
    assert "overlay.mp4" in links and "objects.parquet" not in links
    assert all(link.startswith("#") or not re.match(r"\w+:|/", link) for link in links)
    assert "http" not in page.replace("http-equiv", "")
    assert "default-src" in page
    assert caption_of("displacement").replace("'", "&#x27;") in page


def test_large_pictures_are_carried_smaller_and_look_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    picture = np.clip(rng.normal(128, 30, (300, 400, 1)).repeat(3, axis=2), 0, 255).astype(np.uint8)
    (tmp_path / "figures").mkdir()
    assert cv2.imwrite(str(tmp_path / "figures" / "overlay.png"), picture)
    assert (tmp_path / "figures" / "overlay.png").stat().st_size > LARGE / 2
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("morphoscope.report.sections.LARGE", 1000)
        page = _write(tmp_path, _run(), figures=[("overlay", "")])
    (source,) = re.findall(r'src="data:image/webp;base64,([^"]+)"', page)
    data = base64.b64decode(source)
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert len(data) < (tmp_path / "figures" / "overlay.png").stat().st_size
    assert shown.shape == picture.shape and np.abs(shown.astype(float) - picture).mean() < 8


def test_all_that_users_write_is_escaped(tmp_path: Path) -> None:
    page = _write(
        tmp_path,
        _run(
            title=NASTY,
            inputs=[{"path": NASTY, "sha256": NASTY, "frames": 3}],
            warnings=[NASTY],
            notes=[NASTY],
            counts={NASTY: NASTY},
            versions={NASTY: NASTY},
            provider=NASTY,
            timings_s={NASTY: 1.0},
            model={"name": NASTY, "sha256": NASTY},
        ),
        quantities=_quantities().assign(name=NASTY, unit=NASTY, method=NASTY),
        card={**CARD, "name": NASTY, "limits": NASTY},
        figures=[(NASTY, NASTY)],
    )
    assert [name for name, _ in _tags(page)].count("script") == 1
    assert "<img" not in page and "<script>alert" not in page


def test_missing_scale_is_very_visible(tmp_path: Path) -> None:
    page = _write(tmp_path, _run(calibration=Calibration().to_dict()))
    assert 'class="box warn"' in page and "No scale" in page and "pixel_size_nm" in page and "No frame interval" in page
    said = _write(tmp_path, _run(calibration=Calibration().to_dict(), warnings=["the scale is unknown"]))
    assert "No scale:" not in said and "the scale is unknown" in said
    assert 'class="box warn"' not in _write(tmp_path, _run())


def test_an_empty_run_still_gives_a_page(tmp_path: Path) -> None:
    page = _write(tmp_path, {}, frames=empty(FRAMES), quantities=empty(QUANTITIES), card=None)
    _tags(page)
    assert "No quantity" in page


def test_quantities_are_shown_with_interval_and_unit(tmp_path: Path) -> None:
    page = _write(tmp_path, _run())
    assert "Density at end" in page and "2.31&nbsp;&times;&nbsp;10\u00b9\u2076" in page and "cm\u207b\u00b3" in page
    assert "95&nbsp;%: 1.90 to 2.80&nbsp;&times;&nbsp;10\u00b9\u2076" in page
    assert not re.search(r"\bnan\b|<NA>|None", page)


def _named(*names: str, value: float = 1.5) -> pd.DataFrame:
    rows = [(name, value, 1.0, 2.0, "nm", 7, f"how {name}") for name in names]
    return pd.DataFrame(rows, columns=list(QUANTITIES)).astype({"n": "Int64"})


def _cards(page: str) -> list[str]:
    return re.findall(r'<div class="what">([^<]+)</div>', page)


def test_motion_is_among_the_main_results(tmp_path: Path) -> None:
    """Whatever comes before it in the table; what counts tracks by their ends is never."""
    first = ("frames", "detections", "final density", "highest density", "largest median size", "final median size", "tracks")
    motion = (
        "median growth rate",
        "median D_eff",
        "tracks that disappeared",
        "median life (Kaplan-Meier)",
        "death rate",
        "pooled D",
    )
    page = _write(tmp_path, _run(), quantities=_named(*first, *motion))
    assert _cards(page)[4:7] == ["Pooled D", "Median life (Kaplan-Meier)", "Median growth rate"]
    assert _cards(page)[:2] == ["Final density", "Highest density"] and len(_cards(page)) == 8
    unknown = pd.concat([_named("final density", "median D_eff", "death rate"), _named("pooled D", value=np.nan)])
    assert [row["name"] for row in main_rows(unknown)] == ["final density", "median D_eff", "death rate"]
    few = _named("frames", "tracks that appeared", "pooled D, steady frames", "linked share")
    assert [row["name"] for row in main_rows(few)] == ["frames", "pooled D, steady frames"]


def test_what_counts_tracks_comes_last(tmp_path: Path) -> None:
    page = _write(tmp_path, _run(), quantities=_named("tracks", "linked share", "tracks that appeared", "pooled D"))
    rows = re.findall(r"<tr><td>([^<]+)</td>", page[page.index('id="quantities"') : page.index('id="methods"')])
    assert rows == ["Tracks", "Pooled D", "Linked share", "Tracks that appeared"]
    assert not "tracks".startswith(COUNTED)


def test_figures_with_nothing_to_show_are_a_line_of_text(tmp_path: Path) -> None:
    save_figure(new_figure(2, 2), tmp_path / "figures", "displacement")
    page = _write(
        tmp_path, _run(), figures=[("absent", ""), ("displacement", "")], left_out=[("van_hove", "no track is <long> enough")]
    )
    assert "<li>Van hove: no track is &lt;long&gt; enough.</li>" in page
    assert page.count("<figure") == 1 and "<b>Figure 1.</b>" in page


def test_captions_speak_of_what_there_is() -> None:
    bare = {name: caption_of(name) for name in PIECES}
    assert not any(word in said for said in bare.values() for word in ("hand", "jump", "dashed", "picture", "on a frame"))
    full = {name: caption_of(name, {"pictures", "hand counts", "visibility", "match", "jumps", "tracks"}) for name in PIECES}
    assert "counts that were given" in full["density"] and "dashed: as counted" in full["density_and_size"]
    assert "on a frame" in full["trajectory_map"] and "fitted ellipse" in full["track_story"]
    assert "stage jumps" in full["displacement"] and "how well each frame matched" in full["displacement"]
    assert "track number" in full["overlay"] and "track" not in bare["overlay"]
    assert "hops between two objects" in bare["slowest_fastest"]
    assert all(said.endswith(".") and ".." not in said and "  " not in said for said in (*bare.values(), *full.values()))


def test_methods_say_what_was_done() -> None:
    said = methods_paragraph(_run(), CARD)
    for part in ("20 frames", "0.4 nm, from the recipe", "1.75 s", '"loops"', "0.372 nm per pixel", "0.31", "0.45", "Otsu"):
        assert part in said
    reach = parse_recipe({"track": {"max_distance_px": 8.0}}).model_dump()
    assert "8 px (3.2 nm)" in methods_paragraph(_run(recipe=reach), CARD)
    for part in (
        "a range found from the data",
        "up to 15 frames analysed",
        "75 nm",
        "times 1.75",
        "Poisson",
        "morphoscope 0.1.0",
        "cdcdcdcdcdcd",
    ):
        assert part in said
    chosen = parse_recipe({"detect": {"threshold": 0.5}, "track": {"enabled": False}})
    said = methods_paragraph(_run(recipe=chosen.model_dump(), calibration={}), None)
    assert "0.5 (chosen for this run)" in said and "linked" not in said and "No scale" in said and "Density" not in said


def test_methods_of_a_table_of_positions() -> None:
    source = {"table": "f.csv", "columns": "trackpy", "sha256": "ef" * 32, "sizes": False, "tracks": False, "field": False}
    said = methods_paragraph(_run(), {"name": "objects from a table", "training": source})
    for part in ("table f.csv (trackpy columns; SHA-256 efefefefefef", "from the objects themselves", "were linked"):
        assert part in said
    for part in ("Otsu", "detector", "Growth", "Sizes", "Density", "taken as given"):
        assert part not in said
    said = methods_paragraph(_run(), {"training": {**source, "sizes": True, "tracks": True, "field": True}})
    for part in ("Tracks were taken as given", "Growth rates", "Sizes are", "Density is"):
        assert part in said
    assert "linked" not in said


def test_methods_claim_nothing_that_was_not_done() -> None:
    for frames, counts in (({"series": False}, {"frames": 20}), ({}, {"frames": 1})):
        said = methods_paragraph(_run(recipe=parse_recipe({"frames": frames}).model_dump(), counts=counts), CARD)
        assert "linked" not in said and "drift" not in said.lower()
    assert "at tau = 10.5 s" in methods_paragraph(
        _run(recipe=parse_recipe({"frames": {"step": 3}, "physics": {"lag_frames": 2}}).model_dump()), CARD
    )
    said = methods_paragraph(_run(provider="openvino", precision="bf16"), CARD)
    assert "Inference: OpenVINO (CPU, bf16)." in said and "ONNX Runtime" not in said
    header = Calibration().updated("header (ImageJ)", pixel_size_nm=(0.4, 0.4))
    assert "from the header (ImageJ)" in methods_paragraph(_run(calibration=header.to_dict()), CARD)


def test_methods_tell_of_motion() -> None:
    physics = {"lag_frames": 2, "steady": [461, 806], "inner": {"x0": 40, "y0": 30, "x1": 900, "y1": 700}}
    said = methods_paragraph(_run(recipe=parse_recipe({"physics": physics}).model_dump()), CARD)
    for part in ("key frame", "Brownian motion", "Berglund 2010", "Kaplan & Meier (1958)", "at tau = 3.5 s"):
        assert part in said
    assert "within frames 461 to 805 and x = 40 to 900 px, y = 30 to 700 px in 50 bins" in said
    still = parse_recipe({"track": {"motion": "still", "register_frames": False}}).model_dump()
    said = methods_paragraph(_run(recipe=still, calibration={}), CARD)
    assert "stay in place" in said and "key frame" not in said and "tau" not in said and "50 bins" not in said


def test_motion_is_cited_where_something_moved() -> None:
    assert {BERGLUND, MICHALET, KAPLAN_MEIER} <= set(citations(_run(), CARD))
    for run in (_run(counts={"frames": 1}), _run(counts={"frames": 9, "tracks": 0}), {}):
        assert not {BERGLUND, MICHALET, KAPLAN_MEIER} & set(citations(run, CARD))


def test_citations() -> None:
    cited = citations(_run(), CARD)
    assert cited[0].startswith("morphoscope 0.1.0") and PAPER in cited and "10.1016/j.commatsci.2021.110560" in PAPER
    assert "Data: Doe 2021" in cited and cited[-1].endswith(": Cite that")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (118.0, "118"),
        (7.314, "7.31"),
        (0.00123, "0.00123"),
        (-12.06, "\u221212.1"),
        (2.314e16, "2.31&nbsp;&times;&nbsp;10\u00b9\u2076"),
        (9.996e16, "1.00&nbsp;&times;&nbsp;10\u00b9\u2077"),
        (3e-7, "3.00&nbsp;&times;&nbsp;10\u207b\u2077"),
        (float("nan"), "&ndash;"),
        (None, "&ndash;"),
        (pd.NA, "&ndash;"),
        (152.4, "152"),
        (0.0, "0"),
    ],
)
def test_number(value: object, shown: str) -> None:
    assert number(value) == shown


def test_unit_and_span() -> None:
    assert (
        unit("nm2/s") == "nm\u00b2/s"
        and unit("um^-2") == "\u00b5m\u207b\u00b2"
        and unit(None) == ""
        and unit("<b>") == "&lt;b&gt;"
    )
    assert span(6.9, 7.7) == "6.90 to 7.70" and span(None, 3) == ""

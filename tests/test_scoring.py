"""Runs of `score`: any pictures in, scores, maps, trends, surfaces, a report; bad files listed, broken runs resumed."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from matplotlib.figure import Figure
from PIL import Image

import morphoscope as ms
from morphoscope.cli.main import main
from morphoscope.errors import InputError, RunExistsError, UsageError
from morphoscope.io.tables import table_hash
from morphoscope.models.card import ModelCard
from morphoscope.models.patches import patch_grid
from morphoscope.models.score_map import ScoreMap
from morphoscope.pipeline import score_outputs, score_results
from morphoscope.pipeline.again import analyze_again, differences
from morphoscope.pipeline.score_maps import read_map
from morphoscope.recipe import parse_recipe


class ShareScorer:
    """Scores a patch by the share of its px that are dark, and bright, against the range of the dtype."""

    def __init__(self, *, fail_at: int | None = None, **card: object) -> None:
        values = {
            "name": "shares", "task": "score", "classes": ("dark", "bright"), "preprocess": "unit-1", "postprocess": "scores-1",
            "answer": "multi-label", "patch_px": 8, "seen_px": 8.0, "channels": 3,
        }  # fmt: skip
        self.card = ModelCard.model_validate({**values, **card})
        self.calls, self._fail_at = 0, fail_at
        self.sides: list[float | None] = []

    def scores(self, image, *, patch_px=None, stride_px=None):
        self.calls += 1
        self.sides.append(patch_px)
        if self._fail_at is not None and self.calls > self._fail_at:
            raise KeyboardInterrupt
        side = round(patch_px or 8)
        step = round(stride_px or side)
        top = np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1.0
        grey = (image.mean(axis=2) if image.ndim == 3 else image) / top
        grid = patch_grid(grey.shape, side, step)
        values = np.empty((2, grid.rows * grid.columns), np.float32)
        for k, (y, x) in enumerate(grid.corners):
            patch = grey[y : y + side, x : x + side]
            values[:, k] = (patch < 0.3).mean(), (patch > 0.8).mean()
        first = (side - 1) / 2
        return ScoreMap(values.reshape(2, grid.rows, -1), grid.x + first, grid.y + first, step, side, self.card.classes)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No figures (`test_score_figures` is about them), coarse surfaces."""

    def blank(*_, **__):
        return Figure()

    def touch(figure, folder, name, *_, **__):
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.png").touch()

    for name in ("time_series", "response_surface"):
        monkeypatch.setattr(score_outputs.draw, name, blank)
    monkeypatch.setattr(score_outputs, "save_figure", touch)
    for module in (score_results, score_outputs):
        monkeypatch.setattr(module, "GRID", 9)
    monkeypatch.setattr(score_results, "CANDIDATES", 5)


ANY_DIM = "1 of 3 images use less than a quarter of the range of their 16 bits"
PLAIN = {"report": {"overlay": False}}  # without pictures of defects, which take their time


def run_of(inputs, output, section: dict | None = None, *, scorer: ShareScorer | None = None, **options):
    """A run without pictures, with these settings."""
    return ms.score(inputs, parse_recipe({**PLAIN, **(section or {})}), output, scorer=scorer or ShareScorer(), **options)


def picture(share: float, seed: int = 0, shape: tuple[int, int] = (64, 80)) -> np.ndarray:
    """(h, w) uint8: grey with a dark share of blobs."""
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 1, shape), (0, 0), 2)
    return (
        np.where(noise < np.quantile(noise, share), 40, 150).astype(np.uint8)
        if share
        else np.full(shape, 150, np.uint8) + (noise > 0)
    )


def rgb(grey: np.ndarray) -> np.ndarray:
    return np.stack([grey, grey // 2 + 70, grey], axis=-1)


def mixed_folder(folder: Path) -> Path:
    """The same film in formats of all kinds: colour, grey, 16-bit, palette, float, an image of its own size."""
    folder.mkdir()
    grey = picture(0.4)
    cv2.imwrite(str(folder / "a-colour.png"), cv2.merge([grey, grey, grey // 2 + 20])[..., ::-1])
    cv2.imwrite(str(folder / "b-grey.png"), grey)
    tifffile.imwrite(folder / "c-16bit.tif", grey.astype(np.uint16) * 257, photometric="minisblack")
    Image.fromarray(grey).convert("P").save(folder / "d-palette.png")
    tifffile.imwrite(folder / "e-float.tif", grey.astype(np.float32) / 255, photometric="minisblack")
    cv2.imwrite(str(folder / "f-large.bmp"), picture(0.4, shape=(120, 100)))
    return folder


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """A run over pictures of all kinds."""
    folder = mixed_folder(tmp_path_factory.mktemp("mixed") / "in")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("morphoscope.pipeline.score_outputs.SHOWN", 1)
        return ms.score(folder, output=folder.parent / "out", scorer=ShareScorer())


def test_pictures_of_all_kinds_have_the_same_scores(mixed):
    table = mixed.scores
    assert table["file"].tolist() == [
        f"{n}" for n in ("a-colour.png", "b-grey.png", "c-16bit.tif", "d-palette.png", "e-float.tif", "f-large.bmp")
    ]
    assert table["S_dark"].to_numpy() == pytest.approx(0.4, abs=0.03) and (table["S_bright"] == 0).all()
    assert (table["S_dark_low"] < table["S_dark"]).all() and (table["S_dark"] < table["S_dark_high"]).all()
    assert table["patches"].tolist() == [80] * 5 + [180] and mixed.exit_code == 0
    assert table["width_px"].tolist() == [80] * 5 + [100] and table["pixel_size_nm"].isna().all()
    assert "label" not in table and "frame" not in table
    assert mixed.info["counts"] == {"images": 6, "files": 6, "left out": 0}


def test_the_maps_are_those_of_the_patches(mixed):
    found = read_map(mixed.path / "maps" / "b-grey.tif")
    assert found.classes == ("dark", "bright") and found.values.shape == (2, 8, 10)
    assert found.values[0].mean() == pytest.approx(mixed.scores.loc[1, "S_dark"])
    assert (found.x_px, found.y_px, found.stride_px, found.patch_px) == (3.5, 3.5, 8, 8)
    assert tifffile.imread(mixed.path / "maps" / "c-16bit.tif").dtype == np.float32


def test_the_report_tells_it(mixed):
    page = mixed.report.read_text(encoding="utf-8")
    for said in (
        "Patches have a side of 8 px",
        "block bootstrap",
        "mean S_dark",
        "e-float.tif",
        "npj Computational Materials",
        "6 images",
    ):
        assert said in page, said
    assert (mixed.path / "figures" / "defects_1.png").is_file() and not (mixed.path / "parts").exists()
    assert ms.load_recipe(mixed.path / "recipe.toml").score.patch_px is None
    quantities = mixed.quantities.set_index("name")
    assert quantities.loc["mean S_dark", "value"] == pytest.approx(mixed.scores["S_dark"].mean())
    assert quantities.loc["mean S_dark", "n"] == 6


def series(folder: Path, count: int = 7) -> Path:
    (folder / "image").mkdir(parents=True)
    for k in range(count):
        cv2.imwrite(str(folder / "image" / f"{k}.png"), rgb(picture(0.05 + 0.1 * k, seed=k)))
    lines = [f"image/{k}.png,{30 * k},{'abcdefg'[k]}" for k in range(count)]
    (folder / "conditions.csv").write_text("file,time_s,remark\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_a_series_rises(tmp_path):
    folder = series(tmp_path / "in")
    run = run_of(folder, tmp_path / "out", conditions=folder / "conditions.csv")
    assert run.scores["time_s"].tolist() == [30.0 * k for k in range(7)] and run.scores["remark"].tolist() == list("abcdefg")
    trends = pd.read_csv(run.path / "trends.csv").set_index("score")
    assert trends.loc["S_dark", "tau"] == 1 and trends.loc["S_dark", "trend"] == "rises" and trends.loc["S_dark", "n"] == 7
    assert trends.loc["S_dark", "slope"] == pytest.approx(0.1 / 30, rel=0.1) and trends.loc["S_bright", "trend"] == "too few"
    rate = run.quantities.set_index("name").loc["rate of S_dark"]
    assert rate["unit"] == "per s" and rate["low"] < 0.1 / 30 < rate["high"]
    assert not any(name.startswith("mean") for name in run.quantities["name"])
    assert (run.path / "figures" / "time_series.png").is_file() and not (run.path / "response.csv").exists()
    assert "Mann and Kendall" in run.report.read_text(encoding="utf-8")


def test_a_change_within_the_error_of_the_model_is_no_trend(tmp_path):
    folder = series(tmp_path / "in")
    scorer = ShareScorer(extent_error={"dark": 0.7})  # it changes by 0.6
    run = run_of(folder, tmp_path / "out", scorer=scorer, conditions=folder / "conditions.csv")
    row = pd.read_csv(run.path / "trends.csv").iloc[0]
    assert row["p_holm"] < 0.001 and row["trend"] == "change within the model's error"
    assert row["change"] == pytest.approx(0.6, abs=0.06) and row["error"] == 0.7
    assert run.info["findings"][0].startswith("S_dark over time_s: change within the model's error")
    assert "tau of S_dark" not in set(run.quantities["name"])
    page = run.report.read_text(encoding="utf-8")
    assert "0.7, the model&#x27;s error" in page and ": rises" not in page


def surface(folder: Path, side: int = 4) -> tuple[Path, pd.DataFrame]:
    folder.mkdir()
    rows = []
    for i, ratio in enumerate(np.linspace(0, 1, side)):
        for j, minutes in enumerate(np.linspace(5, 60, side)):
            share = 0.1 + 0.5 * ratio * minutes / 60
            cv2.imwrite(str(folder / f"{i}-{j}.png"), picture(share, seed=10 * i + j))
            rows.append({"file": f"{i}-{j}", "ratio": ratio, "anneal_min": minutes, "share": "about " + str(share)})
    return folder, pd.DataFrame(rows)


def test_a_response_surface(tmp_path):
    folder, table = surface(tmp_path / "in")
    run = run_of(folder, tmp_path / "out", conditions=table)
    response = pd.read_csv(run.path / "response.csv")
    assert list(response.columns) == ["score", "ratio", "anneal_min", "mean", "sd", "low", "high"]
    dark = response[response["score"] == "S_dark"]
    truth = 0.1 + 0.5 * dark["ratio"] * dark["anneal_min"] / 60
    assert (
        np.sqrt(((dark["mean"] - truth) ** 2).mean()) < 0.02 and ((dark["low"] <= truth) & (truth <= dark["high"])).mean() > 0.85
    )
    upcoming = pd.read_csv(run.path / "next.csv")
    assert upcoming["score"].unique().tolist() == ["all", "S_dark"]  # bright is 0 everywhere
    assert any(line.startswith("S_bright over ratio and anneal_min: no dependence") for line in run.info["findings"])
    assert upcoming.loc[upcoming["score"] == "S_dark", "rank"].tolist() == [1, 2, 3, 4, 5]
    assert (upcoming["sd_after"] < upcoming["sd_before"]).all()
    assert (run.path / "figures" / "response_surface.png").is_file() and not (run.path / "trends.csv").exists()


def test_bad_files_are_listed_and_left_out(tmp_path, capsys):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    cv2.imwrite(str(folder / "good.png"), picture(0.4))
    cv2.imwrite(str(folder / "small.png"), picture(0.4, shape=(6, 40)))
    (folder / "cut.png").write_bytes((folder / "good.png").read_bytes()[:300])
    (folder / "text.tif").write_text("no picture")
    tifffile.imwrite(folder / "nan.tif", np.full((20, 20), np.nan, np.float32))
    run = run_of(folder, tmp_path / "out")
    assert run.exit_code == 4 and run.scores["file"].tolist() == ["good.png"]
    failed = {one["file"]: one["reason"] for one in run.info["failed"]}
    assert set(failed) == {"cut.png", "nan.tif", "small.png", "text.tif"}
    assert "smaller than a patch" in failed["small.png"] and "not finite" in failed["nan.tif"]
    assert sum(warning.startswith("Left out: ") for warning in run.warnings) == 4
    assert sorted(path.name for path in (run.path / "maps").iterdir()) == ["good.tif"]
    (folder / "good.png").unlink()
    with pytest.raises(InputError, match="none of the 4 files could be scored"):
        run_of(folder, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_conditions_that_do_not_fit_are_refused_before_any_work(tmp_path):
    folder, scorer = series(tmp_path / "in", 2), ShareScorer()
    table = folder / "conditions.csv"
    table.write_text("file,time\nother.png,3\n", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"no line of .*conditions.csv \(other.png\) names a file of the input \(image/0.png, image/1"
    ):
        ms.score(folder, output=tmp_path / "out", conditions=table, scorer=scorer)
    table.write_text("file,time,who\n0.png,3,me\n", encoding="utf-8")
    for section, said in (
        ({"x": "time", "y": "what"}, "has the columns time, who"),
        ({"x": "time", "y": "who"}, "wants numbers"),
        ({"x": "time"}, "name both"),
        ({"time": "who"}, "neither numbers nor dates"),
    ):
        with pytest.raises(UsageError, match=said):
            ms.score(folder, parse_recipe({"score": section}), tmp_path / "out", conditions=table, scorer=scorer)
    with pytest.raises(UsageError, match="none are given"):
        ms.score(folder, parse_recipe({"score": {"time": "t"}}), tmp_path / "out", scorer=scorer)
    assert scorer.calls == 0 and not (tmp_path / "out").exists()


def test_a_stack_is_a_series(tmp_path):
    pages = np.stack([picture(0.1 + 0.1 * k, seed=k) for k in range(7)])
    tifffile.imwrite(tmp_path / "s.tif", pages, photometric="minisblack")
    recipe = {"calibration": {"frame_interval_s": 2.0}, "frames": {"start": 1}}
    run = run_of(tmp_path / "s.tif", tmp_path / "out", recipe)
    assert run.scores["frame"].tolist() == list(range(1, 7)) and run.scores["time_s"].tolist() == [2.0, 4, 6, 8, 10, 12]
    assert pd.read_csv(run.path / "trends.csv").loc[0, "trend"] == "rises"
    assert read_map(run.path / "maps" / "s.tif", 6).extents()["dark"] == pytest.approx(run.scores["S_dark"].iloc[-1])
    with pytest.raises(KeyError):
        read_map(run.path / "maps" / "s.tif", 0)


def test_a_run_survives_a_kill(tmp_path):
    folder = series(tmp_path / "in")
    (folder / "image" / "3.png").write_bytes(b"\x89PNG damaged")
    recipe = parse_recipe({"run": {"chunk": 2}, **PLAIN})
    with pytest.raises(KeyboardInterrupt):
        ms.score(folder, recipe, tmp_path / "out", scorer=ShareScorer(fail_at=4))
    assert len(list((tmp_path / "out" / "parts").glob("scores-*.parquet"))) == 2
    with pytest.raises(RunExistsError, match="--resume goes on"):
        ms.score(folder, recipe, tmp_path / "out", scorer=ShareScorer())
    with pytest.raises(UsageError, match="another recipe"):
        ms.score(folder, parse_recipe({"score": {"patch_px": 16}}), tmp_path / "out", scorer=ShareScorer(), resume=True)
    scorer = ShareScorer()
    went_on = ms.score(folder, recipe, tmp_path / "out", scorer=scorer, resume=True)
    assert scorer.calls == 3 and [one["file"] for one in went_on.info["failed"]] == ["image/3.png"]
    whole = ms.score(folder, recipe, tmp_path / "other", scorer=ShareScorer())
    assert table_hash(went_on.scores) == table_hash(whole.scores) and went_on.exit_code == 4
    for name in ("image/0.tif", "image/6.tif"):
        assert (went_on.path / "maps" / name).read_bytes() == (whole.path / "maps" / name).read_bytes()
    assert (
        ms.score(folder, recipe, tmp_path / "out", scorer=scorer, resume=True).scores.equals(went_on.scores) and scorer.calls == 3
    )


def test_overwrite_leaves_nothing_of_the_run_before(tmp_path):
    folder = series(tmp_path / "in")
    run_of(folder, tmp_path / "out", conditions=folder / "conditions.csv")
    (tmp_path / "out" / "mine.txt").write_text("kept")
    (folder / "image" / "6.png").unlink()
    recipe = parse_recipe({"score": {"maps": False}, **PLAIN})
    run = ms.score(folder, recipe, tmp_path / "out", scorer=ShareScorer(), overwrite=True)
    assert len(run.scores) == 6
    left = sorted(path.name for path in run.path.iterdir())
    assert left == ["mine.txt", "quantities.csv", "recipe.toml", "report.html", "run.json", "scores.parquet"]


def test_patches_by_scale(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", picture(0.4), photometric="minisblack")
    card = {"pixel_size_nm": 100.0}

    def sides(section, scale=None, **values):
        scorer = ShareScorer(**values)
        recipe = parse_recipe({"score": section, "calibration": {} if scale is None else {"pixel_size_nm": scale}, **PLAIN})
        run = ms.score(tmp_path / "a.tif", recipe, tmp_path / "out", scorer=scorer, overwrite=True)
        return scorer.sides, run

    assert sides({})[0] == [None] and sides({"patch_px": 10})[0] == [10]
    assert sides({"patch_nm": 600}, 50.0)[0] == [12] and sides({}, 50.0, **card)[0] == [16]
    seen, run = sides({}, **card)
    assert seen == [None] and any("1 of 1 images have no scale" in line for line in run.warnings)
    with pytest.raises(InputError, match="a patch of 600 nm is asked for and no scale is known"):
        sides({"patch_nm": 600})


def test_parts_left_out_do_not_count(tmp_path):
    image = picture(0.4)
    image[:, 40:] = 20
    cv2.imwrite(str(tmp_path / "a.png"), image)
    half = parse_recipe({"frames": {"exclude": [{"x0": 40, "y0": 0, "x1": 80, "y1": 64}]}, **PLAIN})
    cut = parse_recipe({"frames": {"region": {"x0": 0, "y0": 0, "x1": 40, "y1": 64}}, **PLAIN})
    one, other = (
        ms.score(tmp_path / "a.png", recipe, tmp_path / f"{k}", scorer=ShareScorer()) for k, recipe in enumerate((half, cut))
    )
    assert one.scores["S_dark"][0] == other.scores["S_dark"][0] and one.scores["patches"][0] == other.scores["patches"][0] == 40
    assert np.isnan(read_map(one.path / "maps" / "a.tif").values[:, :, 5:]).all()


def test_the_error_on_the_card_is_the_interval_and_one_class_is_named(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), picture(0.4))
    scorer = ShareScorer(extent_error={"dark": 0.05, "bright": 0.02}, answer="exclusive")
    run = run_of(tmp_path / "a.png", tmp_path / "out", scorer=scorer)
    row = run.scores.iloc[0]
    assert (row["S_dark_low"], row["S_dark_high"]) == (pytest.approx(row["S_dark"] - 0.05), pytest.approx(row["S_dark"] + 0.05))
    assert (row["S_bright_low"], row["S_bright_high"]) == (0, 0.02)
    assert row["label"] == "dark" and row["probability"] == row["S_dark"]
    assert any("held out of its training: S_dark 0.05" in note for note in run.info["notes"])


def test_the_error_on_the_card_holds_for_patches_as_trained_only(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), picture(0.4))
    scorer = ShareScorer(extent_error={"dark": 0.05, "bright": 0.02})
    run = run_of(tmp_path / "a.png", tmp_path / "out", {"score": {"patch_px": 16}}, scorer=scorer)
    row = run.scores.iloc[0]
    assert row["S_dark_high"] - row["S_dark"] != pytest.approx(0.05, abs=1e-3) and row["S_bright_high"] == 0
    assert any("patches of another size than the model was trained with" in note for note in run.info["notes"])


def test_grey_images_are_told_of_where_a_model_knows_colour_only(tmp_path):
    grey = picture(0.4)
    cv2.imwrite(str(tmp_path / "a.png"), cv2.merge([grey, grey, grey]))
    cv2.imwrite(str(tmp_path / "b.png"), rgb(grey))
    tifffile.imwrite(tmp_path / "c.tif", grey.astype(np.uint16) * 16, photometric="minisblack")
    warned = run_of(tmp_path, tmp_path / "out").warnings
    assert [line.split(",")[0] for line in warned] == ["2 of 3 images are grey", ANY_DIM]
    for card in ({"training": {"grey": True}}, {"channels": 1}):
        warned = run_of(tmp_path, tmp_path / "out", scorer=ShareScorer(**card), overwrite=True).warnings
        assert [line.split(",")[0] for line in warned] == [ANY_DIM]


def test_settings_that_scores_do_not_know_are_refused(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), picture(0.4))
    for section in ({"invert": True}, {"level": "plane"}, {"scars": True}):
        with pytest.raises(UsageError, match="has no effect on scores"):
            run_of(tmp_path / "a.png", tmp_path / "out", {"frames": section})
    assert not (tmp_path / "out").exists()


def test_several_inputs_are_one_run(tmp_path):
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "1.png"), picture(0.2))
    run = run_of([tmp_path / "x", tmp_path / "y" / "1.png"], tmp_path / "out")
    assert run.scores["file"].tolist() == ["x/1.png", "y/1.png"] and (run.path / "maps" / "x" / "1.tif").is_file()
    below = run_of(tmp_path, tmp_path / "out", overwrite=True)
    assert below.scores["file"].tolist() == ["x/1.png", "y/1.png"]  # the run that was there is no picture


def test_from_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("morphoscope.pipeline.scoring._load", lambda recipe: ShareScorer())
    folder = series(tmp_path / "in")
    (tmp_path / "plain.toml").write_text("[report]\noverlay = false\n", encoding="utf-8")
    arguments = [
        "score",
        str(folder),
        "-o",
        str(tmp_path / "out"),
        "--conditions",
        str(folder / "conditions.csv"),
        "--recipe",
        str(tmp_path / "plain.toml"),
        "--stride",
        "4",
        "--json",
    ]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    facts = json.loads(capsys.readouterr().out)
    assert ended.value.code == 0 and facts["counts"]["images"] == 7
    assert {row["name"] for row in facts["quantities"]} >= {"change of S_dark", "tau of S_dark"}
    assert any(line.startswith("S_dark over time_s: rises, from") for line in facts["findings"])
    assert ms.load_recipe(tmp_path / "out" / "recipe.toml").score.stride_px == 4
    for wrong in (["--patch", "8", "--patch-nm", "9"], ["--resume", "--overwrite"]):
        with pytest.raises(SystemExit) as ended:
            main([*arguments, *wrong])
        assert ended.value.code == 2


def test_a_run_again_and_what_differs(tmp_path, monkeypatch):
    monkeypatch.setattr("morphoscope.pipeline.scoring._load", lambda recipe: ShareScorer())
    folder, table = surface(tmp_path / "in", 2)
    table = table[["file", "ratio"]]
    one = run_of(folder, tmp_path / "one", conditions=table)
    again = analyze_again(one, tmp_path / "two")
    assert differences(one, again) == [] and again.scores["ratio"].equals(one.scores["ratio"])
    other = run_of(folder, tmp_path / "three", {"score": {"stride_px": 4}}, conditions=table)
    said = differences(one, other)
    assert any(line.startswith("scores: patches differs in 4 of 4 rows, first at file 0-0.png") for line in said)
    assert any(line.startswith("recipe.score") for line in said)


def test_other_conditions_are_told_again_without_scoring(tmp_path):
    folder, scorer = series(tmp_path / "in"), ShareScorer()
    (folder / "image" / "3.png").write_bytes(b"\x89PNG damaged")
    dim = np.arange(64 * 80, dtype=np.uint16).reshape(64, 80)
    tifffile.imwrite(folder / "image" / "7.tif", dim, photometric="minisblack")
    table, recipe = folder / "conditions.csv", parse_recipe(PLAIN)

    def told(text: str) -> ms.Run:
        table.write_text(text, encoding="utf-8")
        return ms.score(folder, recipe, tmp_path / "out", conditions=table, scorer=scorer, resume=True)

    rising = "file,time,batch\n" + "".join(f"{k},{k},x\n" for k in range(8))
    falling = "file,time,remark,frame_no\n" + "".join(f"{k},{10 - k},{'ab'[k % 2]},{k}\n" for k in range(8) if k != 1)
    first = ms.score(folder, recipe, tmp_path / "out", scorer=scorer)
    looked = scorer.calls
    up = told(rising)
    assert pd.read_csv(up.path / "trends.csv").loc[0, "trend"] == "rises" and up.scores["batch"].eq("x").all()
    written = (up.path / "run.json").stat().st_mtime_ns
    assert (told(rising).path / "run.json").stat().st_mtime_ns == written  # nothing has changed
    down = told(falling)
    trends = pd.read_csv(down.path / "trends.csv")
    assert trends.loc[0, "tau"] < 0 and "batch" not in down.scores and down.scores["remark"].notna().sum() == 6
    assert any("1 of 8 files have no line" in line for line in down.warnings)
    bare = told("file,who\n0,me\n")
    assert not (bare.path / "trends.csv").exists() and not (bare.path / "figures").exists()
    back = told(rising)
    whole = ms.score(folder, recipe, tmp_path / "whole", conditions=table, scorer=ShareScorer())
    assert table_hash(back.scores) == table_hash(whole.scores) and back.warnings == whole.warnings
    assert back.info["failed"] == first.info["failed"] and back.exit_code == 4
    for name in ("trends.csv", "quantities.csv", "recipe.toml"):
        assert (back.path / name).read_bytes() == (whole.path / name).read_bytes()
    assert scorer.calls == looked


def test_a_run_broken_off_while_it_was_told_again_is_not_taken_for_finished(tmp_path, monkeypatch):
    folder, scorer = series(tmp_path / "in"), ShareScorer()
    table, recipe, run = folder / "conditions.csv", parse_recipe(PLAIN), tmp_path / "out"
    ms.score(folder, recipe, run, scorer=scorer)

    def killed(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("morphoscope.pipeline.scoring.write_score_outputs", killed)
        ms.score(folder, recipe, run, conditions=table, scorer=scorer, resume=True)
    with pytest.raises(UsageError, match="while told against conditions .*give --conditions again"):
        ms.score(folder, recipe, run, scorer=scorer, resume=True)
    told = ms.score(folder, recipe, run, conditions=table, scorer=scorer, resume=True)
    assert (told.path / "trends.csv").is_file() and scorer.calls == len(told.scores)


def test_conditions_that_took_the_place_of_times_are_not_told_again(tmp_path):
    pages = np.stack([picture(0.1 + 0.1 * k, seed=k) for k in range(4)])
    tifffile.imwrite(tmp_path / "s.tif", pages, photometric="minisblack")
    table = pd.DataFrame({"file": "s.tif", "frame": range(4), "time_s": [0, 1, 4, 9]})
    run_of(tmp_path / "s.tif", tmp_path / "out", conditions=table)
    with pytest.raises(UsageError, match="--overwrite scores them again"):
        run_of(tmp_path / "s.tif", tmp_path / "out", conditions=table.assign(time_s=[0, 1, 2, 3]), resume=True)

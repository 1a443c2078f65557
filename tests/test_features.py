"""Tables of features: read to objects, and analysed without pictures."""

from __future__ import annotations

import gzip
import json
import math
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import morphoscope as ms
from doubles import BlobDetector, film, write_stack
from morphoscope.cli.main import main
from morphoscope.errors import InputError, RecipeError, RunExistsError, UsageError
from morphoscope.io.features import is_feature_table, read_features
from morphoscope.pipeline import outputs
from morphoscope.pipeline.folder import remove_run
from morphoscope.report import figures

TRACKPY = ["y", "x", "mass", "size", "ecc", "signal", "raw_mass", "ep", "frame"]
SPOTS = """LABEL,ID,TRACK_ID,QUALITY,POSITION_X,POSITION_Y,POSITION_Z,POSITION_T,FRAME,RADIUS
Label,Spot ID,Track ID,Quality,X,Y,Z,T,Frame,Radius
Label,Spot ID,Track ID,Quality,X,Y,Z,T,Frame,R
,,,(quality),({unit}),({unit}),({unit}),({time}),,({unit})
ID7,7,0,5.1,1.0,2.0,0.0,0.0,0,2.5
ID9,9,0,4.0,1.5,2.0,0.0,{step},1,2.5
ID8,8,None,4.5,8.0,2.0,0.0,{later},2,2.5
"""


def walkers(*, n: int = 40, frames: int = 30, drift: tuple[float, float] = (0.5, -0.25), seed: int = 0) -> pd.DataFrame:
    """trackpy's columns of objects that stay where they are, seen with 0.1 px noise while the stage drifts."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(20, 380, (n, 2))
    frame = np.repeat(np.arange(frames), n)
    seen = np.tile(place, (frames, 1)) + frame[:, None] * drift + rng.normal(0, 0.1, (n * frames, 2))
    table = pd.DataFrame(1.0, index=range(len(frame)), columns=TRACKPY)
    return table.assign(x=seen[:, 0], y=seen[:, 1], frame=frame, size=2.1, mass=np.tile(np.arange(n) + 100.0, frames))


def spots(folder: Path, *, unit: str = "pixel", time: str = "sec", step: float = 0.5, encoding: str = "utf-8") -> Path:
    path = folder / "spots.csv"
    path.write_text(SPOTS.format(unit=unit, time=time, step=step, later=2 * step), encoding=encoding)
    return path


# reading


@pytest.mark.parametrize("name", ["f.csv", "f.csv.gz", "f.tsv", "F.TSV.GZ", "f.parquet"])
def test_every_kind_of_file_gives_the_same_objects(tmp_path: Path, name: str) -> None:
    table = walkers(n=3, frames=4)
    path = tmp_path / name
    if name.endswith("parquet"):
        table.to_parquet(path)
    else:
        text = table.to_csv(index=False, sep="\t" if "tsv" in name.lower() else ",")
        path.write_bytes(gzip.compress(text.encode()) if name.lower().endswith("gz") else text.encode())
    assert is_feature_table(path)
    pd.testing.assert_frame_equal(read_features(path).objects, read_features(table).objects)


def test_trackpys_columns_are_kept_and_its_size_is_no_size() -> None:
    found = read_features(walkers(n=2, frames=2))
    assert found.kind == "trackpy" and found.left_out == () and found.notes == ()
    objects = found.objects
    assert objects[["major_px", "width_px", "area_px", "score"]].isna().all(axis=None) and not objects["fitted"].any()
    assert objects["size"].tolist() == [2.1] * 4 and objects["track_id"].isna().all()
    assert list(objects.columns[-6:]) == ["mass", "size", "ecc", "signal", "raw_mass", "ep"]
    one = walkers(n=2, frames=2)
    assert objects["x_px"].tolist() == one["x"].tolist() and objects["y_px"].tolist() == one["y"].tolist()


@given(st.permutations(range(12)), st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_the_order_of_rows_counts_only_within_a_frame(order: list[int], offset: int) -> None:
    table = walkers(n=3, frames=4).assign(frame=lambda t: t["frame"] + offset)
    found = read_features(table.iloc[order]).objects
    key = ["frame", "mass"]
    first, second = (t.sort_values(key).reset_index(drop=True) for t in (found, read_features(table).objects))
    pd.testing.assert_frame_equal(first, second)
    assert found["frame"].is_monotonic_increasing


@pytest.mark.parametrize("name", ["particle", "track_id"])
def test_track_numbers_are_kept(name: str) -> None:
    table = walkers(n=2, frames=3)
    table[name] = [5, 6] * 2 + [5, np.nan]
    tracks = read_features(table).objects["track_id"]
    assert tracks.dtype == "Int64" and tracks.dropna().tolist() == [5, 6, 5, 6, 5] and tracks.isna().sum() == 1


def test_objects_of_a_run_give_scale_and_interval() -> None:
    table = pd.DataFrame({"frame": [0, 3, 4], "x_px": [1.0, 2, 3], "y_px": [4.0, 5, 7], "major_px": [2.0, np.nan, 3]})
    table = table.assign(x_nm=table["x_px"] * 0.5, y_nm=table["y_px"] * 0.25, time_s=table["frame"] * 1.75, object_id=[9, 8, 7])
    found = read_features(table)
    assert found.kind == "objects" and found.calibration.pixel_size_nm == pytest.approx((0.25, 0.5))
    assert found.calibration.frame_interval_s == pytest.approx(1.75) and set(found.calibration.provenance.values()) == {"table"}
    assert found.objects["fitted"].tolist() == [True, False, True] and found.objects["given_id"].tolist() == [9, 8, 7]
    assert not {"x_nm", "time_s", "object_id"} & set(found.objects.columns)
    uneven = read_features(table.assign(x_nm=[0.5, 1.0, 2.0], time_s=[0.0, 1.0, 9.0]))
    assert uneven.calibration.pixel_size_nm is None and uneven.calibration.frame_interval_s is None


def test_trackmates_spots_in_pixels_and_in_lengths(tmp_path: Path) -> None:
    found = read_features(spots(tmp_path))
    assert found.kind == "TrackMate" and found.calibration.frame_interval_s == 0.5
    assert found.objects[["x_px", "y_px", "frame"]].to_numpy().tolist() == [[1, 2, 0], [1.5, 2, 1], [8, 2, 2]]
    assert found.objects["track_id"].tolist()[:2] == [0, 0] and found.objects["track_id"].isna().tolist() == [False, False, True]
    assert found.objects["QUALITY"].tolist() == [5.1, 4.0, 4.5]
    for unit, encoding in (("micron", "utf-8"), ("µm", "utf-8"), ("µm", "latin-1")):
        path = spots(tmp_path, unit=unit, encoding=encoding)
        scaled = read_features(path, pixel_size_nm=(500, 250)).objects
        assert scaled["x_px"].tolist() == [4, 6, 32] and scaled["y_px"].tolist() == [4, 4, 4]
        with (
            pytest.raises(UsageError, match=r"positions in .m.*pixel_size_nm") if unit != "micron" else pytest.raises(UsageError)
        ):
            read_features(path)
    with pytest.raises(InputError, match="'inch'|neither a length"):
        read_features(spots(tmp_path, unit="furlong"), pixel_size_nm=(1, 1))
    read = pd.read_csv(spots(tmp_path))  # its lines of units as values
    assert read_features(read).objects["x_px"].tolist() == [1, 1.5, 8]


def test_a_trackmate_table_without_units_is_refused(tmp_path: Path) -> None:
    lines = spots(tmp_path).read_text().splitlines()
    (tmp_path / "bare.csv").write_text("\n".join(lines[:1] + lines[4:]))
    with pytest.raises(InputError, match="does not say the unit"):
        read_features(tmp_path / "bare.csv", pixel_size_nm=(1, 1))


def test_one_second_of_trackmate_is_not_believed(tmp_path: Path) -> None:
    found = read_features(spots(tmp_path, step=1.0))
    assert found.calibration.frame_interval_s is None and "--interval 1" in found.notes[0]
    assert read_features(spots(tmp_path, step=1.0, time="min")).calibration.frame_interval_s == 60
    assert read_features(spots(tmp_path, step=1.0, time="frame")).notes == ()


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (["x", "y"], r"wanted a table of features with the columns x_px,y_px,frame .*; got x, y"),
        (["x", "frame"], "wanted a table of features"),
        (["x", "y", "x_px", "y_px", "frame"], "holds positions twice"),
        (["x", "y", "frame", "particle", "track_id"], "track numbers twice"),
        (["x", "x", "y", "frame"], "two columns x"),
        (["file", "label", "x0", "y0", "x1", "y1"], "--objects"),
    ],
)
def test_missing_and_ambiguous_columns(columns: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_features(pd.DataFrame(np.ones((2, len(columns))), columns=columns))


def test_rows_without_a_position_are_counted_and_left_out() -> None:
    table = walkers(n=3, frames=4).astype({"frame": float, "x": object})
    table.loc[1, "x"], table.loc[4, "y"], table.loc[5, "frame"], table.loc[7, "x"] = np.nan, np.inf, np.nan, "wide"
    found = read_features(table)
    assert len(found.objects) == 8 and found.objects["frame"].dtype == "int64"
    assert found.left_out == ("4 rows of 12 in the table without a finite position and frame number (row 2, 5, 6, 8).",)
    with pytest.raises(InputError, match="no row with a position"):
        read_features(table.assign(x=np.nan))
    for frame in (0.5, -1, 1e12):
        with pytest.raises(InputError, match=r"frame numbers are whole.*row 1"):
            read_features(table.assign(x=1.0, frame=frame))
    for track in (0.5, math.inf, "p1"):
        with pytest.raises(InputError, match="track numbers are whole"):
            read_features(walkers(n=3, frames=4).assign(particle=track))
    for values in (True, 1j, pd.Timestamp("2020-01-01")):
        with pytest.raises(InputError, match="wanted numbers in the column x"):
            read_features(walkers(n=3, frames=4).assign(x=values))


def test_depth_is_noted() -> None:
    assert "z is not used" in read_features(walkers(n=2, frames=2).assign(z=[1.0, 2, 3, 4])).notes[0]


def branching() -> pd.DataFrame:
    """Track 7 splits in frame 3 and merges again in frame 6; track 9 is plain. Rows of a frame in changing order."""
    rows = [(t, 7, 50.0 + t, 10.0) for t in (0, 1, 2, 6, 7)] + [(t, 9, 200.0, 40.0 + t) for t in range(8)]
    rows += [(t, 7, 50.0 + t, 10.0 + side * 5 * (t - 2)) for t in (3, 4, 5) for side in ((1, -1) if t == 4 else (-1, 1))]
    return pd.DataFrame(rows, columns=["frame", "particle", "x", "y"])


def test_tracks_that_split_and_merge_are_cut_there() -> None:
    found = read_features(branching())
    objects = found.objects
    assert not objects.duplicated(["track_id", "frame"]).any()
    frames = {int(t): rows.tolist() for t, rows in objects.groupby("track_id")["frame"]}
    assert frames == {7: [0, 1, 2], 9: list(range(8)), 10: [3, 4, 5], 11: [3, 4, 5], 12: [6, 7]}
    sides = objects[objects["track_id"].isin([10, 11])].groupby("track_id")["y_px"].agg(["min", "max"])
    assert sides.to_numpy().tolist() == [[-5, 5], [15, 25]]
    assert objects["given_track_id"].tolist() == objects["track_id"].replace({10: 7, 11: 7, 12: 7}).tolist()
    assert len(found.warnings) == 1 and "1 tracks" in found.warnings[0] and "(7)" in found.warnings[0]
    assert "into 4 tracks" in found.warnings[0] and "Drop the column particle" in found.warnings[0]
    plain = read_features(branching().query("particle == 9"))
    assert plain.warnings == () and "given_track_id" not in plain.objects.columns


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(0, 50)), min_size=1, max_size=40))
@settings(max_examples=30, deadline=None)
def test_cut_tracks_have_one_object_a_frame_and_do_not_mix(rows: list[tuple[int, int, int]]) -> None:
    table = pd.DataFrame(rows, columns=["frame", "particle", "x"]).assign(y=1.0).drop_duplicates()
    found = read_features(table).objects
    assert not found.duplicated(["track_id", "frame"]).any() and len(found) == len(table)
    given_track = found.get("given_track_id", found["track_id"])
    assert given_track.groupby(found["track_id"]).nunique().eq(1).all()
    assert set(table["particle"]) <= set(found["track_id"])  # a piece of each keeps its number


def test_numbers_that_are_no_tracks_are_refused() -> None:
    with pytest.raises(InputError, match=r"track 1 has 150 objects in frame 0, wanted one.*drop the column"):
        read_features(walkers(n=150, frames=2).assign(particle=1))


@pytest.mark.parametrize("content", [b"", b"x,y\n1", b"\x1f\x8b broken", b"\xff\xfe\x00", b'x,y,frame\n"1,2,3\n', b"PAR1"])
@pytest.mark.parametrize("name", ["f.csv", "f.csv.gz", "f.parquet"])
def test_damaged_tables_are_refused(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError):
        read_features(tmp_path / name)
    with pytest.raises(InputError, match="there is no table"):
        read_features(tmp_path / f"gone-{name}")


# the run

RECIPE = {
    "calibration": {"pixel_size_nm": 2.0, "frame_interval_s": 0.5},
    "frames": {"region": {"x0": 0, "y0": 0, "x1": 420, "y1": 400}},
}


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn, but coarsely: most of the time goes into their pixels."""
    monkeypatch.setattr(figures, "save_figure", partial(figures.save_figure, dpi=40))


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in a tenth of the time."""
    monkeypatch.setattr(outputs, "_draw_figures", lambda *_: {})


def test_a_table_is_analysed_to_a_whole_run(tmp_path: Path) -> None:
    """Still objects on a drifting stage: each is one track, and the drift is what it was."""
    walkers().to_csv(tmp_path / "features.csv", index=False)
    run = ms.analyze(tmp_path / "features.csv", ms.parse_recipe(RECIPE), tmp_path / "run")
    assert run.exit_code == 0 and run.info["counts"] == {"frames": 30, "objects": 1200, "tracks": 40}
    assert run.objects.groupby("track_id")["mass"].nunique().eq(1).all() and run.objects["track_id"].notna().all()
    moved = run.frames[["shift_x_px", "shift_y_px"]].to_numpy()
    assert np.abs(moved - np.arange(30)[:, None] * [0.5, -0.25]).max() < 0.15
    assert run.objects["x_nm"].tolist() == (2 * run.objects["x_px"]).tolist() and set(run.objects["file"]) == {"features.csv"}
    area_um2 = 420 * 400 * 4e-6
    assert run.frames["density"].tolist() == pytest.approx([40 / area_um2] * 30)
    assert len(run.info["inputs"][0]["sha256"]) == 64 and run.info["inputs"][0]["shape"] == [400, 420]
    there = {path.name for path in (tmp_path / "run").rglob("*")}
    assert {
        "run.json",
        "report.html",
        "tracks.parquet",
        "quantities.csv",
        "recipe.toml",
        "trajectory_map.png",
        "density.png",
    } <= there
    assert not {"overlay.mp4", "overlay.png", "size_boxes.png", "parts"} & there
    page = run.report.read_text(encoding="utf-8")
    assert (
        "taken from the table features.csv (trackpy columns" in page and "one-stage" not in page and "Sizes are given" not in page
    )


@pytest.mark.usefixtures("no_figures")
def test_a_data_frame_gives_the_same_run_as_its_file(tmp_path: Path) -> None:
    table = walkers(n=12, frames=6)
    table.to_parquet(tmp_path / "f.parquet")
    first = ms.analyze(tmp_path / "f.parquet", ms.parse_recipe(RECIPE), tmp_path / "a")
    second = ms.analyze(table, ms.parse_recipe(RECIPE), tmp_path / "b")
    pd.testing.assert_frame_equal(first.objects.drop(columns="file"), second.objects.drop(columns="file"))
    pd.testing.assert_frame_equal(first.tracks, second.tracks)
    assert table.equals(walkers(n=12, frames=6))  # as it was


@pytest.mark.usefixtures("no_figures")
def test_without_a_region_the_field_is_the_box_of_the_positions_and_there_is_no_density(tmp_path: Path) -> None:
    recipe = ms.parse_recipe({"calibration": RECIPE["calibration"], "track": {"register_frames": False}})
    run = ms.analyze(walkers(n=12, frames=5, drift=(0, 0)), recipe, tmp_path / "run")
    assert run.frames["density"].isna().all() and run.frames["density_unit"].isna().all() and run.frames["count"].eq(12).all()
    assert any("no density is given" in note for note in run.info["notes"])
    assert run.frames[["shift_x_px", "shift_y_px"]].eq(0).all(axis=None)
    assert run.info["calibration"]["pixel_size_nm"] == [2, 2]


@pytest.mark.usefixtures("no_figures")
def test_tracks_of_a_table_are_kept(tmp_path: Path) -> None:
    table = walkers(n=4, frames=6)
    table["particle"] = np.tile([9, 9, 4, 4], 6)[::-1]  # as nobody would link them
    table = table.drop_duplicates(["particle", "frame"])
    run = ms.analyze(table, ms.parse_recipe(RECIPE), tmp_path / "run")
    assert sorted(run.tracks["track_id"]) == [4, 9]
    assert any("nothing was linked" in note for note in run.info["notes"])
    assert "racks were taken as given" in run.report.read_text(encoding="utf-8")


@pytest.mark.usefixtures("no_figures")
def test_a_run_over_tracks_that_split_goes_through_and_warns(tmp_path: Path) -> None:
    run = ms.analyze(branching(), ms.parse_recipe({**RECIPE, "track": {"min_points": 2}}), tmp_path / "run")
    assert sorted(run.tracks["track_id"]) == [7, 9, 10, 11, 12] and run.exit_code == 0
    assert any("split or merge (7)" in said for said in run.warnings) and "given_track_id" in run.objects.columns


@pytest.mark.usefixtures("no_figures")
def test_frames_regions_and_parts_left_out(tmp_path: Path) -> None:
    table = walkers(n=20, frames=12, drift=(0, 0)).assign(frame=lambda t: t["frame"] + 100)
    whole = ms.analyze(table, ms.parse_recipe(RECIPE), tmp_path / "a")
    assert whole.frames["frame"].tolist() == list(range(100, 112))
    some = {"start": 50, "stop": 110, "step": 4, "region": {"x0": 0, "y0": 0, "x1": 200, "y1": 400}}
    cut = ms.analyze(
        table,
        ms.parse_recipe({"detect": {"threshold": 0.5}, "frames": {**some, "exclude": [{"x0": 0, "y0": 0, "x1": 50, "y1": 400}]}}),
        tmp_path / "b",
    )
    assert cut.frames["frame"].tolist() == [102, 106] and cut.frames["valid_area_px"].tolist() == [150 * 400] * 2
    inside = table["frame"].isin([102, 106]) & table["x"].add(0.5).between(50, 200, inclusive="left")
    assert len(cut.objects) == inside.sum() and any("lie outside" in note for note in cut.info["notes"])
    assert any("Nothing was detected" in note for note in cut.info["notes"])
    assert not any("Nothing was detected" in note for note in whole.info["notes"])
    for frames in ({"start": 500}, {"stop": 100}, {"region": {"x0": 900, "y0": 0, "x1": 901, "y1": 1}}):
        with pytest.raises(RecipeError):
            ms.analyze(table, ms.parse_recipe({"frames": frames}), tmp_path / "c")
        assert not (tmp_path / "c").exists()


@pytest.mark.usefixtures("no_figures")
def test_objects_on_a_line_are_followed(tmp_path: Path) -> None:
    """They have no area for themselves."""
    run = ms.analyze(walkers(n=12, frames=4, drift=(0, 0)).assign(x=5.0), None, tmp_path / "run")
    assert len(run.tracks) == 12 and run.frames["shift_y_px"].abs().max() < 0.3


@pytest.mark.usefixtures("no_figures")
def test_a_frame_without_objects_counts_as_none(tmp_path: Path) -> None:
    table = walkers(n=12, frames=7)
    run = ms.analyze(table[table["frame"] != 3], ms.parse_recipe(RECIPE), tmp_path / "run")
    assert run.frames["count"].tolist() == [12, 12, 12, 0, 12, 12, 12] and len(run.tracks) == 12
    assert run.frames["shift_x_px"].tolist() == pytest.approx([0.5 * k for k in range(7)], abs=0.2)


@pytest.mark.usefixtures("no_figures")
def test_frames_that_could_not_be_registered_are_told(tmp_path: Path) -> None:
    """Frame 6 shows something else, frame 9 two objects, and frame 3 nothing, which is no reason to warn."""
    table = walkers(n=12, frames=12)
    other = table["frame"] == 6
    table.loc[other, ["x", "y"]] = np.random.default_rng(5).uniform(20, 380, (other.sum(), 2))
    table = table[(table["frame"] != 3) & ((table["frame"] != 9) | (table["mass"] < 102))]
    run = ms.analyze(table, ms.parse_recipe(RECIPE), tmp_path / "run")
    said = [line for line in run.warnings if "How the picture moved" in line]
    assert len(said) == 1 and "2 of the 11 frames" in said[0] and "(frame 6, 9)" in said[0]
    assert run.frames.loc[run.frames["shift_quality"] == 0, "frame"].tolist() == [3, 6, 9]
    still = ms.parse_recipe({**RECIPE, "track": {"register_frames": False}})
    assert not any("How the picture moved" in line for line in ms.analyze(table, still, tmp_path / "still").warnings)


@pytest.mark.usefixtures("no_figures")
def test_damaged_rows_end_a_run_with_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = walkers(n=12, frames=4)
    table.loc[3, "x"] = np.nan
    table.to_csv(tmp_path / "f.csv", index=False)
    with pytest.raises(SystemExit) as ended:
        main(["analyze", str(tmp_path / "f.csv"), "--scale", "2", "-o", str(tmp_path / "run"), "--json"])
    said = capsys.readouterr()
    assert ended.value.code == 4 and "1 row of 48" in said.err and json.loads(said.out)["counts"]["objects"] == 47


def test_wrong_use_is_said_before_anything_is_written(tmp_path: Path) -> None:
    spots(tmp_path, unit="micron")
    with pytest.raises(UsageError, match="--scale"):
        ms.analyze(tmp_path / "spots.csv", None, tmp_path / "run")
    with pytest.raises(UsageError, match="holds the objects already"):
        ms.analyze(tmp_path / "spots.csv", ms.parse_recipe({"detect": {"objects": "x.csv"}}), tmp_path / "run")
    with pytest.raises(InputError, match="there is no table"):
        ms.analyze(tmp_path / "gone.csv", None, tmp_path / "run")
    with pytest.raises(UsageError, match="one at a time"):
        ms.analyze([walkers(), walkers()], None, tmp_path / "run")
    with pytest.raises(InputError, match="is a table, no picture"):
        ms.open_frames(tmp_path / "spots.csv")
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("no_figures")
def test_a_complete_run_is_kept_and_resuming_starts_anew_where_it_is_not(tmp_path: Path) -> None:
    table = walkers(n=12, frames=4)
    run = ms.analyze(table, ms.parse_recipe(RECIPE), tmp_path / "run")
    with pytest.raises(RunExistsError):
        ms.analyze(table, ms.parse_recipe(RECIPE), tmp_path / "run")
    again = ms.analyze(table, ms.parse_recipe(RECIPE), tmp_path / "run", resume=True)
    assert again.info["created"] == run.info["created"]
    with pytest.raises(UsageError):  # another table
        ms.analyze(walkers(n=12, frames=5), ms.parse_recipe(RECIPE), tmp_path / "run", resume=True)
    fresh = ms.analyze(table.iloc[:36], ms.parse_recipe(RECIPE), tmp_path / "run", overwrite=True)
    assert fresh.info["counts"]["frames"] == 3 and not any("resume" in note for note in fresh.info["notes"])
    fresh = ms.analyze(table, ms.parse_recipe(RECIPE), tmp_path / "new", resume=True)
    assert any("nothing to resume" in note for note in fresh.info["notes"])


@pytest.mark.usefixtures("no_figures")
def test_tables_and_pictures_together_and_a_run_again(tmp_path: Path) -> None:
    walkers(n=12, frames=4).to_csv(tmp_path / "one.csv", index=False)
    (tmp_path / "two.csv").write_text("a,b\n1,2\n")
    cv2.imwrite(str(tmp_path / "p.png"), np.full((60, 80), 200, np.uint8))
    run = ms.analyze([tmp_path / name for name in ("p.png", "one.csv", "two.csv")], None, tmp_path / "run", detector=_Nothing())
    assert run.exit_code == 4 and "two.csv could not be analysed" in run.warnings[0]
    assert [r.info["model"]["name"] for r in run.runs] == ["blobs", "objects from a table"]
    one, again = str(tmp_path / "run" / "one"), str(tmp_path / "again")
    for command in (["rerun", one, "-o", again], ["diff", one, again]):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 0


def test_objects_that_do_not_move_at_all_make_a_whole_run(tmp_path: Path) -> None:
    """As in a table made by hand: every displacement is 0."""
    table = pd.DataFrame({"frame": [0, 1, 2, 3] * 3, "x_px": np.repeat([10.0, 20, 30], 4), "y_px": 10.0, "major_px": 5.0})
    run = ms.analyze(table, ms.parse_recipe({"calibration": {"pixel_size_nm": 2, "frame_interval_s": 1}}), tmp_path / "run")
    assert len(run.tracks) == 3 and run.report.is_file()


def test_all_that_a_run_writes_is_known_as_its_own(tmp_path: Path) -> None:
    """Else --overwrite would leave old figures and tables among the new, or a run replace what is somebody else's."""
    values = {**RECIPE, "report": {"csv": True, "overlay": False}, "track": {"events": True}}
    table = read_features(walkers(n=12, frames=8)).objects.assign(major_px=lambda t: 8 + t["mass"] % 7 + t["frame"] / 9)
    ms.analyze(table, ms.parse_recipe(values), tmp_path / "table")
    detector = BlobDetector()
    ms.analyze(
        write_stack(tmp_path / "f.tif", film(8)), ms.parse_recipe({**values, "frames": {}}), tmp_path / "film", detector=detector
    )
    for folder, least in ((tmp_path / "table", 20), (tmp_path / "film", 22)):
        assert len([path for path in folder.rglob("*") if path.is_file()]) >= least
        remove_run(folder)
        assert list(folder.iterdir()) == []


class _Nothing:
    def __init__(self) -> None:
        self.card, self.detect = (one := BlobDetector()).card, one.detect


def test_from_positions_to_physics_with_ones_own_steps() -> None:
    """A trackpy table links as it is, and D of a Brownian walk comes out of the tracks."""
    rng = np.random.default_rng(4)
    steps = rng.normal(0, math.sqrt(2 * 0.05), (60, 100, 2))
    steps[0] = np.stack(np.meshgrid(np.arange(10), np.arange(10)), -1).reshape(100, 2) * 40.0
    place = steps.cumsum(axis=0).reshape(-1, 2)
    table = pd.DataFrame({"y": place[:, 1], "x": place[:, 0], "frame": np.repeat(np.arange(60), 100), "size": 2.0})
    table["particle"] = ms.link(table, max_distance_px=5, memory=3)
    assert table["particle"].nunique() == 100
    features = ms.read_features(table).objects
    moved = features.assign(x_reg_px=features["x_px"], y_reg_px=features["y_px"]).sort_values(["track_id", "frame"])
    walked = moved.groupby("track_id")[["x_reg_px", "y_reg_px"]].diff().dropna().pow(2).sum(axis=1).mean()
    assert walked / 4 == pytest.approx(0.05, rel=0.05)


def test_rows_that_are_there_twice_count_once() -> None:
    table = pd.DataFrame({"frame": [0, 0, 0, 1, 1], "x": [5.0, 5.0, 5.0, 5.0, 8.0], "y": [3.0, 3.0, 4.0, 3.0, 3.0]})
    found = read_features(table)
    assert found.objects[["frame", "x_px", "y_px"]].to_numpy().tolist() == [[0, 5, 3], [0, 5, 4], [1, 5, 3], [1, 8, 3]]
    (said,) = found.warnings
    assert said.startswith("1 row was dropped") and "frame 0, x 5, y 3 px" in said and not found.left_out
    assert len(read_features(table.assign(particle=[1, 2, 3, 1, 2])).objects) == 5, "of two tracks"
    same = read_features(pd.concat([table.assign(particle=[1, 1, 3, 1, 2])] * 3))
    assert len(same.objects) == 4 and same.warnings[0].startswith("11 rows were dropped") and len(same.warnings) == 1
    assert not read_features(table.drop(1)).warnings

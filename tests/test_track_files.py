"""Tracks in files of other tools: TrackMate XML, napari's layer data, trackpy's tables; from labels and from run folders."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import tifffile

import morphoscope as ms
from morphoscope.cli.main import main
from morphoscope.errors import InputError, UsageError
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.labels import read_labels, recognise_labels, write_labels
from morphoscope.io.shapes import Box, Ellipse, Point


def tracks_of_a_video(**facts):
    """Two tracks, one with a gap, one with a single object, and an object without a track."""
    places = [(0, 1.5, 2.0, 4), (2, 2.5, 2.5, 4), (3, 3.5, 3.0, 4), (1, 6.5, 1.0, 7), (2, 4.5, 4.5, None)]
    labels = tuple(Label("v.mp4", "loop", Point(x, y), frame, track_id=track) for frame, x, y, track in places)
    return LabelSet({"v.mp4": ImageFacts(8, 6, 4, **facts)}, labels)


def test_trackmate_carries_time_scale_and_gaps(tmp_path):
    labels = tracks_of_a_video(pixel_size_nm=(2.0, 0.5), frame_interval_s=0.25)
    path = tmp_path / "t.xml"
    assert write_labels(labels, path, "trackmate") == []
    root = ElementTree.parse(path).getroot()
    model, data = root.find("Model"), root.find("Settings/ImageData")
    assert (model.get("spatialunits"), model.get("timeunits")) == ("nm", "sec")
    assert [float(data.get(k)) for k in ("pixelwidth", "pixelheight", "timeinterval", "nframes")] == [0.5, 2, 0.25, 4]
    spots = {spot.get("ID"): spot for spot in root.iter("Spot")}
    edges = [(spots[e.get("SPOT_SOURCE_ID")], spots[e.get("SPOT_TARGET_ID")], e) for e in root.iter("Edge")]
    assert [(int(a.get("FRAME")), int(b.get("FRAME"))) for a, b, _ in edges] == [(0, 2), (2, 3)]
    for source, target, edge in edges:
        assert float(edge.get("EDGE_TIME")) == (float(source.get("POSITION_T")) + float(target.get("POSITION_T"))) / 2
    assert all(float(spot.get("POSITION_T")) == 0.25 * int(spot.get("FRAME")) for spot in spots.values())
    for kind, name in (("Edge", "Edge"), ("Track", "Track"), ("Spot", "Spot")):
        declared = {feature.get("feature") for feature in root.iterfind(f"Model/FeatureDeclarations/{kind}Features/Feature")}
        assert set(next(root.iter(name)).attrib) - declared <= {"ID", "name"}
    found = read_labels(path)
    assert set(found.labels) == set(labels.labels) and found.images == labels.images
    root.remove(root.find("Morphoscope"))
    ElementTree.ElementTree(root).write(path, encoding="utf-8")
    assert read_labels(path).images == labels.images


def test_trackmate_one_second_is_what_stands_where_nothing_is_known(tmp_path):
    labels = tracks_of_a_video()
    write_labels(labels, tmp_path / "t.xml", "trackmate")
    text = (tmp_path / "t.xml").read_text(encoding="utf-8")
    assert 'timeunits="frame"' in text and 'timeinterval="1.0"' in text
    for unit, seconds in (("frame", None), ("sec", None), ("min", 60.0)):
        plain = re.sub("<Morphoscope>.*</Morphoscope>", "", text).replace('timeunits="frame"', f'timeunits="{unit}"')
        (tmp_path / "t.xml").write_text(plain, encoding="utf-8")
        assert read_labels(tmp_path / "t.xml").images["v.mp4"].frame_interval_s == seconds


@pytest.mark.parametrize(("kind", "name"), [("trackmate", "t.xml"), ("napari", "t.csv"), ("trackpy", "t.csv")])
def test_tracks_over_pictures_of_a_series_are_one_file(tmp_path, kind, name):
    files = ["f1.png", "f2.png", "f10.png"]
    labels = tuple(Label(file, "loop", Box(3 + k, 3, 2, 2), track_id=5) for k, file in enumerate(files))
    labels = LabelSet(dict.fromkeys(sorted(files), ImageFacts(8, 6)), labels, root=tmp_path)
    (said,) = write_labels(labels, tmp_path / name, kind)
    assert said.startswith("3 pictures")
    found = read_labels(tmp_path / name)
    assert found.labels == labels.labels and list(found.images) == files
    if kind == "trackmate":
        root = ElementTree.parse(tmp_path / name).getroot()
        assert [spot.get("FRAME") for spot in root.iter("Spot")] == ["0", "1", "2"]
        assert len(list(root.iter("Edge"))) == 2 and root.find("Settings/ImageData").get("nframes") == "3"
        root.remove(root.find("Morphoscope"))
        ElementTree.ElementTree(root).write(tmp_path / name, encoding="utf-8")
        ((file, facts),) = read_labels(tmp_path / name).images.items()
        assert facts == ImageFacts(8, 6, 3)
    stacks = LabelSet({"a.tif": ImageFacts(8, 6, 3), "b.tif": ImageFacts(8, 6, 3)}, root=tmp_path)
    with pytest.raises(UsageError, match="give a folder"):
        write_labels(stacks, tmp_path / f"other{Path(name).suffix}", kind)


def test_napari_tracks_are_what_its_layer_takes(tmp_path):
    """An array of track, t, y, x, sorted by track and then t, pixel centres at whole numbers."""
    labels = tracks_of_a_video()
    (said,) = write_labels(labels, tmp_path / "t.csv", "napari")
    assert said == "1 object without a track: left out, as only tracks can be held"
    table = pd.read_csv(tmp_path / "t.csv")
    assert list(table.columns) == ["track_id", "t", "y", "x", "label", "file"]
    assert table[["track_id", "t", "y", "x"]].to_numpy().tolist() == [
        [4, 0, 1.5, 1.0],
        [4, 2, 2.0, 2.0],
        [4, 3, 2.5, 3.0],
        [7, 1, 0.5, 6.0],
    ]
    assert recognise_labels(tmp_path / "t.csv") == "napari"
    assert set(read_labels(tmp_path / "t.csv").labels) == set(labels.labels[:4])


@pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")  # in trackpy
def test_trackpy_tables_in_and_out(tmp_path):
    """What trackpy links is read as points with tracks; what is written goes through its own functions."""
    trackpy = pytest.importorskip("trackpy")
    rows = [(y, 10.0 * k + frame, frame, 2.1) for frame in range(4) for k, y in enumerate((5.0, 9.0))]
    table = pd.DataFrame(rows, columns=["y", "x", "frame", "size"])
    trackpy.quiet()
    trackpy.link(table, 3).to_csv(tmp_path / "linked.csv")
    assert recognise_labels(tmp_path / "linked.csv") == "trackpy"
    found = read_labels(tmp_path / "linked.csv")
    assert list(found.images) == ["linked"] and {label.shape.kind for label in found.labels} == {"point"}
    assert [(label.shape.x, label.frame) for label in found.labels if label.track_id == 1] == [(10.5 + k, k) for k in range(4)]
    assert write_labels(found, tmp_path / "t.csv", "trackpy") == []
    msd = trackpy.emsd(pd.read_csv(tmp_path / "t.csv"), mpp=1, fps=1, max_lagtime=2)
    assert msd.tolist() == pytest.approx([1, 4])
    table.to_csv(tmp_path / "features.csv", index=False)
    assert {label.track_id for label in read_labels(tmp_path / "features.csv").labels} == {None}


def test_damaged_rows_of_a_track_table_are_named(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("track_id,t,y,x,width_px,height_px\n1,0,2,3,,\n1,1,2,wide,,\n1,2.5,2,3,,\n1,3,2,3,4,\n1,4,2,3,0,2\n")
    found = read_labels(path)
    assert len(found.labels) == 1 and len(found.skipped) == 4
    assert "row 2: wanted a number, got 'wide'" in found.skipped[0] and "row 3: wanted a whole number" in found.skipped[1]
    path.write_text("track_id,t,y\n")
    with pytest.raises(InputError, match="lacks the columns x"):
        read_labels(path, kind="napari")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run over a table of two objects in frames 3 to 8, one of them missed in frame 5."""
    folder = tmp_path_factory.mktemp("run")
    rows = [(k, 30.0 * k + 20 + 0.1 * (t % 2), 40.0, t) for t in range(3, 9) for k in range(2) if (k, t) != (1, 5)]
    table = pd.DataFrame(rows, columns=["particle", "x", "y", "frame"])
    table.to_csv(folder / "f.csv", index=False)
    values = {"calibration": {"pixel_size_nm": [2.0, 0.5], "frame_interval_s": 0.25}, "track": {"register_frames": False}}
    values["frames"] = {"region": {"x0": 0, "y0": 0, "x1": 100, "y1": 80}}
    return ms.analyze(folder / "f.csv", ms.parse_recipe(values), folder / "run"), table


@pytest.mark.parametrize(
    ("kind", "name"), [("napari", "t.csv"), ("trackpy", "t.csv"), ("trackmate", "t.xml"), ("objects", "t.parquet")]
)
def test_a_run_folder_is_converted(run, tmp_path, capsys, kind, name):
    done, table = run
    for source, target in ((done.path, tmp_path / name), (done.path / "objects.parquet", tmp_path / f"again-{name}")):
        with pytest.raises(SystemExit) as ended:
            main(["labels", "convert", str(source), str(target), "--to", kind])
        assert ended.value.code == 0, capsys.readouterr().err
    found = read_labels(tmp_path / name)
    seen = sorted((label.track_id, label.frame, label.shape.x - 0.5, label.shape.y - 0.5) for label in found.labels)
    wanted = sorted(table[["particle", "frame", "x", "y"]].itertuples(index=False, name=None))
    assert np.allclose(seen, wanted)
    (facts,) = found.images.values()
    if kind == "trackmate":
        assert facts == ImageFacts(100, 80, 9, (2.0, 0.5), 0.25)
    elif kind == "objects":
        assert (facts.pixel_size_nm, facts.frame_interval_s) == ((2.0, 0.5), 0.25)
    said = capsys.readouterr().out
    assert ("times between frames cannot be held" in said) == (kind in ("napari", "trackpy"))


@pytest.fixture(scope="module")
def sized(tmp_path_factory):
    """A run over a table of diameters, 10 and 16 px, one of the tracks too short to be kept."""
    folder = tmp_path_factory.mktemp("sized")
    rows = [(k, t, 30.0 * k + 20, 40.0, (10.0, 16.0, 12.0)[k]) for t in range(6) for k in range(3) if k < 2 or t < 2]
    table = pd.DataFrame(rows, columns=["track_id", "frame", "x_px", "y_px", "major_px"])
    table.to_csv(folder / "f.csv", index=False)
    values = {"calibration": {"pixel_size_nm": 0.5}, "track": {"register_frames": False, "min_points": 3}}
    return ms.analyze(folder / "f.csv", ms.parse_recipe(values), folder / "run")


@pytest.mark.parametrize(("kind", "name"), [("napari", "t.csv"), ("trackpy", "t.csv"), ("trackmate", "t.xml")])
def test_sizes_without_boxes_go_along(sized, tmp_path, kind, name):
    """TrackMate's radius, in nm there, is half the major axis; the others have the width of the disc as a property."""
    assert sized.objects["width_px"].isna().all()
    labels = read_labels(sized.path)
    write_labels(labels, tmp_path / name, kind)
    if kind == "trackmate":
        spots = ElementTree.parse(tmp_path / name).getroot().iter("Spot")
        found = {(float(s.get("POSITION_X")) / 0.5, float(s.get("RADIUS")) / 0.5 * 2) for s in spots}
    else:
        table = pd.read_csv(tmp_path / name)
        assert np.allclose(table["height_px"], table["width_px"])
        found = set(zip(table["x"], table["width_px"].round(9), strict=True))
    assert np.allclose(sorted(found), [(20, 10), (50, 16), (80, 12)])


def test_a_size_without_a_box_is_a_disc_or_the_ellipse_known(tmp_path):
    row = {"file": "v.tif", "label": "loop", "frame": [0, 1, 2, 3], "x_px": 3.0, "y_px": 2.0, "fitted": True}
    shape = {"ellipse_x_px": [None, 3.5, None, None], "ellipse_y_px": 2.5, "minor_px": [None, 4.0, None, None]}
    table = pd.DataFrame(row | shape | {"major_px": [6.0, 6.0, None, -1.0], "angle_deg": [None, 30.0, None, None]})
    table.to_csv(tmp_path / "o.csv", index=False)
    shapes = [label.shape for label in read_labels(tmp_path / "o.csv").labels]
    assert shapes == [Ellipse(3.5, 3.0, 6, 6, 0), Ellipse(4.0, 3.0, 6, 4, 30), Point(3.5, 2.5), Point(3.5, 2.5)]


def test_tracks_that_a_run_does_not_keep_are_told(sized, run, tmp_path, capsys):
    assert len(sized.tracks) == 2
    with pytest.raises(SystemExit):
        main(["labels", "convert", str(sized.path), str(tmp_path / "t.csv"), "--to", "trackpy"])
    said = capsys.readouterr().out
    assert "1 of 3 tracks have fewer detections than the run's track.min_points" in said
    assert pd.read_csv(tmp_path / "t.csv")["particle"].nunique() == 3
    assert not any("min_points" in note for note in read_labels(run[0].path).notes)  # all kept there


def test_a_trackmate_file_is_no_video_and_says_the_way(tmp_path, capsys):
    write_labels(tracks_of_a_video(), tmp_path / "t.xml", "trackmate")
    with pytest.raises(SystemExit) as ended:
        main(["analyze", str(tmp_path / "t.xml"), "-o", str(tmp_path / "run")])
    error = capsys.readouterr().err
    assert ended.value.code == 3 and "TrackMate" in error and "--objects" in error and "CSV" in error and ".mrc" not in error
    (tmp_path / "other.xml").write_text("<other/>")
    with pytest.raises(InputError, match="supported are"):
        ms.open_frames(tmp_path / "other.xml")


def test_a_run_over_a_folder_of_pictures_knows_its_size(tmp_path):
    """The pictures need not be there any more."""
    table = pd.DataFrame(
        {
            "frame": [0, 1],
            "file": ["a.png", "b.png"],
            "label": "loop",
            "x_px": [3.0, 4],
            "y_px": 2.0,
            "track_id": 0,
            "fitted": False,
        }
    )
    table.to_parquet(tmp_path / "objects.parquet")
    frames = pd.DataFrame({"frame": [0, 1, 2], "file": ["a.png", "b.png", "c.png"]})
    frames.to_parquet(tmp_path / "frames.parquet")
    info = {"inputs": [{"path": str(tmp_path / "gone"), "frames": 3, "shape": [6, 8]}], "calibration": {"frame_interval_s": 2.0}}
    (tmp_path / "run.json").write_text(json.dumps(info))
    write_labels(read_labels(tmp_path), tmp_path / "t.xml", "trackmate")
    data = ElementTree.parse(tmp_path / "t.xml").getroot().find("Settings/ImageData")
    assert [data.get(key) for key in ("width", "height", "nframes", "timeinterval")] == ["8", "6", "3", "2.0"]
    assert not any("left out pictures" in note for note in read_labels(tmp_path).notes)
    frames.assign(frame=[0, 2, 4]).to_parquet(tmp_path / "frames.parquet")
    assert any("left out pictures" in note for note in read_labels(tmp_path).notes)
    for damage in ({"inputs": [{"shape": ["wide", 6]}]}, {"calibration": {"pixel_size_nm": [0, 0]}}):
        (tmp_path / "run.json").write_text(json.dumps(info | damage))
        assert "run.json" in read_labels(tmp_path).skipped[0]


@pytest.mark.parametrize("columns", [("particle", "frame"), ("track_id", "t")])
def test_tracks_of_other_tools_are_measured_on_a_video(tmp_path, columns):
    """`--objects` takes such a table for the only video there is: points with their tracks."""
    tifffile.imwrite(tmp_path / "v.tif", np.full((3, 40, 50), 100, np.uint8), photometric="minisblack")
    table = pd.DataFrame([(7, t, 20.0, 10.0 + t) for t in range(3)], columns=[*columns, "y", "x"])
    table.to_csv(tmp_path / "linked.csv", index=False)
    values = {
        "detect": {"objects": str(tmp_path / "linked.csv")},
        "report": {"overlay": False},
        "track": {"register_frames": False},
    }
    run = ms.analyze(tmp_path / "v.tif", ms.parse_recipe(values), tmp_path / "run")
    assert run.objects[["track_id", "frame", "x_px", "y_px"]].to_numpy(float).tolist() == [[7, t, 10 + t, 20] for t in range(3)]
    assert run.objects["major_px"].isna().all()

"""Sorted folders and the way back: what a person moves is taken into the project; two people, copies and strangers are heard."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from matplotlib.figure import Figure

import morphoscope as ms
from class_doubles import flat, run_of
from morphoscope.cli.main import main
from morphoscope.errors import InputError, RunExistsError, UsageError
from morphoscope.io.score_data import read_score_data
from morphoscope.pipeline import classify_outputs
from morphoscope.pipeline.sorting import folder_names
from morphoscope.project import Project

GREYS = {"d.png": 25, "m.png": 128, "b.png": 230, "between.png": 80, "again.png": 130}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No figure (`test_class_report` is about it)."""
    monkeypatch.setattr(classify_outputs, "decisions", lambda *_, **__: Figure())
    monkeypatch.setattr(classify_outputs, "save_figure", lambda *_: None)


@pytest.fixture
def sorted_run(tmp_path: Path) -> Path:
    for name, value in GREYS.items():
        flat(tmp_path / "in" / name, value)
    return run_of(tmp_path / "in", tmp_path / "run", {"sort": "copy"}).path


def words(project: Path) -> dict[str, tuple[str | None, str]]:
    with Project.open(project, create=False, readonly=True) as store:
        table = store.image_labels("person")
        assert store.verify() == []
    rows = table.to_dict("records")
    return {Path(row["file"]).name: (row["label"] if isinstance(row["label"], str) else None, row["decision"]) for row in rows}


def there(run: Path) -> set[str]:
    folder = run / "sorted"
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"}


def move(run: Path, old: str, new: str) -> None:
    (run / "sorted" / new).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(run / "sorted" / old, run / "sorted" / new)


def test_images_are_filed_by_decision_and_category(sorted_run: Path) -> None:
    filed = {
        "accept/dark/d.png", "accept/middle/m.png", "accept/middle/again.png", "accept/bright/b.png", "review/middle/between.png",
    }  # fmt: skip
    assert there(sorted_run) == filed
    original = sorted_run.parent / "in" / "d.png"
    assert (sorted_run / "sorted/accept/dark/d.png").read_bytes() == original.read_bytes() and original.is_file()
    assert (sorted_run / "sorted/review/bright").is_dir() and (sorted_run / "sorted/reject").is_dir()
    assert len(read_score_data(sorted_run / "sorted" / "accept").examples) == 4  # what is accepted can be learnt as it lies


def test_links_point_to_the_images(tmp_path: Path) -> None:
    flat(tmp_path / "in" / "d.png", 25)
    run = run_of(tmp_path / "in", tmp_path / "run", {"sort": "link"})
    link = run.path / "sorted/accept/dark/d.png"
    assert link.is_symlink() and link.resolve() == (tmp_path / "in" / "d.png").resolve()
    for place, says in (("reject/d.png", "reject"), ("accept/bright/d.png", "bright"), ("foreign/d.png", "foreign")):
        shutil.move(link, link := run.path / "sorted" / place)
        assert ms.take_labels(run.path, tmp_path / "p").counts == {says: 1}
    with Project.open(tmp_path / "p") as project:
        assert project.images()["file"].tolist() == ["in/d.png"]


def test_a_moved_link_whose_image_is_gone_is_told_of(tmp_path: Path) -> None:
    for name in ("d.png", "e.png"):
        flat(tmp_path / "in" / name, 25 + (name == "e.png"))
    run = run_of(tmp_path / "in", tmp_path / "run", {"sort": "link"}).path
    for name in ("d.png", "e.png"):
        (tmp_path / "in" / name).rename(tmp_path / name)
    shutil.move(run / "sorted/accept/dark/d.png", run / "sorted/reject/d.png")
    assert ms.take_labels(run, tmp_path / "p").wrong == ["reject/d.png: the image that this link points to is gone"]
    with pytest.raises(RunExistsError, match="reject/d.png"):
        run_of(tmp_path, run, {"sort": "link"}, overwrite=True)


def test_links_through_a_linked_folder(tmp_path: Path) -> None:
    flat(tmp_path / "in" / "d.png", 25)
    (tmp_path / "far" / "off").mkdir(parents=True)
    (tmp_path / "near").symlink_to(tmp_path / "far" / "off")
    run = run_of(tmp_path / "in", tmp_path / "near" / "run", {"sort": "link"})
    assert (run.path / "sorted/accept/dark/d.png").samefile(tmp_path / "in" / "d.png")


def test_moved_images_are_corrections(sorted_run: Path, tmp_path: Path) -> None:
    move(sorted_run, "review/middle/between.png", "accept/dark/between.png")
    move(sorted_run, "accept/middle/m.png", "foreign/m.png")
    move(sorted_run, "accept/bright/b.png", "reject/b.png")
    taken = ms.take_labels(sorted_run, tmp_path / "p", author="ann")
    assert words(tmp_path / "p") == {"between.png": ("dark", "accept"), "m.png": (None, "foreign"), "b.png": (None, "reject")}
    assert (taken.images, taken.same, taken.wrong) == (3, 0, [])
    again = ms.take_labels(sorted_run / "sorted", tmp_path / "p", author="ann")
    assert again.images == 0 and again.wrong == []  # read back already
    move(sorted_run, "accept/dark/between.png", "review/dark/between.png")  # another thought
    assert ms.take_labels(sorted_run, tmp_path / "p", author="ann").counts == {"review": 1}
    assert words(tmp_path / "p")["between.png"] == (None, "review")
    with pytest.raises(InputError, match="no person"):
        read_score_data(tmp_path / "p")


def test_what_was_left_is_confirmed_where_that_is_asked_for(sorted_run: Path, tmp_path: Path) -> None:
    move(sorted_run, "accept/middle/m.png", "accept/dark/m.png")
    assert ms.take_labels(sorted_run, tmp_path / "p", confirm=True).images == 4
    assert {name: label for name, (label, _) in words(tmp_path / "p").items()} == {
        "m.png": "dark", "d.png": "dark", "again.png": "middle", "b.png": "bright",
    }  # fmt: skip
    with pytest.raises(UsageError, match="sorted"):
        ms.take_labels(sorted_run / "sorted" / "accept", tmp_path / "p", confirm=True)


def test_new_categories_and_new_images(sorted_run: Path, tmp_path: Path) -> None:
    with Project.open(tmp_path / "p") as project:
        project.set_label(project.add_image(tmp_path / "in" / "b.png"), "bright", model="net")
    move(sorted_run, "accept/middle/m.png", "accept/fog/m.png")
    flat(sorted_run / "sorted/accept/fog/mine.png", 140)
    flat(sorted_run / "sorted/review/dark/other.png", 141)
    taken = ms.take_labels(sorted_run, tmp_path / "p")
    assert taken.counts == {"fog": 2} and taken.new == ["fog"] and taken.single == []
    move(sorted_run, "accept/bright/b.png", "accept/haze/b.png")
    assert ms.take_labels(sorted_run, tmp_path / "p").single == ["haze"]
    assert words(tmp_path / "p") == {"m.png": ("fog", "accept"), "mine.png": ("fog", "accept"), "b.png": ("haze", "accept")}
    flat(sorted_run / "sorted/accept/loose.png", 142)
    with pytest.raises(UsageError, match="no category"):
        ms.take_labels(sorted_run, tmp_path / "p")


def test_an_image_in_two_categories_is_said_and_not_taken(sorted_run: Path, tmp_path: Path) -> None:
    shutil.copy(sorted_run / "sorted/accept/middle/m.png", sorted_run / "sorted/accept/dark/m.png")
    move(sorted_run, "accept/middle/m.png", "accept/bright/m.png")
    taken = ms.take_labels(sorted_run, tmp_path / "p")
    assert taken.images == 0 and len(taken.twice) == 1
    assert "(dark)" in taken.twice[0] and "(bright)" in taken.twice[0]


def test_a_picture_that_is_there_twice_has_one_word(tmp_path: Path) -> None:
    """Of two equal files one is moved; the other, left where it was, says nothing against it, then or later."""
    flat(tmp_path / "in" / "x.png", 25)
    shutil.copy(tmp_path / "in" / "x.png", tmp_path / "in" / "y.png")
    run, project = run_of(tmp_path / "in", tmp_path / "run", {"sort": "copy"}).path, tmp_path / "p"
    for folder in ("bright", "middle"):  # before and after the folder of the other
        move(run, next(one for one in there(run) if one.endswith("x.png")), f"accept/{folder}/x.png")
        for confirm in (False, False, True):
            taken = ms.take_labels(run, project, confirm=confirm)
            assert taken.wrong == [] and [label for label, _ in words(project).values()] == [folder]
    move(run, "accept/dark/y.png", "accept/bright/y.png")  # a new thought, of the other file
    assert ms.take_labels(run, project, confirm=True).wrong == [] and list(words(project).values()) == [("bright", "accept")]
    again = run_of(tmp_path / "in", run, {"sort": "copy", "project": str(project)}, overwrite=True)
    assert there(again.path) == {"accept/bright/x.png", "accept/bright/y.png"}


def test_an_image_copied_into_a_second_folder_is_said_and_not_taken(sorted_run: Path, tmp_path: Path) -> None:
    shutil.copy(sorted_run / "sorted/accept/dark/d.png", sorted_run / "sorted/accept/dark/d2.png")  # says nothing
    shutil.copy(sorted_run / "sorted/accept/dark/d.png", sorted_run / "sorted/accept/bright/d.png")
    for confirm in (False, True):
        taken = ms.take_labels(sorted_run, tmp_path / "p", confirm=confirm)
        assert len(taken.wrong) == 1 and "(dark)" in taken.twice[0] and "(bright)" in taken.twice[0]
        assert "d.png" not in words(tmp_path / "p")
    (sorted_run / "sorted/accept/dark/d.png").unlink()
    assert ms.take_labels(sorted_run, tmp_path / "p").wrong == [] and words(tmp_path / "p")["d.png"] == ("bright", "accept")
    again = run_of(tmp_path / "in", sorted_run, {"sort": "copy", "project": str(tmp_path / "p")}, overwrite=True)
    assert len(there(again.path)) == len(GREYS) and "accept/bright/d.png" in there(again.path)


def test_the_only_copy_of_an_image_is_never_removed(sorted_run: Path, tmp_path: Path) -> None:
    flat(sorted_run / "sorted/accept/dark/mine.png", 20)
    flat(sorted_run / "sorted/review/dark/unsaid.png", 21)
    (tmp_path / "in" / "d.png").unlink()
    ms.take_labels(sorted_run, tmp_path / "p")
    flat(tmp_path / "in" / "mine.png", 22)
    kept = {"accept/dark/mine.png", "review/dark/unsaid.png", "accept/dark/d.png"}
    for _ in range(2):
        run = run_of(tmp_path / "in", sorted_run, {"sort": "copy"}, overwrite=True)
        assert kept < there(run.path) and "accept/dark/mine 2.png" in there(run.path)
        assert ms.take_labels(run.path, tmp_path / "p").images == 0
    run_of(tmp_path / "in", sorted_run, overwrite=True)
    assert there(sorted_run) == kept and words(tmp_path / "p") == {"mine.png": ("dark", "accept")}


def test_two_people_do_not_overwrite_each_other(sorted_run: Path, tmp_path: Path) -> None:
    with Project.open(tmp_path / "p", "ben") as project:  # after the images were sorted
        project.set_label(project.add_image(tmp_path / "in" / "m.png"), "fog")
        project.set_label(project.add_image(tmp_path / "in" / "between.png"), "dark", decision="accept")
    move(sorted_run, "accept/middle/m.png", "accept/dark/m.png")
    move(sorted_run, "review/middle/between.png", "accept/dark/between.png")
    move(sorted_run, "accept/bright/b.png", "accept/dark/b.png")
    taken = ms.take_labels(sorted_run, tmp_path / "p", author="ann")
    assert len(taken.conflicts) == 1 and "ben" in taken.conflicts[0] and "m.png" in taken.conflicts[0]
    assert (taken.images, taken.same) == (1, 1)
    assert words(tmp_path / "p")["m.png"][0] == "fog"


def test_overwriting_a_run_never_loses_what_a_person_moved(sorted_run: Path, tmp_path: Path) -> None:
    move(sorted_run, "accept/middle/m.png", "accept/dark/m.png")
    with pytest.raises(RunExistsError, match="moved there by hand"):
        run_of(tmp_path / "in", sorted_run, {"sort": "copy"}, overwrite=True)
    ms.take_labels(sorted_run, tmp_path / "p")
    (sorted_run / "sorted" / "notes.txt").write_text("mine")
    run = run_of(tmp_path / "in", sorted_run, {"sort": "copy", "project": str(tmp_path / "p")}, overwrite=True)
    assert "accept/dark/m.png" in there(run.path) and "accept/middle/m.png" not in there(run.path)
    assert "notes.txt" in there(run.path)
    bare = run_of(tmp_path / "in", sorted_run, overwrite=True)
    assert there(bare.path) == {"notes.txt"}
    with pytest.raises(RunExistsError, match="no run has written it"):
        run_of(tmp_path / "in", sorted_run, {"sort": "copy"}, overwrite=True)


def test_one_name_from_several_folders_and_stacks(tmp_path: Path) -> None:
    flat(tmp_path / "in" / "one" / "x.png", 25)
    flat(tmp_path / "in" / "two" / "x.png", 24)
    stack = np.stack([np.full((20, 24), value, np.uint8) for value in (25, 26)])
    tifffile.imwrite(tmp_path / "in" / "one" / "same.tif", stack, photometric="minisblack")
    stack[1] = 230
    tifffile.imwrite(tmp_path / "in" / "one" / "mixed.tif", stack, photometric="minisblack")
    run = run_of(tmp_path / "in", tmp_path / "run", {"sort": "copy"})
    assert there(run.path) == {
        "accept/dark/one__x.png", "accept/dark/two__x.png", "accept/dark/same.tif", "review/dark/mixed.tif",
    }  # fmt: skip
    assert any("1 stacks hold images of several kinds" in line for line in run.warnings)
    move(run.path, "accept/dark/same.tif", "accept/bright/same.tif")
    assert ms.take_labels(run.path, tmp_path / "p").images == 1
    with Project.open(tmp_path / "p") as project:
        assert project.image_labels("person")[["frame", "label"]].to_numpy().tolist() == [[0, "bright"], [1, "bright"]]


def test_a_filled_in_list_of_images_to_label_is_taken(sorted_run: Path, tmp_path: Path) -> None:
    table = pd.read_csv(sorted_run / "next.csv", dtype=str, keep_default_na=False)
    table.loc[table["file"] == "between.png", "label"] = "dark"
    table.to_csv(sorted_run / "next.csv", index=False)
    taken = ms.take_labels(sorted_run / "next.csv", tmp_path / "p")
    assert taken.counts == {"dark": 1} and words(tmp_path / "p") == {"between.png": ("dark", "accept")}
    (tmp_path / "t.csv").write_text("file,label,decision,group\nin/d.png,dark,,s1\nin/m.png,,foreign,\nin/b.png,,,\n")
    assert ms.take_labels(tmp_path / "t.csv", tmp_path / "p").counts == {"dark": 1, "foreign": 1}
    (tmp_path / "t.csv").write_text("file,label\nin/nowhere.png,dark\n")
    with pytest.raises(InputError, match="line 2 .* no image 'in/nowhere.png'"):
        ms.take_labels(tmp_path / "t.csv", tmp_path / "p")
    (tmp_path / "t.csv").write_text("file,decision\nin/d.png,perhaps\n")
    with pytest.raises(InputError, match="perhaps"):
        ms.take_labels(tmp_path / "t.csv", tmp_path / "p")


def test_a_folder_per_category_begins_a_project(tmp_path: Path) -> None:
    for name, value in GREYS.items():
        flat(tmp_path / "first" / ("low" if value < 100 else "high") / name, value)
    (tmp_path / "first" / "groups.csv").write_text("file,group\nlow/d.png,s1\nhigh/m.png,s1\n")
    assert ms.take_labels(tmp_path / "first", tmp_path / "p").counts == {"low": 2, "high": 3}
    data = read_score_data(tmp_path / "p")
    assert data.classes == ("high", "low") and sorted(one.group for one in data.examples).count("s1") == 2


def test_good_rows_are_taken_and_the_others_named(sorted_run: Path, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("file,label,decision\nin/nowhere.png,dark,\nin/d.png,dark,\nin/m.png,,perhaps\n")
    taken = ms.take_labels(tmp_path / "t.csv", tmp_path / "p")
    assert taken.counts == {"dark": 1} and [line[:6] for line in taken.left_out] == ["line 2", "line 4"]
    shutil.copytree(tmp_path / "in", tmp_path / "one" / "fog")
    assert ms.take_labels(tmp_path / "one", tmp_path / "p2").counts == {"fog": 5}  # one category is no training yet


def test_names_of_folders_fit_file_systems() -> None:
    names = folder_names(["a/b", "a:b", "A_B", "films & coatings", "...", "CON"])
    assert len({name.lower() for name in names.values()}) == 6
    assert names["a/b"] == "a_b" and names["films & coatings"] == "films & coatings"
    assert all(name and not set(name) & set('<>:"/\\|?*') for name in names.values())


def test_the_command(sorted_run: Path, tmp_path: Path, capsys) -> None:
    move(sorted_run, "accept/middle/m.png", "accept/dark/m.png")
    main_of("labels", "take", sorted_run, "--project", tmp_path / "p", "--json")
    facts = json.loads(capsys.readouterr().out)
    assert facts["images"] == 1 and facts["counts"] == {"dark": 1}
    (sorted_run / "sorted" / "manifest.json").write_text("{}")
    code = main_of("labels", "take", sorted_run, "--project", tmp_path / "p")
    assert code == 3 and "manifest.json" in capsys.readouterr().err


def main_of(*arguments: object) -> int:
    try:
        main([str(a) for a in arguments])
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0

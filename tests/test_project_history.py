"""The history of a project: undo, redo, and any sequence of changes against plain dicts."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from morphoscope.errors import ProjectConflictError, UsageError
from morphoscope.project import STATES, Project
from morphoscope.project.events import replay
from morphoscope.project.places import sha256_of

BOX = {"kind": "box", "x0": 0.1, "y0": 2.0, "x1": 3.5, "y1": 4.0}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{k}.tif" for k in range(2)]
    for k, path in enumerate(paths):
        tifffile.imwrite(path, np.full((8, 9), k, np.uint8))
    return paths


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Project.open(tmp_path / "lab.db", "ann") as opened:
        yield opened


def state(project: Project) -> dict[tuple[str, ...], Any]:
    """Everything the project holds, by thing."""
    missing = {float("nan")}

    def clean(row: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in row.items() if isinstance(v, dict) or not (pd.isna(v) or v in missing)}

    images = project.images()[["sha256", "group", "sample"]].to_dict("records")
    objects = project.labels(state=STATES)[["sha256", "frame", "object_id", "label", "shape", "score", "state", "model"]]
    labels = pd.concat([project.image_labels("person"), project.image_labels("model")])
    labels = labels[["sha256", "frame", "source", "label", "probability", "decision", "model"]]
    return (
        {("image", r["sha256"]): clean(r) for r in images}
        | {("object", r["object_id"]): clean(r) for r in objects.to_dict("records")}
        | {("label", r["sha256"], r["source"]): clean(r) for r in labels.to_dict("records")}
    )


def test_undo_and_redo_walk_along_the_steps(project: Project, pictures: list[Path]) -> None:
    states = [state(project)]
    image = project.add_image(pictures[0], group="g")
    states.append(state(project))
    project.add_objects(image, [{"label": "a", "shape": BOX, "object_id": k} for k in "klm"], model="net")
    states.append(state(project))
    project.correct("k", label="b", shape=BOX | {"x0": 1.0})
    states.append(state(project))
    with project.batch():
        project.delete(["l", "m"])
        project.accept("m")
        project.set_label(image, "fibre", probability=0.5)
        project.set_label(image, "wire", decision="accept")
    states.append(state(project))
    for expected in states[-2::-1]:
        project.undo()
        assert state(project) == expected
    with pytest.raises(UsageError, match="0 steps by ann to undo"):
        project.undo()
    for expected in states[1:]:
        project.redo()
        assert state(project) == expected
    assert project.undo(4) == [5 - k for k in range(1, 5)] and state(project) == states[0]
    project.redo(4)
    assert state(project) == states[-1] and project.verify() == []


def test_an_undo_is_an_event_that_names_what_it_undoes(project: Project, pictures: list[Path]) -> None:
    image = project.add_image(pictures[0])
    project.add_objects(image, [{"label": "a", "shape": BOX, "object_id": "k"}], model="net")
    project.correct("k", label="b")
    project.undo()
    project.redo()
    table = project.history(object_id="k")
    assert table["kind"].tolist() == ["add", "correct", "undo", "redo"]
    add, correct, undo, redo = table.to_dict("records")
    assert undo["undoes"] == correct["id"] and redo["undoes"] == undo["id"]
    assert undo["before"] == correct["after"] and undo["after"] == correct["before"] == {"label": "a", "state": "proposed"}
    assert redo["after"] == {"label": "b", "state": "corrected"}
    project.undo(2)
    assert len(project.labels()) == 0 and len(project.history(object_id="k")) == 6
    assert project.history(object_id="k")["after"].tolist()[-1] is None


def test_a_new_change_ends_what_can_be_redone(project: Project, pictures: list[Path]) -> None:
    image = project.add_image(pictures[0])
    project.set_label(image, "a")
    project.set_label(image, "b")
    project.undo()
    project.set_label(image, "c")
    with pytest.raises(UsageError, match="to redo"):
        project.redo()
    project.undo(2)
    assert len(project.image_labels()) == 0
    assert project.history(image)["kind"].value_counts()["label"] == 3


def test_each_takes_back_their_own(project: Project, pictures: list[Path]) -> None:
    image = project.add_image(pictures[0])
    project.add_objects(image, [{"label": "a", "shape": BOX, "object_id": k} for k in "kl"], model="net")
    project.correct("k", label="b")
    with project.batch(author="bob"):
        project.correct("l", label="c")
    project.undo()
    assert project.labels()["label"].tolist() == ["a", "c"]
    project.undo(author="bob")
    assert project.labels()["label"].tolist() == ["a", "a"]
    project.redo()
    with project.batch(author="bob"):
        project.correct("k", label="d")
    with pytest.raises(ProjectConflictError, match=r"the object k .* was changed since, by bob at 20\d\d-.*\(correct\)"):
        project.undo()
    assert project.labels()["label"].tolist() == ["d", "a"]
    project.undo(anyone=True)
    project.undo()
    assert project.labels()["label"].tolist() == ["a", "a"]


def test_an_image_somebody_labelled_stays(project: Project, pictures: list[Path]) -> None:
    image = project.add_image(pictures[0])
    with project.batch(author="bob"):
        project.set_label(image, "a")
    with pytest.raises(ProjectConflictError, match="bob labelled it at 20"):
        project.undo()
    project.undo(author="bob")
    project.undo()
    with pytest.raises(ProjectConflictError, match="not in the project any more"):
        project.redo(author="bob")
    assert project.verify() == [] and len(project.images()) == 0
    assert len(project.history(image)) == 5


def test_an_image_added_again_after_its_undo(project: Project, pictures: list[Path]) -> None:
    first = project.add_image(pictures[0])
    project.undo()
    with pytest.raises(UsageError, match="holds no image"):
        project.labels(first)
    assert project.add_image(pictures[0], group="g") == first
    assert project.images()["file"].notna().all()
    project.undo()
    project.redo()
    assert project.images()["group"].tolist() == ["g"]


def test_where_files_lie_is_nothing_to_undo(project: Project, pictures: list[Path], tmp_path: Path) -> None:
    image = project.add_image(pictures[0])
    project.set_label(image, "a")
    (tmp_path / "copy.tif").write_bytes(pictures[0].read_bytes())
    project.add_image(tmp_path / "copy.tif")
    project.undo()
    assert len(project.image_labels()) == 0 and project.images()["file"].tolist() == ["copy.tif"]
    project.add_image(pictures[0])
    project.redo()
    assert len(project.image_labels()) == 1


def test_history_cannot_be_rewritten(project: Project, pictures: list[Path]) -> None:
    project.add_image(pictures[0])
    project.close()
    connection = sqlite3.connect(project.path)
    for table in ("events", "steps"):
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET time = ''"):
            with pytest.raises(sqlite3.IntegrityError, match="only ever added to"):
                connection.execute(statement)
    connection.close()


def test_verify_sees_a_change_that_no_event_tells(project: Project, pictures: list[Path]) -> None:
    image = project.add_image(pictures[0])
    project.add_objects(image, [{"label": "a", "shape": BOX, "object_id": "k"}])
    connection = sqlite3.connect(project.path)
    connection.execute("UPDATE objects SET label = 'forged'")
    connection.commit()
    assert project.verify() == ["the history of ('object', 'k') leads elsewhere than the present"]
    connection.execute("INSERT INTO events SELECT id + 1, step, time, model, kind, target, content, frame, name, before, after, "
                       "prior, undoes FROM events WHERE name = 'k'")  # fmt: skip
    connection.commit()
    connection.close()
    assert "does not join up" in project.verify()[0]


class Plain:
    """The same in dicts: each value has a token, a step is its list of (thing, before, after), each author has two stacks."""

    def __init__(self) -> None:
        self.now: dict[tuple[str, ...], tuple[int, dict[str, Any]]] = {}
        self.done: dict[str, list[list[tuple[Any, Any, Any]]]] = {"ann": [], "bob": []}
        self.undone: dict[str, list[list[tuple[Any, Any, Any]]]] = {"ann": [], "bob": []}
        self.tokens = count()

    def change(self, author: str, changes: list[tuple[tuple[str, ...], dict[str, Any]]]) -> None:
        step = []
        for thing, value in changes:
            after = (next(self.tokens), {k: v for k, v in value.items() if v is not None})
            step.append((thing, self.now.get(thing), after))
            self.now[thing] = after
        if step:
            self.done[author].append(step)
            self.undone[author].clear()

    def move(self, what: str, author: str) -> bool:
        source, target = (self.done, self.undone) if what == "undo" else (self.undone, self.done)
        if not source[author]:
            return False
        step, new = source[author][-1], dict(self.now)
        for thing, before, after in reversed(step) if what == "undo" else step:
            old, to = (after, before) if what == "undo" else (before, after)
            if new.get(thing) != old:
                return False
            new.pop(thing, None) if to is None else new.update({thing: to})
        images = {value["sha256"] for thing, (_, value) in new.items() if thing[0] == "image"}
        if any(value["sha256"] not in images for _, value in new.values()):
            return False
        self.now = new
        target[author].append(source[author].pop())
        return True


AUTHORS = st.sampled_from(["ann", "bob"])
IDS = st.sampled_from([f"o{k}" for k in range(3)])
WORDS = st.sampled_from(["a", "b"])
OPERATION = st.one_of(
    st.tuples(st.just("image"), st.integers(0, 1), st.none() | WORDS, st.none() | WORDS),
    st.tuples(st.just("objects"), st.integers(0, 1), st.sets(IDS, min_size=1, max_size=3), st.none() | WORDS),
    st.tuples(st.just("correct"), IDS, st.none() | WORDS, st.none() | st.floats(0, 5)),
    st.tuples(st.just("accept"), st.sets(IDS, min_size=1, max_size=3)),
    st.tuples(st.just("delete"), st.sets(IDS, min_size=1, max_size=3)),
    st.tuples(st.just("label"), st.integers(0, 1), st.none() | WORDS, st.none() | st.floats(0, 1), st.none() | WORDS),
)
FIRST = [("image", 0, None, None), ("image", 1, "a", "b"), ("objects", 0, {"o0", "o1"}, "a"), ("label", 0, "a", 0.5, None)]
STEP = st.one_of(
    st.tuples(st.just("change"), AUTHORS, st.lists(OPERATION, min_size=1, max_size=3)),
    st.tuples(st.sampled_from(["undo", "redo"]), AUTHORS, st.integers(1, 3)),
)


def planned(plain: Plain, images: list[str], operation: tuple[Any, ...], now: dict[Any, Any]) -> list[Any] | None:
    """The changes an operation makes, by dicts alone; None where it is refused."""
    kind, *given = operation
    if kind == "image":
        number, group, sample = given
        old = now.get(("image", images[number]), {"sha256": images[number]})
        new = old | {k: v for k, v in (("group", group), ("sample", sample)) if v is not None}
        return [] if new == old and ("image", images[number]) in now else [(("image", images[number]), new)]
    if kind == "objects":
        number, ids, model = given
        if ("image", images[number]) not in now or any(("object", i) in now for i in ids):
            return None
        fields = {"sha256": images[number], "frame": 0, "label": "a", "shape": BOX, "model": model}
        made = fields | {"state": "proposed" if model else "added"}
        return [(("object", i), made | {"object_id": i}) for i in sorted(ids)]
    if kind == "label":
        number, label, probability, model = given
        if ("image", images[number]) not in now or label is None:
            return None
        source = "model" if model else "person"
        value = {"sha256": images[number], "frame": 0, "source": source, "label": label, "model": model}
        return [(("label", images[number], source), value | {"probability": probability})]
    ids = [given[0]] if kind == "correct" else sorted(given[0])
    if any(("object", i) not in now for i in ids):
        return None
    if kind == "correct":
        _, label, x0 = given
        old = now[("object", ids[0])]
        if (label is None and x0 is None) or old["state"] == "rejected":
            return None
        new = old | ({"label": label} if label else {}) | ({} if x0 is None else {"shape": BOX | {"x1": 5 + x0}})
        return [] if new == old else [(("object", ids[0]), new | {"state": "added" if old["state"] == "added" else "corrected"})]
    ends = {"accept": {"proposed": "accepted", "rejected": "accepted"}, "delete": {s: "rejected" for s in STATES[:-1]}}[kind]
    return [(("object", i), now[("object", i)] | {"state": ends[s]}) for i in ids if (s := now[("object", i)]["state"]) in ends]


def carry_out(project: Project, pictures: list[Path], images: list[str], operation: tuple[Any, ...]) -> None:
    kind, *given = operation
    if kind == "image":
        project.add_image(pictures[given[0]], group=given[1], sample=given[2])
    elif kind == "objects":
        rows = [{"label": "a", "shape": BOX, "object_id": i} for i in sorted(given[1])]
        project.add_objects(images[given[0]], rows, model=given[2])
    elif kind == "correct":
        project.correct(given[0], label=given[1], shape=None if given[2] is None else BOX | {"x1": 5 + given[2]})
    elif kind == "label":
        project.set_label(images[given[0]], given[1], probability=given[2], model=given[3])
    else:
        getattr(project, kind)(sorted(given[0]))


def changed(project: Project, plain: Plain, pictures: list[Path], images: list[str], author: str, operations: list[Any]) -> None:
    """One batch on both sides: refused operations are caught inside it and leave no trace."""
    changes: list[Any] = []
    now = {thing: value for thing, (_, value) in plain.now.items()}
    with project.batch(author=author):
        for operation in operations:
            plan = planned(plain, images, operation, now)
            if plan is None:
                with pytest.raises(UsageError):
                    carry_out(project, pictures, images, operation)
            else:
                carry_out(project, pictures, images, operation)
                changes += plan
                now |= {thing: {k: v for k, v in value.items() if v is not None} for thing, value in plan}
    plain.change(author, changes)


def take_back_all(project: Project) -> None:
    """Newest first; where an image was added anew under objects that were redone, those first."""
    while True:
        try:
            project.undo(anyone=True)
        except ProjectConflictError:
            for author in project.summary()["authors"]:
                with suppress(UsageError):
                    project.undo(author=author)
        except UsageError as error:
            assert "0 steps by anybody" in str(error)
            return


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEP, max_size=14))
def test_any_sequence_of_changes(tmp_path_factory: pytest.TempPathFactory, pictures: list[Path], steps: list[Any]) -> None:
    path, plain = tmp_path_factory.mktemp("p") / "lab.db", Plain()
    with Project.open(path, "ann") as project:
        project._connection.execute("PRAGMA synchronous = OFF")
        images = [sha256_of(p) for p in pictures]
        for what, author, given in [("change", "ann", [operation]) for operation in FIRST] + steps:
            if what == "change":
                changed(project, plain, pictures, images, author, given)
                continue
            for _ in range(given):
                if plain.move(what, author):
                    getattr(project, what)(author=author)
                else:
                    with pytest.raises(UsageError):
                        getattr(project, what)(author=author)
        assert state(project) == {thing: value for thing, (_, value) in plain.now.items()}
        assert project.verify() == []
        events = project._connection.execute(
            "SELECT target, content, frame, name, before, after FROM events ORDER BY id"
        ).fetchall()
        replayed = replay(events)
        assert {k[1] for k in replayed if k[0] == "object"} == set(project.labels(state=STATES)["object_id"])
        length = len(project.history())
        take_back_all(project)
        assert len(project.history()) >= length
        assert state(project) == {} and project.verify() == []

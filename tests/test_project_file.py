"""The project as a file: versions, other files, write protection, kills, and several processes and threads at once."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import tifffile

from morphoscope.errors import InputError, UsageError
from morphoscope.project import Project
from morphoscope.project import connection as connecting
from morphoscope.project.migrations import APPLICATION_ID, MIGRATIONS, VERSION, migrate, version_of

BOX = {"kind": "box", "x0": 0.1, "y0": 2.0, "x1": 3.5, "y1": 4.0}
SHA256 = "ab" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lab.morphoscope"


@pytest.fixture
def image(path: Path, tmp_path: Path) -> str:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((20, 30), np.uint8))
    with Project.open(path, "ann") as project:
        return project.add_image(tmp_path / "a.tif")


@pytest.fixture
def first_version(path: Path) -> Path:
    """A file as version 1 left it, by SQL: an image of two frames, two objects, a label, a path."""
    box = '{"kind": "box", "x0": 0.1, "y0": 2.0, "x1": 3.5, "y1": 4.0}'
    size = '{"size_bytes": 100, "width": 30, "height": 20, "n_frames": 2, "pixel_nm_y": 0.5, "pixel_nm_x": 0.25}'
    fields = '"score": 0.5, "track_id": null, "state": "proposed", "model": 1}'
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("BEGIN")
        migrate(connection, 1)
        connection.execute("INSERT INTO contents VALUES (1, ?)", (SHA256,))
        connection.execute("INSERT INTO models VALUES (1, 'net', NULL)")
        connection.execute("INSERT INTO steps VALUES (1, '2024-01-01T00:00:00.000001+00:00', 'old', 'change', NULL)")
        connection.executemany(
            "INSERT INTO events VALUES (?, 1, '2024-01-01T00:00:00.000001+00:00', ?, ?, ?, 1, ?, ?, NULL, ?, 0, NULL)",
            [
                (1, None, "image", "image", None, None, size),
                (2, None, "path", "path", None, "a.tif", '{"content": 1}'),
                (3, 1, "add", "object", 0, "k", f'{{"label": "a", "shape": {box}, {fields}'),
                (4, 1, "add", "object", 1, "l", f'{{"label": "b", "shape": {box}, {fields}'),
                (
                    5,
                    None,
                    "label",
                    "label",
                    0,
                    "person",
                    '{"label": "fibre", "probability": null, "decision": null, "model": null}',
                ),
            ],
        )
        connection.execute("INSERT INTO images VALUES (1, 100, 30, 20, 2, 0.5, 0.25, NULL, 1)")
        connection.execute("INSERT INTO paths VALUES ('a.tif', 1, 2)")
        for added, name, frame, label in ((3, "k", 0, "a"), (4, "l", 1, "b")):
            row = (added, name, frame, label, box, added)
            connection.execute("INSERT INTO objects VALUES (?, ?, 1, ?, ?, ?, 0.5, NULL, 'proposed', 1, ?)", row)
        connection.execute("INSERT INTO image_labels VALUES (1, 0, 'person', 'fibre', NULL, NULL, NULL, 5)")
    return path


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return version_of(connection)


def tables(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT type, name FROM sqlite_schema ORDER BY name").fetchall()


def test_an_older_file_is_migrated_after_a_backup(first_version: Path, tmp_path: Path) -> None:
    old = first_version.read_bytes()
    with Project.open(first_version, "ann") as project:
        assert project.verify() == []
        assert project.labels()[["object_id", "frame", "label", "author"]].values.tolist() == [
            ["k", 0, "a", "old"],
            ["l", 1, "b", "old"],
        ]
        assert project.labels()["shape"].tolist() == [BOX, BOX] and project.image_labels()["label"].tolist() == ["fibre"]
        project.set_image(SHA256, group="g")
        project.correct("k", label="c")
        assert project.images()["group"].tolist() == ["g"] and project.verify() == []
        project.undo(2)
        project.undo(author="old")
        assert len(project.images()) == 0
        project.redo(author="old")
        assert project.verify() == [] and len(project.labels()) == 2
    assert version(first_version) == VERSION == len(MIGRATIONS)
    backup = tmp_path / "lab.morphoscope.v1.backup"
    assert version(backup) == 1 and sorted(p.name for p in tmp_path.iterdir()) == ["lab.morphoscope", backup.name]
    with closing(sqlite3.connect(first_version.with_name("again"))) as again:
        again.deserialize(old)
        assert again.execute("SELECT count(*) FROM events").fetchone() == (5,)
    with closing(sqlite3.connect(backup)) as copy:
        assert copy.execute("SELECT count(*) FROM events").fetchone() == (5,)


def test_a_migrated_file_has_the_tables_of_a_new_one(first_version: Path, tmp_path: Path) -> None:
    Project.open(first_version, "ann").close()
    Project.open(tmp_path / "new.db", "ann").close()
    assert tables(first_version) == tables(tmp_path / "new.db")


def test_a_second_backup_keeps_the_first(first_version: Path, tmp_path: Path) -> None:
    (tmp_path / "lab.morphoscope.v1.backup").write_text("kept")
    Project.open(first_version, "ann").close()
    assert (tmp_path / "lab.morphoscope.v1.backup").read_text() == "kept"
    assert version(tmp_path / "lab.morphoscope.v1.2.backup") == 1


def test_a_migration_that_fails_leaves_the_file_as_it_was(first_version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        MIGRATIONS[1](connection)
        raise sqlite3.OperationalError("disk I/O error")

    before = first_version.read_bytes()
    monkeypatch.setattr("morphoscope.project.migrations.MIGRATIONS", (MIGRATIONS[0], broken))
    with pytest.raises(InputError, match="disk I/O error"):
        Project.open(first_version, "ann")
    assert first_version.read_bytes() == before


def test_an_older_file_that_cannot_be_written_is_read_all_the_same(first_version: Path) -> None:
    before = first_version.read_bytes()
    with Project.open(first_version, "ann", readonly=True) as project:
        assert project.labels()["label"].tolist() == ["a", "b"] and project.images()["group"].isna().all()
        with pytest.raises(UsageError, match="reading only"):
            project.correct("k", label="c")
    assert first_version.read_bytes() == before and len(list(first_version.parent.iterdir())) == 1


def test_a_newer_version_is_refused(path: Path, image: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()
    for readonly in (False, True):
        with pytest.raises(InputError, match=f"version {VERSION + 1}.*up to {VERSION}.*update morphoscope"):
            Project.open(path, "ann", readonly=readonly)
    assert path.read_bytes() == before


def _text(path: Path) -> None:
    path.write_text("file,label\n" * 100)


def _short(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\x00")


def _other(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 7")
        connection.execute("CREATE TABLE images (id)")


def _nameless(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE images (id)")


@pytest.mark.parametrize("make", [_text, _short, _other, _nameless])
@pytest.mark.parametrize("readonly", [False, True])
def test_other_files_are_left_alone(path: Path, make: object, readonly: bool) -> None:
    make(path)
    before, times = path.read_bytes(), os.stat(path).st_mtime_ns
    with pytest.raises(InputError, match="left as it is"):
        Project.open(path, "ann", readonly=readonly)
    assert path.read_bytes() == before and os.stat(path).st_mtime_ns == times
    assert list(path.parent.iterdir()) == [path]


def test_missing_files_and_folders(tmp_path: Path, path: Path) -> None:
    for options in ({"create": False}, {"readonly": True}):
        with pytest.raises(InputError, match="there is no project"):
            Project.open(path, "ann", **options)
    with pytest.raises(InputError, match="there is no folder"):
        Project.open(tmp_path / "no" / "lab.db", "ann")
    with pytest.raises(InputError, match="is no file"):
        Project.open(tmp_path, "ann")
    assert list(tmp_path.iterdir()) == []
    path.touch()
    with Project.open(path, "ann", create=False) as project:
        assert project.summary()["images"] == 0
    assert path.read_bytes()[68:72] == APPLICATION_ID.to_bytes(4, "big")


@pytest.mark.parametrize("name", ["a#b?c=1 100% ü.db", "no suffix", "x.tar.gz"])
def test_any_name_will_do(tmp_path: Path, name: str) -> None:
    Project.open(tmp_path / name, "ann").close()
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_damaged_file_is_said(path: Path, image: str) -> None:
    with Project.open(path, "ann") as project:
        project.add_objects(image, [{"label": "a", "shape": BOX}] * 500)
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged"), Project.open(path, "ann") as project:
        project.labels()


@pytest.mark.parametrize("what", ["file", "folder"])
def test_write_protection_is_said_at_the_first_write(path: Path, image: str, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    protected = path if what == "file" else path.parent
    monkeypatch.setattr(connecting.os, "access", lambda p, mode: Path(p) != protected)
    with Project.open(path, "ann") as project:
        assert len(project.images()) == 1
        with pytest.raises(UsageError, match=rf"reading only: the {what}.* is write-protected; nothing was written"):
            project.set_label(image, "a")
        with pytest.raises(UsageError, match="reading only"), project.batch():
            pass


def test_a_closed_project_says_so(path: Path) -> None:
    project = Project.open(path, "ann")
    project.close()
    project.close()
    with pytest.raises(UsageError, match="is closed"):
        project.labels()
    with pytest.raises(UsageError, match="is closed"):
        project.add_objects(SHA256, [])


CHILD = """
import sys
from morphoscope.project import Project
path, image, task = sys.argv[1:]
box = {"kind": "box", "x0": 0.1, "y0": 2.0, "x1": 3.5, "y1": 4.0}
project = Project.open(path, task)
if task == "die":
    with project.batch():
        project.add_objects(image, [{"label": "a" * 50, "shape": box}] * 30_000)
        project.set_label(image, "gone")
        print("ready", flush=True)
        sys.stdin.read()
else:
    print("ready", flush=True)
    sys.stdin.readline()
    for k in range(500):
        project.add_objects(image, [{"label": "a", "shape": box, "object_id": f"{task}{k}"}])
"""


@pytest.fixture
def start(path: Path, image: str) -> Iterator[object]:
    started = []

    def one(task: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "error", "-c", CHILD, str(path), image, task]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, text=True, **pipes))
        return started[-1]

    yield one
    for process in started:
        process.kill()
        process.communicate()


def test_a_kill_in_the_middle_leaves_the_file_as_before(path: Path, image: str, start: object) -> None:
    with Project.open(path, "ann") as project:
        project.add_objects(image, [{"label": "a", "shape": BOX, "object_id": "k"}])
        before = project.history()
    child = start("die")
    assert child.stdout.readline() == "ready\n"
    assert path.with_name(path.name + "-journal").stat().st_size > 0
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    with Project.open(path, "ann") as project:
        assert project.history().equals(before) and project.verify() == []
        assert len(project.image_labels()) == 0 and project.labels()["object_id"].tolist() == ["k"]


def test_a_kill_leaves_a_copy_that_can_be_read_after_its_journal(path: Path, image: str, start: object, tmp_path: Path) -> None:
    child = start("die")
    child.stdout.readline()
    copies = tmp_path / "copies"
    copies.mkdir()
    for suffix in ("", "-journal"):
        shutil.copy(str(path) + suffix, copies)
    with Project.open(copies / path.name, "ann") as project:
        assert len(project.labels()) == 0 and project.verify() == []


def test_two_processes_lose_nothing(path: Path, image: str, start: object) -> None:
    children = [start("ann"), start("bob")]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    for child in children:
        _, errors = child.communicate(timeout=120)
        assert child.returncode == 0 and errors == ""
    with Project.open(path, "ann") as project:
        assert set(project.labels()["object_id"]) == {f"{task}{k}" for task in ("ann", "bob") for k in range(500)}
        assert project.summary()["authors"] == {"ann": 501, "bob": 500} and project.verify() == []
        assert project.undo(500)[-1] > 1 and set(project.labels()["author"]) == {"bob"}


@pytest.mark.parametrize("shared", [False, True], ids=["a connection each", "one for all"])
def test_threads_lose_nothing(path: Path, image: str, shared: bool) -> None:
    errors: list[BaseException] = []
    common = Project.open(path, "ann")

    def work(number: int) -> None:
        try:
            project = common if shared else Project.open(path, f"user {number}")
            for k in range(40):
                with project.batch(author=f"user {number}"):
                    project.add_objects(image, [{"label": "a", "shape": BOX, "object_id": f"{number}-{k}"}])
                    project.correct(f"{number}-{k}", label=f"by {number}")
                project.labels(image)
            if not shared:
                project.close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and len(common.labels()) == 120 and common.verify() == []
    assert common.summary()["authors"] == {"ann": 1} | {f"user {k}": 40 for k in range(3)}
    table = common.labels()
    assert (table["label"] == "by " + table["object_id"].str[0]).all()
    common.close()


@pytest.mark.parametrize("old", [False, True], ids=["new file", "old file"])
def test_many_open_at_the_same_moment(request: pytest.FixtureRequest, path: Path, old: bool) -> None:
    if old:
        request.getfixturevalue("first_version")
    errors: list[BaseException] = []
    ready = threading.Barrier(6)

    def work() -> None:
        ready.wait()
        try:
            Project.open(path, "ann").close()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == [] and version(path) == VERSION
    assert len(list(path.parent.iterdir())) == 1 + old


def test_opening_in_one_thread_keeps_the_lock_of_another(path: Path, image: str) -> None:
    """POSIX drops a process's locks on a file when any handle of it is closed; no opening may do that."""
    probe = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
    with Project.open(path, "ann") as project, project.batch():
        project.set_label(image, "a")
        Project.open(path, "bob").close()
        result = subprocess.run([sys.executable, "-c", probe, str(path)], capture_output=True, text=True, check=False)
        assert "database is locked" in result.stderr


def test_a_lock_that_lasts_is_said(path: Path, image: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "BUSY_S", 0.05)
    with Project.open(path, "ann") as project, Project.open(path, "bob") as other, project.batch():
        project.set_label(image, "a")
        with pytest.raises(UsageError, match="another program has kept the project .* locked"):
            other.set_label(image, "b")
        assert len(other.image_labels()) == 0


def test_many_objects_take_seconds(path: Path, image: str) -> None:
    shapes = [{"kind": "box", "x0": k / 7, "y0": 2.0, "x1": k + 3.5, "y1": 4.0} for k in range(5_000)]
    with Project.open(path, "ann") as project:
        ids = project.add_objects(image, [{"label": "a", "shape": shape, "score": 0.5} for shape in shapes], model="net")
        assert project.labels()["shape"].tolist() == shapes
        project.accept(ids)
        project.undo(2)
        assert len(project.labels()) == 0

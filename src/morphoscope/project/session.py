"""One open project file: its author, its lock, its transactions and the look-ups every change needs."""

from __future__ import annotations

import getpass
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from morphoscope.errors import ProjectConflictError, UsageError
from morphoscope.project import events, places, rows
from morphoscope.project.connection import connect, reported
from morphoscope.project.events import TARGETS, Change, Row
from morphoscope.project.rows import Model


class Session:
    """Transactions on a project file. Threads may share one: each waits while another is in a call or a batch."""

    def __init__(self, path: str | Path, author: str | None = None, *, create: bool = True, readonly: bool = False) -> None:
        self.path = Path(os.path.abspath(path))
        self.author = login_name() if author is None else rows.text(author, "the author")
        self._lock = threading.RLock()
        self._connection, self._readonly = connect(self.path, create=create, readonly=readonly)
        self._step: int | None = None
        self._model: Model | None = None

    @property
    def readonly(self) -> str:
        """Why nothing can be written; '' where it can."""
        return self._readonly

    def close(self) -> None:
        """Free the file; a second call does nothing."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def batch(self, *, author: str | None = None, model: Model | None = None) -> Iterator[Self]:
        """Everything changed inside is kept together or not at all, and is one step to undo.

        Other writers wait meanwhile, so do slow work (reading, inference) before it. A batch inside a batch is part of the
        outer one and of its author; where it fails and the failure is caught, only its own changes are taken back.

        Args:
            author: who; None: the author of the project.
            model: the model behind what is added or set inside without naming one.
        """
        rows.model(model)
        with self._changing(author):
            before, self._model = self._model, self._model if model is None else model
            try:
                yield self
            finally:
                self._model = before

    @contextmanager
    def _changing(self, author: str | None = None) -> Iterator[int]:
        """The step to write into: in a transaction of its own, or that of the open batch."""
        with self._lock:
            if self._step is not None:
                with reported(self.path), self._part():
                    yield self._step
                return
            with self._transaction():
                try:
                    self._step = events.new_step(self._connection, author or self.author, "change")
                    yield self._step
                finally:
                    self._step = None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing, while other writers wait; one that wrote no event leaves no trace."""
        with self._lock, reported(self.path):
            if self._readonly:
                raise UsageError(f"the project {self.path} is open for reading only: {self._readonly}; nothing was written")
            self._connection.execute("BEGIN IMMEDIATE")
            last = "SELECT max(id) FROM events"
            try:
                before = self._connection.execute(last).fetchone()
                yield
                changed = self._connection.execute(last).fetchone() != before
                self._connection.execute("COMMIT" if changed else "ROLLBACK")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    @contextmanager
    def _part(self) -> Iterator[None]:
        self._connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK TO part")
                self._connection.execute("RELEASE part")
            raise
        self._connection.execute("RELEASE part")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, reported(self.path):
            yield self._connection

    @contextmanager
    def _steady(self) -> Iterator[None]:
        """Several questions to one state of the file."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def _new_content(self, sha256: str) -> int:
        """The number of an image by its sha256, a new one where it has none."""
        self._connection.execute("INSERT OR IGNORE INTO contents (sha256) VALUES (?)", (sha256,))
        return int(self._connection.execute("SELECT id FROM contents WHERE sha256 = ?", (sha256,)).fetchone()[0])

    def _content(self, image: str | Path, *, gone: bool = False) -> int:
        """The number of an image given by sha256 or by a path it is known under; `gone`: also of one whose adding was undone."""
        if isinstance(image, str) and rows.SHA256.fullmatch(image):
            column, value, join = "c.sha256", image, ""
        else:
            value, join = places.stored_path(image, self.path.parent), "JOIN paths p ON p.content = c.id"
            column = "p.path"
        found = self._connection.execute(
            f"SELECT c.id FROM contents c {join} {'LEFT' if gone else ''} JOIN images i ON i.content = c.id WHERE {column} = ?",
            (value,),
        ).fetchone()
        if found is None:
            raise UsageError(f"the project {self.path} holds no image {image}; add it with add_image first")
        return int(found[0])

    def _row(self, target: str, key: tuple[Any, ...]) -> tuple[Row, int] | None:
        """The fields and the version of a thing by its key; None where it is not there."""
        table, columns, fields, _ = TARGETS[target]
        where = " AND ".join(f"{column} = ?" for column in columns.values())
        sql = f"SELECT {', '.join(fields)}, version FROM {table} WHERE {where}"
        found = self._connection.execute(sql, key).fetchone()
        if found is None:
            return None
        row = dict(zip(fields, found, strict=False))
        if target == "object":
            row["shape"] = json.loads(row["shape"])
        return row, int(found[-1])

    def _object(self, object_id: str, seen: int | None) -> tuple[int, int, Row, int]:
        """(content, frame, fields, version) of an object, where its version is the one seen."""
        place = self._connection.execute("SELECT content, frame FROM objects WHERE object_id = ?", (object_id,)).fetchone()
        found = self._row("object", (object_id,))
        if place is None or found is None:
            raise UsageError(f"the project {self.path} holds no object {object_id!r}")
        self._unchanged(seen, found[1], "object", *place, object_id)
        return (*place, *found)

    def _known(self, ids: list[str], content: int) -> set[str]:
        """Which of the ids the project has; they must be of this image."""
        found = self._connection.execute(
            "SELECT object_id, content FROM objects WHERE object_id IN (SELECT value FROM json_each(?))", (json.dumps(ids),)
        ).fetchall()
        if others := [object_id for object_id, its in found if its != content]:
            raise UsageError(f"{len(others)} of these objects belong to another image of the project, such as {min(others)!r}")
        return {object_id for object_id, _ in found}

    def _frame(self, content: int, frame: int | None) -> int:
        """The frame number, where the image has it."""
        (n_frames,) = self._connection.execute("SELECT n_frames FROM images WHERE content = ?", (content,)).fetchone()
        number = rows.whole(frame, "frame")
        if number is None or number >= n_frames:
            raise UsageError(f"the image has the frames 0 to {n_frames - 1}, got {frame!r}")
        return number

    def _model_id(self, model: Model | None) -> int | None:
        """The number of a model (of the batch's where None is given)."""
        named = rows.model(self._model if model is None else model)
        if named is None:
            return None
        found = self._connection.execute("SELECT id FROM models WHERE name = ? AND sha256 IS ?", named).fetchone()
        if found is None:
            return self._connection.execute("INSERT INTO models (name, sha256) VALUES (?, ?)", named).lastrowid
        return int(found[0])

    def _write_path(self, step: int, content: int, path: Path) -> None:
        """Note where an image lies now."""
        stored = places.stored_path(path, self.path.parent)
        found = self._row("path", (stored,))
        latest = self._connection.execute("SELECT max(version) FROM paths WHERE content = ?", (content,)).fetchone()[0]
        if found and found[0]["content"] == content and found[1] == latest:
            return
        before, prior = found or (None, 0)
        change = Change("path", "path", content, None, stored, before, {"content": content}, prior)
        events.write(self._connection, step, [change])

    def _unchanged(self, seen: int | None, found: int, *thing: Any) -> None:
        """Refuse where a thing (target, content, frame, name) has another version than the one the caller saw."""
        if seen is not None and seen != found:
            who = events.who_changed(self._connection, *thing)
            words = f"{TARGETS[thing[0]].words} {thing[3] or ''}".rstrip()
            raise ProjectConflictError(
                f"{words} was changed since it was read (version {seen}, now {found}), by {who}; read it again and decide"
            )


def login_name() -> str:
    """The name this person is logged in under, or `user N` where the system has no name for them."""
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError):
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "user"

"""Changes as event rows: written, applied to the tables of the present, reversed.

An event takes one thing (an image, an object, the label of an image, a path) from `before` to `after`: the fields that
differ, or null where the thing is not there. Each thing carries as `version` the id of the event its present value
comes from. An undo brings back the version from before with the value, so a version always stands for one value.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Literal, NamedTuple

import numpy as np

from morphoscope.errors import InputError, ProjectConflictError, UsageError

Row = dict[str, Any]
What = Literal["change", "undo", "redo"]


class Target(NamedTuple):
    """A table of the present: what identifies a row (as columns of `events` and of the table) and the fields of a row."""

    table: str
    key: dict[str, str]
    fields: tuple[str, ...]
    words: str


TARGETS = {
    "image": Target(
        "images",
        {"content": "content"},
        ("size_bytes", "width", "height", "n_frames", "pixel_nm_y", "pixel_nm_x", "pixel_source", "group_name", "sample_name"),
        "the image",
    ),
    "object": Target(
        "objects",
        {"name": "object_id"},
        ("label", "shape", "score", "track_id", "state", "model"),
        "the object",
    ),
    "label": Target(
        "image_labels",
        {"content": "content", "frame": "frame", "name": "source"},
        ("label", "probability", "decision", "model"),
        "the image label by",
    ),
    "path": Target("paths", {"name": "path"}, ("content",), "the path"),
}


_CHANGES = (
    "SELECT id FROM steps s WHERE what = 'change' AND (? IS NULL OR author = ?) "
    "AND EXISTS (SELECT 1 FROM events e WHERE e.step = s.id AND e.target <> 'path')"
)


@dataclass(frozen=True, slots=True)
class Change:
    """One event to be written. `prior`: the version the thing has now, 0 for none; `version`: the one it gets (None: new)."""

    kind: str
    target: str
    content: int
    frame: int | None
    name: str | None
    before: Row | None
    after: Row | None
    prior: int
    model: int | None = None
    undoes: int | None = None
    version: int | None = None


def now() -> str:
    """UTC as ISO 8601 with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def to_json(value: Any) -> str:
    """JSON whose numbers read back as the same floats; numpy values become plain ones.

    Raises:
        UsageError: the value holds nan, infinity or something JSON has no words for.
    """
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise UsageError(f"a shape must hold plain finite values under text keys, got {value!r:.200}: {error}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no plain value")


def new_step(connection: sqlite3.Connection, author: str, what: What, undoes: int | None = None) -> int:
    """A new step, which is what one undo takes back; its id."""
    step = connection.execute("INSERT INTO steps (time, author, what, undoes) VALUES (?, ?, ?, ?)", (now(), author, what, undoes))
    return int(step.lastrowid or 0)


def write(connection: sqlite3.Connection, step: int, changes: Sequence[Change]) -> range:
    """Append the changes as events and apply them to the tables of the present; the ids of the events."""
    first = int(connection.execute("SELECT ifnull(max(id), 0) + 1 FROM events").fetchone()[0])
    time, ids = now(), range(first, first + len(changes))
    connection.executemany(
        "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                *(id_, step, time, c.model, c.kind, c.target, c.content, c.frame, c.name),
                *(None if row is None else to_json(row) for row in (c.before, c.after)),
                *(c.prior, c.undoes),
            )
            for id_, c in zip(ids, changes, strict=True)
        ),
    )
    statements = (_statement(c, id_ if c.version is None else c.version) for id_, c in zip(ids, changes, strict=True))
    for sql, group in groupby(statements, key=lambda pair: pair[0]):
        connection.executemany(sql, (values for _, values in group))
    return ids


def _statement(change: Change, version: int) -> tuple[str, tuple[Any, ...]]:
    """The SQL that takes the table of the present from before to after, and its values."""
    target = TARGETS[change.target]
    key = {column: getattr(change, of_event) for of_event, column in target.key.items()}
    where = " AND ".join(f"{column} = ?" for column in key)
    if change.after is None:
        return f"DELETE FROM {target.table} WHERE {where}", tuple(key.values())
    if unknown := set(change.after) - set(target.fields):
        raise InputError(f"the history of this project holds the unknown fields {', '.join(sorted(unknown))}; is it damaged?")
    row = {n: to_json(v) if n == "shape" else v for n, v in change.after.items()} | {"version": version}
    if change.before is not None:
        pairs = ", ".join(f"{column} = ?" for column in row)
        return f"UPDATE {target.table} SET {pairs} WHERE {where}", (*row.values(), *key.values())
    if change.target == "object":
        row |= {"added": version, "content": change.content, "frame": change.frame}
    row = key | row
    return f"INSERT INTO {target.table} ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())


def last_to_undo(connection: sqlite3.Connection, author: str | None) -> int | None:
    """The newest step of the author (None: of anybody) that is not undone. Where a file lies is nothing to undo."""
    return _scalar(
        connection,
        f"{_CHANGES} AND NOT EXISTS (SELECT 1 FROM steps u WHERE u.undoes = s.id AND NOT EXISTS (SELECT 1 FROM steps r "
        "WHERE r.undoes = u.id)) ORDER BY id DESC LIMIT 1",
        (author, author),
    )


def last_to_redo(connection: sqlite3.Connection, author: str | None) -> int | None:
    """The newest undo of the author (None: of anybody) that is not redone and that no new change of theirs has followed."""
    changed = _scalar(connection, f"{_CHANGES} ORDER BY id DESC LIMIT 1", (author, author)) or 0
    return _scalar(
        connection,
        "SELECT id FROM steps s WHERE what = 'undo' AND (? IS NULL OR author = ?) AND id > ? AND NOT EXISTS (SELECT 1 FROM "
        "steps r WHERE r.undoes = s.id) ORDER BY id DESC LIMIT 1",
        (author, author, changed),
    )


def reverse(connection: sqlite3.Connection, step: int, undone: int, what: Literal["undo", "redo"]) -> None:
    """Write into `step` the reverse of the step `undone`: of a change (what: undo) or of an undo (what: redo).

    Raises:
        ProjectConflictError: something in it was changed since.
    """
    order = "DESC" if what == "undo" else "ASC"
    rows = connection.execute(
        "SELECT id, content, frame, name, before, after, prior, target, undoes FROM events "
        f"WHERE step = ? AND target <> 'path' ORDER BY ifnull(undoes, id) {order}",
        (undone,),
    ).fetchall()
    seen: dict[tuple[Any, ...], int] = {}
    changes = []
    for id_, content, frame, name, before, after, prior, target, undoes in rows:
        thing = (target, content, frame, name)
        found = seen[thing] if thing in seen else version_of(connection, *thing)
        # an undo event's own `prior` is the version it took away, its undone event's `prior` the one it brought back
        expected, result = (id_, prior) if what == "undo" else (_prior(connection, undoes), prior)
        if found != expected:
            raise _conflict(connection, what, thing, found)
        seen[thing] = result
        now_there, then_there = (None if text is None else json.loads(text) for text in (after, before))
        changes.append(Change(what, target, content, frame, name, now_there, then_there, found, None, id_, result))
    try:
        write(connection, step, changes)
    except sqlite3.IntegrityError as error:
        raise _in_use(connection, what, [c.content for c in changes if c.target == "image"]) from error


def version_of(connection: sqlite3.Connection, target: str, content: int, frame: int | None, name: str | None) -> int:
    """The version a thing has now; 0 where it is not there."""
    table, columns = TARGETS[target].table, TARGETS[target].key
    given = {"content": content, "frame": frame, "name": name}
    where = " AND ".join(f"{column} = ?" for column in columns.values())
    return _scalar(connection, f"SELECT version FROM {table} WHERE {where}", tuple(given[k] for k in columns)) or 0


def who_changed(connection: sqlite3.Connection, target: str, content: int, frame: int | None, name: str | None) -> str:
    """Who touched a thing last, when and how, in words."""
    row = connection.execute(
        "SELECT s.author, e.time, e.kind FROM events e JOIN steps s ON s.id = e.step WHERE e.target = ? AND e.content = ? "
        "AND e.frame IS ? AND e.name IS ? ORDER BY e.id DESC LIMIT 1",
        (target, content, frame, name),
    ).fetchone()
    return "nobody" if row is None else f"{row[0]} at {row[1]} ({row[2]})"


def _conflict(connection: sqlite3.Connection, what: str, thing: tuple[Any, ...], found: int) -> ProjectConflictError:
    target, content, frame, name = thing
    sha256 = connection.execute("SELECT sha256 FROM contents WHERE id = ?", (content,)).fetchone()[0]
    who = who_changed(connection, target, content, frame, name)
    state = "is not there any more" if found == 0 else "was changed since"
    words = f"{TARGETS[target].words}{f' {name}' if name else ''} (image {sha256[:12]})"
    return ProjectConflictError(f"cannot {what}: {words} {state}, by {who}; nothing was changed")


def _in_use(connection: sqlite3.Connection, what: str, contents: Iterable[int]) -> ProjectConflictError:
    for content in contents:
        row = connection.execute(
            "SELECT s.author, e.time FROM events e JOIN steps s ON s.id = e.step WHERE e.content = ? "
            "AND e.target IN ('object', 'label') ORDER BY e.id DESC LIMIT 1",
            (content,),
        ).fetchone()
        if row:
            return ProjectConflictError(f"cannot {what} the image: {row[0]} labelled it at {row[1]}; nothing was changed")
    return ProjectConflictError(f"cannot {what}: the image of a label is not in the project any more; nothing was changed")


def _prior(connection: sqlite3.Connection, event: int) -> int:
    return _scalar(connection, "SELECT prior FROM events WHERE id = ?", (event,)) or 0


def _scalar(connection: sqlite3.Connection, sql: str, values: tuple[Any, ...]) -> int | None:
    row = connection.execute(sql, values).fetchone()
    return None if row is None else int(row[0])


def replay(events: Iterable[tuple[Any, ...]]) -> dict[tuple[Any, ...], Row]:
    """The present state by (target, key...) from rows (target, content, frame, name, before, after) in order.

    Raises:
        InputError: an event does not follow from the ones before it.
    """
    state: dict[tuple[Any, ...], Row] = {}
    for target, content, frame, name, before, after in events:
        given = {"content": content, "frame": frame, "name": name}
        key = (target, *(given[k] for k in TARGETS[target].key))
        old, new = (None if text is None else json.loads(text) for text in (before, after))
        if (old is None) != (key not in state) or any(state[key].get(n) != v for n, v in (old or {}).items()):
            raise InputError(f"the history of {key} does not join up; the project file was changed by other means")
        if new is None:
            del state[key]
        else:
            state[key] = state.get(key, {}) | new
    return state


def present(connection: sqlite3.Connection) -> Iterator[tuple[tuple[Any, ...], Row]]:
    """The same from the tables of the present."""
    for name, target in TARGETS.items():
        columns = (*target.key.values(), *target.fields)
        for row in connection.execute(f"SELECT {', '.join(columns)} FROM {target.table}"):
            values = dict(zip(target.fields, row[len(target.key) :], strict=True))
            if name == "object":
                values["shape"] = json.loads(values["shape"])
            yield (name, *row[: len(target.key)]), values

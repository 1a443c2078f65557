"""The tables of a project file by version number, and the way from each version to the next.

`PRAGMA user_version` holds the version. `MIGRATIONS[k]` leads from version k to k + 1; a new file runs them all, so
that old and new files end with the same tables. A migration that was once released is never edited.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

APPLICATION_ID = 0x4D53_5052  # "MSPR", at byte 68 of the file

_FIRST = """
CREATE TABLE contents (id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE CHECK (length(sha256) = 64));
CREATE TABLE models (id INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT);
CREATE TABLE steps (
    id INTEGER PRIMARY KEY, time TEXT NOT NULL, author TEXT NOT NULL,
    what TEXT NOT NULL CHECK (what IN ('change', 'undo', 'redo')), undoes INTEGER REFERENCES steps (id)
);
CREATE TABLE events (
    id INTEGER PRIMARY KEY, step INTEGER NOT NULL REFERENCES steps (id), time TEXT NOT NULL,
    model INTEGER REFERENCES models (id), kind TEXT NOT NULL,
    target TEXT NOT NULL CHECK (target IN ('image', 'object', 'label', 'path')),
    content INTEGER NOT NULL REFERENCES contents (id), frame INTEGER, name TEXT,
    before TEXT, after TEXT, prior INTEGER NOT NULL, undoes INTEGER REFERENCES events (id)
);
CREATE TABLE images (
    content INTEGER PRIMARY KEY REFERENCES contents (id), size_bytes INTEGER NOT NULL,
    width INTEGER NOT NULL, height INTEGER NOT NULL, n_frames INTEGER NOT NULL,
    pixel_nm_y REAL, pixel_nm_x REAL, pixel_source TEXT, version INTEGER NOT NULL
);
CREATE TABLE objects (
    added INTEGER PRIMARY KEY, object_id TEXT NOT NULL UNIQUE,
    content INTEGER NOT NULL REFERENCES images (content), frame INTEGER NOT NULL,
    label TEXT NOT NULL, shape TEXT NOT NULL, score REAL, track_id INTEGER,
    state TEXT NOT NULL CHECK (state IN ('proposed', 'accepted', 'corrected', 'rejected', 'added')),
    model INTEGER REFERENCES models (id), version INTEGER NOT NULL
);
CREATE TABLE image_labels (
    content INTEGER NOT NULL REFERENCES images (content), frame INTEGER NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('model', 'person')),
    label TEXT, probability REAL, decision TEXT CHECK (decision IN ('accept', 'review', 'foreign', 'reject')),
    model INTEGER REFERENCES models (id), version INTEGER NOT NULL, PRIMARY KEY (content, frame, source)
) WITHOUT ROWID;
CREATE TABLE paths (
    path TEXT PRIMARY KEY, content INTEGER NOT NULL REFERENCES contents (id), version INTEGER NOT NULL
);
CREATE INDEX objects_by_image ON objects (content, frame);
CREATE INDEX paths_by_content ON paths (content);
CREATE INDEX events_by_step ON events (step);
CREATE INDEX events_by_content ON events (content);
CREATE INDEX events_by_name ON events (name) WHERE name IS NOT NULL;
CREATE INDEX steps_by_author ON steps (author, what);
CREATE INDEX steps_by_undoes ON steps (undoes) WHERE undoes IS NOT NULL;
"""


def _tables(connection: sqlite3.Connection) -> None:
    for statement in filter(str.strip, _FIRST.split(";")):
        connection.execute(statement)
    for table in ("contents", "models", "steps", "events"):
        for verb in ("UPDATE", "DELETE"):
            connection.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, 'the history of a project is only ever added to'); END"
            )


def _groups(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE images ADD COLUMN group_name TEXT")
    connection.execute("ALTER TABLE images ADD COLUMN sample_name TEXT")


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (_tables, _groups)
VERSION = len(MIGRATIONS)


def version_of(connection: sqlite3.Connection) -> int:
    """The version the file has; 0 for an empty one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, to: int = VERSION) -> None:
    """Run the missing migrations up to version `to` inside the transaction the caller has begun."""
    for number in range(version_of(connection), to):
        MIGRATIONS[number](connection)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {to}")

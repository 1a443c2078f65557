"""What a project holds as tables, read page by page so that no lock outlives a page."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pandas as pd

LABELS = {
    "file": "str",
    "sha256": "str",
    "frame": "int64",
    "object_id": "str",
    "label": "str",
    "shape": "object",
    "score": "float64",
    "track_id": "Int64",
    "state": "str",
    "author": "str",
    "time": "str",
    "model": "str",
    "version": "int64",
}
IMAGE_LABELS = {
    "file": "str",
    "sha256": "str",
    "frame": "int64",
    "label": "str",
    "probability": "float64",
    "decision": "str",
    "source": "str",
    "author": "str",
    "time": "str",
    "model": "str",
    "group": "str",
    "sample": "str",
    "version": "int64",
}
IMAGES = {
    "file": "str",
    "sha256": "str",
    "width": "int64",
    "height": "int64",
    "n_frames": "int64",
    "pixel_nm_y": "float64",
    "pixel_nm_x": "float64",
    "pixel_source": "str",
    "group": "str",
    "sample": "str",
    "n_objects": "int64",
    "author": "str",
    "time": "str",
}
HISTORY = {
    "id": "int64",
    "step": "int64",
    "time": "str",
    "author": "str",
    "model": "str",
    "model_sha256": "str",
    "kind": "str",
    "image": "str",
    "frame": "Int64",
    "object_id": "str",
    "before": "object",
    "after": "object",
    "undoes": "Int64",
}

_FILE = "(SELECT path FROM paths p WHERE p.content = t.content ORDER BY p.version DESC LIMIT 1)"
_LABELS = f"""
SELECT t.added, {_FILE}, c.sha256, t.frame, t.object_id, t.label, t.shape, t.score, t.track_id, t.state, s.author, e.time,
    m.name, t.version
FROM objects t JOIN contents c ON c.id = t.content JOIN events e ON e.id = t.version JOIN steps s ON s.id = e.step
    LEFT JOIN models m ON m.id = t.model
WHERE t.added > ? AND (? IS NULL OR t.content = ?) AND (? IS NULL OR t.frame = ?) AND t.state IN (SELECT value FROM json_each(?))
ORDER BY t.added LIMIT ?"""
_IMAGE_LABELS = f"""
SELECT {_FILE}, c.sha256, t.frame, t.label, t.probability, t.decision, t.source, s.author, e.time, m.name, i.group_name,
    i.sample_name, t.version
FROM image_labels t JOIN contents c ON c.id = t.content JOIN images i ON i.content = t.content
    JOIN events e ON e.id = t.version JOIN steps s ON s.id = e.step LEFT JOIN models m ON m.id = t.model
WHERE (? IS NULL OR t.source = ?) AND (? IS NOT NULL OR t.source = 'person' OR NOT EXISTS (SELECT 1 FROM image_labels o
    WHERE o.content = t.content AND o.frame = t.frame AND o.source = 'person'))
ORDER BY t.content, t.frame"""
_IMAGES = f"""
SELECT {_FILE}, c.sha256, t.width, t.height, t.n_frames, t.pixel_nm_y, t.pixel_nm_x, t.pixel_source, t.group_name,
    t.sample_name, (SELECT count(*) FROM objects o WHERE o.content = t.content AND o.state <> 'rejected'), s.author, e.time
FROM images t JOIN contents c ON c.id = t.content JOIN events e ON e.id = t.version JOIN steps s ON s.id = e.step
ORDER BY t.content"""
_HISTORY = """
SELECT e.id, e.step, e.time, s.author, m.name, m.sha256, e.kind, c.sha256, e.frame,
    CASE e.target WHEN 'object' THEN e.name END, CASE WHEN e.target <> 'path' THEN e.before END,
    CASE e.target WHEN 'path' THEN json_object('path', e.name) ELSE e.after END, e.undoes
FROM events e JOIN steps s ON s.id = e.step JOIN contents c ON c.id = e.content LEFT JOIN models m ON m.id = e.model
WHERE (? IS NULL OR e.content = ?) AND (? IS NULL OR (e.target = 'object' AND e.name = ?)) ORDER BY e.id"""


def labels(
    connection: sqlite3.Connection, content: int | None, frame: int | None, states: tuple[str, ...], after: int, size: int
) -> tuple[pd.DataFrame, int]:
    """At most `size` objects (-1: all) in the order they were added, beginning behind `after`; and where to go on."""
    rows = connection.execute(_LABELS, (after, content, content, frame, frame, json.dumps(states), size)).fetchall()
    table = _table([row[1:] for row in rows], LABELS)
    return table.assign(shape=_parsed(table["shape"])), rows[-1][0] if rows else after


def image_labels(connection: sqlite3.Connection, source: str | None) -> pd.DataFrame:
    """Image labels by `source`; None: one for each image, a person's before a model's."""
    return _table(connection.execute(_IMAGE_LABELS, (source, source, source)).fetchall(), IMAGE_LABELS)


def images(connection: sqlite3.Connection) -> pd.DataFrame:
    """The images in the order they became known."""
    return _table(connection.execute(_IMAGES).fetchall(), IMAGES)


def history(connection: sqlite3.Connection, content: int | None, object_id: str | None) -> pd.DataFrame:
    """Events in order, of one image or object where given."""
    table = _table(connection.execute(_HISTORY, (content, content, object_id, object_id)).fetchall(), HISTORY)
    models = dict(connection.execute("SELECT id, name FROM models").fetchall())
    before, after = _parsed(table["before"]), _parsed(table["after"])
    for row in (row for column in (before, after) for row in column if row and "model" in row):
        row["model"] = models.get(row["model"])
    return table.assign(before=before, after=after)


def empty_labels() -> pd.DataFrame:
    """No objects, under the columns of `labels`."""
    return _table([], LABELS)


def _table(rows: list[tuple[Any, ...]], columns: dict[str, str]) -> pd.DataFrame:
    values: list[Any] = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    return pd.DataFrame({n: pd.Series(v, dtype=d) for (n, d), v in zip(columns.items(), values, strict=True)})


def _parsed(column: pd.Series) -> pd.Series:
    values = [None if text is None else json.loads(text) for text in column]
    return pd.Series(values, dtype=object, index=column.index)

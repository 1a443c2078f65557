"""What can be asked of a project."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from morphoscope.errors import InputError, UsageError
from morphoscope.project import events, places, rows, tables
from morphoscope.project.session import Session


class Reading(Session):
    """The questions; `Project` adds the changes."""

    def labels(
        self, image: str | Path | None = None, frame: int | None = None, *, state: str | Iterable[str] | None = None
    ) -> pd.DataFrame:
        """Objects as a table, in the order they were added.

        Args:
            image: sha256 or path; None: all.
            frame: None: all.
            state: one or several of `STATES`; None: all but rejected.

        Returns:
            Columns file (as `images` says), sha256, frame, object_id, label, shape (dict), score, track_id, state, author and
            time (of the last change), model (that proposed it; null: a person), version (for `seen`).

        Raises:
            UsageError: the project has no such image, or there is no such state.
        """
        return next(self._pages(image, frame, state, -1), tables.empty_labels())

    def stream_labels(
        self,
        image: str | Path | None = None,
        frame: int | None = None,
        *,
        state: str | Iterable[str] | None = None,
        size: int = 10_000,
    ) -> Iterator[pd.DataFrame]:
        """The same in tables of at most `size` rows: memory for one, and no lock held between them.

        What others change meanwhile is seen or not, as the page is read before or after.
        """
        if size < 1:
            raise UsageError(f"a page must have at least one row, got {size}")
        return self._pages(image, frame, state, size)

    def image_labels(self, source: Literal["person", "model"] | None = None) -> pd.DataFrame:
        """Categories and decisions, a row per image and frame; None: a person's word where there is one, else the model's.

        Returns:
            Columns file, sha256, frame, label, probability, decision, source, author, time, model, group, sample, version.
        """
        if source not in (None, "person", "model"):
            raise UsageError(f"a source is 'person' or 'model', got {source!r}")
        with self._reading() as connection:
            return tables.image_labels(connection, source)

    def images(self) -> pd.DataFrame:
        """The images.

        Returns:
            Columns file (the last known path, relative to the project's folder where both share more than the root), sha256,
            width, height, n_frames, pixel_nm_y, pixel_nm_x (nm per px), pixel_source, group, sample, n_objects (rejected ones
            not counted), author, time.
        """
        with self._reading() as connection:
            return tables.images(connection)

    def history(self, image: str | Path | None = None, object_id: str | None = None) -> pd.DataFrame:
        """Every change ever made, of one image or object where given, oldest first; images and objects no longer there too.

        Returns:
            Columns id, step (what one undo takes back), time (UTC, ISO 8601), author, model, model_sha256, kind, image, frame,
            object_id, before and after (dicts of the fields that differ; None: not there), undoes (id of the event taken back).
        """
        with self._reading() as connection:
            return tables.history(connection, None if image is None else self._content(image, gone=True), object_id)

    def object(self, object_id: str) -> dict[str, Any]:
        """One object in any state: sha256, frame, object_id, label, shape, score, track_id, state, version."""
        with self._reading() as connection:
            place = connection.execute(
                "SELECT c.sha256, o.frame FROM objects o JOIN contents c ON c.id = o.content WHERE object_id = ?", (object_id,)
            ).fetchone()
            found = self._row("object", (object_id,))
        if place is None or found is None:
            raise UsageError(f"the project {self.path} holds no object {object_id!r}")
        fields = {name: value for name, value in found[0].items() if name != "model"}
        return {"sha256": place[0], "frame": place[1], "object_id": object_id, **fields, "version": found[1]}

    def locate(self, image: str | Path) -> Path:
        """Where the file of an image is now.

        Raises:
            InputError: at none of the known paths is a file of its size.
        """
        with self._reading():
            content = self._content(image)
            known, size_bytes = self._paths(content)
        for path in known:
            if places.is_there(path, size_bytes):
                return path
        where = ", ".join(map(str, known)) or "nowhere yet"
        raise InputError(f"the image {image} is no longer where it was ({where}); find_files(FOLDER) searches for it")

    def summary(self) -> dict[str, Any]:
        """Counts: images, objects (rejected ones too), objects by state, image labels, decisions, events, authors, models."""
        with self._reading() as connection, self._steady():

            def counts(sql: str) -> dict[str, int]:
                return dict(connection.execute(sql).fetchall())

            totals = {
                name: int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
                for name, table in {"images": "images", "objects": "objects", "events": "events"}.items()
            }
            return totals | {
                "states": dict.fromkeys(rows.STATES, 0) | counts("SELECT state, count(*) FROM objects GROUP BY state"),
                "labels": counts("SELECT label, count(*) FROM objects WHERE state <> 'rejected' GROUP BY label ORDER BY label"),
                "image_labels": counts("SELECT source, count(*) FROM image_labels GROUP BY source"),
                "decisions": counts("SELECT decision, count(*) FROM image_labels WHERE decision IS NOT NULL GROUP BY decision"),
                "authors": counts("SELECT author, count(*) FROM steps GROUP BY author ORDER BY author"),
                "models": counts("SELECT m.name, count(*) FROM events e JOIN models m ON m.id = e.model GROUP BY m.name"),
            }

    def verify(self) -> list[str]:
        """What is wrong with the file, in words: damage, or a present its history does not lead to; empty where all is well."""
        with self._reading() as connection, self._steady():
            found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
            try:
                past = events.replay(
                    connection.execute("SELECT target, content, frame, name, before, after FROM events ORDER BY id")
                )
            except InputError as error:
                return [*found, str(error)]
            now = dict(events.present(connection))
        wrong = [key for key in past.keys() | now.keys() if _stated(past.get(key)) != _stated(now.get(key))]
        return found + [f"the history of {key} leads elsewhere than the present" for key in sorted(wrong, key=str)]

    def _pages(
        self, image: str | Path | None, frame: int | None, state: str | Iterable[str] | None, size: int
    ) -> Iterator[pd.DataFrame]:
        wanted = rows.states(state)
        with self._reading():
            content = None if image is None else self._content(image)
        return self._paged(content, frame, wanted, size)

    def _paged(self, content: int | None, frame: int | None, wanted: tuple[str, ...], size: int) -> Iterator[pd.DataFrame]:
        last = 0
        while True:
            with self._reading() as connection:
                table, last = tables.labels(connection, content, frame, wanted, last, size)
            if table.empty:
                return
            yield table

    def _paths(self, content: int) -> tuple[list[Path], int]:
        """Where an image was seen, latest first, and its size in bytes."""
        found = self._connection.execute("SELECT path FROM paths WHERE content = ? ORDER BY version DESC", (content,)).fetchall()
        size = self._connection.execute("SELECT size_bytes FROM images WHERE content = ?", (content,)).fetchone()[0]
        return [places.real_path(path, self.path.parent) for (path,) in found], int(size)

    def _lost(self) -> dict[str, int]:
        """sha256 and size in bytes of the images that are at none of their paths."""
        with self._reading() as connection:
            known = connection.execute("SELECT c.sha256, c.id FROM images i JOIN contents c ON c.id = i.content").fetchall()
            places_of = {sha256: self._paths(content) for sha256, content in known}
        return {sha256: size for sha256, (paths, size) in places_of.items() if not any(places.is_there(p, size) for p in paths)}


def _stated(row: events.Row | None) -> events.Row | None:
    return None if row is None else {name: value for name, value in row.items() if value is not None}

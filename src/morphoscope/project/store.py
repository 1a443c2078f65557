"""The project: images, objects, labels and decisions in one file, every change of them kept."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, UsageError
from morphoscope.project import events, places, rows
from morphoscope.project.events import Change, Row
from morphoscope.project.reading import Reading
from morphoscope.project.rows import Model

if TYPE_CHECKING:
    from morphoscope.io.frames import Frames


class Project(Reading):
    """A project file: what people and models said about images, with author, time, model and full history.

    Images are known by the sha256 of their bytes, so a copy is the same image and a moved file is found again; objects by
    a text id; wherever a method takes an `image` it is a sha256 or a path the image is known under. Several programs may
    write the same file: each change is a transaction, and `seen` (the `version` of a table's row) refuses to overwrite
    what somebody else changed meanwhile. Nothing is ever erased: an undo is a further event. The file keeps SQLite's
    rollback journal, because write-ahead logging does not work on network shares.

    Each method that writes raises `UsageError` for a bad value, an unknown thing or a project open for reading only, and
    `ProjectConflictError` where `seen` is given and not the present version; then nothing was written.
    """

    @classmethod
    def open(cls, path: str | Path, author: str | None = None, *, create: bool = True, readonly: bool = False) -> Self:
        """Open a project file of any name, or make one.

        A file of an older version is migrated after a copy was put beside it; one that cannot be written is opened for
        reading and says so at the first write.

        Args:
            path: the file; its folder must exist.
            author: who makes the changes; None: the login name.
            create: make the file where there is none.
            readonly: refuse every change.

        Raises:
            InputError: missing (and not to be made), no project, damaged, or of a newer version; it is left as it is.
        """
        return cls(path, author, create=create, readonly=readonly)

    def add_image(
        self,
        path: str | Path,
        *,
        group: str | None = None,
        sample: str | None = None,
        calibration: Calibration | None = None,
        frames: Frames | None = None,
        sha256: str | None = None,
    ) -> str:
        """Make an image file, stack or video known, or an old acquaintance's new path; its sha256.

        Args:
            path: the file; its bytes are read for the hash.
            group: what is never split between training and test, such as a specimen or a recording.
            sample: the sample whose fields of view belong together.
            calibration: scale; None: what the file itself states, for an image that is new.
            frames: the open file, to spare opening it again.
            sha256: of its bytes, where that is known, to spare reading them again.

        Raises:
            InputError: the file cannot be read as an image.
        """
        path = Path(path)
        sha256, given = sha256 or places.sha256_of(path), rows.groups(group, sample) | rows.scale(calibration)
        with self._reading() as connection:
            known = connection.execute(
                "SELECT 1 FROM images i JOIN contents c ON c.id = i.content WHERE c.sha256 = ?", (sha256,)
            ).fetchone()
        new = None if known else _measured(path, frames) | given
        with self._changing() as step:
            content = self._new_content(sha256)
            if (found := self._row("image", (content,))) is not None:
                self._update(step, Change("image", "image", content, None, None, found[0], given, found[1]))
            else:
                added = Change("image", "image", content, None, None, None, new or _measured(path, frames) | given, 0)
                events.write(self._connection, step, [added])
            self._write_path(step, content, path)
        return sha256

    def set_image(
        self, image: str | Path, *, group: str | None = None, sample: str | None = None, calibration: Calibration | None = None
    ) -> None:
        """Change group, sample or scale of an image; None leaves one as it is, an empty text takes it away."""
        given = rows.groups(group, sample) | rows.scale(calibration)
        with self._changing() as step:
            content = self._content(image)
            before, version = self._row("image", (content,)) or ({}, 0)
            self._update(step, Change("image", "image", content, None, None, before, given, version))

    def add_objects(
        self,
        image: str | Path,
        objects: pd.DataFrame | Iterable[Mapping[str, Any]],
        *,
        model: Model | None = None,
        frame: int = 0,
        existing: Literal["refuse", "keep"] = "refuse",
    ) -> list[str]:
        """Add objects of an image; their ids in the order given.

        Args:
            image: sha256 or path.
            objects: rows with `label`, `shape` (a dict with the key `kind`) and, where known, `object_id` (a text; new ones
                are made), `frame`, `score` (0 to 1) and `track_id`.
            model: name, or name and sha256, of the model that proposes them; None: a person adds them.
            frame: the frame of objects that name none.
            existing: what to do with an id the project has: refuse all, or keep that object as it is.
        """
        if existing not in ("refuse", "keep"):
            raise UsageError(f"existing is 'refuse' or 'keep', got {existing!r}")
        by_model = model is not None or self._model is not None
        given = list(rows.object_rows(objects, frame=frame, state="proposed" if by_model else "added"))
        ids = [object_id for object_id, _, _ in given]
        if len(set(ids)) < len(ids):
            raise UsageError(f"an object_id must be unique, {next(i for i in ids if ids.count(i) > 1)!r} comes several times")
        with self._changing() as step:
            content, number = self._content(image), self._model_id(model)
            known = self._known(ids, content)
            if known and existing == "refuse":
                raise UsageError(f"the project already holds {len(known)} of these objects, such as {min(known)!r}")
            for one in {one for _, one, _ in given}:
                self._frame(content, one)
            changes = [
                Change("add", "object", content, one, object_id, None, fields | {"model": number}, 0, number)
                for object_id, one, fields in given
                if object_id not in known
            ]
            events.write(self._connection, step, changes)
        return ids

    def correct(
        self, object_id: str, *, label: str | None = None, shape: Mapping[str, Any] | None = None, seen: int | None = None
    ) -> int:
        """Give an object another label or shape; its new version. One that a person added stays `added`."""
        if label is None and shape is None:
            raise UsageError("a correction needs a label or a shape")
        given: Row = {} if label is None else {"label": rows.text(label, "label")}
        given |= {} if shape is None else {"shape": rows.shape(shape)}
        with self._changing() as step:
            content, frame, before, version = self._object(object_id, seen)
            if before["state"] == "rejected":
                who = events.who_changed(self._connection, "object", content, frame, object_id)
                raise UsageError(f"the object {object_id} was rejected by {who}; accept it before correcting it")
            state = before["state"] if before["state"] == "added" or not _differing(before, given) else "corrected"
            given |= {"state": state}
            return self._update(step, Change("correct", "object", content, frame, object_id, before, given, version))

    def accept(self, ids: str | Iterable[str], *, seen: int | Mapping[str, int] | None = None) -> dict[str, int]:
        """Accept proposals, or bring back rejected objects; the versions by id. Corrected and added ones stay as they are.

        Args:
            ids: one or several; all or none are accepted.
            seen: the version of the one, or versions by id.
        """
        return self._decide("accept", ids, {"proposed": "accepted", "rejected": "accepted"}, seen)

    def delete(self, ids: str | Iterable[str], *, seen: int | Mapping[str, int] | None = None) -> dict[str, int]:
        """Reject objects, which stay in the file as `rejected`; arguments and result as for `accept`."""
        return self._decide("delete", ids, {state: "rejected" for state in rows.STATES if state != "rejected"}, seen)

    def set_label(
        self,
        image: str | Path,
        label: str | None,
        *,
        frame: int = 0,
        probability: float | None = None,
        decision: str | None = None,
        model: Model | None = None,
        seen: int | None = None,
    ) -> int:
        """Say the category of an image and what is to become of it; the version.

        The word of a person and that of a model stand side by side: a model never overwrites a person.

        Args:
            image: sha256 or path.
            label: the category; None where there is only a decision, such as `foreign`.
            frame: of a stack or video.
            probability: 0 to 1.
            decision: accept, review, foreign or reject.
            model: name, or name and sha256, of the model that says so; None: a person.
            seen: the version of this image's label by the same kind of source, 0 for none.
        """
        if label is None and decision is None:
            raise UsageError("an image label needs a label or a decision")
        fields: Row = {"label": None if label is None else rows.text(label, "label")}
        fields |= {"probability": rows.fraction(probability, "probability"), "decision": rows.decision(decision)}
        with self._changing() as step:
            content, number = self._content(image), self._model_id(model)
            frame, source = self._frame(content, frame), "person" if number is None else "model"
            before, version = self._row("label", (content, frame, source)) or (None, 0)
            self._unchanged(seen, version, "label", content, frame, source)
            after = fields | {"model": number}
            return events.write(
                self._connection,
                step,
                [Change("label", "label", content, frame, source, before, after, version, number)],
            )[0]

    def undo(self, n: int = 1, *, author: str | None = None, anyone: bool = False) -> list[int]:
        """Take back the newest `n` steps (a call that changed something, or a batch); their numbers as `history` shows them.

        Args:
            n: how many; all or none are taken back.
            author: who takes back, and whose steps; None: the author of the project.
            anyone: the newest steps whoever made them.

        Raises:
            UsageError: there is nothing to undo.
            ProjectConflictError: somebody else changed the same thing since; it says who and when.
        """
        return self._go("undo", n, author, anyone)

    def redo(self, n: int = 1, *, author: str | None = None, anyone: bool = False) -> list[int]:
        """Bring back the newest `n` undone steps, as long as no new change of the author came after; as `undo`."""
        return self._go("redo", n, author, anyone)

    def find_files(self, root: str | Path) -> dict[str, Path]:
        """Search a folder and those below it for images that are no longer where they were; the paths found, by sha256.

        Raises:
            InputError: there is no such folder.
        """
        if not Path(root).is_dir():
            raise InputError(f"there is no folder {root} to search")
        found = dict(places.search(Path(root), self._lost()))
        with self._changing() as step:
            for sha256, path in found.items():
                self._write_path(step, self._content(sha256), path)
        return found

    def _go(self, what: Literal["undo", "redo"], n: int, author: str | None, anyone: bool) -> list[int]:
        if self._step is not None:
            raise UsageError(f"{what} inside a batch is not possible; a batch that fails is taken back as a whole")
        if n < 1:
            raise UsageError(f"the number of steps to {what} must be at least one, got {n}")
        who = author or self.author
        done: list[int] = []
        newest = events.last_to_undo if what == "undo" else events.last_to_redo
        with self._transaction():
            for _ in range(n):
                step = newest(self._connection, None if anyone else who)
                if step is None:
                    whose = "anybody" if anyone else who
                    raise UsageError(f"there are {len(done)} steps by {whose} to {what}, {n} were wanted; nothing was changed")
                events.reverse(self._connection, events.new_step(self._connection, who, what, step), step, what)
                done.append(step)
        return done

    def _decide(
        self, kind: str, ids: str | Iterable[str], to: Mapping[str, str], seen: int | Mapping[str, int] | None
    ) -> dict[str, int]:
        wanted = [ids] if isinstance(ids, str) else list(dict.fromkeys(ids))
        if isinstance(seen, int):
            if len(wanted) != 1:
                raise UsageError(f"one version was given as `seen` for {len(wanted)} objects; give a dict of versions by id")
            seen = {wanted[0]: seen}
        versions, changes = {}, []
        with self._changing() as step:
            for object_id in wanted:
                content, frame, row, versions[object_id] = self._object(object_id, (seen or {}).get(object_id))
                before, after = row["state"], to.get(row["state"])
                if after is not None:
                    states = ({"state": before}, {"state": after})
                    changes.append(Change(kind, "object", content, frame, object_id, *states, versions[object_id]))
            written = events.write(self._connection, step, changes)
        return versions | {str(c.name): version for c, version in zip(changes, written, strict=True)}

    def _update(self, step: int, change: Change) -> int:
        """Write the fields that differ, if any; the version after."""
        after = _differing(change.before or {}, change.after or {})
        if not after:
            return change.prior
        before = {name: (change.before or {})[name] for name in after}
        return events.write(self._connection, step, [replace(change, before=before, after=after)])[0]


def _measured(path: Path, frames: Frames | None) -> Row:
    """The fields a file itself states."""
    if frames is None:
        from morphoscope.io.open import open_frames

        with open_frames(path) as opened:
            return _measured(path, opened)
    height, width = frames.shape
    size = {"size_bytes": path.stat().st_size, "width": int(width), "height": int(height), "n_frames": len(frames)}
    return size | rows.scale(frames.calibration)


def _differing(before: Row, after: Row) -> Row:
    """The fields of `after` that are not in `before` just so."""
    return {name: value for name, value in after.items() if events.to_json(value) != events.to_json(before.get(name))}

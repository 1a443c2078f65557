"""What people say of images in tables and folders of categories."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from morphoscope.errors import InputError, UsageError
from morphoscope.io.score_data import read_labelled
from morphoscope.pipeline.classify_results import ACCEPT, DECISIONS, FOREIGN, REJECT, REVIEW
from morphoscope.project import Project
from morphoscope.project.places import sha256_of


@dataclass(frozen=True)
class Word:
    """A person's word on frames of an image: a category, or a decision without one; `seen` are the versions it was said upon.

    `left`: the image was only left where it lay.
    """

    path: Path
    sha256: str
    label: str | None
    decision: str
    frames: tuple[int, ...] = (0,)
    seen: dict[int, int] = field(default_factory=dict)
    group: str | None = None
    left: bool = False

    @property
    def says(self) -> str:
        """The category, or the decision where there is none."""
        return self.label or self.decision


def words_of_data(source: Path, project: Project) -> tuple[list[Word], list[str]]:
    """Words of labelled images, and why others cannot be used: see `corrections.take_labels`.

    Raises:
        InputError: no such layout, or none can be used.
        UsageError: several scores or marks per image, which are no categories.
    """
    if source.is_file() and source.suffix.lower() == ".csv":
        return _of_table(source, project)
    data = read_labelled(source)
    if data.answer != "exclusive" or data.marked or data.ready:
        raise UsageError(
            f"wanted images of one category each, {source} holds others; give a folder per category or a CSV file,label"
        )
    words, wrong = list[Word](), list(data.skipped)
    for one in data.examples:
        assert one.path is not None and one.target is not None
        group = None if one.group == one.name else one.group
        label = data.classes[int(one.target.argmax())]
        try:
            words.append(Word(one.path, sha256_of(one.path), label, ACCEPT, group=group))
        except InputError as error:
            wrong.append(str(error))
    return _some(words, wrong)


def _some(words: list[Word], wrong: list[str]) -> tuple[list[Word], list[str]]:
    """Both as they are.

    Raises:
        InputError: there are only wrong ones.
    """
    if wrong and not words:
        raise InputError(wrong[0] + (f" (and {len(wrong) - 1} more)" if wrong[1:] else ""))
    return words, wrong


def _of_table(path: Path, project: Project) -> tuple[list[Word], list[str]]:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the table {path}: {error}") from error
    table.columns = [str(name).strip() for name in table.columns]
    if "file" not in table or not {"label", "decision"} & set(table.columns):
        raise InputError(f"wanted the columns file and label (or decision) in {path}, got {', '.join(table.columns)}")
    find = _Finder(_roots(path), project)
    words, wrong = list[Word](), list[str]()
    for line, row in enumerate(table.to_dict("records"), start=2):
        given = {str(name): str(value).strip() for name, value in row.items()}
        label, decision = given.get("label", ""), given.get("decision", "")
        if not label and decision in ("", ACCEPT):
            continue
        try:
            words.append(_of_row(given, label, decision, find.path(given["file"]), f"line {line} of {path}"))
        except InputError as error:
            wrong.append(str(error))
    return _some(words, wrong)


def _of_row(given: dict[str, str], label: str, decision: str, image: Path | None, where: str) -> Word:
    if image is None:
        raise InputError(f"{where}: there is no image {given['file']!r}, neither beside the table nor in the project")
    if decision not in ("", *DECISIONS):
        raise InputError(f"{where}: a decision is one of {', '.join(DECISIONS)}, got {decision!r}")
    frame = given.get("frame", "")
    if frame and not frame.isdecimal():
        raise InputError(f"{where}: a frame is a whole number from 0, got {frame!r}")
    kept = None if decision in (FOREIGN, REJECT, REVIEW) else label
    frames = (int(frame),) if frame else (0,)
    return Word(image, sha256_of(image), kept, decision or ACCEPT, frames=frames, group=given.get("group") or None)


def _roots(path: Path) -> list[Path]:
    """Folders that files of a table may be relative to: its own, and the input of the run it belongs to."""
    roots = [path.parent]
    try:
        values = json.loads((path.parent / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return roots
    root = values.get("root") if isinstance(values, dict) else None
    return [*roots, Path(root)] if isinstance(root, str) else roots


@dataclass
class _Finder:
    """Where files of a table lie: below one of these folders, or as a project knows them."""

    roots: list[Path]
    project: Project

    def path(self, file: str) -> Path | None:
        """The file of that name, None where there is none."""
        there = next((root / file for root in self.roots if (root / file).is_file()), None)
        if there is None and file in self._known:
            return self.project.locate(self._known[file])
        return there

    @cached_property
    def _known(self) -> dict[str, str]:
        images = self.project.images()
        return dict(zip(images["file"].astype(str), images["sha256"].astype(str), strict=True))

"""Images labelled for scoring: named, scored or marked; what the readers of all layouts give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import InputError, UsageError
from morphoscope.io.colour import read_colour

Answer = Literal["multi-label", "exclusive", "ordinal"]
Array = NDArray[np.float32]
LEVELS = 10  # the highest of ordinal labels, 0 the lowest


@dataclass(frozen=True)
class Marks:
    """Where in an image each class is: `read((h, w))` gives (k, h, w), True inside.

    Raises:
        InputError: on reading, the marks are not as large as the image, or damaged.
    """

    read: Callable[[tuple[int, int]], NDArray[np.bool_]]


@dataclass(frozen=True)
class ScoreExample:
    """One labelled image.

    `name` is its path relative to the data; images of one `group` belong together. `target` (k,) is what is true of the whole
    image, 0 to 1; None where `marks` say where each class is. The image lies in a file, is a ready patch in `array`, or is what
    `read` gives.
    """

    name: str
    group: str
    target: Array | None = None
    path: Path | None = None
    array: NDArray[Any] | None = None
    marks: Marks | None = None
    read: Callable[[], NDArray[Any]] | None = None

    def image(self) -> NDArray[Any]:
        """The image (h, w) or (h, w, 3) as stored.

        Raises:
            InputError: it cannot be read.
        """
        if self.array is not None:
            return self.array
        if self.read is not None:
            return self.read()
        assert self.path is not None
        return read_colour(self.path)


@dataclass(frozen=True)
class ScoreData:
    """Labelled images.

    `answer`: `exclusive` (one class per image), `multi-label` (each class for itself, a probability or an extent) or `ordinal`
    (a level 0 to 10 per class). `skipped` names what could not be used, with the reason; `notes` what was assumed.
    `ready`: the images are patches already.
    """

    name: str
    classes: tuple[str, ...]
    answer: Answer
    examples: tuple[ScoreExample, ...]
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    ready: bool = False

    @property
    def marked(self) -> bool:
        """Classes are marked in the images: what is learnt and judged is each patch."""
        return any(one.marks is not None for one in self.examples)


def read_score_data(path: str | Path, *, answer: str = "auto") -> ScoreData:
    """Labelled images in any of these layouts.

    - a folder with a folder of images per class;
    - a CSV, or a folder with `labels.csv`: `file,label[,group]`, or `file`, a column of scores per class (shares 0 to 1, or
      levels 0 to 10 and between) and maybe `group`; files are relative to the CSV;
    - `image/` with `mask/` (grey values are classes, see `io.label_images.read_classes`), or with `masks/<class>/`, a mask of 0
      and anything else per class, of the same names;
    - boxes in any format of `io.labels.read_boxes`;
    - an .npz file of ready patches: `images` (n, h, w) or (n, h, w, 3) and `labels` (n,), maybe `groups` (n,) and `classes`;
    - a project: images to which a person gave a category, see `io.score_project.read_project_classes`.

    In a folder there may also be `groups.csv` with the columns `file` and `group`, see `io.score_groups.with_groups`.

    Args:
        path: the file or folder.
        answer: `auto` for what the layout implies, or how labels are to be learnt: see `ScoreData`.

    Raises:
        InputError: nothing there; no such layout; one class only; an empty class; labels outside the scale.
        UsageError: labels of this kind cannot be learnt as that answer.
    """
    data = read_labelled(path, answer=answer)
    check_classes(data, Path(path))
    return data


def read_labelled(path: str | Path, *, answer: str = "auto") -> ScoreData:
    """The same, whether or not there is something to learn from them: of one class only, too.

    Raises:
        InputError, UsageError: as `read_score_data`.
    """
    from morphoscope.io.score_groups import with_groups

    path = Path(path)
    if not path.exists():
        raise InputError(f"there is no file or folder {path} with labelled images; check the path")
    return with_groups(_reader(path)(path, answer), path)


def _reader(path: Path) -> Callable[[Path, str], ScoreData]:
    from morphoscope.io import score_folders, score_marks, score_project, score_tables
    from morphoscope.io.label_formats import project

    if path.is_file() and project.recognises(path):
        return score_project.read_project_classes if not project.holds_objects(path) else score_marks.read_marked_boxes
    table = path / "labels.csv" if path.is_dir() else path
    if path.suffix.lower() == ".npz":
        return score_folders.read_patches
    if table.suffix.lower() == ".csv" and table.is_file() and not score_tables.holds_boxes(table):
        return lambda _, answer: score_tables.read_score_table(table, answer)
    if (path / "image").is_dir() and ((path / "masks").is_dir() or (path / "mask").is_dir()):
        return score_marks.read_masks
    if path.is_dir() and score_folders.has_class_folders(path):
        return score_folders.read_class_folders
    return score_marks.read_marked_boxes


def check_classes(data: ScoreData, path: Path) -> None:
    """Refuse labels of which nothing can be learnt.

    Raises:
        InputError: no image, one class only, or a class with the same label everywhere.
    """
    if not data.examples:
        raise InputError(f"{path} holds no image that can be used: {'; '.join(data.skipped[:3]) or 'no labelled image'}")
    if data.marked:
        return
    targets = np.stack([one.target for one in data.examples if one.target is not None])
    if data.answer == "exclusive" and len(data.classes) < 2:
        raise InputError(
            f"wanted two classes or more in {path}, got only {data.classes[0]!r}; add images of another class, or train on good "
            "images alone with --good"
        )
    flat = [name for name, column in zip(data.classes, targets.T, strict=True) if np.ptp(column) == 0]
    if flat:
        raise InputError(
            f"all usable images of {path} have the same label for {', '.join(flat)}: there is nothing to tell apart; add images "
            "with other labels, or leave the class out"
        )


def settled(answer: str, wanted: Answer, allowed: tuple[Answer, ...], kind: str) -> Answer:
    """The answer that labels of a kind are learnt as.

    Raises:
        UsageError: it is not among those allowed.
    """
    if answer == "auto":
        return wanted
    for known in allowed:
        if known == answer:
            return known
    raise UsageError(f"{kind} can be learnt as {' or '.join(allowed)}, not as {answer!r} (train.answer)")


def one_hot(labels: list[str], classes: tuple[str, ...]) -> Array:
    """(n, k) 1 at the class of each label."""
    return np.eye(len(classes), dtype=np.float32)[[classes.index(label) for label in labels]]

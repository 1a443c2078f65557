"""keras-yolo3: a text file with a line per image, `path x0,y0,x1,y1,class x0,y0,x1,y1,class ...`.

Source: the page of the keras-yolo3 project. Corners are px from the outer corner of the first pixel; classes are numbers into a
list of names, one a line, in a file beside with `classes` in its name. A path may hold spaces: it ends where the boxes start. An
image without objects is its path alone. keras-yolo3 itself wants whole numbers and paths without spaces; other ones are written
as they are, and said.
"""

from __future__ import annotations

import re
from pathlib import Path

from morphoscope.errors import InputError
from morphoscope.io.label_formats.class_names import read_name_list
from morphoscope.io.label_formats.losses import losses
from morphoscope.io.label_formats.reading import Records, box_of, number, plain_path, whole
from morphoscope.io.label_formats.writing import BOXED, LEFT_OUT, first_frames, plain, refuse_line_breaks, write_text
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.shapes import Point

FOLDER = False
_BOX = re.compile(r"[^\s,]*,[^\s,]*(?:,[^\s,]*)*")
_NUMBERS = re.compile(r"-?[\d.]+(?:e-?\d+)?(?:,-?[\d.]+(?:e-?\d+)?){4}")


def recognises(path: Path) -> bool:
    """A .txt file in which one of the first lines ends with a box, or names pictures only."""
    if not path.is_file() or path.suffix.lower() != ".txt" or "classes" in path.stem.lower():
        return False
    try:
        with path.open(encoding="utf-8-sig") as file:
            lines = [line.split() for line, _ in zip(file, range(200), strict=False) if line.strip()]
    except UnicodeDecodeError:
        return False
    return any(_NUMBERS.fullmatch(words[-1]) for words in lines) or (bool(lines) and all(_pictured(words) for words in lines))


def read(path: Path) -> LabelSet:
    """Labels of such a file; lines to blame are named.

    Raises:
        InputError: it cannot be read, or holds nothing but damaged lines.
    """
    records = Records(path)
    lines = read_name_list(path)
    names = _names(path, records)
    for k, line in enumerate(lines, start=1):
        if not line:
            continue
        name, boxes = _split(line)
        if not name:
            records.skipped.append(f"{path}: line {k}: wanted a path before the boxes, got {line!r:.60}")
            continue
        file = plain_path(name)
        records.images.setdefault(file, ImageFacts())
        for n, box in enumerate(boxes, start=1):
            with records.record(f"line {k}, box {n}"):
                records.labels.append(_label(file, box, names))
    return records.found(root=path.parent, classes=names)


def write(labels: LabelSet, path: Path) -> list[str]:
    """Write the file, and the class names beside it; returns what cannot be held.

    Raises:
        InputError: a name that cannot stand on a line of its own.
    """
    refuse_line_breaks([*labels.images, *labels.classes], path, kinds="image and class names")
    wrong = [file for file in labels.images if _split(file)[1]]
    if wrong:
        raise InputError(f"{path}: the end of the image name {wrong[0]!r} looks like a box of this format; rename it")
    known, said = first_frames(labels)
    numbers = {name: k for k, name in enumerate(known.classes)}
    lines = []
    fractions = 0
    for file, _, found in known.by_image():
        kept = [label for label in found if not isinstance(label.shape, Point)]
        fractions += sum(any(edge != int(edge) for edge in label.shape.bounds) for label in kept)
        boxes = [",".join([*(plain(edge) for edge in label.shape.bounds), str(numbers[label.label])]) for label in kept]
        lines.append(" ".join([file, *boxes]) + "\n")
    write_text(path, "".join(lines))
    write_text(_class_file(path), "".join(f"{name}\n" for name in known.classes))
    changes = {"point": LEFT_OUT} | dict.fromkeys(("turned box", "ellipse", "polygon", "polygon with holes", "mask"), BOXED)
    said += losses(known, changed_shapes=changes, holds=("empty images", "classes", "frame"))
    spaced = sum(" " in file for file in known.images)
    said += [f"{fractions} boxes written with decimals, which keras-yolo3 itself does not read"] if fractions else []
    return said + ([f"{spaced} images with spaces in their path, which keras-yolo3 itself does not read"] if spaced else [])


def companions(path: Path) -> list[Path]:
    """Files written beside the label file."""
    return [_class_file(path)]


def _pictured(words: list[str]) -> bool:
    from morphoscope.io.images import SUFFIXES

    return words[-1].lower().endswith(SUFFIXES)


def _split(line: str) -> tuple[str, list[str]]:
    """The path, and the words after it that look like boxes: with commas in them and no letters but those of numbers."""
    words = line.split(" ")
    first = len(words)
    while first and (not words[first - 1] or _boxlike(words[first - 1])):
        first -= 1
    return " ".join(words[:first]).strip(), [word for word in words[first:] if word]


def _boxlike(word: str) -> bool:
    return bool(_BOX.fullmatch(word)) and word.count(",") >= 3 and "/" not in word and not re.search(r"\.[A-Za-z]", word)


def _label(file: str, box: str, names: list[str]) -> Label:
    values = box.split(",")
    if len(values) != 5:
        raise ValueError(f"wanted x0,y0,x1,y1,class, got {box!r:.60}")
    kind = whole(values[4])
    if names and kind >= len(names):
        raise ValueError(f"class {kind} is not among the {len(names)} classes")
    return Label(file, names[kind] if names else str(kind), box_of(*(number(value) for value in values[:4])))


def _class_file(path: Path) -> Path:
    return path.with_name(f"{path.stem}_classes.txt")


def _names(path: Path, records: Records) -> list[str]:
    beside = sorted(p for p in path.parent.glob("*classes*.txt") if p != path)
    own = _class_file(path)
    if own in beside or len(beside) == 1:
        return read_name_list(own if own in beside else beside[0])
    why = "several lists of classes are beside it" if beside else "no list of classes is beside it (*classes*.txt)"
    records.note(f"{why}: classes are named by their numbers")
    return []

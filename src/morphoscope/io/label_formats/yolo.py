"""YOLO: a text file per image with a line per object, and the class names in data.yaml, classes.txt or obj.names.

Source: the data set pages of Ultralytics and of Darknet. Numbers are fractions of the image's width and height, measured from
the outer corner of the first pixel: `class cx cy w h` is a box, `class x1 y1 x2 y2 x3 y3 ...` a polygon; one number more is a
score. Four corners are a turned box where data.yaml says `task: obb` and they are those of a rectangle, otherwise a polygon.
Of pose data sets (`kpt_shape` in data.yaml) the boxes are read.
Label files lie beside the images, in `labels` where the images are in `images`, or in a `labels` folder that mirrors theirs.

Ultralytics takes every file as either boxes or polygons; thus, where anything but boxes is written, boxes are written as polygons
too. Images are not copied: `images.txt` lists them. Ultralytics itself finds the labels of images in the folder `images`.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from morphoscope.errors import InputError
from morphoscope.io.images import SUFFIXES, natural_key
from morphoscope.io.label_formats.class_names import data_yaml, names_of, read_data_yaml, read_name_list
from morphoscope.io.label_formats.losses import losses
from morphoscope.io.label_formats.reading import Records, box_of, inner_paths, is_absolute, number, plain_path, ring_of, whole
from morphoscope.io.label_formats.writing import (
    CORNERED,
    JOINED,
    LEFT_OUT,
    OUTLINED_AND_JOINED,
    ROUGH_ELLIPSES,
    first_frames,
    one_ring,
    refuse_line_breaks,
    write_text,
)
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.shapes import Box, Point, Polygon, Ring, Shape

FOLDER = True
NAME_FILES = ("classes.txt", "obj.names", "labels/classes.txt")
LIST = "images.txt"


def recognises(path: Path) -> bool:
    """A folder with data.yaml, classes.txt, obj.names or text files in `labels`, or such a data.yaml."""
    if not path.is_dir():
        return path.suffix.lower() in (".yaml", ".yml") and path.is_file()
    named = _yaml_in(path) is not None or any((path / name).is_file() for name in NAME_FILES)
    return named or any((path / "labels").rglob("*.txt"))


def read(path: Path) -> LabelSet:
    """Labels of a folder or of the folder of a data.yaml; lines to blame are named.

    Raises:
        InputError: no class names, no images, or nothing but damaged lines.
    """
    records = Records(path)
    root = path if path.is_dir() else path.parent
    settings_file = _yaml_in(root) if path.is_dir() else path
    settings = read_data_yaml(settings_file) if settings_file else {}
    names = names_of(settings["names"], settings_file or path) if "names" in settings else _listed_names(root, records)
    task = "pose" if "kpt_shape" in settings else str(settings.get("task", ""))
    if task == "pose":
        records.note("the keypoints of a pose data set are left out, its boxes are read")
    files = _images(root, settings)
    mirrored = _targets(files)
    for file in files:
        source = _label_file(root, file, mirrored[file])
        with records.record(file):
            records.images[file] = ImageFacts()
            if source is not None:
                _read_image(root, file, source, names, task, records)
    if not records.images:
        raise InputError(f"{path} holds no images; YOLO labels are fractions of the image size, so put the images beside them")
    return records.found(root=root, classes=names)


def write(labels: LabelSet, path: Path) -> list[str]:
    """Write label files, data.yaml and images.txt into a folder; returns what they cannot hold.

    Raises:
        InputError: an image size is not known, or two images would have one label file.
    """
    refuse_line_breaks([*labels.images, *labels.classes], path, kinds="image and class names")
    targets = _targets(labels.images)
    _check_apart(targets)
    known, said = first_frames(labels.with_sizes())
    upright = all(isinstance(label.shape, Box) and label.shape.angle_deg == 0 for label in known.labels)
    boxes = all(isinstance(label.shape, Box) for label in known.labels)
    numbers = {name: k for k, name in enumerate(known.classes)}
    for file, facts, found in known.by_image():
        lines = [_line(label, numbers[label.label], facts, upright) for label in found if not isinstance(label.shape, Point)]
        write_text(path / targets[file], "".join(f"{line}\n" for line in lines))
    task = "detect" if upright else "obb" if boxes else "segment"
    write_text(path / "data.yaml", data_yaml(known.classes, path=".", train=LIST, val=LIST, task=task))
    write_text(path / LIST, "".join(f"{file if _outside(file) else './' + file}\n" for file in known.images))
    changes = {"point": LEFT_OUT, "ellipse": ROUGH_ELLIPSES, "mask": OUTLINED_AND_JOINED, "polygon with holes": JOINED}
    if not (upright or boxes):
        changes |= {"box": CORNERED, "turned box": CORNERED}
    return said + losses(known, changed_shapes=changes, holds=("score", "empty images", "classes", "frame"))


def _yaml_in(folder: Path) -> Path | None:
    if (folder / "data.yaml").is_file():
        return folder / "data.yaml"
    found = [p for p in sorted(folder.glob("*.y*ml")) if re.search(rb"^names\s*:", p.read_bytes(), re.MULTILINE)]
    return found[0] if len(found) == 1 else None


def _listed_names(root: Path, records: Records) -> list[str]:
    for name in NAME_FILES:
        if (root / name).is_file():
            return read_name_list(root / name)
    records.note("no data.yaml, classes.txt or obj.names: classes are named by their numbers")
    return []


def _images(root: Path, settings: dict[str, object]) -> list[str]:
    """Images a data set lists, or else those in the folder it names as its path, or in its own."""
    base = root / str(settings.get("path", "."))
    base = base if base.is_dir() else root
    parts = [settings[part] for part in ("train", "val", "test") if settings.get(part)]
    lists = [base / str(part) for part in parts if str(part).lower().endswith(".txt")]
    if lists and all(one.is_file() for one in lists):
        return list(dict.fromkeys(file for one in dict.fromkeys(lists) for file in _listed_images(one, root)))
    found = [p for p in base.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file() and not p.name.startswith(".")]
    return sorted((Path(os.path.relpath(p, root)).as_posix() for p in found), key=natural_key)


def _listed_images(listing: Path, root: Path) -> Iterator[str]:
    """Names relative to the root; in the list, a leading ./ stands for the folder of the list."""
    for line in read_name_list(listing):
        if line:
            given = plain_path(line.removeprefix("./"))
            local = listing.parent != root and not is_absolute(given)
            yield Path(os.path.relpath(listing.parent / given, root)).as_posix() if local else given


def _label_file(root: Path, file: str, mirrored: Path) -> Path | None:
    """The label file of an image."""
    image = root / file
    parts = list(PurePosixPath(file).parts)
    places = [root / mirrored, image.with_suffix(".txt")]
    if "images" in parts:
        last = len(parts) - 1 - parts[::-1].index("images")
        places.append((root / PurePosixPath(*parts[:last], "labels", *parts[last + 1 :])).with_suffix(".txt"))
    if root.name == "images":
        places.append((root.parent / "labels" / file).with_suffix(".txt"))
    return next((place for place in places if place.is_file()), None)


def _targets(files: Iterable[str]) -> dict[str, Path]:
    """The label files written for images, relative to the folder: labels mirror what is in `images`."""
    found = {}
    for file, inner in inner_paths(files).items():
        below = PurePosixPath(*inner.parts[1:]) if len(inner.parts) > 1 and inner.parts[0] == "images" else inner
        found[file] = Path("labels", below.parent, f"{below.stem}.txt")
    return found


def _check_apart(targets: dict[str, Path]) -> None:
    seen: dict[Path, str] = {}
    for file, target in targets.items():
        other = seen.setdefault(target, file)
        if other != file:
            raise InputError(f"the images {other} and {file} would have one YOLO label file, {target}; rename one of them")


def _outside(file: str) -> bool:
    return is_absolute(file) or ".." in PurePosixPath(file).parts


def _read_image(root: Path, file: str, source: Path, names: list[str], task: str, records: Records) -> None:
    lines = [line.split() for line in read_name_list(source)]
    if not any(lines):
        return
    facts = LabelSet({file: ImageFacts()}, root=root).with_sizes().images[file]
    records.images[file] = facts
    for k, words in enumerate(lines):
        if words:
            with records.record(
                f"{source.relative_to(root).as_posix() if source.is_relative_to(root) else source}: line {k + 1}"
            ):
                records.labels.append(_label(words, file, facts, names, task))


def _label(words: list[str], file: str, facts: ImageFacts, names: list[str], task: str) -> Label:
    kind = whole(words[0])
    if names and kind >= len(names):
        raise ValueError(f"class {kind} is not among the {len(names)} classes")
    values = [number(word) for word in words[1:]]
    if len(values) < 4:
        raise ValueError(f"wanted a class and at least 4 numbers, got {len(values)}")
    score = values.pop() if len(values) % 2 and task != "pose" else None
    values = values[:4] if task == "pose" else values
    width, height = float(facts.width or 0), float(facts.height or 0)
    scaled = [value * (height if k % 2 else width) for k, value in enumerate(values)]
    return Label(file, names[kind] if names else str(kind), _shape(scaled, turned=task == "obb"), score=score)


def _shape(values: list[float], *, turned: bool) -> Shape:
    if len(values) == 4:
        x, y, width, height = values
        box_of(0, 0, width, height)
        return Box(x, y, width, height)
    ring = ring_of(values)
    return (_rectangle(ring) if turned else None) or Polygon((ring,))


def _rectangle(ring: Ring) -> Box | None:
    """The turned box with these corners, None where they are those of no rectangle."""
    if len(ring) != 4:
        return None
    (ax, ay), (bx, by), (cx, cy), (dx, dy) = ring
    width, height = math.hypot(bx - ax, by - ay), math.hypot(dx - ax, dy - ay)
    slack = 1e-6 * (width + height)
    if not width or not height or math.hypot(ax + cx - bx - dx, ay + cy - by - dy) > slack:
        return None
    across = (bx - ax) * (dx - ax) + (by - ay) * (dy - ay)
    handed = (bx - ax) * (dy - ay) - (by - ay) * (dx - ax)
    if abs(across) > slack * max(width, height) or handed < 0:
        return None
    angle = math.degrees(math.atan2(ay - by, bx - ax))
    return Box((ax + cx) / 2, (ay + cy) / 2, width, height, angle % 360 if abs(angle) > 1e-9 else 0.0)


def _line(label: Label, kind: int, facts: ImageFacts, upright: bool) -> str:
    shape = label.shape
    assert not isinstance(shape, Point)
    if upright and isinstance(shape, Box):
        values = [shape.x, shape.y, shape.width, shape.height]
    else:
        values = [value for corner in one_ring(shape) for value in corner]
    width, height = float(facts.width or 0), float(facts.height or 0)
    shares = [value / (height if k % 2 else width) for k, value in enumerate(values)]
    return " ".join([str(kind), *(repr(v) for v in shares), *([] if label.score is None else [repr(label.score)])])

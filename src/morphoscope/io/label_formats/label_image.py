"""Label images: pictures in which each object has a number of its own, 0 for the background.

A TIFF (or 16-bit PNG) per image; pages are frames. Written ones lie in the folder `instances` and carry their pixel size as
ImageJ does; `instances.csv` beside that folder says what each number is (file, mask, frame, value, label, object_id, score,
track_id). Without it every object is of the class `object` and its number is its id. Where all images together hold a single
number, as masks of 255 do, the connected parts are the objects. In a folder named `mask`, which holds classes and not objects,
the connected parts of each number are objects of the class `class N`.

A pixel holds one number: of objects that overlap, the later covers the earlier. Numbers beyond 65535 make a 32-bit image, which
ImageJ opens without a scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from morphoscope.errors import InputError
from morphoscope.io.images import natural_key
from morphoscope.io.label_formats.label_pages import (
    Drawing,
    check_no_picture,
    objects_in,
    of_one_number,
    pages,
    parts_in,
    scale_of,
    write_pages,
)
from morphoscope.io.label_formats.losses import losses
from morphoscope.io.label_formats.per_image import image_of, targets
from morphoscope.io.label_formats.reading import Records, number, text, whole
from morphoscope.io.label_formats.writing import FILLED, LEFT_OUT, filled
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.shapes import Mask
from morphoscope.io.tables import write_csv
from morphoscope.io.tiff_scale import LARGEST_NM, SMALLEST_NM

SUFFIXES = (".tif", ".tiff", ".png")
WRITTEN = "instances"
FOLDERS = (WRITTEN, "masks", "mask", "labels")
SIDECAR = "instances.csv"
COLUMNS = ["file", "mask", "frame", "value", "label", "object_id", "score", "track_id", "pixel_y_nm", "pixel_x_nm"]

CHANGES = {"point": LEFT_OUT} | dict.fromkeys(("box", "turned box", "ellipse", "polygon", "polygon with holes", "mask"), FILLED)
HOLDS = ("frame", "object_id", "score", "track_id", "empty images", "pixel_size_nm")


def recognises(path: Path) -> bool:
    """A folder with instances.csv or with a folder of masks in it, such a folder itself, or a picture that may be one."""
    if path.is_dir():
        held = [path / name for name in FOLDERS if (path / name).is_dir()]
        named = path.name in FOLDERS and any(_images(path))
        return (path / SIDECAR).is_file() or named or any(any(_images(folder)) for folder in held)
    return path.suffix.lower() in SUFFIXES and path.is_file()


def read(path: Path) -> LabelSet:
    """Objects of one label image or of a folder of them.

    Raises:
        InputError: nothing that can be read.
    """
    root = _root(path)
    records = Records(path)
    known = _known(root, records)
    if known is not None and path.is_file() and path not in {root / mask for mask in known["mask"]}:
        known = None
    folder = next((path / name for name in FOLDERS if (path / name).is_dir()), path)
    files = [path] if path.is_file() else sorted(_images(folder), key=lambda p: natural_key(p.relative_to(root).as_posix()))
    if known is not None:
        files = [root / mask for mask in dict.fromkeys(known["mask"]) if path.is_dir() or root / mask == path]
    if not files:
        raise InputError(f"there is no label image in {path}; wanted {', '.join(SUFFIXES)}")
    binary = known is None and of_one_number(files)
    if binary:
        records.note("masks of one number: their connected parts are the objects")
    for file in files:
        with records.record(file.relative_to(root).as_posix()):
            if known is None:
                _read_unlisted(file, root, records, binary=binary)
            else:
                _read_listed(file, known[known["mask"] == file.relative_to(root).as_posix()], records)
    return records.found(root=root)


def write(labels: LabelSet, path: Path) -> list[str]:
    """Write a label TIFF for each image, or `path` itself where it ends in .tif; returns what cannot be held.

    Raises:
        InputError: the size of an image is not known, or the label image would replace the image.
    """
    known = labels.with_sizes()
    single = path.suffix.lower() == ".tif"
    root = path.parent if single else path
    placed = list(targets(known, path if single else path / WRITTEN, ".tif"))
    images = {(known.root / file).resolve() for file in known.images}
    for target, file, _, _ in placed:
        if target.resolve() in images:
            raise InputError(f"the label image {target} would replace the image {file}; name another file or folder")
    rows: list[dict[str, Any]] = []
    covered = lost = 0
    for target, file, facts, found in placed:
        masks = [(label, mask) for label in found if (mask := filled(label.shape, facts)) is not None]
        frames = max([facts.frames, *(label.frame + 1 for label, _ in masks)])
        drawing = Drawing(
            [(k, label.frame, mask) for k, (label, mask) in enumerate(masks, 1)], (frames, facts.height or 0, facts.width or 0)
        )
        write_pages(target, drawing, facts.pixel_size_nm)
        covered, lost = covered + drawing.covered, lost + drawing.lost_px
        scale = facts.pixel_size_nm or (None, None)
        about = {"file": file, "mask": target.relative_to(root).as_posix(), "pixel_y_nm": scale[0], "pixel_x_nm": scale[1]}
        rows += [{**about, **_row(k, label)} for k, (label, _) in enumerate(masks, 1)] or [about]
    table = pd.DataFrame(rows, columns=COLUMNS).astype(dict.fromkeys(("frame", "value", "track_id"), "Int64"))
    write_csv(root / SIDECAR, table)
    return [*_hidden(covered, lost), *losses(labels, changed_shapes=CHANGES, holds=HOLDS)]


def _hidden(covered: int, lost: int) -> list[str]:
    many = "1 object is" if covered == 1 else f"{covered} objects are"
    return [f"{many} partly covered by later ones: {lost} px lost"] if covered else []


def _root(path: Path) -> Path:
    """The folder that image names are relative to: that of the list of numbers, where there is one."""
    folder = path if path.is_dir() else path.parent
    return folder.parent if folder.name == WRITTEN and (folder.parent / SIDECAR).is_file() else folder


def companions(path: Path) -> list[Path]:
    """What is written beside a single label image."""
    return [path.parent / SIDECAR] if path.suffix.lower() == ".tif" else []


def _images(folder: Path) -> Iterator[Path]:
    return (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


def _known(root: Path, records: Records) -> pd.DataFrame | None:
    sidecar = root / SIDECAR
    if not sidecar.is_file():
        return None
    texts = dict.fromkeys(("file", "mask", "label", "object_id"), str)
    try:
        table = pd.read_csv(sidecar, dtype=texts, keep_default_na=False, na_values=[""])
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise InputError(f"{sidecar} cannot be read as CSV: {error}") from error
    if not {"file", "mask", "value", "label"} <= set(table.columns):
        raise InputError(f"{sidecar}: wanted the columns {','.join(COLUMNS)}, got {','.join(map(str, table.columns))}")
    bad = table["file"].isna() | table["mask"].isna()
    records.skipped += [f"{sidecar}: line {k + 2}: there is no file or mask" for k in table.index[bad]]
    return table[~bad]


def _read_listed(path: Path, rows: pd.DataFrame, records: Records) -> None:
    """Objects of a label image whose numbers are listed; others have no more than their pixels."""
    file = str(rows["file"].iloc[0])
    scale = _scale(rows.iloc[:1].to_dict("records")[0])
    named = _by_place(rows[rows["value"].notna()], records)
    for frame, page in enumerate(pages(path)):
        records.images[file] = ImageFacts(page.shape[1], page.shape[0], frame + 1, scale)
        for value, mask in objects_in(page):
            records.labels.append(_label(file, frame, mask, named.get((frame, value))))


def _read_unlisted(path: Path, root: Path, records: Records, *, binary: bool) -> None:
    file = image_of(path, root)
    if file is None:
        file = path.relative_to(root).as_posix()
        records.note("no picture of the same name: the label image stands for it")
    classes = "mask" in (path.parent.name, root.name) or path.relative_to(root).parts[0] == "mask"
    scale = scale_of(path)
    for frame, page in enumerate(pages(path)):
        check_no_picture(page, path)
        records.images[file] = ImageFacts(page.shape[1], page.shape[0], frame + 1, scale)
        if classes or binary:
            records.labels += [
                Label(file, f"class {value}" if classes else "object", mask, frame) for value, mask in parts_in(page)
            ]
        else:
            records.labels += [Label(file, "object", mask, frame, str(value)) for value, mask in objects_in(page)]


def _label(file: str, frame: int, mask: Mask, row: Any) -> Label:
    if row is None:
        return Label(file, "object", mask, frame)
    score, track = row.get("score"), row.get("track_id")
    return Label(
        file,
        text(row["label"], "a class"),
        mask,
        frame,
        None if pd.isna(row.get("object_id")) else str(row["object_id"]),
        None if pd.isna(score) else number(score),
        None if pd.isna(track) else whole(track, least=-(2**53), most=2**53),
    )


def _by_place(rows: pd.DataFrame, records: Records) -> dict[tuple[int, int], Any]:
    found = {}
    for k, row in zip(rows.index, rows.to_dict("records"), strict=True):
        with records.record(f"{SIDECAR}: line {k + 2}"):
            frame = 0 if pd.isna(row.get("frame")) else whole(row["frame"])
            text(row["label"], "a class")
            found[frame, whole(row["value"], least=1, most=2**32)] = row
    return found


def _scale(row: dict[Any, Any]) -> tuple[float, float] | None:
    sizes = [row.get("pixel_y_nm"), row.get("pixel_x_nm")]
    if any(pd.isna(side) for side in sizes):
        return None
    size_y, size_x = (number(side, least=SMALLEST_NM, most=LARGEST_NM) for side in sizes)
    return size_y, size_x


def _row(value: int, label: Label) -> dict[str, Any]:
    return {
        "frame": label.frame,
        "value": value,
        "label": label.label,
        "object_id": label.object_id,
        "score": label.score,
        "track_id": label.track_id,
    }

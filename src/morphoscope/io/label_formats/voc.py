"""Pascal VOC: an XML file per image, named after it.

Source: the development kit of the PASCAL VOC challenge. Corners count pixels from 1 and belong to the box: the first pixel alone
is xmin = xmax = 1, so that xmin = x0 + 1 and xmax = x1. Fractions are written with decimals. Some tools write boxes that count
from 0; their files look the same and are read by the rule above. Corners of polygons (an extension) are places in px with the
centre of the first pixel at 1. `object_id`, `score` and `track_id` of an object are elements of their own, which other readers
pass over.

`path` holds the image's path as seen from the folder where it is relative; else images are looked for beside the XML file and in
JPEGImages or images beside its folder.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from morphoscope.errors import InputError
from morphoscope.io.images import natural_key
from morphoscope.io.label_formats.losses import losses
from morphoscope.io.label_formats.reading import (
    Records,
    box_of,
    inner_paths,
    is_absolute,
    load_xml,
    number,
    plain_path,
    ring_of,
    score_of,
    size,
    text,
    whole,
    xml_root_name,
)
from morphoscope.io.label_formats.writing import (
    CORNERED,
    JOINED,
    LEFT_OUT,
    OUTLINED_AND_JOINED,
    ROUGH_ELLIPSES,
    first_frames,
    one_ring,
    plain,
    write_xml,
    xml_text,
)
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.shapes import Box, Point, Polygon, Shape

FOLDER = True
IMAGE_FOLDERS = ("../JPEGImages", "../images", "JPEGImages", "images")


def recognises(path: Path) -> bool:
    """An XML file of one image, or a folder with such files."""
    first = next(path.rglob("*.xml"), None) if path.is_dir() else path if path.suffix.lower() == ".xml" else None
    return first is not None and xml_root_name(first) == "annotation"


def read(path: Path) -> LabelSet:
    """Labels of a folder of XML files, its subfolders too, or of one file; files and objects to blame are named.

    Raises:
        InputError: no XML file, or none that can be read.
    """
    root = path if path.is_dir() else path.parent
    files = sorted(path.rglob("*.xml"), key=lambda p: natural_key(p.relative_to(root).as_posix())) if path.is_dir() else [path]
    if not files or not path.exists():
        raise InputError(f"there is no XML file in {path}; wanted one for each image")
    records = Records(path)
    for file in files:
        with records.record(file.relative_to(root).as_posix()):
            _read_file(file, root, records)
    return records.found(root=root)


def write(labels: LabelSet, path: Path) -> list[str]:
    """Write an XML file for each image into a folder, subfolders kept; returns what cannot be held.

    Raises:
        InputError: an image size is not known, or a name that XML cannot hold.
    """
    known, said = first_frames(labels.with_sizes())
    taken: set[PurePosixPath] = set()
    places = inner_paths(known.images)
    for file, facts, found in known.by_image():
        target = places[file].with_suffix(".xml")
        if target in taken:
            target = places[file].with_name(f"{places[file].name}.xml")
        if target in taken:
            raise InputError(f"two images would have one file, {path / target}; rename {file}")
        taken.add(target)
        write_xml(path / target, _annotation(file, facts, found))
    changes = {
        "point": LEFT_OUT,
        "turned box": CORNERED,
        "ellipse": ROUGH_ELLIPSES,
        "mask": OUTLINED_AND_JOINED,
        "polygon with holes": JOINED,
    }
    return said + losses(known, changed_shapes=changes, holds=("object_id", "score", "track_id", "empty images", "frame"))


def _read_file(path: Path, root: Path, records: Records) -> None:
    tree = load_xml(path)
    if tree.tag != "annotation":
        records.note("XML files of something else than VOC: left out")
        return
    file = _image(tree, path, root)
    facts = ImageFacts(size(tree.findtext("size/width")), size(tree.findtext("size/height")))
    if file in records.images:
        raise InputError(f"the image {file} has another XML file already")
    records.images[file] = facts
    place = path.relative_to(root).as_posix()
    for k, element in enumerate(tree.iterfind("object")):
        with records.record(f"{place}: object {k + 1}"):
            records.labels.append(_label(element, file))
            if element.find("part") is not None:
                records.note("parts of objects: left out")


def _image(tree: ElementTree.Element, path: Path, root: Path) -> str:
    """The image of an XML file, relative to the root."""
    name = plain_path(text(tree.findtext("filename") or path.stem, "a file name"))
    given = plain_path(tree.findtext("path") or "")
    here = path.parent.relative_to(root)
    if given and not is_absolute(given) and ((root / given).is_file() or "/" in given or path.parent == root):
        return given
    if is_absolute(name):
        return name
    places = [here / name, *(here / folder / name for folder in IMAGE_FOLDERS), Path(name)]
    return next((place for place in places if (root / place).is_file()), places[0]).as_posix()


def _label(element: ElementTree.Element, file: str) -> Label:
    track = element.findtext("track_id")
    return Label(
        file=file,
        label=text(element.findtext("name"), "a name"),
        shape=_shape(element),
        object_id=element.findtext("object_id"),
        score=score_of(element.findtext("score")),
        track_id=None if track is None else whole(track, least=-(2**53), most=2**53),
    )


def _shape(element: ElementTree.Element) -> Shape:
    polygon = element.find("polygon")
    if polygon is not None and len(polygon):
        return Polygon((ring_of(_corners(polygon)),))
    box = element.find("bndbox")
    if box is None:
        raise ValueError("there is no bndbox")
    x0, y0, x1, y1 = (number(_inner(box, name)) for name in ("xmin", "ymin", "xmax", "ymax"))
    return box_of(x0 - 1, y0 - 1, x1, y1)


def _corners(polygon: ElementTree.Element) -> list[float]:
    """x, y, x, y ... from elements x1, y1, x2, y2 ... in any order, or from a list of pt elements with x and y."""
    points = polygon.findall("pt")
    if points:
        return [number(_inner(point, axis)) - 0.5 for point in points for axis in "xy"]
    given = {child.tag: child.text for child in polygon if re.fullmatch(r"[xy]\d+", child.tag)}
    numbers = sorted({int(tag[1:]) for tag in given})
    return [number(given[f"{axis}{k}"]) - 0.5 for k in numbers for axis in "xy"]


def _inner(element: ElementTree.Element, name: str) -> str:
    found = element.findtext(name)
    if found is None:
        raise KeyError(f"{name} in {element.tag}")
    return found


def _annotation(file: str, facts: ImageFacts, labels: list[Label]) -> ElementTree.Element:
    root = ElementTree.Element("annotation")
    _add(root, "folder", PurePosixPath(file).parent.name)
    _add(root, "filename", PurePosixPath(file).name)
    _add(root, "path", file)
    dimensions = ElementTree.SubElement(root, "size")
    for name, value in (("width", facts.width), ("height", facts.height), ("depth", 1)):
        _add(dimensions, name, str(value))
    _add(root, "segmented", "0")
    for label in labels:
        if not isinstance(label.shape, Point):
            root.append(_object(label))
    return root


def _object(label: Label) -> ElementTree.Element:
    element = ElementTree.Element("object")
    _add(element, "name", label.label)
    for name, fixed in (("pose", "Unspecified"), ("truncated", "0"), ("difficult", "0")):
        _add(element, name, fixed)
    for name, own in (("object_id", label.object_id), ("score", label.score), ("track_id", label.track_id)):
        if own is not None:
            _add(element, name, str(own))
    x0, y0, x1, y1 = label.shape.bounds
    box = ElementTree.SubElement(element, "bndbox")
    for name, edge in (("xmin", x0 + 1), ("ymin", y0 + 1), ("xmax", x1), ("ymax", y1)):
        _add(box, name, plain(edge))
    if not isinstance(label.shape, Point | Box) or (isinstance(label.shape, Box) and label.shape.angle_deg != 0):
        polygon = ElementTree.SubElement(element, "polygon")
        for k, corner in enumerate(one_ring(label.shape), start=1):
            for axis, value in zip("xy", corner, strict=True):
                _add(polygon, f"{axis}{k}", plain(value + 0.5))
    return element


def _add(parent: ElementTree.Element, name: str, content: str) -> None:
    ElementTree.SubElement(parent, name).text = xml_text(content)

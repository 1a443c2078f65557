"""Every label format: what is written and read back is what was there, apart from what the writer said it changes."""

from __future__ import annotations

import math
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from random import Random

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from morphoscope.errors import MorphoscopeError
from morphoscope.io.label_formats.losses import shape_kind
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.labels import FORMATS, read_labels, recognise_labels, write_labels
from morphoscope.io.shapes import Box, Ellipse, Mask, Point, Polygon, as_polygon, rasterize
from morphoscope.recipe import Region

NAMES = [name for name in FORMATS if name != "project"]  # a project adds to what is there; see test_project_labels.py
TARGETS = {
    "csv": "l.csv",
    "coco": "l.json",
    "yolo": "l",
    "voc": "l",
    "imagej": "l",
    "label-image": "l",
    "label-studio": "l.json",
    "cvat": "l.xml",
    "trackmate": "l",
    "napari": "l",
    "trackpy": "l",
    "keras-yolo3": "l.txt",
    "objects": "l.parquet",
}
FILES = ["a.png", "b c.png", "deep/er/a.png", "é#1.png", 'it\'s "x" & <y>.png', "stack.tif", "deep/b.c.png", "100% ü;:,.png"]
CLASSES = ["loop", "black dot", "Ré#2", "a \"b\" <c>&'d'", "x:y", "1", "- no", "[0]"]
TOLERANCE = 1e-6
quarters = st.integers(-80, 400).map(lambda n: n / 4)
rough = st.floats(-20, 100).map(lambda v: round(v, 3))
places = quarters | rough
extents = st.integers(1, 120).map(lambda n: n / 4) | st.floats(0.5, 40).map(lambda v: round(v, 3))
angles = st.sampled_from([0.0, 30.0, 45.0, 90.0, 123.4, 180.0, 270.0, 359.0])


def rings(x, y, radius, corners, phase):
    """A star-shaped ring around a place."""
    around = [2 * math.pi * (k + phase) / corners for k in range(corners)]
    return tuple((x + radius * math.cos(a), y + radius * (0.5 + 0.4 * (k % 2)) * math.sin(a)) for k, a in enumerate(around))


@st.composite
def polygons(draw):
    x, y, radius = draw(places), draw(places), draw(extents)
    outer = rings(x, y, radius, draw(st.integers(3, 9)), draw(st.floats(0, 1)))
    more = draw(st.sampled_from(["", "", "hole", "part"]))
    if more == "hole":  # within the outer ring of at least a triangle
        return Polygon((rings(x, y, radius, 8, 0.1), rings(x, y, radius / 4, 4, 0.2)))
    return Polygon((outer, rings(x + 3 * radius, y, radius / 2, 5, 0.0)) if more else (outer,))


@st.composite
def masks(draw):
    pixels = draw(arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 6))).filter(lambda a: a.any()))
    return Mask.from_pixels(pixels, draw(st.integers(-3, 42)), draw(st.integers(-3, 30)))


shapes = st.one_of(
    st.builds(Point, places, places),
    st.builds(Box, places, places, extents, extents),
    st.builds(Box, places, places, extents, extents, angles),
    st.builds(Ellipse, places, places, extents, extents, angles),
    polygons(),
    masks(),
)


@st.composite
def label_sets(draw):
    files = draw(st.lists(st.sampled_from(FILES), min_size=1, max_size=4, unique=True))
    classes = draw(st.lists(st.sampled_from(CLASSES), min_size=1, max_size=4, unique=True))
    scale = draw(st.sampled_from([None, (0.5, 0.5), (0.25, 1.75)]))
    images = {}
    for file in files:
        frames, interval = (5, draw(st.sampled_from([None, 0.25]))) if file == "stack.tif" else (1, None)
        images[file] = ImageFacts(draw(st.integers(20, 40)), draw(st.integers(20, 30)), frames, scale, interval)
    labels = [
        draw(labels_of(file, images[file].frames, classes, k))
        for k, file in enumerate(draw(st.lists(st.sampled_from(files), max_size=6)))
    ]
    region = draw(st.sampled_from([None, None, Region(x0=1, y0=2, x1=20, y1=15)]))
    return LabelSet(
        images, tuple(sorted(labels, key=lambda label: files.index(label.file))), tuple(classes), complete_region=region
    )


@st.composite
def labels_of(draw, file, frames, classes, number):
    return Label(
        file=file,
        label=draw(st.sampled_from(classes)),
        shape=draw(shapes),
        frame=draw(st.integers(0, frames - 1)),
        object_id=draw(st.sampled_from([None, f"id {number}", f"é-{number}", str(number)])),
        score=draw(st.none() | st.floats(0, 1)),
        track_id=draw(st.none() | st.integers(0, 3)),
    )


def put_pictures(labels, folder):
    for file, facts in labels.images.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        pages = [np.zeros((facts.height, facts.width), np.uint8)] * facts.frames
        assert cv2.imwritemulti(str(folder / file), pages) if facts.frames > 1 else cv2.imwrite(str(folder / file), pages[0])


def cut(shape, facts):
    """The pixels inside the image as a mask; None where there are none."""
    pixels = rasterize(shape, facts.height, facts.width)
    return Mask.from_pixels(pixels) if pixels.any() else None


def bare(shape):
    return Box.from_corners(*shape.bounds)


# what writers say becomes of shapes, and what that means; None: the object is not written
SUBSTITUTES = {
    "the upright boxes around them are written": lambda shape, facts: bare(shape),
    "their corners are written as polygons": lambda shape, facts: as_polygon(shape),
    "their outlines are written as polygons": lambda shape, facts: as_polygon(shape),
    "polygons of 64 corners are written": lambda shape, facts: as_polygon(shape),
    "the pixels inside the image are written as masks": cut,
    "left out": lambda shape, facts: None,
}
# the same pixels, other corners
JOINED = {
    "their rings are written as one, joined by lines of no width",
    "their outlines are written as polygons, rings joined to one by lines of no width",
}
# said, but changes nothing for this program
HARMLESS = (
    r"written with decimals, which",
    r"with spaces in their path",
)
PLURALS = {"points": "point", "boxes": "box", "turned boxes": "turned box", "ellipses": "ellipse", "polygons": "polygon"}
PLURALS |= {"polygons with holes": "polygon with holes", "masks": "mask"}
KINDS = PLURALS | {kind: kind for kind in PLURALS.values()}
FIELDS = {"frame numbers": "frame", "object ids": "object_id", "scores": "score", "track ids": "track_id"}


def expected(labels, said):
    """What should be read back: the set after the changes that were said, sentences used up, and kinds whose rings are joined."""
    kinds, drop, region, scale, empty, classes, joined = {}, set(), True, True, True, True, set()
    frames_out = covered = tracked_only = False
    timed = True
    for sentence in said:
        shape = re.fullmatch(r"\d+ ([a-z ]+): (.+)", sentence)
        field = next((f for text, f in FIELDS.items() if sentence.startswith(text)), None)
        if field:
            drop.add(field)
        elif re.fullmatch(r"\d+ objects? in frames after the first: left out.*", sentence):
            frames_out = True
        elif re.fullmatch(r"\d+ objects? without a track: left out.*", sentence):
            tracked_only = True
        elif sentence.startswith("times between frames"):
            timed = False
        elif sentence.startswith("images without objects"):
            empty = False
        elif sentence.startswith("pixel sizes"):
            scale = False
        elif sentence.startswith("the region"):
            region = False
        elif sentence.startswith("classes without objects"):
            classes = False
        elif re.fullmatch(r"\d+ objects? (is|are) partly covered by later ones: \d+ px lost", sentence):
            covered = True
        elif any(re.search(known, sentence) for known in HARMLESS):
            continue
        elif shape:
            kind = KINDS[shape[1]]
            assert shape[2] in SUBSTITUTES or shape[2] in JOINED, sentence
            if shape[2] in JOINED:
                joined.add(kind)
            kinds[kind] = SUBSTITUTES.get(shape[2])
        else:
            raise AssertionError(f"what does this mean: {sentence}")
    found = []
    for label in labels.labels:
        if (frames_out and label.frame) or (tracked_only and label.track_id is None):
            continue
        change = kinds.get(shape_kind(label))
        shape_ = change(label.shape, labels.images[label.file]) if change else label.shape
        if shape_ is not None:
            found.append(replace(label, shape=shape_, **{f: 0 if f == "frame" else None for f in drop}))
    if covered:
        left = (uncovered(label, found[k + 1 :]) for k, label in enumerate(found))
        found = [label for label in left if label is not None]
    used = {label.file for label in found}
    images = {
        file: replace(
            facts,
            pixel_size_nm=facts.pixel_size_nm if scale else None,
            frame_interval_s=facts.frame_interval_s if timed else None,
        )
        for file, facts in labels.images.items()
        if empty or file in used
    }
    kept = set(labels.classes) if classes else {label.label for label in found}
    return (
        replace(labels, images=images, labels=tuple(found), complete_region=labels.complete_region if region else None),
        kept,
        joined,
    )


def uncovered(label, later):
    """The label with the pixels that no later mask of its frame covers; None where none are left."""
    pixels = rasterize(label.shape, 400, 400)
    for other in later:
        if (other.file, other.frame) == (label.file, label.frame):
            pixels &= ~rasterize(other.shape, 400, 400)
    return replace(label, shape=Mask.from_pixels(pixels)) if pixels.any() else None


def close(a, b):
    return abs(a - b) <= TOLERANCE * max(1, abs(a))


def same_shape(a, b, *, joined):
    """Whether two shapes are one: to 1e-6 px, whatever way round their angles are given."""
    if joined and isinstance(b, Polygon):
        grid = [rasterize(shape, 200, 400) for shape in (moved(as_polygon(a)), moved(b))]
        return (grid[0] != grid[1]).sum() <= 2 and math.isclose(as_polygon(a).area_px, b.area_px, rel_tol=1e-6, abs_tol=1e-6)
    if type(a) is not type(b):
        return False
    if isinstance(a, Mask):
        return a == b
    if isinstance(a, Polygon):
        return len(a.rings) == len(b.rings) and all(
            len(p) == len(q) and all(close(u, v) for s, t in zip(p, q, strict=True) for u, v in zip(s, t, strict=True))
            for p, q in zip(a.rings, b.rings, strict=True)
        )
    if isinstance(a, Point):
        return close(a.x, b.x) and close(a.y, b.y)
    if isinstance(a, Box):
        return all(close(u, v) for s, t in zip(a.ring, b.ring, strict=True) for u, v in zip(s, t, strict=True))
    a, b = long_first(a), long_first(b)
    turn = (a.angle_deg - b.angle_deg) % 180
    values = ("x", "y", "major", "minor")
    return all(close(getattr(a, v), getattr(b, v)) for v in values) and (
        turn < 1e-4 or turn > 180 - 1e-4 or close(a.major, a.minor)
    )


def long_first(ellipse):
    """The same ellipse with its longer axis as the major one."""
    if ellipse.major >= ellipse.minor:
        return ellipse
    return replace(ellipse, major=ellipse.minor, minor=ellipse.major, angle_deg=ellipse.angle_deg + 90)


def moved(polygon):
    return Polygon(tuple(tuple((x + 60, y + 60) for x, y in ring) for ring in polygon.rings))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_read_back(name):
    """One test per format with many label sets; every difference that the writer did not announce fails."""

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(label_sets())
    def check(labels):
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / TARGETS[name]
            round_trip(labels, target, name)

    check()


def round_trip(labels, target, name):
    root = target if not target.suffix else target.parent
    put_pictures(labels, root)
    said = write_labels(replace(labels, root=root), target, name)
    assert recognise_labels(target) == name
    wanted, classes, joined = expected(labels, said)
    if not target.exists():
        return
    found = read_labels(target, kind=name)
    assert found.skipped == () and found.root == root
    left_out = {label for label in labels.labels if label not in wanted.labels}
    emptied = {label.label for label in left_out} - {label.label for label in wanted.labels}  # goes without saying
    assert classes - emptied <= set(found.classes) <= classes | emptied
    assert found.complete_region == wanted.complete_region
    assert list(found.images) == list(wanted.images) or sorted(found.images) == sorted(wanted.images)
    for file, facts in wanted.images.items():
        read = found.images[file]
        assert read.width in (None, facts.width) and read.height in (None, facts.height) and read.frames in (1, facts.frames)
        assert read.frame_interval_s == facts.frame_interval_s
        assert read.pixel_size_nm == facts.pixel_size_nm or np.allclose(read.pixel_size_nm, facts.pixel_size_nm)
        left = list(found.of(file))
        for label in wanted.of(file):  # in any order
            match = next((b for b in left if same(label, b, joined=shape_kind(label) in joined)), None)
            assert match is not None, (said, label, left)
            left.remove(match)
        assert not left, (said, left)


def same(a, b, *, joined):
    return replace(a, shape=None) == replace(b, shape=None) and same_shape(a.shape, b.shape, joined=joined)


TOKENS = [
    b"1e9",
    b"nan",
    b"-1",
    b"",
    b"null",
    b'"',
    b"[",
    b"{",
    b"}",
    b"\xff",
    b"<",
    b">",
    b"0",
    b"9" * 20,
    b",",
    b"\0",
    b"1e400",
    b"\n",
]
EVERY_SHAPE = [
    Label("a b.png", "x y", Box(4, 5, 3, 2), object_id="q", score=0.5),
    Label("a b.png", "x y", Box(4, 5, 3, 2, 30)),
    Label("a b.png", "z", Ellipse(9, 9, 4, 3, 20), track_id=1),
    Label("a b.png", "z", Polygon((((1, 1), (5, 1), (5, 5)), ((9, 9), (12, 9), (12, 12))))),
    Label("a b.png", "z", Mask.from_pixels(np.eye(4), 2, 3)),
    Label("a b.png", "z", Point(3, 3)),
]


def damaged(content, random):
    """The content cut off, or with a piece, a number or a text replaced."""
    at, way = random.randrange(len(content) + 1), random.random()
    if way < 0.2:
        return content[:at]
    values = list(re.finditer(rb'-?\d+\.?\d*|"[^"]*"', content))
    start, end = random.choice(values).span() if way > 0.6 and values else (at, at + random.randrange(6))
    return content[:start] + random.choice(TOKENS) + content[end:]


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_are_read_in_part_or_refused(name, tmp_path):
    """Nothing but MorphoscopeError, and never a place that is no number."""
    random = Random(name)
    labels = LabelSet({"a b.png": ImageFacts(30, 20)}, tuple(EVERY_SHAPE), ("c",), root=tmp_path)
    put_pictures(labels, tmp_path)
    target = tmp_path / TARGETS[name]
    put_pictures(labels, target.parent if target.suffix else target)
    write_labels(labels, target, name)
    files = [p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".png"]
    whole = {path: path.read_bytes() for path in files}
    for _ in range(80):
        path = random.choice(files)
        path.write_bytes(damaged(whole[path], random))
        try:
            recognise_labels(target)
            found = read_labels(target, kind=name)
            assert all(math.isfinite(edge) for label in found.labels for edge in label.shape.bounds)
        except MorphoscopeError:
            pass
        path.write_bytes(whole[path])

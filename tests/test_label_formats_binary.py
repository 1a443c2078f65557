"""ImageJ ROIs, label images, TrackMate XML and tables of objects: files written by their specification, and what damages them."""

from __future__ import annotations

import json
import math
import struct
import tracemalloc
import zipfile
from dataclasses import replace
from xml.etree import ElementTree

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi

from morphoscope.errors import InputError, MorphoscopeError, UsageError
from morphoscope.io.label_formats.label_pages import Drawing, write_pages
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.labels import read_boxes, read_labels, recognise_labels, write_labels
from morphoscope.io.shapes import Box, Ellipse, Mask, Point, Polygon, rasterize

FIRST, LAST = Box.from_corners(0, 0, 1, 1), Box.from_corners(7, 5, 8, 6)  # one pixel each of an 8 x 6 px image
SMALL = ImageFacts(8, 6)


def picture(path, width=8, height=6):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.zeros((height, width), np.uint8))


def labels_of(*shapes, file="a.png", facts=SMALL, **more):
    return LabelSet({file: facts}, tuple(Label(file, "dot", shape) for shape in shapes), **more)


def shapes_in(path, **more):
    found = read_labels(path, **more)
    assert found.skipped == ()
    return [label.shape for label in found.labels]


# ImageJ: bytes by RoiDecoder's table of offsets, big-endian


def roi_bytes(kind, *, bounds=(0, 0, 0, 0), corners=(), subtype=0, options=0, floats=(0, 0, 0, 0), aspect=0.0, data=b""):
    """A ROI without name: type, bounds (top, left, bottom, right), whole corners relative to them or float corners."""
    head = struct.pack(">4shBxhhhhH4f", b"Iout", 227, kind, *bounds, len(corners), *floats)
    size = 0 if corners else len(data) // 4
    head += struct.pack(">hiiihhfii", 0, size, 0, 0, subtype, options, aspect, 0, 0)
    whole = b"".join(struct.pack(">h", int(round(x)) - bounds[1]) for x, _ in corners)
    whole += b"".join(struct.pack(">h", int(round(y)) - bounds[0]) for _, y in corners)
    exact = b"".join(struct.pack(">f", x) for x, _ in corners) + b"".join(struct.pack(">f", y) for _, y in corners)
    return head + (whole + (exact if options & 128 else b"") if corners else data)


def roi_file(tmp_path, content, name="loop-0001.roi"):
    path = tmp_path / name
    path.write_bytes(content)
    return path


POLYGON, RECT, OVAL, LINE, FREEHAND, TRACED, POINT = 0, 1, 2, 3, 7, 8, 10


def test_imagej_areas_by_the_specification(tmp_path):
    def read(*given, **values):
        (shape,) = shapes_in(roi_file(tmp_path, roi_bytes(*given, **values)))
        return shape

    assert read(RECT, bounds=(3, 2, 8, 6)) == Box.from_corners(2, 3, 6, 8)  # pixels 2..5 by 3..7
    assert read(RECT, bounds=(0, 0, 1, 1)) == FIRST and read(RECT, bounds=(5, 7, 6, 8)) == LAST
    assert read(RECT, bounds=(3, 2, 9, 7), options=128, floats=(2.25, 3.5, 4.5, 5.25)) == Box.from_corners(2.25, 3.5, 6.75, 8.75)
    assert read(OVAL, bounds=(3, 2, 8, 12)) == Ellipse(7, 5.5, 10, 5)
    assert read(OVAL, bounds=(2, 3, 12, 8)) == Ellipse(5.5, 7, 10, 5, 90)
    turned = read(FREEHAND, corners=[(0, 0)] * 3, subtype=3, floats=(5, 20, 25, 20), aspect=0.4)
    assert turned == Ellipse(15, 20, 20, pytest.approx(8), 0)
    turned = read(FREEHAND, corners=[(0, 0)] * 3, subtype=3, floats=(0, 10, 10, 0), aspect=0.5)
    assert turned.angle_deg == pytest.approx(45) and turned.major == pytest.approx(math.sqrt(200))  # to the upper right
    turned = read(FREEHAND, corners=[(0, 0)] * 3, subtype=5, floats=(5, 20, 25, 20), aspect=6.5)
    assert turned == Box(15, 20, 20, 6.5, 0)
    corners = [(2, 3), (12, 3), (12, 9), (6, 14)]
    for kind in (POLYGON, FREEHAND, TRACED):
        assert read(kind, bounds=(3, 2, 14, 12), corners=corners) == Polygon((tuple((float(x), float(y)) for x, y in corners),))
    fine = [(2.5, 3.25), (12.25, 3), (6, 14.75)]
    assert read(POLYGON, bounds=(3, 2, 15, 13), corners=fine, options=128) == Polygon((tuple(fine),))
    ring = [0, 2, 2, 1, 14, 2, 1, 14, 12, 1, 2, 12, 4, 0, 4, 4, 1, 9, 4, 1, 9, 9, 1, 4, 9, 4]
    found = read(RECT, bounds=(2, 2, 12, 14), data=struct.pack(f">{len(ring)}f", *ring))
    assert found.area_px == 12 * 10 - 25 and rasterize(found, 20, 20).sum() == 95


@pytest.mark.parametrize("options", [0, 128])
def test_imagej_points_lie_on_pixel_centres(tmp_path, options):
    """In `Roi.useLineSubpixelConvention` of ImageJ, whole numbers are pixel centres for points, as stored or with sub-pixels."""
    content = roi_bytes(POINT, bounds=(0, 0, 6, 8), corners=[(3, 4), (7, 5), (0, 0)], options=options)
    assert shapes_in(roi_file(tmp_path, content)) == [Point(3.5, 4.5), Point(7.5, 5.5), Point(0.5, 0.5)]
    written = tmp_path / "w.zip"
    assert write_labels(labels_of(Point(3.5, 4.5)), written, "imagej") == []
    with zipfile.ZipFile(written) as archive:
        roi = ImagejRoi.frombytes(archive.read(archive.namelist()[0]))
    assert roi.roitype == ROI_TYPE.POINT and roi.coordinates().tolist() == [[3, 4]]


def test_imagej_classes_frames_and_images(tmp_path):
    picture(tmp_path / "stack of mine.png")
    rois = [
        ImagejRoi.frompoints([[1, 1], [5, 1], [5, 5]], name="loop_0012", position=2),
        ImagejRoi.frompoints([[1, 1], [5, 1], [5, 5]], name="0003-0004", t=4),
        ImagejRoi.frompoints([[1, 1], [5, 1], [5, 5]], name="black dot-2", z=2),
        ImagejRoi.frompoints([[1, 1], [5, 1], [5, 5]], name="x", z=6, t=0),
        ImagejRoi(roitype=ROI_TYPE.RECT, right=2, bottom=2, group=7, name="a"),
        ImagejRoi(roitype=ROI_TYPE.RECT, right=2, bottom=2, group=7, props="class: Ré 2\n"),
        ImagejRoi(roitype=ROI_TYPE.LINE, x2=4.0, y2=4.0),
    ]
    path = tmp_path / "stack of mine.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for k, roi in enumerate(rois):
            archive.writestr(f"cavity_{k}.roi", roi.tobytes())
        archive.writestr("read me.txt", "no ROI")
        archive.writestr("cavity_9.roi", roi_bytes(RECT, bounds=(0, 0, 1, 1)))
    assert recognise_labels(path) == "imagej"
    found = read_labels(path)
    assert list(found.images) == ["stack of mine.png"]
    assert [(label.label, label.frame) for label in found.labels] == [
        ("loop", 2), ("object", 4), ("black dot", 2), ("x", 6), ("group 7", 0), ("Ré 2", 0), ("cavity", 0)
    ]  # fmt: skip
    assert found.notes == ("lines, texts and pictures among the ROIs: left out",)


def test_imagej_multi_point_of_a_stack(tmp_path):
    roi = ImagejRoi.frompoints(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    roi.roitype = ROI_TYPE.POINT
    roi.counters = np.zeros(3, np.uint8)
    roi.counter_positions = np.array([3, 1, 0], np.uint32)
    found = read_labels(roi_file(tmp_path, roi.tobytes(), "p.roi"))
    assert [(label.shape, label.frame) for label in found.labels] == [
        (Point(1.5, 2.5), 2), (Point(3.5, 4.5), 0), (Point(5.5, 6.5), 0)
    ]  # fmt: skip
    assert list(found.images) == ["p"] and "not beside it" in found.notes[0]


def test_imagej_written_rois_have_roifiles_corners(tmp_path):
    mask = np.ones((3, 4), bool)
    mask[1, 1] = False
    shapes = [Box.from_corners(2, 3, 6, 8), Ellipse(7, 6, 10, 5), Ellipse(15, 20, 20, 8, 45), Box(15, 20, 20, 6.5, 30)]
    shapes += [Mask.from_pixels(np.ones((2, 3)), 4, 1), Mask.from_pixels(mask, 2, 2)]
    path = tmp_path / "é ü.zip"
    labels = labels_of(*shapes, facts=ImageFacts(40, 40, 3, (0.5, 0.25)), file="é ü.tif")
    labels = replace(labels, labels=tuple(replace(label, frame=k % 3) for k, label in enumerate(labels.labels)))
    assert write_labels(labels, path, "imagej") == []
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist()[0] == "dot_0001.roi"
        rois = [ImagejRoi.frombytes(archive.read(name)) for name in archive.namelist()]
    assert [roi.position for roi in rois] == [1, 2, 3, 1, 2, 3] and rois[0].name == "dot_0001"
    assert (rois[0].left, rois[0].top, rois[0].right, rois[0].bottom) == (2, 3, 6, 8)
    assert rois[0].coordinates()[:4].tolist() == [[2, 3], [2, 8], [6, 8], [6, 3]]
    assert rois[1].roitype == ROI_TYPE.OVAL and (rois[1].xd, rois[1].yd, rois[1].widthd, rois[1].heightd) == (2, 3.5, 10, 5)
    half = 10 * math.sqrt(0.5)
    assert rois[2].subtype == ROI_SUBTYPE.ELLIPSE
    assert (rois[2].x1, rois[2].y1, rois[2].x2, rois[2].y2) == pytest.approx((15 - half, 20 + half, 15 + half, 20 - half))
    assert rois[3].subtype == ROI_SUBTYPE.ROTATED_RECT and rois[4].roitype == ROI_TYPE.TRACED
    assert {tuple(corner) for corner in rois[4].coordinates().tolist()} == {(4, 1), (7, 1), (7, 3), (4, 3)}
    outer, hole = (part.tolist() for part in rois[5].coordinates(multi=True))
    assert [2, 2] in outer and [6, 5] in outer and [3, 3] in hole and [4, 4] in hole
    assert read_labels(path).labels == labels.labels and read_labels(path).images == labels.images


def test_imagej_edits_win_over_what_was_kept(tmp_path):
    """A corner moved inside the bounds, and a new class, as Fiji would save them."""
    path = tmp_path / "a.zip"
    ring = ((1.0, 1.0), (9.0, 1.0), (5.0, 3.0), (9.0, 9.0), (1.0, 9.0))
    write_labels(labels_of(Polygon((ring,)), Point(3.5, 3.5)), path, "imagej")
    with zipfile.ZipFile(path) as archive:
        comment, rois = archive.comment, [ImagejRoi.frombytes(archive.read(name)) for name in archive.namelist()]
    rois[0].subpixel_coordinates[2] = (4, 4)
    rois[1].props = rois[1].props.replace("class: dot", "class: void")
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = comment
        for k, roi in enumerate(rois):
            archive.writestr(f"{k}.roi", roi.tobytes())
    polygon, point = read_labels(path).labels
    assert polygon.shape == Polygon(((*ring[:2], (4.0, 4.0), *ring[3:]),)) and polygon.label == "dot"
    assert point.label == "void" and point.shape == Point(3.5, 3.5)


def test_imagej_damaged_rois_are_named(tmp_path):
    good = roi_bytes(RECT, bounds=(0, 0, 1, 1))
    bad = {
        "short.roi": good[:40],
        "other.roi": b"Jout" + good[4:],
        "flat.roi": roi_bytes(RECT, bounds=(3, 3, 3, 3)),
        "many.roi": roi_bytes(POLYGON, bounds=(0, 0, 4, 4), corners=[(0, 0)] * 3)[:70],
        "nan.roi": roi_bytes(POLYGON, corners=[(0, 0), (4, 0), (4, math.inf)][:2] + [(4, 4)], options=128)[:-4] + b"\x7f\xc0\0\0",
        "two.roi": roi_bytes(POLYGON, corners=[(0, 0), (4, 4)]),
        "name.roi": ImagejRoi(roitype=ROI_TYPE.RECT, right=2, bottom=2, name="loop").tobytes()[:-2],
        "kind.roi": roi_bytes(77, bounds=(0, 0, 4, 4)),
        "op.roi": roi_bytes(RECT, bounds=(0, 0, 4, 4), data=struct.pack(">4f", 9, 1, 1, 4)),
    }
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {"good.roi": good, **bad}.items():
            archive.writestr(name, content)
    found = read_labels(path)
    assert [label.shape for label in found.labels] == [FIRST] and len(found.skipped) == len(bad)
    assert all(name in line for name, line in zip(bad, found.skipped, strict=True))
    content = path.read_bytes()
    directory = content.index(b"PK\x01\x02")
    path.write_bytes(content[: directory + 6] + b"\xff" + content[directory + 7 :])  # made by a zip of version 25.5
    with pytest.raises(InputError, match=r"a\.zip"):
        recognise_labels(path)
    for cut in (10, 200, len(content) - 30):
        path.write_bytes(content[:cut])
        with pytest.raises(MorphoscopeError, match=r"a\.zip"):
            read_labels(path, kind="imagej")


def test_imagej_a_zip_that_swells_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.roi", bytes(2**26 + 1))
    tracemalloc.start()
    with pytest.raises(InputError, match=r"a\.roi: claims \d+ bytes"):
        read_labels(path)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_imagej_says_where_classes_are_too_many_for_a_zip_comment(tmp_path):
    labels = labels_of(FIRST, classes=tuple(f"class number {k}" for k in range(5000)))
    assert write_labels(labels, tmp_path / "a.zip", "imagej") == [
        "classes without objects cannot be held and are left out (5000)"
    ]
    assert read_labels(tmp_path / "a.zip").classes == ("dot",)


def test_imagej_round_corners_and_splines_are_said(tmp_path):
    roi = ImagejRoi(roitype=ROI_TYPE.RECT, right=20, bottom=12, rounded_rect_arc_size=6)
    assert "round corners" in " ".join(read_labels(roi_file(tmp_path, roi.tobytes())).notes)
    roi = ImagejRoi.frompoints([[1.0, 1], [9, 1], [5, 9]])
    roi.options |= ROI_OPTIONS.SPLINE_FIT
    assert "curves" in " ".join(read_labels(roi_file(tmp_path, roi.tobytes())).notes)


# label images


def label_tiff(path, page, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, page, **more)
    return path


def test_label_image_pixels_corners_and_frames(tmp_path):
    """One pixel in the first corner and one in the last, an object in two parts, and an empty frame between."""
    picture(tmp_path / "image" / "a b.png")
    first, last = np.zeros((6, 8), np.uint16), np.zeros((6, 8), np.uint16)
    first[0, 0], first[5, 7], last[1, 1:3], last[4, 4] = 7, 300, 9, 9
    stack = np.stack([first, np.zeros_like(first), last])
    label_tiff(tmp_path / "instances" / "a b.tif", stack, imagej=True, resolution=(4, 2), metadata={"axes": "TYX", "unit": "nm"})
    assert recognise_labels(tmp_path) == "label-image"
    found = read_labels(tmp_path)
    assert found.images == {"image/a b.png": ImageFacts(8, 6, 3, (0.5, 0.25))}
    assert [(label.shape.bounds, label.frame, label.object_id, label.label) for label in found.labels] == [
        (FIRST.bounds, 0, "7", "object"), (LAST.bounds, 0, "300", "object"), ((1, 1, 5, 5), 2, "9", "object")
    ]  # fmt: skip
    assert found.labels[2].shape.area_px == 3
    assert np.array_equal(read_boxes(tmp_path).boxes[["x0", "x1"]], [[-0.5, 0.5], [6.5, 7.5], [0.5, 4.5]])


def test_label_image_masks_of_one_number_are_split(tmp_path):
    page = np.zeros((6, 8), np.uint8)
    page[0, 0] = page[1, 1] = page[4:, 5:] = 255  # the first two touch at a corner
    label_tiff(tmp_path / "masks" / "a.tif", page)
    assert cv2.imwrite(str(tmp_path / "masks" / "b.png"), np.zeros((6, 8), np.uint8))
    found = read_labels(tmp_path)
    assert [label.shape.area_px for label in found.labels] == [2, 6] and all(label.object_id is None for label in found.labels)
    assert list(found.images) == ["masks/a.tif", "masks/b.png"] and "one number" in found.notes[0]
    label_tiff(tmp_path / "masks" / "a.tif", np.stack([page] * 3, axis=-1), photometric="rgb")
    assert read_labels(tmp_path).labels == found.labels
    label_tiff(tmp_path / "masks" / "a.tif", np.stack([page, page, 0 * page], axis=-1), photometric="rgb")
    with pytest.raises(InputError, match="wanted a grey label image"):
        read_labels(tmp_path)
    page[3, 0] = 17
    label_tiff(tmp_path / "masks" / "a.tif", page)
    assert [label.object_id for label in read_labels(tmp_path).labels] == ["17", "255"]
    label_tiff(tmp_path / "mask" / "a.tif", page)
    found = read_labels(tmp_path / "mask")
    assert found.counts() == {"class 17": 1, "class 255": 2}


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint32, np.float32])
def test_label_image_kinds_of_numbers(tmp_path, dtype):
    page = np.zeros((6, 8), dtype)
    page[2, 3], page[3, 3] = 200, 1 if dtype == np.uint8 else 2**20 + 5
    path = label_tiff(tmp_path / "l.tif", page)
    found = read_labels(path, kind="label-image")
    assert sorted(int(label.object_id) for label in found.labels) == sorted({200, int(page[3, 3])})
    if dtype in (np.int32, np.float32):
        page[0, 0] = -1 if dtype == np.int32 else 0.5
        label_tiff(path, page)
        with pytest.raises(InputError, match=r"l\.tif: page 0: wanted"):
            read_labels(path, kind="label-image")


def test_label_image_written_pages_numbers_and_scale(tmp_path):
    one, two = Box.from_corners(0, 0, 4, 4), Box.from_corners(2, 2, 6, 6)
    labels = labels_of(one, two, Point(1, 1), Box.from_corners(-5, -5, 0, 0), facts=ImageFacts(8, 6, 2, (0.5, 0.25)))
    said = write_labels(labels, tmp_path, "label-image")
    assert said[0] == "1 object is partly covered by later ones: 4 px lost" and "1 point: left out" in said
    with tifffile.TiffFile(tmp_path / "instances" / "a.tif") as tiff:
        pages = tiff.asarray()
        assert tiff.imagej_metadata["unit"] == "nm" and tiff.imagej_metadata["frames"] == 2
        assert tiff.pages.first.tags["XResolution"].value == (4, 1) and tiff.pages.first.tags["YResolution"].value == (2, 1)
    assert pages.shape == (2, 6, 8) and pages.dtype == np.uint16 and not pages[1].any()
    assert pages[0, 0, 0] == 1 and pages[0, 2, 2] == 2 and pages[0, 5, 5] == 2 and pages[0, 5, 7] == 0
    found = read_labels(tmp_path)
    assert found.images == labels.images and [label.shape.area_px for label in found.labels] == [12, 16]
    for inner in (tmp_path / "instances", tmp_path / "instances" / "a.tif"):
        assert recognise_labels(inner) == "label-image" and read_labels(inner) == found
    (tmp_path / "instances.csv").unlink()
    assert read_labels(tmp_path).images == {"instances/a.tif": labels.images["a.png"]}


def test_label_image_never_replaces_the_image(tmp_path):
    label_tiff(tmp_path / "a.tif", np.full((6, 8), 9, np.uint8))
    before = (tmp_path / "a.tif").read_bytes()
    labels = labels_of(FIRST, file="a.tif", root=tmp_path)
    assert write_labels(labels, tmp_path, "label-image")
    with pytest.raises(InputError, match="would replace the image"):
        write_labels(labels, tmp_path / "a.tif", "label-image")
    inside = labels_of(FIRST, file="instances/b.tif", root=tmp_path)
    label_tiff(tmp_path / "instances" / "b.tif", np.zeros((6, 8), np.uint8))
    write_labels(inside, tmp_path, "label-image")
    assert (tmp_path / "a.tif").read_bytes() == before and (tmp_path / "instances" / "instances" / "b.tif").is_file()


def test_label_image_of_very_many_objects_has_32_bits(tmp_path):
    dots = [Mask(x, y, 1, 1, (0, 1)) for y in range(256) for x in range(0, 514, 2)][: 2**16]
    write_labels(labels_of(*dots, facts=ImageFacts(514, 256)), tmp_path / "l.tif", "label-image")
    page = tifffile.imread(tmp_path / "l.tif")
    assert page.dtype == np.uint32 and page.max() == 2**16
    assert [label.shape for label in read_labels(tmp_path / "l.tif", kind="label-image").labels[-2:]] == dots[-2:]


def test_label_image_of_32_bits_keeps_its_pages(tmp_path):
    drawing = Drawing([(2**20, 1, Mask(1, 1, 1, 1, (0, 1)))], (3, 6, 8))
    drawing.dtype = np.uint32
    write_pages(tmp_path / "l.tif", drawing, (1.0, 1.0))
    (label,) = read_labels(tmp_path / "l.tif", kind="label-image").labels
    assert (label.frame, label.object_id, label.shape.bounds) == (1, None, (1, 1, 2, 2))


def test_label_image_memory_is_that_of_a_page(tmp_path):
    labels = labels_of(FIRST, facts=ImageFacts(400, 400, 200))
    labels = replace(labels, labels=tuple(replace(label, frame=k) for k in range(200) for label in labels.labels))
    tracemalloc.start()
    write_labels(labels, tmp_path, "label-image")
    found = read_labels(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 20 * 400 * 400 * 2  # all pages are 200 times that
    tracemalloc.stop()
    assert len(found.labels) == 200 and found.images["a.png"].frames == 200


def test_label_image_pictures_damage_and_false_sizes(tmp_path):
    noise = np.random.default_rng(1).integers(0, 255, (80, 80)).astype(np.uint8)
    path = label_tiff(tmp_path / "n.tif", noise)
    with pytest.raises(InputError, match="a picture, no label image"):
        read_labels(path, kind="label-image")
    page = np.zeros((64, 64), np.uint16)
    page[3:9, 3:9], page[20:30, 20:30] = 1, 2
    stack = label_tiff(tmp_path / "masks" / "s.tif", np.stack([page] * 4), photometric="minisblack")
    content = stack.read_bytes()
    for cut in (4, 100, len(content) // 2):
        stack.write_bytes(content[:cut])
        try:
            found = read_labels(tmp_path)
            assert found.skipped and "s.tif" in found.skipped[0]
        except MorphoscopeError as error:
            assert "s.tif" in str(error)
    huge = label_tiff(tmp_path / "h.tif", page)
    with tifffile.TiffFile(huge, mode="r+") as tiff:
        for tag in ("ImageWidth", "ImageLength"):
            tiff.pages.first.tags[tag].overwrite(60000)
    size = struct.pack(">IIBBBBB", 30000, 30000, 16, 0, 0, 0, 0)
    png = cv2.imencode(".png", page)[1].tobytes()
    (tmp_path / "h.png").write_bytes(png[:16] + size + png[29:])
    tracemalloc.start()
    for name in ("h.tif", "h.png"):
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            read_labels(tmp_path / name, kind="label-image")
    assert tracemalloc.get_traced_memory()[1] < 2**26
    tracemalloc.stop()


def test_label_image_bad_lists_are_named(tmp_path):
    write_labels(labels_of(FIRST, LAST), tmp_path, "label-image")
    path = tmp_path / "instances.csv"
    text = path.read_text()
    path.write_text(text.replace(",1,dot", ",x,dot"))
    found = read_labels(tmp_path)
    assert "line 2" in found.skipped[0] and [label.label for label in found.labels] == ["object", "dot"]
    path.write_text(text.replace("instances/a.tif", "instances/gone.tif"))
    with pytest.raises(InputError, match=r"gone\.tif"):
        read_labels(tmp_path)
    path.write_text("file,value\n")
    with pytest.raises(InputError, match=r"instances\.csv: wanted the columns"):
        read_labels(tmp_path)


# TrackMate


SPOTS = """<?xml version="1.0" encoding="UTF-8"?>
<TrackMate version="7.11.1"><Model spatialunits="{unit}" timeunits="sec"><AllSpots nspots="6">
<SpotsInFrame frame="0">
<Spot ID="11" name="loop ID11" QUALITY="0.75" POSITION_X="0.0" POSITION_Y="0.0" POSITION_T="0"
 FRAME="0" RADIUS="1.0" VISIBILITY="1"/>
<Spot ID="12" name="Ré 2 ID12" POSITION_X="3.5" POSITION_Y="2.5" FRAME="0" RADIUS="1" ROI_N_POINTS="4">
-0.25 -0.25 0.25 -0.25 0.25 0.25 -0.25 0.25</Spot>
</SpotsInFrame>
<SpotsInFrame frame="1"><Spot ID="13" name="mine" POSITION_X="0.5" POSITION_Y="0" FRAME="1" RADIUS="1.0"/></SpotsInFrame>
<SpotsInFrame frame="2">
<Spot ID="14" POSITION_X="1.0" POSITION_Y="0" FRAME="2" RADIUS="1.0"/>
<Spot ID="15" POSITION_X="1.5" POSITION_Y="0" FRAME="2" RADIUS="1.0"/>
<Spot ID="16" POSITION_X="1.5" POSITION_Y="0" FRAME="2" RADIUS="1.0" VISIBILITY="0"/>
</SpotsInFrame></AllSpots>
<AllTracks><Track name="Track_4" TRACK_ID="4"><Edge SPOT_SOURCE_ID="11" SPOT_TARGET_ID="13"/>
<Edge SPOT_SOURCE_ID="13" SPOT_TARGET_ID="14"/><Edge SPOT_SOURCE_ID="13" SPOT_TARGET_ID="15"/></Track>{more}</AllTracks>
<FilteredTracks><TrackID TRACK_ID="4"/></FilteredTracks></Model>
<Settings><ImageData filename="a b.tif" folder="" width="8" height="6" nslices="1" nframes="3" pixelwidth="0.5"
 pixelheight="{high}" voxeldepth="1.0" timeinterval="2.0"/></Settings></TrackMate>"""


def trackmate_file(tmp_path, *, unit="\u00b5m", high="0.5", more=""):
    path = tmp_path / "t.xml"
    path.write_text(SPOTS.format(unit=unit, high=high, more=more), encoding="utf-8")
    return path


def test_trackmate_by_the_specification(tmp_path):
    """Pixel centres lie at whole numbers times the pixel size, so that a spot at 0 is the centre of the first pixel."""
    path = trackmate_file(tmp_path)
    assert recognise_labels(path) == "trackmate"
    found = read_labels(path)
    assert found.images == {"a b.tif": ImageFacts(8, 6, 3, (500, 500), 2.0)}
    assert [(label.object_id, label.label, label.frame, label.track_id, label.score) for label in found.labels] == [
        ("11", "loop", 0, 4, 0.75), ("12", "Ré 2", 0, None, None), ("13", "object", 1, 4, None), ("14", "object", 2, 4, None),
        ("15", "object", 2, 4, None),
    ]  # fmt: skip
    assert found.labels[0].shape == Ellipse(0.5, 0.5, 4, 4)
    assert found.labels[1].shape == Polygon((((7.0, 5.0), (8.0, 5.0), (8.0, 6.0), (7.0, 6.0)),))  # the last pixel
    assert sorted(found.notes) == [
        "spots that a filter of TrackMate hides: left out",
        "tracks that split or merge: all their branches have one track id",
    ]


def test_trackmate_unequal_pixels_units_and_hidden_tracks(tmp_path):
    more = '<Track TRACK_ID="9"><Edge SPOT_SOURCE_ID="12" SPOT_TARGET_ID="16"/></Track>'
    found = read_labels(trackmate_file(tmp_path, high="0.25", more=more))
    assert found.images["a b.tif"].pixel_size_nm == (250, 500)
    assert found.labels[0].shape == Ellipse(0.5, 0.5, 8, 4, 90)  # a circle in um
    assert found.labels[1].track_id is None and any("tracks that a filter" in note for note in found.notes)
    for unit, scale in (("micron", (500, 500)), ("nm", (0.5, 0.5)), ("pixel", None), ("inch", None)):
        assert read_labels(trackmate_file(tmp_path, unit=unit)).images["a b.tif"].pixel_size_nm == scale
    found = read_labels(trackmate_file(tmp_path, unit="m", high="1e6"))
    assert found.images["a b.tif"].pixel_size_nm is None and any("absurd" in note for note in found.notes)


def test_trackmate_places_in_nm_may_be_large(tmp_path):
    labels = labels_of(Box.from_corners(29000, 29000, 29002, 29001), facts=ImageFacts(30000, 30000, 1, (5000.0, 5000.0)))
    write_labels(labels, tmp_path / "t.xml", "trackmate")
    assert read_labels(tmp_path / "t.xml").labels == labels.labels


def test_trackmate_damaged_spots_are_named_and_entities_refused(tmp_path):
    path = trackmate_file(tmp_path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('POSITION_X="0.5"', 'POSITION_X="nan"').replace('ID="14" POSITION_X="1.0"', 'ID="14"'), "utf-8")
    found = read_labels(path)
    assert len(found.labels) == 3 and "spot 3" in found.skipped[0] and "spot 4" in found.skipped[1]
    for more in ('<!DOCTYPE x [<!ENTITY a "b">]><TrackMate', '<!DOCTYPE TrackMate SYSTEM "/etc/passwd"><TrackMate'):
        path.write_text(text.replace("<TrackMate", more, 1), encoding="utf-8")
        with pytest.raises(InputError, match="document type"):
            read_labels(path, kind="trackmate")
    for high in ("0", "-1", "nan"):
        with pytest.raises(InputError, match=r"t\.xml"):
            read_labels(trackmate_file(tmp_path, high=high))
    path.write_text(text[: len(text) // 2], encoding="utf-8")
    with pytest.raises(InputError, match=r"t\.xml: line \d+"):
        read_labels(path)


def test_trackmate_spots_are_read_one_by_one(tmp_path):
    text = trackmate_file(tmp_path).read_text(encoding="utf-8")
    hidden = '<Spot ID="%d" POSITION_X="0" POSITION_Y="0" FRAME="0" RADIUS="1" VISIBILITY="0">' + "1.25 -3.5 " * 100 + "</Spot>"
    many = "".join(hidden % (100 + k) for k in range(20000))
    path = tmp_path / "t.xml"
    path.write_text(text.replace("</SpotsInFrame>", f"{many}</SpotsInFrame>", 1), encoding="utf-8")
    del many
    tracemalloc.start()
    assert len(read_labels(path).labels) == 5
    assert tracemalloc.get_traced_memory()[1] < path.stat().st_size / 2
    tracemalloc.stop()


def test_trackmate_written_files_have_what_it_looks_for(tmp_path):
    spots = [Label("s.tif", "loop", Ellipse(1.5 + k, 2, 2, 1, 30), k, score=0.5, track_id=4) for k in (0, 2, 3)]
    spots.insert(1, Label("s.tif", "dot", Point(3.5, 4.5), 1))
    labels = LabelSet({"s.tif": ImageFacts(8, 6, 4, (2.0, 0.5))}, tuple(spots), root=tmp_path)
    path = tmp_path / "t.xml"
    assert write_labels(labels, path, "trackmate") == []
    root = ElementTree.parse(path).getroot()
    assert root.get("version", "").startswith("7") and root.find("Model").get("spatialunits") == "nm"
    first = root.find("Model/AllSpots/SpotsInFrame[@frame='0']/Spot")
    assert (float(first.get("POSITION_X")), float(first.get("POSITION_Y"))) == ((1.5 - 0.5) * 0.5, (2 - 0.5) * 2)
    assert first.get("name") == "loop ID0" and float(first.get("QUALITY")) == 0.5
    assert float(first.get("RADIUS")) == pytest.approx(math.sqrt(2 * 1 / 4 * 2 * 0.5))
    corners = np.array(first.text.split(), float).reshape(-1, 2)
    assert int(first.get("ROI_N_POINTS")) == len(corners) and abs(corners.mean(axis=0)).max() < 1e-9
    point = root.find("Model/AllSpots/SpotsInFrame[@frame='1']/Spot")
    assert (float(point.get("POSITION_X")), float(point.get("POSITION_Y"))) == (1.5, 8) and point.text is None
    track = root.iterfind("Model/AllTracks/Track[@TRACK_ID='4']/Edge")
    edges = [(edge.get("SPOT_SOURCE_ID"), edge.get("SPOT_TARGET_ID")) for edge in track]
    assert edges == [("0", "2"), ("2", "3")] and root.find("Model/FilteredTracks/TrackID").get("TRACK_ID") == "4"
    features = {feature.get("feature") for feature in root.iterfind("Model/FeatureDeclarations/SpotFeatures/Feature")}
    assert set(first.attrib) - features == {"ID", "name", "ROI_N_POINTS"}
    assert all(root.find(f"Settings/{name}") is not None for name in ("ImageData", "BasicSettings", "InitialSpotFilter"))
    assert read_labels(path).labels == labels.labels
    kept = root.find("Morphoscope")
    root.remove(kept)  # as TrackMate does when it saves
    ElementTree.ElementTree(root).write(path, encoding="utf-8")
    found = read_labels(path)
    assert [(label.label, label.frame, label.track_id) for label in found.labels] == [("loop", 0, 4), ("dot", 1, None)] + [
        ("loop", k, 4) for k in (2, 3)
    ]
    assert found.labels[0].shape.area_px == pytest.approx(math.pi / 2)
    assert (found.labels[1].shape.x, found.labels[1].shape.y) == (3.5, 4.5)


def test_trackmate_moved_spots_win_over_what_was_kept(tmp_path):
    path = tmp_path / "t.xml"
    write_labels(labels_of(Ellipse(3, 3, 4, 2), Box(5, 2, 2, 2)), path, "trackmate")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('POSITION_X="2.5"', 'POSITION_X="3.5"').replace("dot ID1", "void ID1"), encoding="utf-8")
    moved, renamed = read_labels(path).labels
    assert moved.shape.kind == "polygon" and moved.shape.bounds == pytest.approx((2, 2, 6, 4), abs=0.02)
    assert renamed.label == "void" and renamed.shape == Box(5, 2, 2, 2)


# tables of objects


def test_objects_of_a_run_are_boxes(tmp_path):
    """`x_px` has pixel centres at whole numbers: the first pixel is at 0."""
    table = pd.DataFrame(
        {
            "frame": [0, 3, 3],
            "file": ["v.mp4"] * 3,
            "object_id": [5, 6, 7],
            "label": ["loop", "1", "NA"],
            "score": [0.5, None, 0.25],
            "x_px": [0.0, 7.0, 3.5],
            "y_px": [0.0, 5.0, 2.0],
            "width_px": [1.0, 1.0, 4.0],
            "height_px": [1.0, 1.0, 2.0],
            "width_nm": [2.0, 2.0, 8.0],
            "height_nm": [0.5, 0.5, 1.0],
            "major_px": [9.0, None, 9.0],
            "fitted": [True, False, True],
            "track_id": pd.array([2, None, 2], dtype="Int64"),
        }
    )
    for path in (tmp_path / "t.parquet", tmp_path / "t.csv"):
        table.to_parquet(path) if path.suffix == ".parquet" else table.to_csv(path, index=False)
        assert read_labels(path).images["v.mp4"].pixel_size_nm == (0.5, 2)
        assert recognise_labels(path) == "objects"
        assert read_labels(path).labels == (
            Label("v.mp4", "loop", FIRST, 0, "5", 0.5, 2),
            Label("v.mp4", "1", LAST, 3, "6"),
            Label("v.mp4", "NA", Box.from_corners(2, 1.5, 6, 3.5), 3, "7", 0.25, 2),
        )


def test_objects_of_a_run_folder_know_its_images(tmp_path):
    """The pictures of a folder are numbered through by a run; a label's frame counts inside a file."""
    run, pictures = tmp_path / "run", tmp_path / "pictures"
    run.mkdir()
    rows = [{"frame": k, "file": f"{k}.tif", "object_id": k, "label": "x", "x_px": 1, "y_px": 1} for k in (1, 2)]
    table = pd.DataFrame(rows).assign(width_px=2.0, height_px=2.0, fitted=False)
    table.to_parquet(run / "objects.parquet")
    table.to_csv(run / "objects.csv")
    pd.DataFrame({"frame": range(3), "file": [f"{k}.tif" for k in range(3)]}).to_parquet(run / "frames.parquet")
    (run / "run.json").write_text(json.dumps({"inputs": [{"path": str(pictures)}]}))
    found = read_labels(run)
    assert found.root == run and "is not there" in found.notes[0]
    for k in range(3):
        picture(pictures / f"{k}.tif")
    for source in (run, run / "objects.parquet", run / "objects.csv"):
        assert recognise_labels(source) == "objects"
        found = read_labels(source)
        assert found.root == pictures and list(found.images) == ["0.tif", "1.tif", "2.tif"]
        assert [(label.file, label.frame) for label in found.labels] == [("1.tif", 0), ("2.tif", 0)]


def test_objects_written_conform_and_have_nm_twins(tmp_path):
    shapes = [Ellipse(5, 4, 4, 6, 0), Point(3.5, 4.5), Box.from_corners(2, 1, 6, 3), Mask.from_pixels(np.ones((2, 3)), 1, 1)]
    labels = labels_of(*shapes, facts=ImageFacts(8, 6, 1, (2.0, 0.5)))
    labels = replace(labels, labels=tuple(replace(label, object_id=str(9 - k)) for k, label in enumerate(labels.labels)))
    path = tmp_path / "o.csv"
    assert write_labels(labels, path, "objects") == ["1 mask: the upright boxes around them are written"]
    table = pd.read_csv(path)
    assert table["object_id"].tolist() == [9, 8, 7, 6] and "given_id" not in table.columns
    first = table.iloc[0]
    assert (first["x_px"], first["width_px"], first["height_px"]) == (4.5, 4, 6)
    assert (first["major_px"], first["minor_px"], first["angle_deg"]) == (6, 4, 90)
    assert (first["x_nm"], first["y_nm"], first["width_nm"], first["major_nm"]) == (2.25, 7, 2, 12)
    assert table["area_px"].tolist()[2:] == [8, 6] and table["width_px"].isna().tolist() == [False, True, False, False]
    found = read_labels(path)
    assert found.images["a.png"].pixel_size_nm == (2.0, 0.5)
    assert found.labels[0].shape == Ellipse(5, 4, 6, 4, 90) and found.labels[1].shape == Point(3.5, 4.5)
    labels = replace(labels, labels=(replace(labels.labels[0], object_id="é 1"), replace(labels.labels[1], object_id=None)))
    write_labels(labels, tmp_path / "o.parquet", "objects")
    assert [label.object_id for label in read_labels(tmp_path / "o.parquet").labels] == ["é 1", None]
    with pytest.raises(UsageError, match="parquet"):
        write_labels(labels, tmp_path / "o.txt", "objects")


def test_objects_damage_is_named(tmp_path):
    path = tmp_path / "o.parquet"
    write_labels(labels_of(FIRST, LAST), path, "objects")
    content = path.read_bytes()
    for cut in (0, 8, len(content) - 20):
        path.write_bytes(content[:cut])
        with pytest.raises(InputError, match=r"o\.parquet"):
            read_labels(path)
    path = tmp_path / "o.csv"
    path.write_text("file,label,x_px,y_px,width_px,height_px\na.png,x,0,0,1,1\na.png,x,inf,0,1,1\na.png,x,1,1,-1,1\n,x,1,1,1,1\n")
    found = read_labels(path)
    assert len(found.labels) == 1 and [f"row {k}" in line for k, line in zip((2, 3, 4), found.skipped, strict=True)] == [True] * 3
    path.write_text("file,x_px\n")
    with pytest.raises(InputError, match=r"o\.csv lacks the columns label, y_px"):
        read_labels(path)
    path.write_text("file,label,x0,y0,x1,y1\na.png,x,0,0,1,1\n")
    assert recognise_labels(path) == "csv"

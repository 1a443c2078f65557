"""Label formats in JSON, XML and text: hand-written files of known corners, damaged files, reference libraries."""

from __future__ import annotations

import json
import math

import cv2
import numpy as np
import pytest

from morphoscope.errors import InputError
from morphoscope.io.label_formats.coco_rle import counts_of, counts_of_text, mask_of, text_of_counts
from morphoscope.io.label_formats.label_studio_rle import brush_of
from morphoscope.io.label_formats.label_studio_rle import mask_of as brush_mask
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.labels import read_labels, recognise_labels, write_labels
from morphoscope.io.shapes import Box, Ellipse, Mask, Point, Polygon, rasterize

FIRST, LAST = Box.from_corners(0, 0, 1, 1), Box.from_corners(7, 5, 8, 6)  # one pixel each of an 8 x 6 px image


def picture(path, width=8, height=6):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.zeros((height, width), np.uint8))


def two_pixels(file="a.png"):
    return LabelSet({file: ImageFacts(8, 6)}, (Label(file, "dot", FIRST), Label(file, "dot", LAST)), ("dot",))


def coco_file(tmp_path, annotations, **more):
    content = {
        "images": [{"id": 7, "file_name": "a.png", "width": 8, "height": 6}, {"id": 9, "file_name": "empty.png"}],
        "categories": [{"id": 5, "name": "void"}, {"id": 2, "name": "line"}],
        "annotations": [{"id": k + 10, "image_id": 7, "category_id": 5} | a for k, a in enumerate(annotations)],
    }
    path = tmp_path / "c.json"
    path.write_text(json.dumps(content | more))
    return path


# COCO


def test_coco_boxes_polygons_masks_and_keypoints(tmp_path):
    path = coco_file(
        tmp_path,
        [
            {"bbox": [0, 0, 1, 1], "iscrowd": 0},
            {"bbox": [7, 5, 1, 1], "segmentation": []},
            {"bbox": [1, 1, 4, 2], "segmentation": [[1, 1, 3, 1, 3, 3], [4, 1, 5, 1, 5, 2, 4, 1]]},
            {"bbox": [0, 0, 2, 2], "segmentation": {"size": [6, 8], "counts": [1, 2, 3, 1, 41]}, "category_id": 2},
            {"keypoints": [0, 0, 0, 2, 3, 2]},
            {"keypoints": [1, 1, 1, 2, 3, 2]},
        ],
    )
    assert recognise_labels(path) == "coco"
    found = read_labels(path)
    assert list(found.images.items()) == [("a.png", ImageFacts(8, 6)), ("empty.png", ImageFacts())]
    assert found.classes == ("void", "line")
    mask = Mask.from_pixels([[False, True], [True, False], [True, False]])
    rings = ((1, 1), (3, 1), (3, 3)), ((4, 1), (5, 1), (5, 2))
    assert [label.shape for label in found.labels] == [FIRST, LAST, Polygon(rings), mask, Point(2.5, 3.5)]
    assert found.labels[3].label == "line"
    assert [label.object_id for label in found.labels] == ["10", "11", "12", "13", "14"]
    assert "keypoints" in found.notes[0] and found.skipped == ()


def test_coco_keypoints_beside_a_box_are_said_to_be_left_out(tmp_path):
    found = read_labels(coco_file(tmp_path, [{"bbox": [0, 0, 1, 1], "keypoints": [1, 1, 2]}]))
    assert found.labels[0].shape == FIRST and "keypoints" in found.notes[0]


def test_coco_parts_that_overlap_are_all_inside(tmp_path):
    path = coco_file(tmp_path, [{"bbox": [0, 0, 4, 4], "segmentation": [[0, 0, 4, 0, 4, 4, 0, 4], [1, 1, 3, 1, 3, 3, 1, 3]]}])
    found = read_labels(path)
    assert found.labels[0].shape == Mask.from_pixels(np.ones((4, 4)))
    assert "overlap" in found.notes[0]


def test_coco_a_shape_another_tool_moved_counts_by_its_box(tmp_path):
    labels = LabelSet({"a.png": ImageFacts(8, 6)}, (Label("a.png", "loop", Ellipse(3, 3, 4, 2, 30)),))
    assert write_labels(labels, tmp_path / "c.json", "coco") == []
    content = json.loads((tmp_path / "c.json").read_text())
    content["annotations"][0] |= {"bbox": [1, 1, 1, 1], "segmentation": []}
    (tmp_path / "c.json").write_text(json.dumps(content))
    found = read_labels(tmp_path / "c.json")
    assert found.labels[0].shape == Box.from_corners(1, 1, 2, 2)
    assert "another tool" in found.notes[0]


@pytest.mark.parametrize(
    ("annotation", "blamed"),
    [
        ({"bbox": [0, 0, "x", 1]}, "number"),
        ({"bbox": [0, 0, 1]}, "annotation 2"),
        ({"bbox": [0, 0, 0, 1]}, "x0 < x1"),
        ({"bbox": [1e9, 0, 1, 1]}, "1e"),
        ({"bbox": [math.nan, 0, 1, 1]}, "number"),
        ({"bbox": None}, "annotation 2"),
        ({}, "bbox"),
        ({"segmentation": [[1, 1, 2, 2]]}, "3 corners"),
        ({"segmentation": [[1, 1, 2, 2, 3]]}, "annotation 2"),
        ({"segmentation": {"size": [6, 8], "counts": [5]}}, "add up"),
        ({"segmentation": {"size": [6, 8], "counts": "0é"}}, "character"),
        ({"segmentation": {"size": [6, 8], "counts": "o"}}, "ends within"),
        ({"segmentation": {"size": [6, 8], "counts": [48]}}, "no pixel"),
        ({"segmentation": {"size": [10**6, 10**6], "counts": [1, 10**12 - 1]}}, "at most"),
        ({"bbox": [0, 0, 1, 1], "image_id": 4}, "image of id 4"),
        ({"bbox": [0, 0, 1, 1], "image_id": []}, "annotation 2"),
        ({"bbox": [0, 0, 1, 1], "category_id": None}, "category"),
        ({"bbox": [0, 0, 1, 1], "morphoscope": 3}, "object"),
        ({"bbox": [0, 0, 1, 1], "morphoscope": {"track_id": 1.5}}, "whole"),
    ],
)
def test_coco_a_damaged_annotation_is_named_and_the_others_read(tmp_path, annotation, blamed):
    path = coco_file(tmp_path, [{"bbox": [0, 0, 1, 1]}, annotation])
    found = read_labels(path)
    assert [label.shape for label in found.labels] == [FIRST]
    assert len(found.skipped) == 1 and "annotation 2 (id 11)" in found.skipped[0] and blamed in found.skipped[0]
    with pytest.raises(InputError, match="damaged.*annotation 1"):
        read_labels(coco_file(tmp_path, [annotation]))


@pytest.mark.parametrize(
    "text", ['{"images": [', '{"images": []}', '{"images": {}, "annotations": [], "categories": []}', "{" * 10**5]
)
def test_coco_damaged_files_are_named(tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InputError, match=r"c\.json"):
        read_labels(tmp_path / "c.json")


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of the reference with NumPy 2
def test_coco_run_lengths_and_polygons_agree_with_the_reference():
    reference = pytest.importorskip("pycocotools.mask")
    random = np.random.default_rng(3)
    for height, width in [(1, 1), (6, 8), (40, 30), (300, 7)]:
        for density in (0.02, 0.5, 1.0):
            pixels = random.random((height, width)) < density
            pixels[0, -1] = True
            encoded = reference.encode(np.asfortranarray(pixels.astype(np.uint8)))
            text = encoded["counts"].decode()
            mask = Mask.from_pixels(pixels)
            assert mask_of({"size": [height, width], "counts": text}) == mask
            assert text_of_counts(counts_of(mask, height, width)) == text
            assert text_of_counts(counts_of_text(text)) == text
    ring = [(3.2, 2.1), (35.7, 8.4), (28.1, 30.9), (9.3, 24.6)]
    theirs = reference.frPyObjects([[v for corner in ring for v in corner]], 40, 40)
    ours = rasterize(Polygon((tuple(ring),)), 40, 40)
    assert reference.area(theirs)[0] == pytest.approx(ours.sum(), rel=0.03)
    assert abs(reference.decode(theirs)[..., 0].astype(int) - ours).sum() < 0.05 * ours.sum()
    box = rasterize(Box.from_corners(2, 3, 7, 9), 40, 40)
    assert np.array_equal(reference.decode(reference.frPyObjects([[2, 3, 7, 3, 7, 9, 2, 9]], 40, 40))[..., 0], box)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of the reference with NumPy 2
def test_coco_files_are_read_by_the_reference(tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    shapes = [FIRST, LAST, Polygon((((1, 1), (5, 1), (5, 4)),)), Mask.from_pixels(np.eye(3), 2, 1), Ellipse(4, 3, 5, 3, 30)]
    shapes += [Polygon((((0, 0), (6, 0), (6, 6), (0, 6)), ((2, 2), (4, 2), (4, 4), (2, 4)))), Box(4, 3, 4, 2, 45)]
    labels = LabelSet({"a.png": ImageFacts(8, 6), "b.png": ImageFacts(8, 6)}, tuple(Label("a.png", "x", s) for s in shapes))
    assert write_labels(labels, tmp_path / "c.json", "coco") == []
    theirs = coco.COCO(tmp_path / "c.json")
    assert len(theirs.getImgIds()) == 2 and len(theirs.getAnnIds()) == len(shapes)
    for k, shape in enumerate(shapes):
        annotation = theirs.anns[k + 1]
        x, y, width, height = annotation["bbox"]
        assert (x, y, x + width, y + height) == pytest.approx(shape.bounds)
        if annotation["segmentation"]:
            assert abs(theirs.annToMask(annotation).astype(int) - rasterize(shape, 6, 8)).sum() <= 4
        if isinstance(annotation["segmentation"], dict):
            assert np.array_equal(theirs.annToMask(annotation), rasterize(shape, 6, 8))


# YOLO


def yolo_folder(tmp_path, lines, settings="names: [void, 'black dot']\n", width=8, height=6):
    picture(tmp_path / "images" / "a.png", width, height)
    picture(tmp_path / "images" / "b.png")
    (tmp_path / "labels").mkdir(exist_ok=True)
    (tmp_path / "labels" / "a.txt").write_text("\n".join(lines))
    (tmp_path / "data.yaml").write_text(settings)
    return tmp_path


def test_yolo_boxes_polygons_and_scores(tmp_path):
    folder = yolo_folder(
        tmp_path,
        [
            "0 0.0625 0.08333333333333333 0.125 0.16666666666666666",  # the first pixel
            "1 0.9375 0.9166666666666667 0.125 0.16666666666666666 0.75",  # the last one
            "",
            "1 0.25 0.5 0.5 0.5 0.5 1.0",
            "0 0.25 0.5 0.5 0.5 0.5 1.0 0.25 1.0 0.5",
        ],
    )
    assert recognise_labels(folder) == "yolo" == recognise_labels(folder / "data.yaml")
    found = read_labels(folder)
    assert list(found.images) == ["images/a.png", "images/b.png"] and found.classes == ("void", "black dot")
    assert found.labels[0].shape.bounds == pytest.approx(FIRST.bounds)
    assert found.labels[1].shape.bounds == pytest.approx(LAST.bounds) and found.labels[1].score == 0.75
    assert found.labels[2].shape == Polygon((((2, 3), (4, 3), (4, 6)),))
    assert found.labels[3].shape == Polygon((((2, 3), (4, 3), (4, 6), (2, 6)),)) and found.labels[3].score == 0.5


def test_yolo_turned_boxes_only_where_the_task_says_so(tmp_path):
    box = Box(4, 3, 4, 2, 30)
    line = "0 " + " ".join(str(v / s) for x, y in box.ring for v, s in ((x, 8), (y, 6)))
    assert read_labels(yolo_folder(tmp_path, [line])).labels[0].shape.kind == "polygon"
    found = read_labels(yolo_folder(tmp_path, [line, "0 0 0 1 0 1 1 0.2 1"], "names:\n  0: loop\ntask: obb # turned\n"))
    read = found.labels[0].shape
    assert (read.x, read.y, read.width, read.height, read.angle_deg) == pytest.approx((4, 3, 4, 2, 30))
    assert found.labels[1].shape.kind == "polygon"


def test_yolo_pose_data_sets_give_boxes(tmp_path):
    lines = ["0 0.5 0.5 1 1 0.25 0.5 0.75 0.5", "0 0.5 0.5 1 1 0.25 0.5 2"]
    found = read_labels(yolo_folder(tmp_path, lines, "names: [a]\nkpt_shape: [2, 2]\n"))
    assert [label.shape for label in found.labels] == [Box(4, 3, 8, 6)] * 2 and "keypoints" in found.notes[0]
    assert [label.score for label in found.labels] == [None, None]


@pytest.mark.parametrize("layout", ["beside", "darknet", "numbers", "mirrored"])
def test_yolo_layouts(tmp_path, layout):
    picture(tmp_path / "sub" / "a.png")
    label = tmp_path / ("labels/sub" if layout == "mirrored" else "sub") / "a.txt"
    label.parent.mkdir(exist_ok=True, parents=True)
    label.write_text("1 0.5 0.5 1 1\n")
    names = {"beside": "classes.txt", "darknet": "obj.names", "mirrored": "labels/classes.txt"}.get(layout)
    if names:
        (tmp_path / names).write_text("one\nblack dot\n")
    found = read_labels(tmp_path, kind="yolo")
    assert found.labels == (Label("sub/a.png", "black dot" if names else "1", Box(4, 3, 8, 6)),)
    assert bool(found.notes) == (names is None)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("names: ['a, b', \"c: #d\", e f]  # three", ["a, b", "c: #d", "e f"]),
        ("names:\n- a\n- 'it''s'\n", ["a", "it's"]),
        ('# x\n---\npath: ../x # y\nnames:\n    1: b\n    0: "\\u00e9"\nnc: 2\n', ["é", "b"]),
        ("names: {0: a, 1: 'b'}\ndownload: |\n  some: text\n", ["a", "b"]),
        ("nc: 0\nnames: []", []),
    ],
)
def test_yolo_class_names(tmp_path, text, names):
    folder = yolo_folder(tmp_path, [], text)
    assert list(read_labels(folder).classes) == names


@pytest.mark.parametrize(
    "text", ["names", "names: {1: a}", "names: [a", 'names: "abc', "names: a", "names:\n  x: a\n", "names: [\xff"]
)
def test_yolo_a_damaged_data_yaml_is_named(tmp_path, text):
    folder = yolo_folder(tmp_path, ["0 0.5 0.5 1 1"])
    (folder / "data.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"data\.yaml"):
        read_labels(folder)


@pytest.mark.parametrize(
    "line",
    [
        "0 0.5",
        "x 0.5 0.5 1 1",
        "9 0.5 0.5 1 1",
        "0 0.5 0.5 0 1",
        "0 nan 0.5 1 1",
        "0 1e9 0.5 1 1",
        "-1 0.5 0.5 1 1",
        "0.5 1 1 1 1",
    ],
)
def test_yolo_a_damaged_line_is_named_and_the_others_read(tmp_path, line):
    found = read_labels(yolo_folder(tmp_path, ["0 0.5 0.5 1 1", line]))
    assert len(found.labels) == 1 and len(found.skipped) == 1 and "labels/a.txt: line 2" in found.skipped[0]
    with pytest.raises(InputError, match=r"labels/a\.txt: line 1"):
        read_labels(yolo_folder(tmp_path, [line]))


def test_yolo_one_label_file_for_two_images_is_refused(tmp_path):
    labels = LabelSet({"x/a.png": ImageFacts(8, 6), "x/a.tif": ImageFacts(8, 6)})
    with pytest.raises(InputError, match=r"x/a\.png and x/a\.tif"):
        write_labels(labels, tmp_path / "out", "yolo")
    with pytest.raises(InputError, match="size"):
        write_labels(LabelSet({"x/a.png": ImageFacts()}), tmp_path / "out", "yolo")


def test_yolo_images_in_the_path_of_the_settings(tmp_path):
    picture(tmp_path / "set" / "images" / "train" / "a.png")
    (tmp_path / "set" / "labels" / "train").mkdir(parents=True)
    (tmp_path / "set" / "labels" / "train" / "a.txt").write_text("0 0.5 0.5 1 1")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "my.yaml").write_text("path: ../set\ntrain: images/train\nnames: [dot]\n")
    assert recognise_labels(tmp_path / "own") == recognise_labels(tmp_path / "set") == "yolo"
    assert read_labels(tmp_path / "own").labels == (Label("../set/images/train/a.png", "dot", Box(4, 3, 8, 6)),)


def test_yolo_images_elsewhere_keep_their_names(tmp_path):
    picture(tmp_path / "pictures" / "a.png")
    labels = LabelSet({"../pictures/a.png": ImageFacts()}, (Label("../pictures/a.png", "dot", LAST),), root=tmp_path / "set")
    assert write_labels(labels, tmp_path / "set", "yolo") == []
    assert read_labels(tmp_path / "set").of("../pictures/a.png")[0].shape.bounds == pytest.approx(LAST.bounds)


# Pascal VOC

VOC_OBJECT = "<object><name>dot</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"


def voc_file(tmp_path, objects, name="a.xml", more="<filename>a.png</filename>"):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation>{more}<size><width>8</width><height>6</height></size>{''.join(objects)}</annotation>")
    return path


def test_voc_counts_pixels_from_one(tmp_path):
    polygon = "<polygon><x1>0.5</x1><y1>1</y1><y2>1</y2><x2>3</x2><x3>3</x3><y3>3</y3></polygon>"
    objects = [VOC_OBJECT.format(1, 1, 1, 1), VOC_OBJECT.format(8, 6, 8, 6), VOC_OBJECT.format(1.5, 1, 2.5, 1)]
    path = voc_file(tmp_path, [*objects, objects[0].replace("<bndbox>", polygon + "<bndbox>")])
    voc_file(tmp_path, [], "sub/b.xml", "<filename>b.png</filename><path>C:\\images\\b.png</path>")
    assert recognise_labels(tmp_path) == recognise_labels(path) == "voc"
    found = read_labels(tmp_path)
    assert dict(found.images) == {"a.png": ImageFacts(8, 6), "sub/b.png": ImageFacts(8, 6)}
    triangle = Polygon((((0, 0.5), (2.5, 0.5), (2.5, 2.5)),))
    assert [label.shape for label in found.labels] == [FIRST, LAST, Box.from_corners(0.5, 0, 2.5, 1), triangle]
    write_labels(two_pixels(), tmp_path / "out", "voc")
    written = (tmp_path / "out" / "a.xml").read_text()
    for corner in ("<xmin>1<", "<ymin>1<", "<xmax>1<", "<ymax>1<", "<xmin>8<", "<ymin>6<", "<xmax>8<", "<ymax>6<"):
        assert corner in written


def test_voc_images_in_the_layout_of_the_challenge(tmp_path):
    picture(tmp_path / "JPEGImages" / "a.jpg")
    voc_file(tmp_path, [], "Annotations/a.xml", "<filename>a.jpg</filename>")
    found = read_labels(tmp_path / "Annotations")
    assert list(found.images) == ["../JPEGImages/a.jpg"]


def test_voc_two_images_of_one_name_have_two_files(tmp_path):
    files = ["x/a.png", "y/a.png", "x/a.tif", "../x/b.png"]
    assert write_labels(LabelSet({file: ImageFacts(8, 6) for file in files}), tmp_path / "out", "voc") == []
    assert sorted(read_labels(tmp_path / "out").images) == sorted(files)


@pytest.mark.parametrize(
    ("element", "blamed"),
    [
        (VOC_OBJECT.format(3, 1, 1, 1), "x0 < x1"),
        (VOC_OBJECT.format("", 1, 1, 1), "number"),
        (VOC_OBJECT.format("nan", 1, 1, 1), "number"),
        (VOC_OBJECT.format(1, 1, 1e9, 1), "1e"),
        ("<object><name>dot</name></object>", "bndbox"),
        ("<object><name>dot</name><bndbox><xmin>1</xmin></bndbox></object>", "ymin in bndbox"),
        (VOC_OBJECT.format(1, 1, 1, 1).replace("dot", " "), "a name"),
        (VOC_OBJECT.format(1, 1, 1, 1).replace("<bndbox>", "<polygon><x1>1</x1></polygon><bndbox>"), "y1"),
    ],
)
def test_voc_a_damaged_object_is_named_and_the_others_read(tmp_path, element, blamed):
    found = read_labels(voc_file(tmp_path, [VOC_OBJECT.format(1, 1, 1, 1), element]))
    assert len(found.labels) == 1 and len(found.skipped) == 1
    assert "a.xml: object 2" in found.skipped[0] and blamed in found.skipped[0]


BOMB = '<?xml version="1.0"?>\n<!DOCTYPE a [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><{0}>&b;</{0}>'


@pytest.mark.parametrize(
    "text",
    [
        "<annotation><object>",
        "<annotation>&x;</annotation>",
        BOMB.format("annotation"),
        '<?xml version="1.0" encoding="x"?><annotation/>',
    ],
)
def test_voc_damaged_files_are_named(tmp_path, text):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(InputError, match=r"a\.xml"):
        read_labels(tmp_path / "a.xml")
    with pytest.raises(InputError, match=r"a\.xml"):
        read_labels(tmp_path)
    (tmp_path / "b.xml").write_bytes(BOMB.format("annotation").encode("utf-16"))
    with pytest.raises(InputError, match="document type"):
        read_labels(tmp_path / "b.xml", kind="voc")


# keras-yolo3


def keras_file(tmp_path, lines, names="void\nblack dot\n", file="train.txt"):
    (tmp_path / file).write_text("\n".join(lines), encoding="utf-8")
    if names is not None:
        (tmp_path / "my_classes.txt").write_text(names)
    return tmp_path / file


def test_keras_yolo3_lines(tmp_path):
    lines = ["a b/c.png 0,0,1,1,0 7,5,8,6,1", "empty, with 1,2 of it.png", "", "d.png 0.5,-1,2,3,1"]
    path = keras_file(tmp_path, lines)
    assert recognise_labels(path) == "keras-yolo3"
    found = read_labels(path)
    assert list(found.images) == ["a b/c.png", "empty, with 1,2 of it.png", "d.png"]
    assert found.labels[:2] == (Label("a b/c.png", "void", FIRST), Label("a b/c.png", "black dot", LAST))
    assert found.labels[2].shape == Box.from_corners(0.5, -1, 2, 3)
    assert read_labels(keras_file(tmp_path, ["x.png", "y.png"])).labels == ()
    assert recognise_labels(path) == "keras-yolo3"
    said = write_labels(two_pixels("a b.png"), tmp_path / "out.txt", "keras-yolo3")
    assert (tmp_path / "out.txt").read_text() == "a b.png 0,0,1,1,0 7,5,8,6,0\n"
    assert (tmp_path / "out_classes.txt").read_text() == "dot\n"
    assert len(said) == 1 and "spaces" in said[0]


def test_keras_yolo3_without_class_names(tmp_path):
    found = read_labels(keras_file(tmp_path, ["a.png 0,0,1,1,7"], names=None))
    assert found.labels[0].label == "7" and "classes" in found.notes[0]


@pytest.mark.parametrize(
    "box", ["0,0,1,1", "0,0,1,1,5", "0,0,1,1,-1", "0,0,0,1,0", "nan,0,1,1,0", "0,0,1e9,1,0", "0,0,1,1,0,0", "a,0,1,1,0"]
)
def test_keras_yolo3_a_damaged_box_is_named_and_the_others_read(tmp_path, box):
    path = keras_file(tmp_path, ["a.png 0,0,1,1,0", f"b.png {box} 0,0,1,1,0"])
    found = read_labels(path)
    assert len(found.labels) == 2 and len(found.skipped) == 1 and "line 2, box 1" in found.skipped[0]
    assert list(found.images) == ["a.png", "b.png"]


def test_keras_yolo3_a_name_that_looks_like_a_box_is_refused(tmp_path):
    with pytest.raises(InputError, match="looks like a box"):
        write_labels(LabelSet({"a 1,2,3,4,5": ImageFacts()}), tmp_path / "l.txt", "keras-yolo3")
    with pytest.raises(InputError, match="one line"):
        write_labels(LabelSet({"a\nb.png": ImageFacts()}), tmp_path / "l.txt", "keras-yolo3")


# CVAT

CVAT_META = "<meta><task><labels><label><name>void</name></label><label><name>dot</name></label></labels>{}</task></meta>"


def cvat_images(tmp_path, *elements):
    text = f'<image id="0" name="a.png" width="8" height="6">{"".join(elements)}</image>'
    text += '<image id="1" name="b.png" width="8" height="6"/>'
    (tmp_path / "c.xml").write_text(f"<?xml version='1.0'?><!-- x --><annotations>{CVAT_META.format('')}{text}</annotations>")
    return tmp_path / "c.xml"


CVAT_BOX = '<box label="dot" xtl="{}" ytl="{}" xbr="{}" ybr="{}" occluded="0"/>'


def test_cvat_images(tmp_path):
    path = cvat_images(
        tmp_path,
        CVAT_BOX.format(0, 0, 1, 1),
        CVAT_BOX.format(7, 5, 8, 6).replace("occluded", 'rotation="90" occluded'),
        '<ellipse label="dot" cx="4" cy="3" rx="2" ry="1" rotation="30"/>',
        '<polygon label="dot" points="1,1;3.5,1;3,3"><attribute name="score">0.5</attribute></polygon>',
        '<points label="dot" points="2.5,3.5"/>',
        '<mask label="dot" rle="1, 1, 1, 1" left="2" top="1" width="2" height="2"/>',
        '<tag label="dot"/><polyline label="dot" points="1,1;2,2"/><points label="dot" points="2,3;4,5"/>',
    )
    assert recognise_labels(path) == "cvat"
    found = read_labels(path)
    assert dict(found.images) == dict.fromkeys(("a.png", "b.png"), ImageFacts(8, 6)) and found.classes == ("void", "dot")
    turned = Box(7.5, 5.5, 1, 1, 270)
    triangle = Polygon((((1, 1), (3.5, 1), (3, 3)),))
    mask = Mask.from_pixels([[0, 1], [0, 1]], 2, 1)
    assert [label.shape for label in found.labels] == [FIRST, turned, Ellipse(4, 3, 4, 2, 330), triangle, Point(2.5, 3.5), mask]
    assert found.labels[3].score == 0.5 and len(found.notes) == 3 and found.skipped == ()


def test_cvat_rotation_is_clockwise(tmp_path):
    """A flat box turned clockwise by 30 degrees points down on its right."""
    path = cvat_images(tmp_path, '<box label="dot" xtl="0" ytl="2.5" xbr="8" ybr="3.5" rotation="30"/>')
    pixels = rasterize(read_labels(path).labels[0].shape, 6, 8)
    assert pixels[4, 6] and not pixels[1, 6]


def test_cvat_video(tmp_path):
    box = '<box frame="{}" outside="{}" occluded="0" keyframe="1" xtl="0" ytl="0" xbr="{}" ybr="1"/>'
    track = f'<track id="4" label="dot">{box.format(0, 0, 1)}{box.format(1, 0, 2)}{box.format(2, 1, 2)}</track>'
    more = "<size>5</size><original_size><width>8</width><height>6</height></original_size><source>v.mp4</source>"
    (tmp_path / "v.xml").write_text(f"<annotations>{CVAT_META.format(more)}{track}</annotations>")
    found = read_labels(tmp_path / "v.xml")
    assert dict(found.images) == {"v.mp4": ImageFacts(8, 6, 5)}
    first = Label("v.mp4", "dot", FIRST, 0, track_id=4)
    assert found.labels == (first, Label("v.mp4", "dot", Box.from_corners(0, 0, 2, 1), 1, track_id=4))
    gap = LabelSet(dict(found.images), (first, Label("v.mp4", "dot", FIRST, 3, track_id=4)), found.classes)
    assert write_labels(gap, tmp_path / "w.xml", "cvat") == []
    assert (tmp_path / "w.xml").read_text().count('outside="1"') == 2
    assert read_labels(tmp_path / "w.xml") == gap


@pytest.mark.parametrize(
    "element",
    [
        CVAT_BOX.format(1, 0, 1, 1),
        CVAT_BOX.format("x", 0, 1, 1),
        CVAT_BOX.format("nan", 0, 1, 1),
        CVAT_BOX.format(0, 0, 1e9, 1),
        CVAT_BOX.format(0, 0, 1, 1).replace("ybr", "zbr"),
        CVAT_BOX.format(0, 0, 1, 1).replace('label="dot"', ""),
        '<polygon label="dot" points="1,1;2,2"/>',
        '<polygon label="dot" points="1;2;3;4;5"/>',
        '<points label="dot"/>',
        '<ellipse label="dot" cx="1" cy="1" rx="0" ry="1"/>',
        '<mask label="dot" rle="1,1" left="0" top="0" width="10000000" height="10000000"/>',
        '<mask label="dot" rle="4" left="0" top="0" width="2" height="2"/>',
    ],
)
def test_cvat_a_damaged_shape_is_named_and_the_others_read(tmp_path, element):
    found = read_labels(cvat_images(tmp_path, CVAT_BOX.format(0, 0, 1, 1), element))
    assert len(found.labels) == 1 and len(found.skipped) == 1 and "image 1 (a.png)" in found.skipped[0]


@pytest.mark.parametrize(
    "text", ["<annotations><image", BOMB.format("annotations"), "<annotations><track id='1'/></annotations>"]
)
def test_cvat_damaged_files_are_named(tmp_path, text):
    (tmp_path / "c.xml").write_text(text)
    with pytest.raises(InputError, match=r"c\.xml"):
        read_labels(tmp_path / "c.xml", kind="cvat")


# Label Studio


def studio_region(kind, value, **more):
    sides = {"original_width": 8, "original_height": 6}
    return {"id": "r1", "type": kind, **sides, "value": value | {kind: ["dot"]}} | more


def studio_file(tmp_path, regions, *, image="/data/upload/3/0a1b2c3d-a.png", where="annotations"):
    tasks = [{"id": 5, "data": {"image": image}, where: [{"result": regions}]}, {"data": {"scan": "b.png"}, where: []}]
    (tmp_path / "s.json").write_text(json.dumps(tasks))
    return tmp_path / "s.json"


ALL = {"x": 0, "y": 0, "width": 100, "height": 100}


def test_label_studio_regions(tmp_path):
    brush = studio_region("brushlabels", {"rle": brush_of(Mask(6, 5, 2, 1, (0, 2)), 6, 8)})
    regions = [
        studio_region("rectanglelabels", {"x": 0, "y": 0, "width": 12.5, "height": 100 / 6}),
        studio_region("rectanglelabels", {"x": 87.5, "y": 500 / 6, "width": 12.5, "height": 100 / 6, "rotation": 0}),
        # turned clockwise by 90 degrees about its top left corner: it goes to the left and down
        studio_region("rectanglelabels", {"x": 50, "y": 50, "width": 25, "height": 100 / 6, "rotation": 90}),
        studio_region("ellipselabels", {"x": 50, "y": 50, "radiusX": 25, "radiusY": 100 / 6, "rotation": 30}),
        studio_region("polygonlabels", {"points": [[0, 0], [50, 0], [50, 50]], "closed": True}),
        studio_region("keypointlabels", {"x": 12.5, "y": 50, "width": 1}),
        brush,
        {"type": "choices", "value": {"choices": ["good"]}},
        studio_region("rectanglelabels", ALL) | {"value": ALL},
    ]
    path = studio_file(tmp_path, regions)
    assert recognise_labels(path) == "label-studio"
    found = read_labels(path)
    assert dict(found.images) == {"a.png": ImageFacts(8, 6), "b.png": ImageFacts()}
    bounds = [FIRST.bounds, LAST.bounds, (3, 3, 4, 5), Ellipse(4, 3, 4, 2, -30).bounds, (0, 0, 4, 3), (1, 3, 1, 3), (6, 5, 8, 6)]
    for label, wanted in zip(found.labels, bounds, strict=True):
        assert label.shape.bounds == pytest.approx(wanted) and label.label == "dot" and label.object_id == "r1"
    assert [label.shape.kind for label in found.labels] == ["box", "box", "box", "ellipse", "polygon", "point", "mask"]
    assert len(found.notes) == 2 and found.skipped == ()


@pytest.mark.parametrize(
    ("image", "file"),
    [
        ("/data/local-files/?d=in%20situ/a%231.png", "in situ/a#1.png"),
        ("https://example.org/x/a.png?token=1", "a.png"),
        ("sub\\a.png", "sub/a.png"),
        ("upload/a.png", "upload/a.png"),
    ],
)
def test_label_studio_images(tmp_path, image, file):
    assert next(iter(read_labels(studio_file(tmp_path, [], image=image)).images)) == file


def test_label_studio_predictions_only_where_there_are_no_annotations(tmp_path):
    found = read_labels(studio_file(tmp_path, [studio_region("rectanglelabels", ALL, score=0.5)], where="predictions"))
    assert found.labels[0].score == 0.5 and "predictions" in found.notes[0]


def test_label_studio_brush_against_the_format():
    """Ten pixels in a row, two of them inside, in blocks of both kinds written out by hand."""
    size, head = f"{40:032b}", f"{7:05b}" + f"{2:04b}" + f"{3:04b}" * 3
    blocks = "1" + "01" + f"{11:04b}" + f"{0:08b}"  # a run of 12 values: three pixels outside
    blocks += "0" + "00" + f"{7:03b}" + f"{255:08b}" * 8  # eight values one by one: two pixels inside
    blocks += "1" + "11" + f"{15:04b}" + f"{0:08b}" + "1" + "00" + f"{3:03b}" + f"{0:08b}"
    bits = size + head + blocks
    bits += "0" * (-len(bits) % 8)
    values = [int(bits[k : k + 8], 2) for k in range(0, len(bits), 8)]
    assert brush_mask(values, 2, 5) == Mask.from_pixels([[0, 0, 0, 1, 1], [0] * 5])
    random = np.random.default_rng(1)
    for height, width in [(1, 1), (6, 8), (300, 400)]:
        pixels = random.random((height, width)) < 0.4
        pixels[-1, 0] = True
        mask = Mask.from_pixels(pixels)
        assert brush_mask(brush_of(mask, height, width), height, width) == mask


@pytest.mark.parametrize(
    "region",
    [
        studio_region("rectanglelabels", {"x": 0, "y": 0, "width": 0, "height": 1}),
        studio_region("rectanglelabels", {"x": 0, "y": 0, "width": 1}),
        studio_region("rectanglelabels", {"x": "a", "y": 0, "width": 1, "height": 1}),
        studio_region("rectanglelabels", {"x": math.nan, "y": 0, "width": 1, "height": 1}),
        studio_region("rectanglelabels", {"x": 1e9, "y": 0, "width": 1, "height": 1}),
        studio_region("rectanglelabels", ALL, original_width=0),
        studio_region("rectanglelabels", ALL, original_width=None),
        studio_region("rectanglelabels", ALL, meta={"morphoscope": 4}),
        studio_region("polygonlabels", {"points": [[1, 1], [2, 2]]}),
        studio_region("polygonlabels", {"points": 3}),
        studio_region("brushlabels", {"rle": [0, 0]}),
        studio_region("brushlabels", {"rle": [300]}),
        studio_region("brushlabels", {"rle": [255] * 40}, original_width=10**6, original_height=10**6),
        studio_region("ellipselabels", {"x": 1, "y": 1, "radiusX": -1, "radiusY": 1}),
        studio_region("rectanglelabels", ALL, type=3.5),
        "text",
    ],
)
def test_label_studio_a_damaged_region_is_named_and_the_others_read(tmp_path, region):
    found = read_labels(studio_file(tmp_path, [studio_region("rectanglelabels", ALL), region]))
    assert len(found.labels) == 1 and len(found.skipped) == 1 and "task 1 (id 5), result 2" in found.skipped[0]


@pytest.mark.parametrize(
    "text", ["[", '[{"id": 1}]', '[{"data": {"text": "words"}}]', "[3]", '[{"data": {"image": "a.png"}, "annotations": 3}]']
)
def test_label_studio_damaged_files_are_named(tmp_path, text):
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(InputError, match=r"s\.json"):
        read_labels(tmp_path / "s.json")


@pytest.mark.parametrize("kind", ["yolo", "voc"])
def test_label_files_of_images_elsewhere_lose_their_common_folders(tmp_path, kind):
    files = ["../far/off/x/a.png", "../far/off/y/a.png", "/root/far/off/x/b.png", "C:/data/c.png", "own/a.png"]
    near, mixed = files[:2], files
    for chosen, wanted in (
        (near, ["x/a", "y/a"]),
        (mixed, ["data/c", "far/off/x/a", "far/off/y/a", "own/a", "root/far/off/x/b"]),
    ):
        labels = LabelSet(dict.fromkeys(chosen, ImageFacts(8, 6)), tuple(Label(file, "dot", FIRST) for file in chosen))
        folder = tmp_path / f"{kind}{len(chosen)}"
        assert write_labels(labels, folder, kind) == []
        inside = folder / "labels" if kind == "yolo" else folder
        written = [p for p in inside.rglob("*") if p.suffix in (".txt", ".xml")]
        assert sorted(p.relative_to(inside).with_suffix("").as_posix() for p in written) == wanted

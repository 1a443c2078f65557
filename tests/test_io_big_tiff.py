"""Long stacks, huge pages, pyramids, and headers that claim what is not there."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from morphoscope.errors import InputError, MorphoscopeError
from morphoscope.io.open import open_frames
from morphoscope.io.tiff import TiffFrames

MANY, SMALL = 10_000, (16, 24)


def many(path: Path, how: str) -> Path:
    """Ten thousand pages; the first two values of each are its number."""
    base = np.zeros((MANY, *SMALL), np.uint8)
    base[:, 0, 0], base[:, 0, 1] = np.arange(MANY) // 256, np.arange(MANY) % 256
    if how == "imagej":
        tifffile.imwrite(path, base, imagej=True, metadata={"axes": "TYX"})
    elif how == "ome":
        tifffile.imwrite(path, base, ome=True, metadata={"axes": "TYX"}, compression="zlib")
    elif how == "pages":
        pages(path, base)
    else:
        options: dict[str, Any] = {"strips": {"rowsperstrip": 4}, "zlib": {"compression": "zlib"}}[how]
        tifffile.imwrite(path, base, metadata=None, **options)
    return path


def pages(path: Path, images: np.ndarray) -> Path:
    """Plain pages, each directory behind its data, as cameras write them."""
    parts, place = [b"II*\0" + struct.pack("<I", 8 + images[0].nbytes)], 8
    entry = "<HHII"
    for k, image in enumerate(images):
        tags = [(256, image.shape[1]), (257, image.shape[0]), (258, 8), (259, 1), (262, 1), (273, place), (277, 1)]
        tags += [(278, image.shape[0]), (279, image.nbytes)]
        ifd = struct.pack("<H", len(tags)) + b"".join(struct.pack(entry, tag, 4, 1, value) for tag, value in tags)
        following = place + image.nbytes + len(ifd) + 4 + image.nbytes
        parts += [image.tobytes(), ifd, struct.pack("<I", following if k + 1 < len(images) else 0)]
        place = following - image.nbytes
    path.write_bytes(b"".join(parts))
    return path


@pytest.mark.parametrize("how", ["imagej", "pages", "strips", "zlib", "ome"])
def test_ten_thousand_frames_open_at_once_and_memory_is_flat(tmp_path: Path, how: str) -> None:
    path = many(tmp_path / "a.tif", how)
    open_frames(path).close()  # what is imported late
    tracemalloc.start()
    with open_frames(path) as frames:
        assert len(frames) == MANY
        for k in (0, MANY - 1, 5000, 1):
            assert tuple(frames[k][0, :2]) == (k // 256, k % 256)
        for first, block in frames.blocks(3000, 3300, 50):
            assert (block[:, 0, 0].astype(int) * 256 + block[:, 0, 1] == np.arange(first, first + len(block))).all()
        peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (30e6 if how == "ome" else 3e6)
    times = []
    for _ in range(3):
        start = time.perf_counter()
        with open_frames(path) as frames:
            frames[0]
        times.append(time.perf_counter() - start)
    assert min(times) < 0.5


@pytest.mark.parametrize("how", ["tiles", "zlib tiles", "strips", "one strip", "contiguous", "big endian", "rgb"])
def test_a_huge_page_is_read_without_a_second_one_in_memory(tmp_path: Path, how: str) -> None:
    page = np.random.default_rng(0).integers(0, 4, (2300, 2700), np.uint16)
    page = np.dstack([page, page // 2, page // 3]).astype(np.uint8) if how == "rgb" else page
    options: dict[str, Any] = {
        "tiles": {"tile": (256, 256)},
        "zlib tiles": {"tile": (256, 256), "compression": "zlib"},
        "strips": {"rowsperstrip": 64, "compression": "zlib"},
        "contiguous": {},
        "one strip": {"rowsperstrip": 2300},
        "big endian": {"byteorder": ">"},
        "rgb": {"tile": (256, 256), "photometric": "rgb"},
    }[how]
    tifffile.imwrite(tmp_path / "a.tif", page, bigtiff=True, metadata=None, **options)
    with open_frames(tmp_path / "a.tif") as frames:
        tracemalloc.start()
        found = frames[0]
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        if how != "rgb":
            np.testing.assert_array_equal(found, page)
    copies = {"big endian": 2.1, "rgb": 2.1}.get(how, 1.2)
    assert peak < copies * page.nbytes + 5e6
    found[0, 0] = 7  # it is the caller's own


def test_lzw_tiles(tmp_path: Path) -> None:
    page = np.random.default_rng(0).integers(0, 250, (70, 90), np.uint8)
    cv2.imwrite(str(tmp_path / "a.tif"), page, [cv2.IMWRITE_TIFF_COMPRESSION, 5, cv2.IMWRITE_TIFF_ROWSPERSTRIP, 16])
    with open_frames(tmp_path / "a.tif") as frames:
        np.testing.assert_array_equal(frames[0], page)


@pytest.mark.parametrize("nested", [True, False])
def test_smaller_copies_in_a_pyramid_are_left_out(tmp_path: Path, nested: bool) -> None:
    page = np.random.default_rng(0).integers(0, 250, (256, 320), np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif", bigtiff=True) as file:
        file.write(page, tile=(64, 64), subifds=2 * nested, metadata=None)
        for step in (2, 4):
            file.write(page[::step, ::step], tile=(32, 32), subfiletype=1, metadata=None)
    with open_frames(tmp_path / "a.tif") as frames:
        assert (len(frames), frames.shape, frames.notes) == (1, page.shape, ())
        np.testing.assert_array_equal(frames[0], page)


def header(shape: tuple[int, int], data: bytes, *, big: bool = False, **tags: int) -> bytes:
    """A TIFF of one page with these claims, the data behind the header."""
    start, size = (16, 20) if big else (8, 12)
    values = {256: shape[1], 257: shape[0], 258: 8, 259: 1, 262: 1, 273: start, 277: 1, 278: shape[0], 279: len(data)}
    values |= {int(name[1:]): value for name, value in tags.items()}
    entry = "<HHQQ" if big else "<HHII"
    entries = b"".join(struct.pack(entry, tag, 16 if big else 4, 1, value) for tag, value in sorted(values.items()))
    where = start + len(data)
    head = b"II+\0" + struct.pack("<HHQ", 8, 0, where) if big else b"II*\0" + struct.pack("<I", where)
    assert len(entries) == size * len(values)
    return head + data + struct.pack("<Q" if big else "<H", len(values)) + entries + bytes(8)


@pytest.mark.parametrize(
    ("shape", "tags"),
    [
        ((320_000, 320_000), {}),
        ((320_000, 320_000), {"t279": 2**36}),
        ((320_000, 320_000), {"t259": 8}),
        ((320_000, 320_000), {"t259": 5}),
        ((320_000, 320_000), {"t259": 50000}),
        ((10, 10), {"t322": 2**20, "t323": 2**20, "t324": 16, "t325": 100, "t259": 8}),
        ((2**31, 1), {"t258": 64}),
        ((0, 100), {}),
        ((100, 100), {"t277": 2**30}),
        ((1, 1), {"t277": 2**22, "t259": 8}),
        ((100, 100), {"t258": 2**31}),
    ],
)
def test_a_claim_of_100_gb_is_refused_without_memory(tmp_path: Path, shape: tuple[int, int], tags: dict[str, int]) -> None:
    (tmp_path / "a.tif").write_bytes(header(shape, zlib.compress(bytes(5000)), big=True, **tags))
    tracemalloc.start()
    start = time.perf_counter()
    with pytest.raises(InputError, match=r"a\.tif"):
        open_frames(tmp_path / "a.tif")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3e6 and time.perf_counter() - start < 1


def test_a_long_claim_of_imagej_gives_the_pages_that_are_there(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.ones((3, 20, 30), np.uint16), imagej=True)
    raw = (tmp_path / "a.tif").read_bytes()
    claim = raw.replace(b"images=3\n", b"images=9\n").replace(b"slices=3", b"slices=9")
    (tmp_path / "b.tif").write_bytes(claim)
    with open_frames(tmp_path / "b.tif") as frames:
        assert len(frames) == 9 and any("ends early: 3 of at least 9" in note for note in frames.notes)


def test_a_page_that_really_is_blank_is_no_bomb(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((9000, 9000), np.uint8), compression="zlib")
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((9000, 9000), np.uint8))
    for name in ("a.tif", "b.png"):
        with open_frames(tmp_path / name) as frames:
            assert frames.shape == (9000, 9000) and not frames[0].any()


@pytest.mark.parametrize("kind", ["png", "jpg", "bmp"])
def test_pictures_that_claim_what_they_cannot_hold_are_refused_before_decoding(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    cv2.imwrite(str(path), np.zeros((8, 8), np.uint8))
    raw = bytearray(path.read_bytes())
    if kind == "png":
        raw[16:24] = struct.pack(">II", 60_000, 60_000)
        raw[29:33] = struct.pack(">I", zlib.crc32(raw[12:29]))
    elif kind == "bmp":
        raw[18:26] = struct.pack("<ii", 60_000, -60_000)
    else:
        place = raw.index(b"\xff\xc0")
        raw[place + 5 : place + 9] = struct.pack(">HH", 60_000, 60_000)
    path.write_bytes(raw)
    tracemalloc.start()
    with pytest.raises(InputError, match="60000 x 60000 px"):
        open_frames(path)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_a_chain_of_pages_that_bites_its_tail_ends(tmp_path: Path) -> None:
    raw = bytearray(pages(tmp_path / "a.tif", np.ones((3, *SMALL), np.uint8)).read_bytes())
    first = struct.unpack("<I", raw[4:8])[0]
    raw[-4:] = struct.pack("<I", first)
    (tmp_path / "a.tif").write_bytes(raw)
    with open_frames(tmp_path / "a.tif") as frames:
        assert len(frames) == 4 and any("ends early: 3" in note for note in frames.notes)


SEEDS = ["pages", "imagej", "zlib tiles", "ome", "palette", "lzw", "rgb"]


def seed(path: Path, kind: str) -> bytes:
    images = np.random.default_rng(3).integers(0, 255, (3, 20, 24), np.uint8)
    if kind == "lzw":
        cv2.imwrite(str(path), images[0], [cv2.IMWRITE_TIFF_COMPRESSION, 5])
    elif kind == "pages":
        pages(path, images)
    else:
        options: dict[str, Any] = {
            "imagej": {"data": images, "imagej": True},
            "zlib tiles": {"data": images, "tile": (16, 16), "compression": "zlib", "photometric": "minisblack"},
            "ome": {"data": images, "ome": True, "metadata": {"axes": "TYX", "PhysicalSizeX": 1.0, "PhysicalSizeY": 1.0}},
            "palette": {"data": images[0], "photometric": "palette", "colormap": np.zeros((3, 256), np.uint16)},
            "rgb": {"data": images.transpose(1, 2, 0), "photometric": "rgb"},
        }[kind]
        tifffile.imwrite(path, **options)
    return path.read_bytes()


@pytest.mark.parametrize("kind", SEEDS)
@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    places=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4),
    head=st.lists(st.tuples(st.integers(0, 250), st.sampled_from([0, 1, 127, 128, 255])), max_size=3),
    kept=st.floats(0, 1.6),
)
def test_damage_raises_our_errors_alone_and_takes_no_memory(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    places: list[tuple[float, int]],
    head: list[tuple[int, int]],
    kept: float,
) -> None:
    path = tmp_path_factory.getbasetemp() / f"fuzz-{kind.replace(' ', '-')}.tif"
    raw = bytearray(seed(path, kind))
    directory = struct.unpack("<I", raw[4:8])[0]
    for share, value in places:
        raw[int(share * len(raw))] = value
    for place, value in head:
        raw[(directory + place) % len(raw)] = value
    path.write_bytes(raw[: int(kept * len(raw))])
    tracemalloc.start()
    try:
        with TiffFrames(path) as frames:
            frames[0], frames[len(frames) - 1]
    except MorphoscopeError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 150e6


def palette_png(values: np.ndarray, table: np.ndarray) -> bytes:
    """A PNG of 8-bit numbers into a colour table (n, 3), by its specification."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = b"".join(b"\0" + row.tobytes() for row in values)
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 8, 3, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"PLTE", table.astype(np.uint8).tobytes()) + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


@pytest.mark.parametrize(("order", "words"), [(1, ""), (-1, ""), (0, "false colours")])
def test_colour_tables_of_png(tmp_path: Path, order: int, words: str) -> None:
    values = np.random.default_rng(1).integers(0, 256, (20, 24), np.uint8)
    ramp = np.arange(256)[::order] if order else np.arange(256)
    table = np.stack([ramp] * 3 if order else [ramp, np.abs(2 * ramp - 255), 255 - ramp], axis=1)
    (tmp_path / "a.png").write_bytes(palette_png(values, table))
    with open_frames(tmp_path / "a.png") as frames:
        assert np.abs(frames[0] - (table @ np.array([0.299, 0.587, 0.114]))[values]).max() <= 1
        assert words in "".join(frames.notes) if words else frames.notes == ()


@pytest.mark.parametrize("kind", ["png", "jpg", "bmp", "palette png"])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(places=st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=3), kept=st.floats(0, 1.6))
def test_damaged_pictures_raise_our_errors_alone(
    tmp_path_factory: pytest.TempPathFactory, kind: str, places: list[tuple[int, int]], kept: float
) -> None:
    path = tmp_path_factory.getbasetemp() / f"fuzz.{kind.rpartition(' ')[2]}"
    image = np.random.default_rng(3).integers(0, 255, (20, 24), np.uint8)
    raw = bytearray(
        palette_png(image, np.arange(768).reshape(256, 3) % 256) if " " in kind else cv2.imencode(f".{kind}", image)[1]
    )
    for place, value in places:
        raw[place % len(raw)] = value
    path.write_bytes(raw[: int(kept * len(raw))])
    try:
        with open_frames(path) as frames:
            frames[0]
    except MorphoscopeError:
        pass

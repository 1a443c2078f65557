"""Pixels of a TIFF page into one array: what may be read at all, and the codings that tifffile alone does not know."""

from __future__ import annotations

import math
import struct
import zlib
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from morphoscope.errors import InputError
from morphoscope.io.tiff_directory import (
    BITS,
    COMPRESSION,
    HEIGHT,
    PLANAR,
    SAMPLE_FORMAT,
    SAMPLES,
    TILE_HEIGHT,
    TILE_WIDTH,
    TILES,
    WIDTH,
    Directory,
    read_at,
)

NONE, LZW, DEFLATE, PACKBITS = 1, 5, (8, 32946, 50013), 32773
PREDICTOR, ROWS_PER_STRIP, FILL_ORDER = 317, 278, 266
MOST_TIMES = 2000  # no stream of LZW, deflate or PackBits unpacks to more times its bytes
SMALL_CLAIM, LARGE_CLAIM = 64 << 20, 2 << 30
MOST_SAMPLES = 1024
BUFFER = 2 << 20


def claimed_bytes(page: Directory) -> int:
    """Bytes of the decoded page by its tags."""
    bits = max(page.number(BITS, 1), 1) * max(page.number(SAMPLES, 1), 1)
    width, height = page.number(WIDTH, 0), page.number(HEIGHT, 0)
    if TILES in page.tags:
        across, down = max(page.number(TILE_WIDTH, 1), 1), max(page.number(TILE_HEIGHT, 1), 1)
        width, height = max(width, across), max(height, down)
    return (width * bits + 7) // 8 * height


def check_claim(page: Directory, where: str) -> None:
    """Refuse a page whose header claims more pixels than its bytes can hold, before any memory is taken for them.

    Pages without compression must lie inside the file. Compressed ones must not claim more than 2000 times their bytes: from
    64 MiB on for LZW, deflate and PackBits, which cannot reach that, from 2 GiB on for other kinds.

    Raises:
        InputError: it does.
    """
    claim, coding = claimed_bytes(page), page.number(COMPRESSION, 1)
    if claim <= 0 or page.number(WIDTH, 0) <= 0 or page.number(HEIGHT, 0) <= 0:
        raise InputError(f"{where} is damaged: its header states {page.number(WIDTH, 0)} x {page.number(HEIGHT, 0)} px")
    if page.number(SAMPLES, 1) > MOST_SAMPLES:
        raise InputError(f"{where} is damaged: its header states {page.number(SAMPLES, 1)} values per pixel")
    stored = min(int(page.segments[1].astype(float).sum()), page.size)
    limit = LARGE_CLAIM if coding not in (NONE, LZW, *DEFLATE, PACKBITS) else SMALL_CLAIM
    if claim > (page.size if coding == NONE else max(limit, MOST_TIMES * stored)):
        raise InputError(
            f"{where} claims {claim / 1e6:,.6g} MB of pixels in {stored / 1e6:,.6g} MB of data, which cannot be: its header is "
            "damaged or the file is cut short; copy or export it again"
        )


def decode(tiff: tifffile.TiffFile, page: Directory, index: int) -> NDArray[Any]:
    """The stored values of a page: (y, x), (y, x, sample) or, in planes, (sample, y, x); tiles come into one array.

    Raises:
        ImportError: it is compressed in a way that needs the package imagecodecs.
        ValueError: it is damaged (and what else tifffile raises).
    """
    if _is_ours(page):
        return _Decoder(page).array()
    coding = page.number(COMPRESSION, 1)
    tiff.filehandle.seek(page.offset)
    try:
        if coding in tifffile.TIFF.DECOMPRESSORS:
            return np.asarray(tifffile.TiffPage(tiff, index).asarray(buffersize=BUFFER, maxworkers=1))
    except ImportError:
        pass
    name = tifffile.COMPRESSION(coding).name if coding in set(tifffile.COMPRESSION) else coding
    raise ImportError(f"its pages are compressed with {name}, which needs the package imagecodecs: pip install imagecodecs")


def _is_ours(page: Directory) -> bool:
    coding, bits = page.number(COMPRESSION, 1), page.number(BITS, 1)
    packed = bits not in (1, 8) and bits < 16
    return coding == LZW or (packed and coding in (NONE, *DEFLATE, PACKBITS))


class _Decoder:
    """Strips and tiles of LZW or of packed bits."""

    def __init__(self, page: Directory) -> None:
        self.page = page
        self.bits, self.coding = page.number(BITS, 1), page.number(COMPRESSION, 1)
        self.height, self.width = page.number(HEIGHT, 0), page.number(WIDTH, 0)
        samples, self.tiled = page.number(SAMPLES, 1), TILES in page.tags
        self.planes = samples if page.number(PLANAR, 1) == 2 else 1
        self.samples = samples // self.planes
        self.down = page.number(TILE_HEIGHT if self.tiled else ROWS_PER_STRIP, self.height)
        self.down = self.down if self.tiled else min(self.down, self.height)
        self.across = page.number(TILE_WIDTH, 0) if self.tiled else self.width
        if self.down <= 0 or self.across <= 0 or page.number(FILL_ORDER, 1) != 1:
            raise ValueError("its strips, tiles or bit order cannot be")
        kind = {1: "u", 2: "i", 3: "f"}.get(page.number(SAMPLE_FORMAT, 1), "u")
        if self.bits < 8 or self.bits in (10, 12, 14):
            self.dtype = np.dtype(np.uint8 if self.bits <= 8 else np.uint16)
        elif self.bits in (8, 16, 32, 64):
            self.dtype = np.dtype(f"{page.order}{kind}{self.bits // 8}")
        else:
            raise ValueError(f"it has {self.bits} bits per sample")

    def array(self) -> NDArray[Any]:
        rows, columns = math.ceil(self.height / self.down), math.ceil(self.width / self.across)
        offsets, counts = self.page.segments
        if min(len(offsets), len(counts)) < self.planes * rows * columns:
            raise ValueError("strips or tiles are missing in its header")
        whole = np.empty((self.planes, self.height, self.width, self.samples), self.dtype.newbyteorder("="))
        for k in range(self.planes * rows * columns):
            plane, place = divmod(k, rows * columns)
            y, x = place // columns * self.down, place % columns * self.across
            tall = self.down if self.tiled else min(self.down, self.height - y)
            segment = self._segment(int(offsets[k]), int(counts[k]), tall)
            target = whole[plane, y : y + tall, x : x + self.across]
            target[:] = segment[: target.shape[0], : target.shape[1]]
        whole = whole[0] if self.planes == 1 else whole[..., 0]
        whole = whole.astype(bool) if self.bits == 1 else whole
        return np.asarray(whole[..., 0] if self.planes == 1 and self.samples == 1 else whole)

    def _segment(self, offset: int, count: int, tall: int) -> NDArray[Any]:
        width = (self.across * self.samples * self.bits + 7) // 8
        raw = self._unpacked(read_at(self.page.fd, count, offset), tall, width)
        if len(raw) < tall * width:
            raise ValueError("a strip or tile is cut off")
        grid = np.frombuffer(raw, np.uint8, tall * width).reshape(tall, width)
        if self.bits % 8:
            values = _unpack_bits(grid, self.bits, self.across * self.samples)
        else:
            values = grid.view(self.dtype)
        values = values.reshape(tall, self.across, self.samples)
        predictor = self.page.number(PREDICTOR, 1)
        if predictor == 2 and self.dtype.kind in "ui":
            return np.cumsum(values, axis=1, dtype=self.dtype.newbyteorder("="))
        if predictor != 1:
            raise ValueError(f"its predictor {predictor} is not known for {self.dtype}")
        return values

    def _unpacked(self, raw: bytes, tall: int, width: int) -> bytes:
        if self.coding == LZW:
            return _lzw(raw, tall, width)
        if self.coding in DEFLATE:
            return zlib.decompressobj().decompress(raw, tall * width)
        return bytes(tifffile.TIFF.DECOMPRESSORS[PACKBITS](raw)) if self.coding == PACKBITS else raw


def _lzw(raw: bytes, tall: int, width: int) -> bytes:
    """LZW data unpacked by the TIFF reader of OpenCV, as a strip of 8-bit grey of its own."""
    values = {256: width, 257: tall, 258: 8, 259: LZW, 262: 1, 273: 8, 277: 1, 278: tall, 279: len(raw)}
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in values.items())
    end = 8 + len(raw) + len(raw) % 2
    head = b"II*\0" + struct.pack("<I", end)
    data = head + raw + bytes(len(raw) % 2) + struct.pack("<H", len(values)) + tags + bytes(4)
    try:
        found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        found = None
    if found is None or found.shape != (tall, width):
        raise ValueError("a strip or tile is damaged")
    return found.tobytes()


def _unpack_bits(rows: NDArray[np.uint8], bits: int, count: int) -> NDArray[Any]:
    """Unsigned numbers of some bits each, highest bit first, rows beginning at whole bytes: (rows, count)."""
    each = np.unpackbits(rows, axis=1)[:, : count * bits].reshape(len(rows), count, bits)
    wide = np.zeros(each.shape[:2], np.uint16 if bits > 8 else np.uint8)
    for k in range(bits):
        wide = (wide << 1) | each[..., k]
    return wide

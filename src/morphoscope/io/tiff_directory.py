"""Image file directories of a TIFF, found and read without a look at the pixels (TIFF 6.0 and BigTIFF)."""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
DTYPES = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 11: "f4", 12: "f8", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}
KIND, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANAR = 254, 256, 257, 258, 259, 262, 277, 284
TILE_WIDTH, TILE_HEIGHT, SAMPLE_FORMAT = 322, 323, 339
ALIKE = (WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, SAMPLES, PLANAR, SAMPLE_FORMAT)
STRIPS, STRIP_COUNTS, TILES, TILE_COUNTS = 273, 279, 324, 325
MOST_TAGS = 4096


def read_at(fd: int, length: int, offset: int) -> bytes:
    """Up to `length` bytes of an open file from a place on."""
    if hasattr(os, "pread"):
        return os.pread(fd, length, offset)
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, length)


@dataclass(frozen=True)
class Directory:
    """The tags of one page: number to (type, count, the bytes of the value or of its offset)."""

    offset: int
    tags: dict[int, tuple[int, int, bytes]]
    order: str
    fd: int = field(repr=False)
    size: int

    def raw(self, tag: int) -> bytes | None:
        """The bytes of a tag's value as stored; None where it is missing or does not lie inside the file."""
        if tag not in self.tags:
            return None
        kind, count, place = self.tags[tag]
        length = count * SIZES.get(kind, 1)
        if length <= len(place):
            return place[:length]
        (start,) = struct.unpack(f"{self.order}{'I' if len(place) == 4 else 'Q'}", place)
        return read_at(self.fd, length, start) if start + length <= self.size else None

    def numbers(self, tag: int) -> NDArray[Any]:
        """The numbers of a tag (n,), empty where it has none; fractions are their quotients."""
        raw = self.raw(tag)
        kind = self.tags[tag][0] if raw is not None else 0
        if raw is not None and kind in (5, 10):
            pairs = np.frombuffer(raw, f"{self.order}{'u4' if kind == 5 else 'i4'}").reshape(-1, 2).astype(float)
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.asarray(pairs[:, 0] / pairs[:, 1])
        return np.frombuffer(raw, f"{self.order}{DTYPES[kind]}") if raw is not None and kind in DTYPES else np.empty(0)

    def number(self, tag: int, default: int) -> int:
        """The first number of a tag."""
        found = self.numbers(tag)
        return int(found[0]) if len(found) and np.isfinite(found[0]) else default

    def text(self, tag: int) -> str:
        """The text of a tag: UTF-8 if it can be, else Latin-1; empty where there is none."""
        raw = (self.raw(tag) or b"").rstrip(b"\0")
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    @property
    def signature(self) -> tuple[Any, ...]:
        """What pages of one series have in common: size, type of numbers, compression, photometric meaning."""
        return tuple(self._inline(tag) for tag in ALIKE)

    def _inline(self, tag: int) -> Any:
        if tag not in self.tags:
            return None
        kind, count, place = self.tags[tag]
        length = count * SIZES.get(kind, 1)
        if length > len(place):
            return count
        return struct.unpack(f"{self.order}{'HI'[kind == 4]}", place[: SIZES[kind]])[0] if kind in (3, 4) else place

    @property
    def is_aside(self) -> bool:
        """Whether it is a smaller copy of another page, or a mask."""
        return bool(self.number(KIND, 0) & 5)

    @property
    def segments(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Offsets and byte counts of its strips or tiles."""
        tiled = TILES in self.tags
        return self.numbers(TILES if tiled else STRIPS), self.numbers(TILE_COUNTS if tiled else STRIP_COUNTS)


class Chain:
    """The directories of a TIFF file, walked once; remembers where they are, not what is in them."""

    def __init__(self, path: Path) -> None:
        """Open the file; `read` and `walk` need it open.

        Raises:
            ValueError: it is no TIFF file.
            OSError: it cannot be read.
        """
        self.fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            self.size = os.fstat(self.fd).st_size
            head = read_at(self.fd, 16, 0)
            self.order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
            version = struct.unpack(f"{self.order}H", head[2:4])[0] if self.order and len(head) >= 8 else 0
            if version not in (42, 43) or (version == 43 and len(head) < 16):
                raise ValueError("it does not begin as a TIFF file does")
            self._word: Literal["little", "big"] = "little" if self.order == "<" else "big"
            self.big = version == 43
            (self.first,) = struct.unpack(f"{self.order}{'Q' if self.big else 'I'}", head[8:16] if self.big else head[4:8])
        except BaseException:
            self.close()
            raise
        self._guess = 512

    def close(self) -> None:
        """Free the file; a second call does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def read(self, offset: int) -> Directory:
        """The directory at an offset.

        Raises:
            ValueError: there is none.
        """
        return self._parsed(offset, self._raw(offset)[0])

    def _parsed(self, offset: int, raw: bytes) -> Directory:
        form = f"{self.order}{'HHQ8s' if self.big else 'HHI4s'}"
        tags = {code: (kind, count, place) for code, kind, count, place in struct.iter_unpack(form, raw)}
        return Directory(offset, tags, self.order, self.fd, self.size)

    def _raw(self, offset: int) -> tuple[bytes, int | None]:
        """The entries of a directory and the offset of the next one; None where the file ends before it is stated."""
        start, each, length = (8, 20, 8) if self.big else (2, 12, 4)
        raw = read_at(self.fd, self._guess, offset) if 8 <= offset < self.size else b""
        if len(raw) < start:
            raise ValueError(f"there is no directory at byte {offset}")
        count = int.from_bytes(raw[:start], self._word)
        if not 1 <= count <= MOST_TAGS:
            raise ValueError(f"the directory at byte {offset} claims {count} tags")
        end = start + count * each
        if end + length > self._guess:
            self._guess = end + length
            raw = read_at(self.fd, self._guess, offset)
        if len(raw) < end:
            raise ValueError(f"the directory at byte {offset} is cut off")
        following = raw[end : end + length]
        return raw[start:end], int.from_bytes(following, self._word) if len(following) == length else None

    def walk(self) -> Iterator[Directory]:
        """All directories in order.

        Raises:
            ValueError: at the first that is not there or damaged, or comes a second time.
        """
        for offset, raw in self._walk_raw():
            yield self._parsed(offset, raw)

    def _walk_raw(self) -> Iterator[tuple[int, bytes]]:
        seen: set[int] = set()
        offset: int | None = self.first
        while offset:
            if offset in seen:
                raise ValueError(f"the directory at byte {offset} comes a second time")
            seen.add(offset)
            raw, following = self._raw(offset)
            yield offset, raw
            offset = following
        if offset is None:
            raise ValueError("the last directory is cut off")

    def groups(self) -> tuple[list[tuple[Directory, array[int]]], bool]:
        """Pages of one size and type, each with the first directory and the offsets of all; whether the chain broke off.

        Smaller copies and masks are left out. A page whose entries of size and type are the bytes of the page before is not
        parsed: that makes ten thousand pages a matter of a tenth of a second.
        """
        found: dict[Any, tuple[Directory, array[int]]] = {}
        places: list[slice] = []
        alike: tuple[Any, ...] = ()
        current: array[int] | None = None
        try:
            for offset, raw in self._walk_raw():
                if not alike or (len(raw), *(raw[place] for place in places)) != alike:
                    page = self._parsed(offset, raw)
                    places = self._places(raw)
                    alike = (len(raw), *(raw[place] for place in places))
                    current = None if page.is_aside else found.setdefault(page.signature, (page, array("q")))[1]
                if current is not None:
                    current.append(offset)
        except ValueError:
            return list(found.values()), True
        return list(found.values()), False

    def _places(self, raw: bytes) -> list[slice]:
        """Where the entries of size and type lie among those of a directory; neighbours together."""
        each = 20 if self.big else 12
        places: list[slice] = []
        for start in range(0, len(raw), each):
            if int.from_bytes(raw[start : start + 2], self._word) in (KIND, *ALIKE):
                first = places.pop().start if places and places[-1].stop == start else start
                places.append(slice(first, start + each))
        return places

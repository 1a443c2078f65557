"""The tag tree of DigitalMicrograph 3 and 4 files; large arrays stay in the file.

Source: the description of the DM3 and DM4 formats by G. Jefferis, P. Cueva and others, https://imagej.net/ij/plugins/DM3Format.gj.html
and https://personal.ntu.edu.sg/cbb/info/dmformat/index.html: everything of the tree's structure is big-endian, values have the
byte order the header states; lengths have 4 bytes in version 3 and 8 in version 4.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, BinaryIO

GROUP, TAG = 20, 21
STRUCT, STRING, ARRAY = 15, 18, 20
SIMPLE = {2: "h", 3: "i", 4: "H", 5: "I", 6: "f", 7: "d", 8: "?", 9: "b", 10: "B", 11: "q", 12: "Q"}
UINT16 = 4
DEEPEST = 64
LARGEST_VALUE = 2**16
MOST_TAGS = 10**6
Tags = dict[str, Any]


class BadTags(ValueError):
    """The tree is damaged."""


@dataclass(frozen=True)
class StoredArray:
    """An array that was left in the file: where it starts, how many elements it has and of what type code."""

    offset: int
    count: int
    code: int


class TagReader:
    """Reads the tree of an open file of `size` bytes; `order` is the byte order of the values, `<` or `>`."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size, self.left = file, size, MOST_TAGS
        (self.version,) = self._take(">i")
        if self.version not in (3, 4):
            raise BadTags(f"the version is {self.version}, wanted 3 or 4")
        self.long = ">i" if self.version == 3 else ">q"
        self._take(self.long)
        self.order = "<" if self._take(">i")[0] else ">"

    def read(self) -> Tags:
        """The whole tree; unnamed tags are named by their number among those of their group."""
        return self._group(0, sized=False)

    def _take(self, layout: str) -> tuple[Any, ...]:
        size = struct.calcsize(layout)
        raw = self.file.read(size)
        if len(raw) < size:
            raise BadTags("the file ends inside the tags")
        return struct.unpack(layout, raw)

    def _length(self) -> int:
        (value,) = self._take(self.long)
        if not 0 <= value <= self.size:
            raise BadTags(f"a tag states a length of {value} in a file of {self.size} bytes")
        return int(value)

    def _group(self, depth: int, *, sized: bool) -> Tags:
        if depth > DEEPEST:
            raise BadTags(f"groups lie more than {DEEPEST} deep in each other")
        self._take(">bb")
        if sized and self.version == 4:
            self._take(">q")
        found: Tags = {}
        for k in range(self._length()):
            self.left -= 1
            if self.left < 0:
                raise BadTags(f"there are more than {MOST_TAGS} tags")
            kind, length = self._take(">bH")
            name = self.file.read(length).decode("latin-1") or str(k)
            if kind == GROUP:
                found[name] = self._group(depth + 1, sized=True)
            elif kind == TAG:
                found[name] = self._value()
            else:
                raise BadTags(f"a tag is of kind {kind}, wanted {GROUP} or {TAG}")
        return found

    def _value(self) -> Any:
        if self.version == 4:
            self._take(">q")
        if self.file.read(4) != b"%%%%":
            raise BadTags("the mark of a value is missing")
        words = self._length()
        if not 1 <= words <= 512:
            raise BadTags(f"a value is described by {words} numbers")
        return self._of_type([self._take(self.long)[0] for _ in range(words)])

    def _of_type(self, words: list[int]) -> Any:
        kind = words[0]
        if kind in SIMPLE:
            return self._take(self.order + SIMPLE[kind])[0]
        if kind == STRING and len(words) == 2:
            return self._array(UINT16, words[1])
        if kind == STRUCT:
            return self._take(self.order + "".join(_fields(words)))
        if kind == ARRAY and len(words) >= 3:
            if words[1] in SIMPLE:
                return self._array(words[1], words[2])
            if words[1] == STRUCT:
                return self._skip(struct.calcsize("<" + "".join(_fields(words[1:-1]))), words[-1])
        raise BadTags(f"a value is of type {words[:3]}, which is not known")

    def _array(self, code: int, count: int) -> Any:
        """A short array as text (16-bit) or numbers, a long one as where it is."""
        start, width = self.file.tell(), struct.calcsize("<" + SIMPLE[code])
        if count < 0:
            raise BadTags(f"an array states {count} elements")
        if count * width > LARGEST_VALUE:
            self._skip(width, count)
            return StoredArray(start, count, code)
        raw = self.file.read(count * width)
        if len(raw) < count * width:
            return StoredArray(start, count, code)
        if code == UINT16:
            return _Text(
                raw.decode("utf-16-le" if self.order == "<" else "utf-16-be", "replace"), StoredArray(start, count, code)
            )
        return _Numbers(struct.unpack(f"{self.order}{count}{SIMPLE[code]}", raw), StoredArray(start, count, code))

    def _skip(self, width: int, count: int) -> None:
        """Go past an array; one that reaches past the end of the file is the last that is read."""
        if count < 0:
            raise BadTags(f"an array states {count} elements")
        self.file.seek(min(self.file.tell() + width * count, self.size))


class _Text(str):
    """Text that may also be an array of 16-bit values."""

    stored: StoredArray

    def __new__(cls, text: str, stored: StoredArray) -> _Text:
        made = super().__new__(cls, text)
        made.stored = stored
        return made


class _Numbers(tuple[Any, ...]):
    """Numbers of a short array, with where they are."""

    stored: StoredArray

    def __new__(cls, numbers: tuple[Any, ...], stored: StoredArray) -> _Numbers:
        made = super().__new__(cls, numbers)
        made.stored = stored
        return made


def stored_array(value: Any) -> StoredArray | None:
    """Where an array value is in the file, whether it was read or left there."""
    return value if isinstance(value, StoredArray) else getattr(value, "stored", None)


def _fields(words: list[int]) -> list[str]:
    """The letters of a struct's fields; its words are kind, name length, number of fields, then name length and type of each."""
    codes = words[4::2]
    if len(words) < 3 or len(codes) != words[2] or any(code not in SIMPLE for code in codes):
        raise BadTags(f"a struct is described as {words[:8]}")
    return [SIMPLE[code] for code in codes]


def at(tags: Any, *path: str) -> Any:
    """The value at a path of names in the tree; None where it ends before."""
    for name in path:
        if not isinstance(tags, dict) or name not in tags:
            return None
        tags = tags[name]
    return tags

"""Run lengths of COCO masks: of the whole image, column by column, outside first.

Source: the mask API of the COCO data set. In its compressed text each count from the fourth on is the difference to the count
two before; a number is written in groups of 5 bits, lowest first, bit 5 of a character says that more follow, and 48 is added to
make it printable; bit 4 of the last group is the sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from morphoscope.errors import InputError
from morphoscope.io.label_formats.reading import MOST_PIXELS, whole
from morphoscope.io.shapes import Mask


def counts_of_text(text: str) -> list[int]:
    """Counts of the compressed form."""
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"wanted compressed run lengths, got the character {character!r} in them")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        value -= (1 << shift) if bits & 16 else 0
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("wanted compressed run lengths, got text that ends within a number")
    return counts


def text_of_counts(counts: Sequence[int]) -> str:
    """The compressed form of counts."""
    characters = []
    for k, count in enumerate(counts):
        value = count - counts[k - 2] if k > 2 else count
        while True:
            bits, value = value & 31, value >> 5
            last = value == (-1 if bits & 16 else 0)
            characters.append(chr(48 + bits + (0 if last else 32)))
            if last:
                break
    return "".join(characters)


def mask_of(rle: dict[str, Any]) -> Mask:
    """The mask of a run length record with `size` [height, width] and `counts`, compressed or a list."""
    height, width = (whole(n, least=1) for n in rle["size"])
    given = rle["counts"]
    counts = counts_of_text(given) if isinstance(given, str) else [whole(n, most=2**53) for n in given]
    ends = list(accumulate(counts))
    if any(count < 0 for count in counts) or not ends or ends[-1] != height * width:
        raise ValueError(
            f"wanted run lengths that add up to {height} x {width} px, got {len(counts)} that add up to {sum(counts)}"
        )
    inside = [(start, end) for start, end in zip(ends[::2], ends[1::2], strict=False) if end > start]
    if not inside:
        raise ValueError("the mask holds no pixel")
    left, right = inside[0][0] // height, (inside[-1][1] - 1) // height + 1
    if (right - left) * height > MOST_PIXELS:
        raise InputError(f"the mask spans {right - left} x {height} px, at most {MOST_PIXELS} are read")
    flat = np.zeros((right - left) * height, dtype=bool)
    for start, end in inside:
        flat[start - left * height : end - left * height] = True
    return Mask.from_pixels(flat.reshape(right - left, height).T, x0=left)


def counts_of(mask: Mask | None, height: int, width: int) -> list[int]:
    """Counts of a mask that lies inside an image; None for one without pixels."""
    if mask is None:
        return [height * width]
    columns = np.pad(mask.pixels.T.astype(np.int8), ((0, 0), (1, 1)))
    steps = np.diff(columns, axis=1)
    starts, ends = (
        (mask.x0 + column) * height + mask.y0 + row for column, row in (np.nonzero(steps == 1), np.nonzero(steps == -1))
    )
    apart = starts[1:] != ends[:-1]
    edges = np.stack([starts[np.r_[True, apart]], ends[np.r_[apart, True]]], axis=1).ravel()
    counts = np.diff(np.concatenate(([0], edges, [height * width])))
    return [int(n) for n in (counts if counts[-1] else counts[:-1])]

"""Run lengths of Label Studio's brush: red, green, blue and alpha of all pixels, row by row, packed into bits.

Source: the rle-pack format of thi.ng, which Label Studio uses. 32 bits say how many values there are, 5 the bits of a value less
one, and four times 4 the bits of a count less one. Then come blocks: a bit (1 for a run of one value, 0 for values one by one),
2 bits for which of the four sizes the count has, the count less one, and the value or values. A pixel is inside where alpha is
not 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from morphoscope.errors import InputError
from morphoscope.io.label_formats.reading import MOST_PIXELS
from morphoscope.io.shapes import Mask

COUNT_BITS = (4, 8, 12, 16)


class _Bits:
    """Numbers of given lengths out of bytes, first bit highest."""

    def __init__(self, values: Sequence[int]) -> None:
        self.bits = "".join(f"{byte:08b}" for byte in bytes(values))
        self.at = 0

    def take(self, count: int) -> int:
        self.at += count
        if self.at > len(self.bits):
            raise ValueError("wanted run lengths of a brush, got some that end early")
        return int(self.bits[self.at - count : self.at], 2)


def mask_of(values: Sequence[int], height: int, width: int) -> Mask:
    """The mask of a brush in an image of that size."""
    bits = _Bits(values)
    total = bits.take(32)
    if total != 4 * height * width:
        raise ValueError(f"wanted run lengths of {height} x {width} px with 4 values each, got some of {total} values")
    if total > MOST_PIXELS:
        raise InputError(f"the brush covers an image of {height} x {width} px, at most {MOST_PIXELS // 4} px are read")
    value_bits = bits.take(5) + 1
    count_bits = [bits.take(4) + 1 for _ in range(4)]
    found: list[bool] = []
    counts: list[int] = []
    done = 0
    while done < total:
        same, count = bits.take(1), 1 + bits.take(count_bits[bits.take(2)])
        blocks = [(bits.take(value_bits) > 0, count)] if same else [(bits.take(value_bits) > 0, 1) for _ in range(count)]
        found += [inside for inside, _ in blocks]
        counts += [length for _, length in blocks]
        done += count
    if done != total:
        raise ValueError(f"wanted run lengths of {total} values, got {done}")
    return Mask.from_pixels(np.repeat(found, counts)[3::4].reshape(height, width))


def brush_of(mask: Mask, height: int, width: int) -> list[int]:
    """The brush of a mask that lies inside an image of that size."""
    pixels = np.zeros((height, width), dtype=bool)
    pixels[mask.y0 : mask.y0 + mask.height, mask.x0 : mask.x0 + mask.width] = mask.pixels
    flat = pixels.ravel()
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1, [flat.size]))
    bits = [f"{4 * flat.size:032b}", f"{7:05b}", *(f"{size - 1:04b}" for size in COUNT_BITS)]
    for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        left = 4 * (end - start)
        while left:
            count = min(left, 1 << COUNT_BITS[-1])
            which = next(k for k, size in enumerate(COUNT_BITS) if count <= 1 << size)
            bits.append(f"1{which:02b}{count - 1:0{COUNT_BITS[which]}b}{255 if flat[start] else 0:08b}")
            left -= count
    packed = "".join(bits)
    packed += "0" * (-len(packed) % 8)
    return list(int(packed, 2).to_bytes(len(packed) // 8, "big"))

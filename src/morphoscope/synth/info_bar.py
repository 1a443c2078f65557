"""Info bars and scale bars drawn onto pictures, with known truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from morphoscope.synth.scale_text import draw_words, list_fonts

Style = Literal["plain", "ticks", "ruler"]


@dataclass(frozen=True)
class DrawnBar:
    """Truth of a drawn scale bar: its ends in px edges (x0, x1), its first and last row, and what its text says."""

    x0: int
    x1: int
    y0: int
    y1: int
    text: str

    @property
    def length_px(self) -> int:
        """Length in px."""
        return self.x1 - self.x0


def draw_scale_bar(
    image: NDArray[np.uint8],
    at: tuple[int, int],
    length_px: int,
    text: str,
    *,
    style: Style = "plain",
    thickness: int = 4,
    font_px: int = 18,
    grey: int = 255,
) -> DrawnBar:
    """Draw a scale bar into a picture (height, width), in place.

    Args:
        image: the picture.
        at: (x, y) of the bar's top left corner.
        length_px: its length; of a ruler the distance of the first mark from the last.
        text: what stands above it; beside the last mark of a ruler below it.
        style: a filled bar, a line with ticks at its ends, or a ruler of eleven marks.
        thickness: of the bar or line in px.
        font_px: size of the text.
        grey: grey value of bar and text.
    """
    x, y = at
    if style == "ruler":
        marks = [x + round(k * length_px / 10) for k in range(11)]
        for mark in marks:
            image[y : y + 2 * thickness, mark - thickness // 2 : mark - thickness // 2 + max(thickness // 2, 2)] = grey
    else:
        image[y : y + thickness, x : x + length_px] = grey
    if style == "ticks":
        for left in (x, x + length_px - max(thickness // 2, 1)):
            image[max(y - 2 * thickness, 0) : y + 3 * thickness, left : left + max(thickness // 2, 1)] = grey
    ink = draw_words(text, list_fonts(["DejaVu Sans"])[0], font_px)
    top = y + 3 * thickness + 2 if style == "ruler" else y - 3 * thickness - ink.shape[0]
    write_ink(image, ink, (x + max((length_px - ink.shape[1]) // 2, 0), top), grey)
    return DrawnBar(x, x + length_px, y, y + thickness, text)


def add_info_bar(
    image: NDArray[np.uint8], height_px: int, texts: list[tuple[int, str]], *, grey: int = 0, ink: int = 255, font_px: int = 16
) -> NDArray[np.uint8]:
    """The picture (height, width) with a band of `height_px` rows below it that carries texts at the given x."""
    band = np.full((height_px, image.shape[1]), grey, dtype=np.uint8)
    font = list_fonts(["DejaVu Sans"])[0]
    for x, text in texts:
        drawn = draw_words(text, font, font_px)
        write_ink(band, drawn, (x, (height_px - drawn.shape[0]) // 2), ink)
    return np.vstack([image, band])


def write_ink(image: NDArray[np.uint8], ink: NDArray[Any], at: tuple[int, int], grey: int) -> None:
    """Lay ink (height, width; 0 to 1) of a grey value onto a picture at (x, y), cut at its borders."""
    x, y = at
    part = image[max(y, 0) : y + ink.shape[0], max(x, 0) : x + ink.shape[1]]
    inked = ink[max(-y, 0) :, max(-x, 0) :][: part.shape[0], : part.shape[1]]
    part[...] = np.rint(part + (grey - part.astype(np.float32)) * inked).astype(np.uint8)

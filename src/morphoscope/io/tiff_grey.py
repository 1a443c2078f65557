"""One grey image from the stored values of a TIFF page: colours, opacity, colour tables, and 0 as white."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import InputError, UsageError
from morphoscope.io.frames import Image
from morphoscope.io.palettes import grey_palette, palette_note
from morphoscope.io.pictures import COLOUR, grey_dtype, luma, stored_dtype
from morphoscope.io.tiff_directory import BITS, PHOTOMETRIC, PLANAR, SAMPLE_FORMAT, SAMPLES, Directory

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, MASK, CMYK, YCBCR = 0, 1, 2, 3, 4, 5, 6
COLOUR_MAP, EXTRA_SAMPLES, INK_SET = 320, 338, 332
COLOURS = ("red", "green", "blue")


class Grey:
    """How pages of one kind become grey: `dtype` of the result, `notes`, and the call on the values of a page.

    A page of several samples gives the luma of its colours, or the channel asked for. Opacity (alpha) is left out unless it is
    asked for. A colour table is applied: the grey it holds, or the luma of its colours. Where the file says that 0 is white, the
    values are inverted (highest value minus v), as programs that show the picture do; those of 1 bit, which are mostly masks
    (1 becomes 255), of floats and of signed numbers stay.
    """

    def __init__(self, page: Directory, stored: np.dtype[Any], channel: int | str | None, where: str) -> None:
        """Take how the pages are stored; `channel` is a number from 0 or red, green, blue, alpha, grey.

        Raises:
            InputError: several channels without a choice, CMYK or Lab colours, complex numbers.
            UsageError: there is no such channel.
        """
        self.where, self.notes = where, []
        self.samples = page.number(SAMPLES, 1)
        self.planar = self.samples > 1 and page.number(PLANAR, 1) == 2
        self.meaning = page.number(PHOTOMETRIC, BLACK_IS_ZERO)
        self.bits = page.number(BITS, 1)
        names = self._channel_names(page)
        self.channel = self._chosen(channel, names)
        self.colour_table = self._colour_table(page) if self.meaning == PALETTE else None
        self.table = None if self.colour_table is None else grey_palette(self.colour_table)
        self.inverted = self._is_inverted(page, stored)
        self.dtype = grey_dtype(stored if self.table is None else self.table.dtype, where)
        if stored not in (np.uint8, np.uint16, np.float32, np.bool_) and self.table is None:
            self.notes.append(f"{stored.newbyteorder('=')} values are read as float32")

    def _channel_names(self, page: Directory) -> tuple[str, ...]:
        extra = page.numbers(EXTRA_SAMPLES)
        if self.meaning in (CMYK, 8, 9, 10):
            kind = "CMYK" if self.meaning == CMYK else "Lab"
            raise InputError(f"{self.where} has {kind} colours, made for printing; export the image as grey or RGB")
        if self.meaning in (RGB, YCBCR) and self.samples >= 3:
            return (*COLOURS, *("alpha" if k == 3 else str(k) for k in range(3, self.samples)))
        if self.samples == 2 and len(extra) and extra[0] in (1, 2):
            return "grey", "alpha"
        return ("grey",) if self.samples == 1 else tuple(str(k) for k in range(self.samples))

    def _chosen(self, channel: int | str | None, names: tuple[str, ...]) -> int | None:
        if channel is not None:
            return channel_number(channel, names, self.where)
        if names[0] == "red":
            self.notes.append(COLOUR)
            if "alpha" in names:
                self.notes.append("the opacity channel is ignored")
            return None
        if names == ("grey", "alpha"):
            self.notes.append("the opacity channel is ignored")
        elif len(names) > 1:
            raise InputError(f"{self.where} holds {len(names)} channels (0 to {len(names) - 1}); say which one with `channel`")
        return 0

    def _colour_table(self, page: Directory) -> NDArray[Any] | None:
        colours = page.numbers(COLOUR_MAP)
        if self.bits > 16 or len(colours) != 3 << self.bits:
            self.notes.append("the colour table is missing or damaged; values are as stored")
            return None
        rgb = colours.reshape(3, -1).T
        eight = bool((rgb % 257 == 0).all() or (rgb % 256 == 0).all() or rgb.max(initial=0) < 256)
        rgb = (rgb >> 8 if eight and rgb.max(initial=0) > 255 else rgb).astype(np.uint8 if eight else np.uint16)
        if (rgb == np.arange(len(rgb))[:, None]).all():
            return None
        self.notes.append(palette_note(rgb))
        return rgb

    def _is_inverted(self, page: Directory, stored: np.dtype[Any]) -> bool:
        if self.meaning != WHITE_IS_ZERO:
            return False
        if self.bits == 1:
            self.notes.append("the file says that 0 is white; 1-bit values are as stored, so that 1 is 255")
            return False
        if page.number(SAMPLE_FORMAT, 1) != 1 or stored.kind != "u":
            self.notes.append(f"the file says that 0 is white; {stored.newbyteorder('=')} values are as stored, not inverted")
            return False
        self.notes.append("the file says that 0 is white; values are inverted, so that bright is high")
        return True

    def __call__(self, values: NDArray[Any]) -> Image:
        """Grey values (y, x) of a page's array (y, x), (y, x, sample) or, in planes, (sample, y, x)."""
        if self.samples > 1 and values.ndim == 3:
            planes = values if self.planar else np.moveaxis(values, -1, 0)
            values = luma(planes[:3]) if self.channel is None else planes[self.channel]
        return self._finished(values)

    def colours(self, values: NDArray[Any]) -> Image:
        """The same with its colours, red first, where it has any: (y, x, 3)."""
        if self.colour_table is not None and values.ndim == 2:
            return stored_dtype(self.colour_table[values.astype(np.uint8) if values.dtype == bool else values], self.where)
        if self.samples < 3 or values.ndim != 3 or self.channel is not None:
            return self(values)
        planes = values[:3] if self.planar else np.moveaxis(values, -1, 0)[:3]
        return np.ascontiguousarray(np.stack([self._finished(plane) for plane in planes], axis=-1))

    def _finished(self, values: NDArray[Any]) -> Image:
        if values.ndim != 2:
            raise InputError(f"{self.where}: wanted a grey or RGB picture, got an array of shape {values.shape}")
        if self.table is not None:
            values = self.table[values.astype(np.uint8) if values.dtype == bool else values]
        if self.inverted:
            values = np.asarray(values.dtype.type((1 << self.bits) - 1) - values)
        return stored_dtype(values, self.where)


def channel_number(channel: int | str, names: tuple[str, ...], where: str) -> int:
    """The number of a channel given by name or number.

    Raises:
        UsageError: there is no such channel.
    """
    text = str(channel).strip().lower()
    lower = [name.lower() for name in names]
    number = lower.index(text) if text in lower else int(text) if text.isdecimal() else -1
    if not 0 <= number < len(names):
        shown = ", ".join(names[:20])
        raise UsageError(f"{where} has {len(names)} channel{'s'[: len(names) > 1]} ({shown}), not {channel!r}")
    return number

"""Words as instruments burn them into pictures: lengths such as `200 nm`, and whatever else stands around them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib import font_manager
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Grey = NDArray[np.float32]
NUMBERS = (
    *("1", "2", "3", "4", "5", "6", "8", "10", "15", "20", "25", "30", "40", "50", "60", "70", "80", "90"),
    *("100", "120", "150", "200", "250", "300", "350", "400", "500", "600", "700", "750", "800", "900", "1000", "2000"),
    *("0.1", "0.2", "0.25", "0.3", "0.4", "0.5", "0.6", "0.8", "1.0", "1.00", "1.25", "1.5", "2.0", "2.00", "2.5"),
    *("3.0", "4.0", "5.0", "5.00", "7.5", "10.0", "12.5", "20.0", "30.0", "40.0", "50.0", "100.0"),
)
UNITS = ("nm", "nm", "nm", "nm", "µm", "µm", "μm", "um", "mm", "Å", "pm", "cm")
OTHER = "abdefghijklopqrstvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:=/()[]+-%@*#°"


def scale_words(rng: np.random.Generator) -> str:
    """A length as scale bars state it."""
    number = str(rng.choice(NUMBERS)) if rng.random() < 0.75 else f"{rng.integers(1, 1000)}"
    if rng.random() < 0.08:
        number = f"{rng.uniform(0.1, 99):.{rng.integers(1, 3)}f}"
    return number + (" " if rng.random() < 0.65 else "") + str(rng.choice(UNITS))


def other_words(rng: np.random.Generator) -> str:
    """Anything else that stands in info bars and on figures."""
    kind = int(rng.integers(0, 6))
    whole, broken = int(rng.integers(1, 999)), float(rng.uniform(0.5, 30))
    if kind == 0:
        return _one(rng, "x", "X", "Mag ", "MAG: ") + str(whole) + _one(rng, "", " k", "k", ",000", ".00 K X", "kx")
    if kind == 1:
        number = f"{broken:.{int(rng.integers(0, 2))}f} "
        return number + _one(rng, "kV", "keV", "V", "pA", "nA", "mBar", "Pa", "eV", "s", "us")
    if kind == 2:
        return f"{_one(rng, 'WD', 'WD=', 'WD: ', 'HFW', 'D')} {broken:.1f} {_one(rng, 'mm', 'µm')}"
    if kind == 3:
        return _one(rng, "(", "", "") + _one(rng, *"abcdefghijABCDEFGH") + _one(rng, ")", "", "1", "2")
    if kind == 4:
        mark = _one(rng, "/", "-", ".", " ")
        return f"{int(rng.integers(1, 31))}{mark}{int(rng.integers(1, 13))}{mark}{int(rng.integers(1998, 2030))}"
    return "".join(_one(rng, *OTHER, *"0123456789") for _ in range(int(rng.integers(1, 9))))


def _one(rng: np.random.Generator, *choices: str) -> str:
    return choices[int(rng.integers(len(choices)))]


def list_fonts(families: Iterable[str]) -> list[Path]:
    """Files of the fonts of these families that are installed, matplotlib's own among them, in a stable order."""
    wanted = {family.lower() for family in families}
    known = set(font_manager.findSystemFonts()) | {entry.fname for entry in font_manager.fontManager.ttflist}
    return sorted((Path(file) for file in known if _family(file).lower() in wanted), key=lambda path: path.name)


def _family(file: str) -> str:
    try:
        return str(font_manager.get_font(file).family_name)
    except (OSError, RuntimeError):  # a kind of font that cannot be drawn
        return ""


def draw_words(text: str, font: Path, size: int) -> Grey:
    """Text as ink 0 to 1 (height, width), cut to its ink; `size` is the font's size in px."""
    face = ImageFont.truetype(str(font), size)
    left, top, right, bottom = face.getbbox(text)
    page = Image.new("L", (max(int(right - left), 1) + 4, max(int(bottom - top), 1) + 4))
    ImageDraw.Draw(page).text((2 - left, 2 - top), text, fill=255, font=face)
    ink: Grey = np.asarray(page, dtype=np.float32) / np.float32(255)
    rows, columns = np.flatnonzero(ink.max(axis=1) > 0.3), np.flatnonzero(ink.max(axis=0) > 0.3)
    if rows.size == 0 or columns.size == 0:
        return np.zeros((1, 1), dtype=np.float32)
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]

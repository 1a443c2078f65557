"""Text that electron microscopes write: lines of keys and values, numbers with units, dates."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from morphoscope.io.tiff_scale import plain_unit
from morphoscope.io.units import length_nm, pixel_size, to_number

KEY_VALUE = re.compile(r"\s*([^=:\[\]]+?)\s*[=:]\s*(.*?)\s*$")
QUANTITY = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([^\d\s.,].*?)?\s*$")
VOLTS = {"v": 1e-3, "volt": 1e-3, "volts": 1e-3, "kv": 1.0, "kvolt": 1.0, "mv": 1e3}
AMPERES = {"pa": 1e-3, "na": 1.0, "ua": 1e3, "ma": 1e6, "a": 1e9}
DAYS = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d %b %Y", "%d %B %Y", "%b %d %Y", "%m/%d/%Y", "%d/%m/%Y")
CLOCKS = ("%H:%M:%S", "%I:%M:%S %p", "%H:%M:%S.%f", "%H:%M", "%I:%M %p")


@dataclass
class Stated:
    """What a maker's header or the text file beside a picture says.

    `pixel_nm` is (y, x); `shape` the (rows, columns) of the picture it speaks of, without an info bar, 0 where not stated;
    `bar_px` the rows of the info bar where they are stated.
    """

    source: str
    pixel_nm: tuple[float, float] | None = None
    shape: tuple[int, int] = (0, 0)
    bar_px: int = 0
    metadata: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def scale(self, y: tuple[object, str], x: tuple[object, str]) -> None:
        """Take a pixel size of (value, unit) in each direction, or note why it cannot be."""
        missing = sum(value == "" or not math.isfinite(to_number(value)) for value, _ in (y, x))
        if missing == 1:
            self.notes.append(f"the {self.source} states a pixel size for one direction only; it is not used")
            return
        self.pixel_nm = pixel_size(y, x, self.source.partition("(")[2].rstrip(")"), self.notes)

    def word(self, key: str, text: object) -> None:
        """Keep a word, if there is one."""
        if isinstance(text, str) and text.strip() and text.strip().lower() not in ("none", "unknown", "n/a", "-"):
            self.metadata[key] = text.strip()

    def quantity(self, key: str, text: object, unit: str) -> None:
        """Keep a number in the unit of the key (um, mm, kv, na, deg, s, us, pa or none); `unit` holds where the text has none."""
        value, found = quantity(text)
        unit = plain_unit(found) or unit
        number = value * _factor(key, unit)
        if math.isfinite(number):
            self.metadata[key] = number

    def acquired(self, date: object, time: object = "", *, days: tuple[str, ...] = DAYS) -> None:
        """Keep the time of acquisition: ISO 8601 where it can be read in one way only, else as written."""
        written = f"{date or ''} {time or ''}".strip()
        if not written:
            return
        ways = {moment for day in days for clock in CLOCKS if (moment := _parsed(written, f"{day} {clock}"))}
        ways = ways or {moment for day in days if (moment := _parsed(written, day))}
        if len(ways) == 1:
            self.metadata["acquired"] = ways.pop().isoformat()
        else:
            self.metadata["acquired_as_written"] = written


def _factor(key: str, unit: str) -> float:
    """What turns a number of this unit into that of the key's suffix; nan where they are different things."""
    unit = unit.strip().rstrip(".")
    suffix = key.rpartition("_")[2]
    if suffix in ("um", "mm", "nm"):
        nm = length_nm(1, unit)
        return math.nan if nm is None else nm / {"um": 1e3, "mm": 1e6, "nm": 1.0}[suffix]
    tables: dict[str, Mapping[str, float]] = {
        "kv": VOLTS,
        "na": AMPERES,
        "deg": {"deg": 1.0, "degree": 1.0, "degrees": 1.0, "°": 1.0, "º": 1.0, "rad": 180 / math.pi},
        "us": {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6, "sec": 1e6, "secs": 1e6},
        "s": {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "secs": 1.0, "min": 60.0, "mins": 60.0},
        "pa": {"pa": 1.0, "mbar": 100.0, "torr": 133.322, "hpa": 100.0},
        "magnification": {"": 1.0, "x": 1.0, "k": 1e3, "kx": 1e3, "k x": 1e3},
    }
    return tables.get(suffix, {"": 1.0}).get(unit, math.nan)


def quantity(text: object) -> tuple[float, str]:
    """(number, unit) of a text such as `10.5 nm`; nan where it holds no number. A decimal comma is one, unless it may part
    thousands (three digits after it)."""
    words = str(text)
    if "," in words and "." not in words:
        words = re.sub(r"(\d),(?=\d)(?!\d{3}(?!\d))", r"\1.", words)
    found = QUANTITY.match(words)
    return (float(found[1]), found[2] or "") if found else (math.nan, "")


def whole(text: object) -> int:
    """A whole number of px; 0 where there is none."""
    value = quantity(text)[0]
    return int(value) if math.isfinite(value) and 0 < value < 1e9 else 0


def decoded(raw: bytes) -> str:
    """Text in UTF-8, UTF-16, the Japanese code page or Latin-1, whichever fits first."""
    raw = raw.rstrip(b"\0") if not raw.startswith((b"\xff\xfe", b"\xfe\xff")) else raw
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    if len(raw) > 3 and raw[1::2].count(0) > 0.4 * len(raw):
        return (raw + b"\0" * (len(raw) % 2)).decode("utf-16-le", errors="replace")
    for coding in ("utf-8-sig", "cp932"):
        try:
            text = raw.decode(coding)
        except UnicodeDecodeError:
            continue
        if coding == "utf-8-sig" or not re.search("[\uff61-\uff9f]", text):  # half-width kana are Latin-1 signs misread
            return text
    return raw.decode("latin-1")


def sections(text: str) -> dict[str, dict[str, str]]:
    """Sections of `[Name]` and lines `key=value`; what comes before the first has the name ''. Names and keys in lower case."""
    found: dict[str, dict[str, str]] = {"": {}}
    current = found[""]
    for line in text.splitlines():
        if heading := re.match(r"\s*\[(.+?)\]\s*$", line):
            current = found.setdefault(heading[1].strip().lower(), {})
        elif entry := KEY_VALUE.match(line):
            current.setdefault(entry[1].lower(), entry[2])
    return found


def _parsed(text: str, layout: str) -> datetime | None:
    try:
        return datetime.strptime(text, layout)
    except ValueError:
        return None

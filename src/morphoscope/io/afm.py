"""Height maps as text: a matrix as Gwyddion exports it, or x, y, z on a regular grid."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError
from morphoscope.io.base import Reader
from morphoscope.io.frames import Image
from morphoscope.io.heights import to_nm
from morphoscope.io.parts import only_grey, only_part
from morphoscope.io.units import pixel_size, to_number
from morphoscope.io.values import frame_values

SUFFIXES = (".txt", ".xyz", ".asc")
MOST_BYTES = 2**30
QUANTITY = re.compile(r"([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*(\S*)")
Values = NDArray[np.float64]


class TextFrames(Reader):
    """One height map (float32) from a text file. Heights are in nm where the file states a unit of length.

    The head is lines of `# Name: value`, as Gwyddion writes them: `Channel`, `Width` and `Height` (with units), `Value units`;
    for x, y, z also `Lateral units` or `XY units`. Three columns are x, y, z if they are a regular grid, else a matrix.

    Raises:
        InputError: no such file, no numbers in rows of one length, or decimal commas.
    """

    def __init__(self, path: str | Path, *, part: str | int | None = None, channel: int | str | None = None) -> None:
        super().__init__()
        self.path = Path(path)
        only_part(part, str(path))
        only_grey(channel, str(path))
        head, body = self._split()
        values = self._numbers(body)
        notes: list[str] = []
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head)}
        grid = _grid(values) if values.shape[1] == 3 and values.shape[0] > 3 else None
        if grid is not None:
            values, steps = grid
            unit = fields.get("lateral units") or fields.get("xy units") or ""
            size = pixel_size((steps[0], unit), (steps[1], unit), "text", notes)
        else:
            size = _size(fields, values.shape, notes)
        factor, self.metadata = to_nm(fields.get("value units") or fields.get("z units") or "")
        if title := fields.get("channel"):
            self.metadata = {**self.metadata, "channel": title}
        if "height_unit" not in self.metadata and "value_unit" not in self.metadata:
            notes.append("the file does not state the unit of its values; they are as stored")
        self._image = frame_values(values, str(path), factor)
        self.shape, self.dtype = self._image.shape, np.dtype(np.float32)
        self.calibration = Calibration().updated("header (text)", pixel_size_nm=size)
        self.notes = tuple(notes)

    def _split(self) -> tuple[list[str], str]:
        """Lines of the head without their mark, and the rest."""
        try:
            if self.path.stat().st_size > MOST_BYTES:
                raise InputError(f"{self.path} is too large for a height map as text; save it in a binary format such as .gwy")
            raw = self.path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {error.strerror}") from error
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
        head = []
        start = 0
        for line in text.splitlines(keepends=True):
            if line.strip() and not line.startswith("#"):
                break
            head.append(line.lstrip("# ").rstrip())
            start += len(line)
        return head, text[start:]

    def _numbers(self, body: str) -> Values:
        first = body.split("\n", 1)[0]
        if re.search(r"\d,\d", first) and re.search(r"[\t; ]", first.strip()):
            raise InputError(f"{self.path} has decimal commas; export it with decimal points")
        delimiter = ";" if ";" in first else "," if "," in first else None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # numpy's on an empty text
                values = np.loadtxt(io.StringIO(body), delimiter=delimiter, ndmin=2)
        except (ValueError, OverflowError) as error:
            raise InputError(f"{self.path} holds no matrix of numbers in rows of one length: {error}") from error
        if min(values.shape) < 2:
            raise InputError(f"{self.path} holds {values.shape[0]} rows of {values.shape[1]} numbers; wanted a matrix or x, y, z")
        return values

    def __repr__(self) -> str:
        return f"TextFrames({str(self.path)!r})"

    def __len__(self) -> int:
        return 1

    def name(self, index: int) -> str:
        """The file's name."""
        return self.path.name

    def _read(self, index: int) -> Image:
        return self._image.copy()


def _size(fields: dict[str, str], shape: tuple[int, ...], notes: list[str]) -> tuple[float, float] | None:
    """nm per px from the stated height and width of the whole map."""
    stated = [QUANTITY.match(fields.get(name, "")) for name in ("height", "width")]
    if not any(stated):
        notes.append("the file states no width and height; it has no scale")
        return None
    if stated[0] is None or stated[1] is None:
        notes.append("the text header states a size for one direction only; it is not used")
        return None
    y, x = ((to_number(found.group(1)) / n, found.group(2)) for found, n in zip(stated, shape, strict=True) if found)
    return pixel_size(y, x, "text", notes)


def _grid(values: Values) -> tuple[Values, tuple[float, float]] | None:
    """Heights (height, width) and the steps along y and x, if rows x, y, z are a full regular grid; y runs as stored."""
    columns, rows = np.unique(values[:, 0]), np.unique(values[:, 1])
    if len(columns) * len(rows) != len(values) or min(len(columns), len(rows)) < 2:
        return None
    steps = [np.diff(places) for places in (rows, columns)]
    if any(np.ptp(step) > 1e-3 * step.mean() for step in steps):
        return None
    at_y, at_x = np.searchsorted(rows, values[:, 1]), np.searchsorted(columns, values[:, 0])
    if values[0, 1] > values[-1, 1]:
        at_y = len(rows) - 1 - at_y
    grid = np.full((len(rows), len(columns)), np.nan)
    grid[at_y, at_x] = values[:, 2]
    return None if np.isnan(grid).any() else (grid, (float(steps[0].mean()), float(steps[1].mean())))

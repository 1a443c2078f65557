"""MRC, REC, ST, MAP: stacks and volumes of electron microscopy, read frame by frame.

Source: the MRC2014 format (Cheng et al. 2015, doi:10.1016/j.jsb.2015.04.002), IMOD's notes on mode 0 and on the extended header
of SerialEM, and the FEI extended header, as `mrcfile` declares them.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError
from morphoscope.io.mrc_extended import read_extended
from morphoscope.io.parts import only_grey, only_part
from morphoscope.io.raw import RawFrames
from morphoscope.io.units import even_interval, pixel_size

SUFFIXES = (".mrc", ".mrcs", ".rec", ".st", ".ali", ".map", ".ccp4")
MODES = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
HEADER_BYTES = 1024
IMOD_STAMP = 1146047817
LARGEST_SIDE = 10**6


class MrcFrames(RawFrames):
    """Sections of an MRC file in the order stored, the first row first; one frame per section of a stack or slice of a volume.

    Modes 0 (signed or not, see notes), 1, 2, 6 and 12. The voxel size in x and y is the scale, that in z goes to `metadata`.

    Raises:
        InputError: no MRC file, compressed, complex or colour values, or sizes that cannot be.
        TruncatedError: not one whole section is there.
    """

    what = "an MRC file"

    def __init__(self, path: str | Path, *, part: str | int | None = None, channel: int | str | None = None) -> None:
        super().__init__()
        only_part(part, str(path))
        only_grey(channel, str(path))
        self._open(path)
        try:
            self._look()
        except BaseException:
            self.close()
            raise

    def _look(self) -> None:
        notes: list[str] = []
        header = self._header(notes)
        mode = int(header["mode"])
        if mode not in MODES:
            raise InputError(f"{self.path}: MRC values of mode {mode} cannot be read; wanted mode {', '.join(map(str, MODES))}")
        kind = "u1" if mode == 0 and _is_unsigned(header, self._order, notes) else MODES[mode]
        stored = np.dtype(f"{self._order}{kind}")
        nx, ny, nz = (int(header[name]) for name in ("nx", "ny", "nz"))
        extended = max(int(header["nsymbt"]), 0)
        self._lay_out((ny, nx), nz, stored, HEADER_BYTES + extended)
        self.metadata = _metadata(header)
        size = _scale(header, notes)
        self.calibration = Calibration().updated("header (MRC)", pixel_size_nm=size)
        self._take_extended(header, extended, notes)
        self._say(notes)

    def _header(self, notes: list[str]) -> Any:
        raw = self._file.read(HEADER_BYTES)
        if raw[:2] in (b"\x1f\x8b", b"BZ"):
            raise InputError(f"{self.path} is compressed; unpack it first (gunzip or bunzip2), it cannot be read frame by frame")
        if len(raw) < HEADER_BYTES:
            raise InputError(f"{self.path} is no MRC file: it has {len(raw)} bytes, the header alone has {HEADER_BYTES}")
        stamp = raw[212:214]
        orders = {b"\x44\x44": "<", b"\x44\x41": "<", b"\x11\x11": ">"}
        self._order = orders.get(stamp, "")
        for order in [self._order] if self._order else "<>":
            header = np.frombuffer(raw, HEADER_DTYPE.newbyteorder(order), count=1)[0]
            if _is_plausible(header):
                if not self._order:
                    notes.append(f"the header does not say its byte order; {'little' if order == '<' else 'big'} endian fits")
                self._order = order
                return header
        raise InputError(
            f"{self.path} is no MRC file: the header states {header['nx']} x {header['ny']} x {header['nz']} values of mode "
            f"{header['mode']}, which cannot be"
        )

    def _take_extended(self, header: Any, size: int, notes: list[str]) -> None:
        """What the extended header says of each section."""
        kind = bytes(header["exttyp"]).decode("latin-1").strip("\0 ")
        flags = struct.unpack(f"{self._order}hh", bytes(header["extra2"])[16:20])
        self._file.seek(HEADER_BYTES)
        found = read_extended(self._file, size, kind=kind, order=self._order, count=self._count, seri=flags, notes=notes)
        self.metadata = {**self.metadata, **found.metadata}
        self.frame_data = found.frames
        scale = self.calibration.pixel_size_nm
        if found.pixel_size_nm is not None and scale is None:
            self.calibration = self.calibration.updated(f"header ({kind})", pixel_size_nm=found.pixel_size_nm)
        elif found.pixel_size_nm is not None and scale is not None and not np.allclose(found.pixel_size_nm, scale, rtol=0.01):
            other = " (y), ".join(f"{value:.6g}" for value in found.pixel_size_nm)
            notes.append(
                f"the MRC header is used for the scale; the {kind} extended header states another, {other} (x) nm per px"
            )
        if found.frames is not None and "time_s" in found.frames:
            self.calibration = self.calibration.updated(
                f"header ({kind})", frame_interval_s=even_interval(found.frames["time_s"], notes)
            )


def _is_plausible(header: Any) -> bool:
    sides = [int(header[name]) for name in ("nx", "ny", "nz")]
    return all(0 < side for side in sides) and max(sides[:2]) <= LARGEST_SIDE and 0 <= int(header["mode"]) <= 101


def _is_unsigned(header: Any, order: str, notes: list[str]) -> bool:
    """Whether bytes of mode 0 are unsigned: IMOD's flag where it is set, else what the stated range shows, else signed."""
    stamp, flags = struct.unpack(f"{order}ii", bytes(header["extra2"])[40:48])
    if stamp == IMOD_STAMP:
        return not flags & 1
    if float(header["dmax"]) > 127 and float(header["dmin"]) >= 0:
        notes.append("mode 0 is signed by the standard, but the header states values above 127: read as unsigned bytes")
        return True
    notes.append("mode 0: read as signed bytes, as the standard has it")
    return False


def _voxel_angstrom(header: Any) -> tuple[float, float, float]:
    """Voxel size along columns, rows and sections in angstrom; 0 where nothing is stated."""
    cell = [float(header["cella"][axis]) for axis in "xyz"]
    intervals = [int(header[name]) for name in ("mx", "my", "mz")]
    sizes = [length / n if n > 0 else 0.0 for length, n in zip(cell, intervals, strict=True)]
    order = [int(header[name]) for name in ("mapc", "mapr", "maps")]
    if sorted(order) != [1, 2, 3]:
        order = [1, 2, 3]
    return sizes[order[0] - 1], sizes[order[1] - 1], sizes[order[2] - 1]


def _scale(header: Any, notes: list[str]) -> tuple[float, float] | None:
    x, y, _ = _voxel_angstrom(header)
    if x == 0 and y == 0:
        notes.append("the MRC header states a voxel size of zero; it is not used")
        return None
    size = pixel_size((y, "angstrom"), (x, "angstrom"), "MRC", notes)
    if size is not None and x == y == 1:
        notes.append("the MRC header states 1 angstrom per px, which many programs write when they know no scale; check it")
    return size


def _metadata(header: Any) -> dict[str, Any]:
    group = int(header["ispg"])
    found: dict[str, Any] = {"content": "image stack" if group == 0 else "volumes" if 401 <= group <= 630 else "volume"}
    spacing = _voxel_angstrom(header)[2] / 10
    if int(header["nz"]) > 1 and (group or int(header["mz"]) > 1) and 1e-4 < spacing < 1e7:
        found["slice_spacing_nm"] = spacing
    if 401 <= group <= 630 and 0 < int(header["mz"]) < int(header["nz"]):
        found["slices_per_volume"] = int(header["mz"])
    labels = [bytes(text).decode("latin-1").strip("\0 ") for text in header["label"][: max(0, min(int(header["nlabl"]), 10))]]
    if any(labels):
        found["labels"] = "; ".join(text for text in labels if text)
    return found

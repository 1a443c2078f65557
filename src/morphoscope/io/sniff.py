"""What a file really is, by its first bytes: a wrong extension is found before a reader stumbles over it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from morphoscope.errors import InputError

LOOKED_AT = 2048


@dataclass(frozen=True)
class Kind:
    """A kind of file: its family (what reads it), what it is called with its article, the suffix it should have."""

    family: str
    called: str
    suffix: str = ""


PNG, JPEG, BMP = (
    Kind("flat", "a PNG picture", ".png"),
    Kind("flat", "a JPEG picture", ".jpg"),
    Kind("flat", "a BMP picture", ".bmp"),
)
STARTS = (
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"II*\x00", Kind("tiff", "a TIFF file", ".tif")),
    (b"MM\x00*", Kind("tiff", "a TIFF file", ".tif")),
    (b"II+\x00", Kind("tiff", "a TIFF file", ".tif")),
    (b"MM\x00+", Kind("tiff", "a TIFF file", ".tif")),
    (b"\x89HDF\r\n\x1a\n", Kind("hdf5", "an HDF5 file", ".h5")),
    (b"\x1aE\xdf\xa3", Kind("video", "a Matroska video", ".mkv")),
    (b"II\x97\x01", Kind("ser", "a SER file", ".ser")),
    (b"GWYP", Kind("gwy", "a Gwyddion file", ".gwy")),
    (b"\\*File list", Kind("nanoscope", "a Nanoscope file", ".spm")),
    (b"\\*Force file list", Kind("other", "a Nanoscope file of force curves")),
    (b"GIF8", Kind("other", "a GIF picture")),
    (b"%PDF", Kind("other", "a PDF document")),
    (b"PK\x03\x04", Kind("other", "a ZIP archive")),
    (b"\x1f\x8b", Kind("other", "a file compressed with gzip")),
    (b"BZh", Kind("other", "a file compressed with bzip2")),
    (b"7z\xbc\xaf", Kind("other", "a 7-Zip archive")),
)
TEXT = Kind("text", "a text file", ".txt")


def kind_of(path: Path) -> Kind | None:
    """The kind of a file by its content; None where it shows none that is known here.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(LOOKED_AT)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    for mark, kind in STARTS:
        if start.startswith(mark):
            return kind
    return _by_structure(start)


def _by_structure(start: bytes) -> Kind | None:
    if start[4:8] == b"ftyp":
        return Kind("video", "an MP4 or QuickTime video", ".mp4")
    if start[:4] == b"RIFF" and start[8:11] == b"AVI":
        return Kind("video", "an AVI video", ".avi")
    if start[:2] == b"BM" and start[6:10] == bytes(4):
        return BMP
    version = int.from_bytes(start[:4], "big")
    if version in (3, 4) and start[4 * version - 4 : 4 * version] in (b"\0\0\0\0", b"\0\0\0\1"):
        return Kind("dm", f"a DigitalMicrograph {version} file", f".dm{version}")
    if start[208:211] == b"MAP" and len(start) >= 1024:
        return Kind("mrc", "an MRC file", ".mrc")
    return TEXT if is_text(start) else None


def is_text(start: bytes) -> bool:
    """Whether bytes are readable text: no control characters besides those of lines and tabs."""
    return bool(start) and not any(byte < 9 or 13 < byte < 32 for byte in start)

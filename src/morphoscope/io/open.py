"""Open anything that holds frames: a microscope's file, a video, a TIFF stack, a folder of pictures, a list of files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from morphoscope.errors import InputError
from morphoscope.io import afm, dm, em, gwy, hdf5, mrc, nanoscope, ser
from morphoscope.io.features import is_feature_table
from morphoscope.io.frames import Frames
from morphoscope.io.images import SUFFIXES, ImageFrames, list_images
from morphoscope.io.label_formats.reading import xml_root_name
from morphoscope.io.parts import only_grey, only_part
from morphoscope.io.pictures import FLAT, TIFF
from morphoscope.io.sniff import Kind, kind_of
from morphoscope.io.tiff import TiffFrames
from morphoscope.io.video import VideoFrames

VIDEO = (".mp4", ".m4v", ".mov", ".avi", ".mkv")
SCIENCE: dict[str, tuple[tuple[str, ...], Callable[..., Frames]]] = {
    "mrc": (mrc.SUFFIXES, mrc.MrcFrames),
    "dm": (dm.SUFFIXES, dm.DmFrames),
    "ser": (ser.SUFFIXES, ser.SerFrames),
    "hdf5": (hdf5.SUFFIXES, hdf5.open_hdf5),
    "gwy": (gwy.SUFFIXES, gwy.GwyFrames),
    "nanoscope": (nanoscope.SUFFIXES, nanoscope.NanoscopeFrames),
    "text": (afm.SUFFIXES, afm.TextFrames),
}
FAMILIES = {"video": VIDEO, "tiff": TIFF, "flat": FLAT, **{family: suffixes for family, (suffixes, _) in SCIENCE.items()}}
NAMES = {"mrc": "MRC", "dm": "DigitalMicrograph", "ser": "TIA", "hdf5": "HDF5 and EMD", "gwy": "Gwyddion"}
SUPPORTED = (
    f"videos ({', '.join(VIDEO)}), TIFF stacks ({', '.join(TIFF)}), pictures ({', '.join(FLAT)}), "
    + ", ".join(f"{NAMES[family]} ({', '.join(SCIENCE[family][0])})" for family in NAMES)
    + f", Nanoscope (.spm, .000), height maps as text ({', '.join(afm.SUFFIXES)}), with the extra `em` also "
    f"{', '.join(em.SUFFIXES)}, and folders of pictures"
)


def open_frames(
    source: str | Path | Sequence[str | Path], *, part: str | int | None = None, channel: int | str | None = None
) -> Frames:
    """Frames of a file, a folder of pictures, or a list of picture files in the order given.

    Args:
        source: a path, or several. A folder is read in natural order (frame2 before frame10); its pictures must be of one
            size, so give those of different sizes one at a time.
        part: which image or dataset of a file that holds several, by name or number (from 0).
        channel: which colour or channel (number from 0, or red, green, blue, alpha) instead of the mean grey.

    Returns:
        Lazy frames; use them as a context manager.

    Raises:
        InputError: nothing there, a kind of file that is not supported, a wrong extension, a damaged file, or several images
            and no `part`.
        UsageError: a part or channel that the file does not have.
    """
    if not isinstance(source, str | Path):
        return _listed([Path(p) for p in source], part, channel)
    path = Path(source)
    if path.is_dir():
        only_part(part, f"the folder {path}")
        return ImageFrames(list_images(path), root=path, **_given(channel=channel))
    if not path.exists():
        raise InputError(f"there is no file or folder {path}; check the path")
    family, kind = family_of(path), kind_of(path)
    if family is None:
        return _without_family(path, kind, part, channel)
    if kind is not None and kind.family != family:
        raise InputError(_misnamed(path, kind))
    return _open_as(family, path, part, channel)


def family_of(path: Path) -> str | None:
    """What reads a file of this name: `video`, `tiff`, `flat` or one of the scientific families; None for an unknown suffix."""
    suffix = path.suffix.lower()
    if nanoscope.is_numbered(suffix):
        return "nanoscope"
    return next((family for family, suffixes in FAMILIES.items() if suffix in suffixes), None)


def _open_as(family: str, path: Path, part: str | int | None, channel: int | str | None) -> Frames:
    if family == "tiff":
        return TiffFrames(path, **_given(part=part, channel=channel))
    if family in ("flat", "video"):
        only_part(part, str(path))
    if family == "flat":
        return ImageFrames([path], root=path.parent, **_given(channel=channel))
    if family == "video":
        only_grey(channel, f"{path} is decoded to its brightness and")
        return VideoFrames(path)
    return SCIENCE[family][1](path, part=part, channel=channel)


def _without_family(path: Path, kind: Kind | None, part: str | int | None, channel: int | str | None) -> Frames:
    """A file whose suffix no reader here has: one of the plug-in's, or named by its content in the error."""
    if path.suffix.lower() in em.SUFFIXES:
        return em.EmFrames(path, part=part, channel=channel)
    if path.suffix.lower() == ".xml" and xml_root_name(path) == "TrackMate":
        raise InputError(
            f"{path} is a TrackMate file: it holds spots and tracks, no pictures. Measure its spots in their pictures with "
            f"`morphoscope analyze PICTURES --objects {path.name}`, or give `morphoscope analyze` the table of spots that "
            "TrackMate exports as CSV; both keep its tracks"
        )
    if is_feature_table(path):
        raise InputError(f"{path} is a table, no picture; `morphoscope analyze` takes tables of positions")
    if kind is not None and kind.suffix and kind.family != "text":
        raise InputError(_misnamed(path, kind))
    if kind is not None and path.suffix.lower() in (".gz", ".bz2"):
        raise InputError(f"{path} is {kind.called}; unpack it first (gunzip or bunzip2), it cannot be read frame by frame")
    raise InputError(f"{path} is of a kind that cannot be read; supported are {SUPPORTED}")


def _misnamed(path: Path, kind: Kind) -> str:
    said = f"{path} is {kind.called} by its content, whatever its name says"
    if kind.suffix and kind.family != "text":
        return f"{said}; rename it to {path.stem}{kind.suffix}"
    if "compressed" in kind.called or "archive" in kind.called:
        return f"{said}; unpack it first"
    return f"{said}; that cannot be read as {path.suffix}: export the image again, or rename the file if it is something else"


def _given(**options: Any) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _listed(paths: list[Path], part: str | int | None, channel: int | str | None) -> Frames:
    if len(paths) == 1:
        return open_frames(paths[0], part=part, channel=channel)
    only_part(part, "a list of pictures")
    for path in paths:
        if not path.is_file():
            raise InputError(f"a list of inputs must name picture files: there is no file {path}")
        if path.suffix.lower() not in SUFFIXES:
            raise InputError(f"a list of inputs must name picture files ({', '.join(SUFFIXES)}), got {path}")
    return ImageFrames(paths, **_given(channel=channel))

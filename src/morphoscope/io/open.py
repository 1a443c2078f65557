"""Open anything that holds frames: a video, a TIFF stack, a folder of pictures, one picture, a list of files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from morphoscope.errors import InputError
from morphoscope.io.frames import Frames
from morphoscope.io.images import SUFFIXES, ImageFrames, list_images
from morphoscope.io.pictures import FLAT, TIFF
from morphoscope.io.tiff import TiffFrames
from morphoscope.io.video import VideoFrames

VIDEO = (".mp4", ".m4v", ".mov", ".avi", ".mkv")
SUPPORTED = f"videos ({', '.join(VIDEO)}), TIFF stacks ({', '.join(TIFF)}), pictures ({', '.join(FLAT)}) and folders of pictures"


def open_frames(source: str | Path | Sequence[str | Path]) -> Frames:
    """Frames of a file, a folder of pictures, or a list of picture files in the order given.

    Args:
        source: a path, or several. A folder is read in natural order (frame2 before frame10); its pictures must be of one
            size, so give those of different sizes one at a time.

    Returns:
        Lazy frames; use them as a context manager.

    Raises:
        InputError: nothing there, a kind of file that is not supported, or a damaged file.
    """
    if not isinstance(source, str | Path):
        return _listed([Path(p) for p in source])
    path = Path(source)
    if path.is_dir():
        return ImageFrames(list_images(path), root=path)
    if not path.exists():
        raise InputError(f"there is no file or folder {path}; check the path")
    kind = path.suffix.lower()
    if kind in VIDEO:
        return VideoFrames(path)
    if kind in TIFF:
        return TiffFrames(path)
    if kind in FLAT:
        return ImageFrames([path], root=path.parent)
    raise InputError(f"{path} is of a kind that cannot be read; supported are {SUPPORTED}")


def _listed(paths: list[Path]) -> Frames:
    if len(paths) == 1:
        return open_frames(paths[0])
    for path in paths:
        if not path.is_file():
            raise InputError(f"a list of inputs must name picture files: there is no file {path}")
        if path.suffix.lower() not in SUFFIXES:
            raise InputError(f"a list of inputs must name picture files ({', '.join(SUFFIXES)}), got {path}")
    return ImageFrames(paths)

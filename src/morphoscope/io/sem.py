"""Scale and metadata of a picture from all that states them: its header, the maker's tags, the text file beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from morphoscope.calibration import Calibration
from morphoscope.io.sem_text import Stated

MOST_APART = 0.01


@dataclass(frozen=True)
class Agreed:
    """What is left when all sources were compared."""

    calibration: Calibration
    metadata: dict[str, Any]
    notes: tuple[str, ...]


def agree(calibration: Calibration, sources: Sequence[Stated], shape: tuple[int, int]) -> Agreed:
    """The calibration of a picture of (rows, columns), with the pixel size that its sources agree on.

    A source that speaks of a picture of another width, or of more rows, gives no scale: the picture was resized or cut. Scales
    that are more than 1 % apart are not used. Both are said in notes. Of several that agree the first counts.
    """
    notes: list[str] = []
    metadata: dict[str, Any] = {}
    scales: list[tuple[str, tuple[float, float]]] = []
    if calibration.pixel_size_nm is not None:
        scales.append((calibration.provenance["pixel_size_nm"], calibration.pixel_size_nm))
    for stated in sources:
        notes += stated.notes
        metadata = {**stated.metadata, **metadata}
        if stated.shape[1] not in (0, shape[1]) or stated.shape[0] > shape[0]:
            if stated.pixel_nm is not None:
                notes.append(_other_size(stated, shape))
            continue
        if stated.pixel_nm is not None:
            scales.append((stated.source, stated.pixel_nm))
        rows = stated.shape[0] if stated.shape[0] else shape[0] - stated.bar_px
        if 0 < rows < shape[0]:
            metadata.setdefault("image_height_px", rows)
    if not scales:
        return Agreed(calibration, metadata, tuple(notes))
    first = scales[0]
    for source, size in scales[1:]:
        if any(abs(a - b) > MOST_APART * min(a, b) for a, b in zip(first[1], size, strict=True)):
            kept = Calibration(frame_interval_s=calibration.frame_interval_s, axes=calibration.axes, provenance=_but(calibration))
            notes.append(f"the {first[0]} states {_shown(first[1])}, the {source} {_shown(size)}; neither is used")
            return Agreed(kept, metadata, tuple(notes))
    return Agreed(calibration.updated(first[0], pixel_size_nm=first[1]), metadata, tuple(notes))


def _but(calibration: Calibration) -> dict[str, str]:
    return {key: value for key, value in calibration.provenance.items() if key != "pixel_size_nm"}


def _other_size(stated: Stated, shape: tuple[int, int]) -> str:
    rows, columns = stated.shape
    scale = _shown(stated.pixel_nm) if stated.pixel_nm else ""
    return (
        f"the {stated.source} speaks of a picture of {columns} x {rows} px, this one has {shape[1]} x {shape[0]} px: it was "
        f"resized or cut, so the stated {scale} is not used"
    )


def _shown(size: tuple[float, float]) -> str:
    y, x = size
    return f"{x:.6g} nm per px" if y == x else f"{y:.6g} (y), {x:.6g} (x) nm per px"

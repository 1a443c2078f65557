"""All that a TIFF states about its frames: ImageJ, OME, makers' tags, the text file beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import tifffile

from morphoscope.calibration import Calibration
from morphoscope.io.ome import read_ome
from morphoscope.io.sem import agree
from morphoscope.io.sem_headers import read_header
from morphoscope.io.sem_sidecars import Sidecars
from morphoscope.io.sem_text import Stated
from morphoscope.io.tiff_directory import HEIGHT, WIDTH, Chain
from morphoscope.io.tiff_layout import Layout
from morphoscope.io.tiff_scale import OF_RESOLUTION, read_calibration
from morphoscope.io.units import length_nm, to_number

MAKE, MODEL, DATE_TIME = 271, 272, 306
DAYS = ("%Y:%m:%d", "%Y-%m-%d", "%Y/%m/%d")


@dataclass
class TiffStated:
    """What the readers' attributes of the same names become."""

    calibration: Calibration
    metadata: dict[str, Any] = field(default_factory=dict)
    frame_data: pd.DataFrame | None = None
    notes: list[str] = field(default_factory=list)


def read_stated(tiff: tifffile.TiffFile, chain: Chain, layout: Layout, path: Path, sidecars: Sidecars) -> TiffStated:
    """What the header and the text beside a file state about the frames of a layout."""
    if tiff.is_ome and tiff.ome_metadata:
        ome = read_ome(tiff.ome_metadata, layout.series, next(iter(layout.axes), ""), len(layout.numbers), layout.picked)
        found = TiffStated(ome.calibration, ome.metadata, ome.frame_data, ome.notes)
    else:
        calibration, notes = read_calibration(tiff)
        found = TiffStated(calibration, _imagej(tiff), None, notes)
    first = layout.first
    header = read_header(first) or (read_header(chain.read(chain.first)) if first.offset != chain.first else None)
    sources = [*([header] if header else []), *sidecars.read(path)]
    agreed = agree(found.calibration, sources, (first.number(HEIGHT, 0), first.number(WIDTH, 0)))
    if agreed.calibration.has_scale:
        found.notes = [note for note in found.notes if not note.startswith(OF_RESOLUTION)]
    found.calibration = agreed.calibration
    found.metadata = {**_plain(layout), **agreed.metadata, **found.metadata}
    found.notes += agreed.notes
    return found


def _plain(layout: Layout) -> dict[str, Any]:
    """What the tags that every TIFF may have state."""
    plain = Stated("header")
    plain.word("instrument", " ".join(filter(None, (layout.first.text(MAKE).strip(), layout.first.text(MODEL).strip()))))
    plain.acquired(layout.first.text(DATE_TIME).strip("\0 "), days=DAYS)
    if (saved := plain.metadata.pop("acquired", None)) is not None:
        plain.metadata["file_written"] = saved  # by whatever program wrote the file last: not the time of acquisition
    plain.metadata.pop("acquired_as_written", None)
    return plain.metadata


def _imagej(tiff: tifffile.TiffFile) -> dict[str, Any]:
    metadata = tiff.imagej_metadata if tiff.is_imagej else None
    if not metadata:
        return {}
    spacing = length_nm(metadata.get("spacing", ""), str(metadata.get("unit", "")))
    return {"slice_spacing_nm": spacing} if spacing and to_number(spacing) > 0 else {}

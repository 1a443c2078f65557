"""Tracks as trackpy has them: CSV with `particle,frame,y,x`, px with pixel centres at whole numbers.

`pd.read_csv("tracks.csv")` is what trackpy's `msd`, `filter_stubs` and the like take. Without `particle` the rows are features
that are not linked. trackpy's `size` is a radius of gyration, no width, and is passed over. The other columns are told in
`track_tables`.
"""

from __future__ import annotations

from pathlib import Path

from morphoscope.io.label_formats.track_tables import Names, read_tracks, recognises_tracks, write_tracks
from morphoscope.io.label_set import LabelSet

NAMES = Names("particle", "frame", ("particle", "frame", "y", "x"))
NEEDED = ("frame", "y", "x")


def recognises(path: Path) -> bool:
    """A CSV file with frame, y and x, or a folder with such files."""
    return recognises_tracks(path, NAMES, NEEDED)


def read(path: Path) -> LabelSet:
    """Points, or boxes where a table has their sides; see `track_tables.read_tracks`."""
    return read_tracks(path, NAMES, NEEDED)


def write(labels: LabelSet, path: Path) -> list[str]:
    """Write all objects, those without a track with an empty `particle`; returns what cannot be held."""
    return write_tracks(labels, path, NAMES, tracked_only=False)

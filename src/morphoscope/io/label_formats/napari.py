"""Tracks for napari: CSV with `track_id,t,y,x`, sorted by track and time, and properties of each point after them.

Source: napari's guide to its tracks layer, whose data are an array of shape (n, 4) with these columns, y and x in px with pixel
centres at whole numbers: `viewer.add_tracks(pd.read_csv("tracks.csv")[["track_id", "t", "y", "x"]])`. Objects without a track
are left out, as a tracks layer has no place for them. The other columns are told in `track_tables`.
"""

from __future__ import annotations

from pathlib import Path

from morphoscope.io.label_formats.track_tables import Names, read_tracks, recognises_tracks, write_tracks
from morphoscope.io.label_set import LabelSet

COLUMNS = ("track_id", "t", "y", "x")
NAMES = Names("track_id", "t", COLUMNS)


def recognises(path: Path) -> bool:
    """A CSV file with track_id, t, y and x, or a folder with such files."""
    return recognises_tracks(path, NAMES, COLUMNS)


def read(path: Path) -> LabelSet:
    """Points, or boxes where a table has their sides; see `track_tables.read_tracks`."""
    return read_tracks(path, NAMES, COLUMNS)


def write(labels: LabelSet, path: Path) -> list[str]:
    """Write the objects that have a track; returns what cannot be held."""
    return write_tracks(labels, path, NAMES, tracked_only=True)

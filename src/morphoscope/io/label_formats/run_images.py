"""What a run beside its table of objects says of its images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from morphoscope.io.label_formats.reading import Records, interval_of, load_json, number, size, whole
from morphoscope.io.label_set import ImageFacts
from morphoscope.io.pictures import FLAT
from morphoscope.io.tables import read_table
from morphoscope.io.tiff_scale import LARGEST_NM, SMALLEST_NM


def images_of_run(path: Path, records: Records) -> tuple[Path, ImageFacts]:
    """The folder of a run's images, which are put among the records, and what the run says of each.

    The table's own folder where there is no run.
    """
    about = path.parent / "run.json"
    if not (path.stem == "objects" and about.is_file()):
        return path.parent, ImageFacts()
    run = load_json(about)
    run = run if isinstance(run, dict) else {}
    inputs = run.get("inputs")
    source = inputs[0] if isinstance(inputs, list) and inputs and isinstance(inputs[0], dict) else {}
    frames = path.parent / "frames.parquet"
    seen = read_table(frames) if frames.is_file() else pd.DataFrame()
    files = list(dict.fromkeys(str(file) for file in seen["file"].dropna())) if {"file", "frame"} <= set(seen.columns) else []
    if len(files) > 1 and seen["frame"].tolist() != list(range(len(seen))):
        records.note("the run left out pictures of the series: where frames are numbered through, only those analysed count")
    facts = ImageFacts()
    with records.record("run.json"):
        facts = _facts_of_run(run, source, stack=len(files) == 1)
    records.images |= dict.fromkeys(files, facts)
    if not isinstance(source.get("path"), str):
        return path.parent, facts
    place = Path(source["path"])
    if not place.exists():
        records.note(f"{place}, which run.json names as the input, is not there: image names are taken as seen from the table")
        return path.parent, facts
    return (place if place.is_dir() else place.parent), facts


def note_short_tracks(path: Path, table: pd.DataFrame, records: Records) -> None:
    """Say how many tracks of a run are not in its table of tracks: those shorter than the run's track.min_points."""
    beside = path.with_name("tracks.parquet")
    if path.stem != "objects" or "track_id" not in table.columns or not beside.is_file():
        return
    with records.record(beside.name):
        known = set(read_table(beside)["track_id"].tolist())
        linked = set(table["track_id"].dropna().tolist())
        short = len(linked - known)
        if short:
            records.note(
                f"{short} of {len(linked)} tracks have fewer detections than the run's track.min_points: tracks.parquet and the "
                "run's results leave them out, here they are with the others"
            )


def _facts_of_run(run: dict[str, Any], source: dict[str, Any], *, stack: bool) -> ImageFacts:
    """Size, frames (of one file that holds them all: a stack or video), scale and interval as run.json has them."""
    shape, calibration = source.get("shape"), run.get("calibration")
    sides = [size(side) for side in shape] if isinstance(shape, list) and len(shape) == 2 else [None, None]
    known = calibration if isinstance(calibration, dict) else {}
    scale = known.get("pixel_size_nm")
    sizes = [number(side, least=SMALLEST_NM, most=LARGEST_NM) for side in scale] if isinstance(scale, list) else []
    return ImageFacts(
        width=sides[1],
        height=sides[0],
        frames=whole(source.get("frames", 1), least=1) if stack else 1,
        pixel_size_nm=(sizes[0], sizes[1]) if len(sizes) == 2 else None,
        frame_interval_s=interval_of(known.get("frame_interval_s")),
    )


def single_pictures(table: pd.DataFrame) -> set[str]:
    """Files of a run that are pictures of a folder, so that their frame number is that of the picture."""
    flat = {str(file) for file in table["file"].dropna().unique() if str(file).lower().endswith(FLAT)}
    if "frame" not in table.columns:
        return flat
    counts = table.groupby("file")["frame"].nunique()
    return flat | ({str(file) for file in counts.index} if len(counts) > 1 and (counts == 1).all() else set())

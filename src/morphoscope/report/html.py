"""`report.html`: one self-contained page that opens offline, with the results, how they were found and what they rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from morphoscope.report.methods import citations, methods_paragraph
from morphoscope.report.page import box
from morphoscope.report.results import headline
from morphoscope.report.run_page import write_run_page
from morphoscope.report.sections import figures_section


def write_report(
    folder: str | Path,
    *,
    run: Mapping[str, Any],
    frames: pd.DataFrame,
    tracks: pd.DataFrame,
    quantities: pd.DataFrame,
    card: Mapping[str, Any] | None,
    figures: Sequence[tuple[str, str]],
    left_out: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write `report.html` into a run folder and return its path.

    Args:
        folder: the run folder; `figures/<name>.png` are read from it, files in it are linked.
        run: content of run.json. Used, all optional: `title`; `inputs` (list of `path`, `sha256`, `frames`, `shape`); `recipe`
            (`Recipe.model_dump()`); `model` (`name`, `sha256`, `resampled_by`); `calibration` (`Calibration.to_dict()`);
            `counts` (name to number); `timings_s` (stage to seconds); `warnings` and `notes` (lists of str); `versions`;
            `provider`; `precision`; `created`.
        frames: `schema.FRAMES`.
        tracks: `schema.TRACKS`.
        quantities: `schema.QUANTITIES`; `results` says which are the headline.
        card: the model card as plain values, or None.
        figures: (name, caption) in order; an empty caption takes the one of `captions`.
        left_out: (name, sentence): figures with nothing to show, and why.
    """
    objects = int(frames["count"].sum()) if "count" in frames else 0
    return write_run_page(
        Path(folder),
        run,
        card,
        facts=[f"{len(frames)} frames", f"{objects} detections", f"{len(tracks)} tracks"],
        links=[("results", "Results"), ("figures", "Figures"), ("quantities", "Quantities")],
        body=[_boxes(run), headline(quantities), figures_section(Path(folder), figures, left_out)],
        quantities=quantities,
        methods=(methods_paragraph(run, card), citations(run, card)),
        images=len(frames),
    )


def _boxes(run: Mapping[str, Any]) -> str:
    warnings = [str(line) for line in run.get("warnings") or ()]
    notes = [str(line) for line in run.get("notes") or ()]
    calibration = run.get("calibration") or {}
    if not calibration.get("pixel_size_nm") and not any("scale" in w.lower() for w in warnings + notes):
        warnings.insert(
            0,
            "No scale: all lengths are in px and there is no density. State calibration.pixel_size_nm (nm per px) in the recipe.",
        )
    series = ((run.get("recipe") or {}).get("frames") or {}).get("series", True) and (run.get("counts") or {}).get("frames") != 1
    if series and not calibration.get("frame_interval_s") and not any("interval" in w.lower() for w in warnings + notes):
        notes.insert(0, "No frame interval: rates are per frame. State calibration.frame_interval_s (s) in the recipe.")
    return box("warn", "Read this before using the numbers", warnings) + box("note", "Notes", notes)

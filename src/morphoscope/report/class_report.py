"""`report.html` of a run of `classify`: decisions, contact sheets, what to label next, how it was done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from morphoscope.report.contact_sheet import Sheet, sheets_section
from morphoscope.report.methods_classes import classify_citations, classify_paragraph
from morphoscope.report.page import number, plain, table, text
from morphoscope.report.run_page import said_boxes, write_run_page
from morphoscope.report.score_cards import Card, score_headline
from morphoscope.report.sections import figures_section

CAPTION = (
    "Decisions. (a) Probability of each image's category; dashed: from there on images are accepted. (b) Decisions by category. "
    "(c) Distance to the images that the model has learnt over the limit (dashed), beyond which an image is foreign; at most 3."
)


def write_class_report(
    folder: Path,
    *,
    run: Mapping[str, Any],
    cards: Sequence[Card],
    quantities: pd.DataFrame,
    upcoming: pd.DataFrame,
    card: Mapping[str, Any],
    sheets: Sequence[Sheet],
) -> Path:
    """Write the page into a run folder and return its path.

    Args:
        folder: the run folder; `figures/decisions.png` is read from it.
        run: content of run.json.
        cards: the main results.
        quantities: `schema.QUANTITIES`.
        upcoming: `schema.LABEL_NEXT`; may be empty.
        card: the model's card as plain values.
        sheets: contact sheets.
    """
    images = int((run.get("counts") or {}).get("images", 0))
    return write_run_page(
        folder,
        run,
        card,
        facts=[f"{images} images", ", ".join(plain(name) for name in card["classes"])],
        links=[("results", "Results"), ("sheets", "Contact sheets"), ("next", "Label next"), ("quantities", "Quantities")],
        body=[
            said_boxes(run, "decisions"),
            score_headline(cards, [str(line) for line in run.get("findings") or ()]),
            figures_section(folder, [("decisions", CAPTION)], ()),
            sheets_section(sheets),
            _next(upcoming),
        ],
        quantities=quantities,
        methods=(classify_paragraph(run, card), classify_citations(run, card)),
        images=images,
    )


def _next(upcoming: pd.DataFrame) -> str:
    """The images to label next, in their order."""
    if upcoming.empty:
        return ""
    stacked = "frame" in upcoming
    rows = [
        [
            text(row["file"]),
            *([str(row["frame"])] if stacked else []),
            text(row["proposed"]),
            number(row["probability"]),
            text(row["second"]),
            text(row["why"]),
        ]
        for row in upcoming.to_dict("records")
    ]
    head = ["file", *(["frame"] if stacked else []), "proposed", "probability", "or", "why"]
    said = (
        "The most doubtful images that are unlike each other. Fill in the column label of next.csv, then "
        "<code>morphoscope labels take next.csv --project P</code>; training learns it."
    )
    at = 3 if stacked else 2
    return f'<section id="next"><h2>What to label next</h2><p class="soft">{said}</p>{table(head, rows, numeric=(at,))}</section>'

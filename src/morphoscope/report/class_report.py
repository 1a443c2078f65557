"""`report.html` of a run of `classify`: decisions, contact sheets, what to label next, how it was done."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from morphoscope.report.contact_sheet import Sheet, sheets_section
from morphoscope.report.html import (
    figures_section,
    files_section,
    footer,
    input_name,
    methods_section,
    provenance_section,
    timings_section,
)
from morphoscope.report.methods_classes import classify_citations, classify_paragraph
from morphoscope.report.page import box, number, page, plain, table, text
from morphoscope.report.results import long_table
from morphoscope.report.score_cards import Card, score_headline

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
    title = str(run.get("title") or input_name(run) or "morphoscope report")
    images = int((run.get("counts") or {}).get("images", 0))
    body = "\n".join(
        [
            _header(title, run, [str(name) for name in card["classes"]]),
            box("warn", "Read this before using the decisions", [str(line) for line in run.get("warnings") or ()]),
            box("note", "Notes", [str(line) for line in run.get("notes") or ()]),
            score_headline(cards, [str(line) for line in run.get("findings") or ()]),
            figures_section(folder, [("decisions", CAPTION)], ()),
            sheets_section(sheets),
            _next(upcoming),
            long_table(quantities),
            methods_section(classify_paragraph(run, card), classify_citations(run, card), card),
            provenance_section(run, card),
            timings_section(run, images),
            files_section(folder),
            footer(run),
        ]
    )
    path = folder / "report.html"
    part = path.with_suffix(".html.part")
    part.write_text(page(title, body), encoding="utf-8")
    os.replace(part, path)
    return path


def _header(title: str, run: Mapping[str, Any], classes: Sequence[str]) -> str:
    counts = run.get("counts") or {}
    facts = [input_name(run), f"{counts.get('images', 0)} images", ", ".join(plain(name) for name in classes)]
    facts.append(str(run.get("created") or ""))
    links = [("results", "Results"), ("sheets", "Contact sheets"), ("next", "Label next"), ("quantities", "Quantities")]
    links += [("methods", "Methods"), ("provenance", "Provenance"), ("files", "Files")]
    nav = "".join(f'<a href="#{anchor}">{name}</a>' for anchor, name in links)
    line = " &middot; ".join(text(fact) for fact in facts if fact)
    return f'<header><h1>{text(title)}</h1><div class="soft">{line}</div><nav>{nav}</nav></header>'


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

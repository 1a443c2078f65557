"""`report.html` of a run of `score`: results, figures, the scores of images, how they were found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from morphoscope.report.methods_scores import score_citations, score_paragraph
from morphoscope.report.page import number, plain, span, table, text
from morphoscope.report.run_page import said_boxes, write_run_page
from morphoscope.report.score_cards import Card, score_headline
from morphoscope.report.sections import figures_section

MOST_ROWS = 60
CAPTIONS = {
    "time_series": (
        "Score of each image over time; pale: its 95 % interval, cut off where it leaves the panel. Tau, p: Mann and Kendall's "
        "test, p for all series and classes together (Holm). Where the change over the series is within the model's error, no "
        "trend is claimed. Dashed: Theil-Sen line, where a score rises or falls steadily (|tau| of 0.8 or more, six images or "
        "more). Errors that last for a tenth of the series or longer make p too small."
    ),
    "response_surface": (
        "Scores that depend on the conditions beyond the error. Left: response surface (Gaussian process) with the measured "
        "scores in the same colours. Right: half of its 95 % interval; star: the condition whose measurement lowers the "
        "uncertainty of all these surfaces most; numbers: what comes next. The interval holds the scatter of scores and what is "
        "between conditions, and the error that all images of a film share as far as the model's card tells it, else not."
    ),
}


def write_score_report(
    folder: Path,
    *,
    run: Mapping[str, Any],
    scores: pd.DataFrame,
    cards: Sequence[Card],
    quantities: pd.DataFrame,
    upcoming: pd.DataFrame,
    card: Mapping[str, Any],
    figures: Sequence[tuple[str, str]],
    left_out: Sequence[tuple[str, str]] = (),
) -> Path:
    """Write the page into a run folder and return its path.

    Args:
        folder: the run folder; `figures/<name>.png` are read from it.
        run: content of run.json.
        scores: `schema.SCORES`.
        cards: the main results.
        quantities: `schema.QUANTITIES`.
        upcoming: `schema.NEXT`; may be empty.
        card: the model's card as plain values.
        figures: (name, caption); an empty caption takes the one of `CAPTIONS`.
        left_out: (name, sentence): figures with nothing to show, and why.
    """
    classes = [str(name) for name in card["classes"]]
    captioned = [(name, caption or CAPTIONS.get(name, "")) for name, caption in figures]
    return write_run_page(
        folder,
        run,
        card,
        facts=[f"{(run.get('counts') or {}).get('images', 0)} images", ", ".join(plain(name) for name in classes)],
        links=[("results", "Results"), ("figures", "Figures"), ("images", "Images"), ("quantities", "Quantities")],
        body=[
            said_boxes(run, "numbers"),
            score_headline(cards, [str(line) for line in run.get("findings") or ()]),
            figures_section(folder, captioned, left_out),
            _next(upcoming),
            _images(scores, classes),
        ],
        quantities=quantities,
        methods=(score_paragraph(run, card), score_citations(run, card)),
        images=len(scores),
    )


def _next(upcoming: pd.DataFrame) -> str:
    """What to measure next, for all scores together and the first three of each."""
    if upcoming.empty:
        return ""
    names = [str(name) for name in upcoming.columns if name not in ("score", "rank", "sd_before", "sd_after")]
    rows = [
        [
            text(row["score"]),
            str(row["rank"]),
            *(number(row[name]) for name in names),
            number(row["sd_before"]),
            number(row["sd_after"]),
        ]
        for row in upcoming[(upcoming["rank"] <= 3) | (upcoming["score"] == "all")].to_dict("records")
    ]
    head = ["score", "rank", *names, "sd of the surface before", "after, as expected"]
    return f"<section><h2>What to measure next</h2>{table(head, rows, numeric=range(1, len(head)))}</section>"


def _images(scores: pd.DataFrame, classes: Sequence[str]) -> str:
    """A row per image; of many those with the highest scores."""
    chosen, said = scores, ""
    if len(scores) > MOST_ROWS:
        highest = scores[[f"S_{name}" for name in classes]].max(axis=1).to_numpy(float)
        chosen = scores.iloc[np.sort(np.argsort(-highest, kind="stable")[:MOST_ROWS])]
        said = f'<p class="soft">The {MOST_ROWS} images with the highest scores; scores.parquet has all {len(scores)}.</p>'
    stacked, labelled = "frame" in scores, "label" in scores
    head = [
        "file",
        *(["frame"] if stacked else []),
        *(f"S_{name}" for name in classes),
        *(["label"] if labelled else []),
        "patches",
    ]
    rows = []
    for row in chosen.to_dict("records"):
        cells = [text(row["file"]), *([str(row["frame"])] if stacked else [])]
        cells += [_with_interval(row, f"S_{name}") for name in classes]
        rows.append([*cells, *([text(row["label"])] if labelled else []), str(row["patches"])])
    return f'<section id="images"><h2>Scores of images</h2>{said}{table(head, rows, numeric=(len(head) - 1,))}</section>'


def _with_interval(row: Mapping[str, Any], name: str) -> str:
    between = (
        span(round(row[f"{name}_low"], 3), round(row[f"{name}_high"], 3)) if row[f"{name}_low"] == row[f"{name}_low"] else ""
    )
    return f"{row[name]:.3f}" + (f' <span class="soft">({between})</span>' if between else "")

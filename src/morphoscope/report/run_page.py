"""The frame of the page of any run: title and links, the run's own sections, then what every run has to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from morphoscope.report.page import box, text, write_page
from morphoscope.report.results import long_table
from morphoscope.report.sections import files_section, footer, methods_section, provenance_section, timings_section


def write_run_page(
    folder: Path,
    run: Mapping[str, Any],
    card: Mapping[str, Any] | None,
    *,
    facts: Sequence[str],
    links: Sequence[tuple[str, str]],
    body: Sequence[str],
    quantities: pd.DataFrame,
    methods: tuple[str, Sequence[str]],
    images: int,
) -> Path:
    """Write `report.html` into a run folder and return its path.

    Args:
        folder: the run folder.
        run: content of run.json.
        card: the model's card as plain values; None without one.
        facts: what is said below the title, between the input and the time.
        links: (anchor, name) of the sections in `body`, and of the quantities.
        body: sections as markup.
        quantities: `schema.QUANTITIES`.
        methods: a paragraph to paste, and what to cite.
        images: how many there were, or frames.
    """
    title = str(run.get("title") or _input_name(run) or "morphoscope report")
    parts = [
        _header(title, [_input_name(run), *facts, str(run.get("created") or "")], links),
        *body,
        long_table(quantities),
        methods_section(*methods, card),
        provenance_section(run, card),
        timings_section(run, images),
        files_section(folder),
        footer(run),
    ]
    return write_page(folder / "report.html", title, "\n".join(parts))


def said_boxes(run: Mapping[str, Any], using: str) -> str:
    """Warnings and notes of a run, to be read before using its numbers or decisions."""
    warnings, notes = ([str(line) for line in run.get(name) or ()] for name in ("warnings", "notes"))
    return box("warn", f"Read this before using the {using}", warnings) + "\n" + box("note", "Notes", notes)


def _input_name(run: Mapping[str, Any]) -> str:
    """What was analysed, in a few words."""
    paths = [str(item.get("path", "")) for item in run.get("inputs") or ()]
    return Path(paths[0]).name + (f" and {len(paths) - 1} more" if len(paths) > 1 else "") if paths else ""


def _header(title: str, facts: Sequence[str], links: Sequence[tuple[str, str]]) -> str:
    every = [*links, ("methods", "Methods"), ("provenance", "Provenance"), ("files", "Files")]
    nav = "".join(f'<a href="#{anchor}">{name}</a>' for anchor, name in every)
    line = " &middot; ".join(text(fact) for fact in facts if fact)
    return f'<header><h1>{text(title)}</h1><div class="soft">{line}</div><nav>{nav}</nav></header>'

"""The results of a run on its page: cards of the main ones, and the long table of all quantities."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from morphoscope.report.page import number, plain, span, table, text, unit

MOST_CARDS = 8
FILLED_UP = 6  # cards, where there are fewer main results than that
# in the order of the cards; of each group the first that is known
MAIN: tuple[tuple[str, ...], ...] = (
    ("final median diameter", "median diameter"),
    ("first median diameter",),
    ("final number density", "number density", "final density"),
    ("first number density", "highest density"),
    ("geometric standard deviation", "final geometric standard deviation", "final median size"),
    ("median circularity", "final median circularity", "largest median size"),
    ("pooled D", "median D_eff"),
    ("median life (Kaplan-Meier)", "death rate"),
    ("median growth rate", "median growth rate (px)"),
    ("tracks",),
)
COUNTED = ("tracks ", "linked share", "mean life of those")  # begin the names of rows that tell of the linking


def headline(quantities: pd.DataFrame) -> str:
    """Cards of the main results: density, size, motion, life, growth; filled up with others where few of these are known.

    Args:
        quantities: `schema.QUANTITIES`.
    """
    cards = "".join(_card(row) for row in main_rows(quantities))
    shown = f'<div class="cards">{cards}</div>' if cards else '<p class="soft">No quantity could be found.</p>'
    return f'<section id="results"><h2>Results</h2>{shown}</section>'


def main_rows(quantities: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of the main results in their order, at most eight, none without a value."""
    rows = [row for row in quantities.to_dict("records") if math.isfinite(float(row["value"]))]
    named = {str(row["name"]): row for row in reversed(rows)}
    called = [[_called(name, rows) for name in group] for group in MAIN]
    main = [name for group in called for name in next(filter(None, group), [])]
    others = [row for row in rows if row["name"] not in main and not _is_counted(row)]
    chosen = [named[name] for name in main]
    return (chosen + others[: max(FILLED_UP - len(chosen), 0)])[:MOST_CARDS]


def _called(name: str, rows: list[dict[str, Any]]) -> list[str]:
    """The row of that name, or those of each sample (`median diameter of sample aged`)."""
    names = [str(row["name"]) for row in rows]
    return [name] if name in names else [one for one in names if one.startswith(f"{name} of sample ")]


def _is_counted(row: dict[str, Any]) -> bool:
    return str(row["name"]).startswith(COUNTED)


def _card(row: dict[str, Any]) -> str:
    interval = span(row.get("low"), row.get("high"))
    n = "" if pd.isna(row.get("n")) else f"n&nbsp;=&nbsp;{int(row['n'])}"
    below = " &middot; ".join(filter(None, [f"95&nbsp;%: {interval}" if interval else "", n]))
    return (
        f'<div class="card"><div class="what">{text(plain(row["name"]))}</div>'
        f'<div class="value">{number(row["value"])} <small>{unit(row.get("unit"))}</small></div>'
        f'<div class="range">{below or "&nbsp;"}</div></div>'
    )


def long_table(quantities: pd.DataFrame) -> str:
    """All quantities with interval, number and method; those that count tracks by their ends come last, in a table of their own.

    Args:
        quantities: `schema.QUANTITIES`.
    """
    if quantities.empty:
        return ""
    rows = quantities.to_dict("records")
    counted = [row for row in rows if _is_counted(row)]
    measured = [row for row in rows if not _is_counted(row)]
    last = f"<h3>How tracks were linked, began and ended</h3>{_table(counted)}" if counted else ""
    return f'<section id="quantities"><h2>Quantities</h2>{_table(measured) if measured else ""}{last}</section>'


def _table(rows: list[dict[str, Any]]) -> str:
    lines = []
    for row in rows:
        n = "" if pd.isna(row.get("n")) else str(int(row["n"]))
        numbers = [number(row["value"]), number(row.get("low")), number(row.get("high"))]
        method = row.get("method")
        said = "" if method is None or method != method else method
        lines.append([text(plain(row["name"])), *numbers, unit(row.get("unit")), n, text(said)])
    head = ["quantity", "value", "95 % low", "95 % high", "unit", "n", "method"]
    return table(head, lines, numeric=(1, 2, 3, 5))

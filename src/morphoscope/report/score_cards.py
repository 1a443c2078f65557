"""The results of a run of `score` on its page: a card for each, and sentences that say what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from morphoscope.report.page import text

MOST = 8


class Card(NamedTuple):
    """What, its value, and what is known of it: test, interval with its source, number."""

    what: str
    value: str
    below: tuple[str, ...]


def score_headline(cards: Sequence[Card], findings: Sequence[str]) -> str:
    """The first eight cards, below them all findings."""
    shown = "".join(_shown(card) for card in cards[:MOST])
    listed = "".join(f"<li>{text(line)}</li>" for line in findings)
    said = f"<ul>{listed}</ul>" if listed else ""
    return f'<section id="results"><h2>Results</h2><div class="cards">{shown}</div>{said}</section>'


def _shown(card: Card) -> str:
    below = "<br>".join(text(line) for line in card.below)
    return (
        f'<div class="card"><div class="what">{text(card.what)}</div><div class="value">{text(card.value)}</div>'
        f'<div class="range">{below}</div></div>'
    )

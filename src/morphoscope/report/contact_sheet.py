"""Contact sheets on a page: small pictures in rows, with what was said of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from morphoscope.report.page import text


class Tile(NamedTuple):
    """A small picture (WebP, base64; '' where it could not be read), its name and what was said of it."""

    name: str
    picture: str
    said: str


class Sheet(NamedTuple):
    """A sheet: its heading, its decision, how many images it stands for, in which order they are, and those that are shown."""

    head: str
    decision: str
    stands_for: int
    order: str
    tiles: tuple[Tile, ...]


def sheets_section(sheets: Sequence[Sheet]) -> str:
    """All sheets under one heading; nothing without any."""
    if not sheets:
        return ""
    return f'<section id="sheets"><h2>Contact sheets</h2>{"".join(_sheet(one) for one in sheets)}</section>'


def _sheet(sheet: Sheet) -> str:
    shown = (
        f"{len(sheet.tiles)} of {sheet.stands_for} shown, " if len(sheet.tiles) < sheet.stands_for else f"{sheet.stands_for}, "
    )
    tiles = "".join(_tile(one, sheet.decision) for one in sheet.tiles)
    return f'<h3>{text(sheet.head)} <span class="soft">({shown}{text(sheet.order)})</span></h3><div class="sheet">{tiles}</div>'


def _tile(tile: Tile, decision: str) -> str:
    picture = '<div class="soft">unreadable</div>'
    if tile.picture:
        picture = f'<img alt="{text(tile.name)}" src="data:image/webp;base64,{tile.picture}">'
    return f'<div class="tile {text(decision)}">{picture}<b>{text(tile.said)}</b><span>{text(tile.name)}</span></div>'

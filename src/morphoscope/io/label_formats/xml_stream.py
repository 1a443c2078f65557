"""Large XML files read piece by piece, so that no more of them is in memory than is kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast
from xml.etree.ElementTree import Element, ParseError, XMLPullParser

from morphoscope.errors import InputError

PIECE = 2**18  # bytes read at a time
DECLARATIONS = (b"<!DOCTYPE", b"<!ENTITY")


def ended_elements(path: Path) -> Iterator[tuple[tuple[str, ...], Element]]:
    """Each element when it ends, inner ones first, with the names from the root down to it; clear what is not needed any more.

    Raises:
        InputError: it cannot be read, the line is named; or it declares a document type or entities.
    """
    parser: XMLPullParser[Element] = XMLPullParser(("start", "end"))
    names: list[str] = []
    before = b""
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                if not names:  # a document type can only stand before the root element
                    before = (before + piece).replace(b"\0", b"")  # UTF-16 too
                    if any(word in before for word in DECLARATIONS):
                        raise InputError(f"{path} declares a document type or entities, which label files have no use for")
                    before = before[-16:]
                parser.feed(piece)
                yield from _events(parser, names)
            parser.close()
            yield from _events(parser, names)
    except ParseError as error:
        line, column = error.position
        raise InputError(f"{path}: line {line}, column {column} is not valid XML: {error}") from error
    except (OSError, ValueError, LookupError) as error:
        raise InputError(f"{path} cannot be read as XML: {error}") from error


def _events(parser: XMLPullParser[Element], names: list[str]) -> Iterator[tuple[tuple[str, ...], Element]]:
    for event, element in cast(Iterator[tuple[str, Element]], parser.read_events()):
        if event == "start":
            names.append(element.tag)
        else:
            yield tuple(names), element
            names.pop()

"""Choosing one of several images that a file holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from morphoscope.errors import InputError, UsageError

MOST_LISTED = 20


@dataclass(frozen=True)
class Part:
    """An image or stack in a file: its name, its shape as stored, its dtype in words, and what the reader needs to find it."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    what: Any = None

    def __str__(self) -> str:
        return f"{self.name!r} ({' x '.join(map(str, self.shape))}, {self.dtype})"


def choose_part(parts: Sequence[Part], part: str | int | None, where: str) -> Part:
    """The part of that name or number (from 0); without one, the only one there is.

    Raises:
        InputError: there is none, or there are several and none is named.
        UsageError: none has this name or number.
    """
    if not parts:
        raise InputError(f"{where} holds no image; wanted a two-dimensional one or a stack")
    if part is None:
        if len(parts) == 1:
            return parts[0]
        raise InputError(f"{where} holds several images, say which one with `part`, by name or number: {listed(parts)}")
    if isinstance(part, int):
        if 0 <= part < len(parts):
            return parts[part]
        raise UsageError(f"part {part} of {where} was asked for; there are {len(parts)}: {listed(parts)}")
    named = [one for one in parts if one.name == part] or [one for one in parts if one.name.strip("/") == part.strip("/")]
    if len(named) == 1:
        return named[0]
    if named:
        raise InputError(f"{where} holds {len(named)} images of the name {part!r}; give the number instead: {listed(parts)}")
    if part.isdecimal() and int(part) < len(parts):
        return parts[int(part)]
    raise UsageError(f"{where} has no image {part!r}; it holds {listed(parts)}")


def listed(parts: Sequence[Part]) -> str:
    """The parts with their numbers, for a message."""
    said = "; ".join(f"{k}: {one}" for k, one in enumerate(parts[:MOST_LISTED]))
    return said + (f"; and {len(parts) - MOST_LISTED} more" if len(parts) > MOST_LISTED else "")


def only_part(part: str | int | None, where: str) -> None:
    """Check `part` for a file that can hold one image alone.

    Raises:
        UsageError: another than the first is asked for.
    """
    if part not in (None, 0, "0"):
        raise UsageError(f"{where} holds one image or stack; leave out part {part!r}")


def only_grey(channel: int | str | None, where: str) -> None:
    """Check `channel` for a file without colours.

    Raises:
        UsageError: a channel is asked for.
    """
    if channel not in (None, 0, "0"):
        raise UsageError(f"{where} holds grey values without channels; leave out channel {channel!r}")

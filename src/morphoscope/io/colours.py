"""One grey image from colours that lie beside each other in an array: the mean luma or the channel asked for."""

from __future__ import annotations

from morphoscope.errors import UsageError
from morphoscope.io.frames import Image
from morphoscope.io.pictures import COLOUR, stored_dtype, to_grey

NAMES = ("red", "green", "blue", "alpha")


def wanted_channel(channel: int | str | None, count: int, where: str, notes: list[str]) -> int | None:
    """The number of a channel given by number or name; None (luma, and a note) where none is asked for.

    Raises:
        UsageError: there is no such channel.
    """
    if channel is None:
        notes.append(COLOUR)
        return None
    text = str(channel).lower()
    number = NAMES.index(text) if text in NAMES else int(text) if text.isdecimal() else -1
    if not 0 <= number < count:
        raise UsageError(f"{where} has {count} channels (0 to {count - 1}, or {', '.join(NAMES[:count])}), not {channel!r}")
    return number


def one_grey(image: Image, channel: int | None, where: str) -> Image:
    """(height, width) of an image (height, width, channels)."""
    return to_grey(image, where)[0] if channel is None else stored_dtype(image[..., channel], where)

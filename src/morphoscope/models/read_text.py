"""Reading short burnt-in texts such as `200 nm` with the shipped model `scale-text`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from morphoscope.errors import ModelError
from morphoscope.models.card import resolve_model
from morphoscope.models.runtime import Session, load_session

HEIGHT = 32  # px of a line as the reader gets it
BATCH = 16  # lines of like width at a time: memory stays small
ALPHABET = "0123456789. nmµpcÅ#"  # '#': any other letter
NM = {"nm": 1.0, "µm": 1e3, "mm": 1e6, "cm": 1e7, "pm": 1e-3, "Å": 0.1}
LENGTH = re.compile(r"(\d{1,4}(?:\.\d{1,3})?) ?(nm|µm|mm|cm|pm|Å)")


class Reading(NamedTuple):
    """A line's text in the reader's alphabet and the chance that all of it is right (0 to 1, not calibrated)."""

    text: str
    confidence: float


def in_alphabet(text: str) -> str:
    """What the reader should say of a text: `u` and both code points of micro are µ, a comma a point, strange letters `#`."""
    plain = text.replace("u", "µ").replace("μ", "µ").replace(",", ".")
    return "".join(letter if letter in ALPHABET else "#" for letter in plain)


def parse_length(text: str) -> float | None:
    """Nanometres of a text such as `200 nm`, `0.5 µm`, `1 um`; None where it is no length above zero."""
    found = LENGTH.fullmatch(in_alphabet(text.strip()))
    if found is None:
        return None
    value = float(found.group(1)) * NM[found.group(2)]
    return value if value > 0 else None


def to_line(crop: NDArray[Any], *, widest: int | None = None) -> NDArray[np.float32]:
    """A crop of one line of bright text as a reader gets it: `HEIGHT` px high, mean and spread taken out.

    Args:
        crop: (height, width), text brighter than what is around it.
        widest: cut or squeeze to at most this many px; None for no limit.
    """
    height, width = crop.shape
    wide = max(round(width * HEIGHT / height), 8)
    wide = min(wide, widest) if widest else wide
    shrinks = height > HEIGHT
    line = cv2.resize(crop.astype(np.float32), (wide, HEIGHT), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray((line - line.mean()) / (line.std() + 1e-3), dtype=np.float32)


@lru_cache(maxsize=1)
def _session() -> Session:
    session = load_session(resolve_model("scale-text"), threads=1)
    if session.card.postprocess != "ctc-1":
        raise ModelError(f"wanted a text reader (ctc-1), {session.card.name} is {session.card.postprocess}")
    return session


def read_lines(lines: Sequence[NDArray[Any]]) -> list[Reading]:
    """Read lines of one text each.

    Args:
        lines: (32, width) as `to_line` makes them of crops with bright text.
    """
    order = sorted(range(len(lines)), key=lambda k: lines[k].shape[1])
    found: dict[int, Reading] = {}
    for first in range(0, len(order), BATCH):
        chosen = order[first : first + BATCH]
        found |= dict(zip(chosen, _read_batch([lines[k] for k in chosen]), strict=True))
    return [found[k] for k in range(len(lines))]


def _read_batch(lines: list[NDArray[Any]]) -> list[Reading]:
    wide = max(max(line.shape[1] for line in lines), 32)
    wide += -wide % 4
    batch = np.stack([np.pad(line, ((0, 0), (0, wide - line.shape[1])), constant_values=line.min()) for line in lines])
    (logits,) = _session().run(batch[:, None].astype(np.float32))
    return [decode(one) for one in logits]


def decode(logits: NDArray[np.float32]) -> Reading:
    """The text of logits (steps, letters + 1): the likeliest letter of each step, repeats and blanks taken out.

    Its confidence is the chance of that text summed over all its alignments (Graves et al., Proc. ICML 2006, equation 8).
    """
    shifted = logits - logits.max(axis=1, keepdims=True)
    chances = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
    best = chances.argmax(axis=1)
    numbers = best[(best > 0) & np.concatenate(([True], best[1:] != best[:-1]))]
    text = "".join(ALPHABET[k - 1] for k in numbers)
    return Reading(text.strip(), _chance(chances.astype(np.float64), numbers))


def _chance(chances: NDArray[np.float64], numbers: NDArray[np.int64]) -> float:
    """Chance of a row of letters over all alignments with `chances` (steps, letters + 1)."""
    states = np.zeros(2 * len(numbers) + 1, dtype=np.int64)
    states[1::2] = numbers
    skips = np.zeros(len(states), dtype=bool)
    skips[3::2] = numbers[1:] != numbers[:-1]
    forward = np.zeros(len(states))
    forward[:2] = chances[0, states[:2]]
    for step in chances[1:]:
        one, two = np.concatenate(([0.0], forward[:-1])), np.concatenate(([0.0, 0.0], forward))[: len(forward)]
        forward = (forward + one + two * skips) * step[states]
    return float(forward[-2:].sum())

"""What callers hand over, checked and made into the fields of a row."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast
from uuid import uuid4

import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.errors import InputError, UsageError
from morphoscope.io.shapes import shape_from_dict
from morphoscope.project.events import Row, to_json

STATES = ("proposed", "accepted", "corrected", "added", "rejected")
DECISIONS = ("accept", "review", "foreign", "reject")
SHA256 = re.compile(r"[0-9a-f]{64}")

Model = str | tuple[str, str | None]


def object_rows(objects: pd.DataFrame | Iterable[Mapping[str, Any]], *, frame: int, state: str) -> Iterator[tuple[str, int, Row]]:
    """(object_id, frame, fields) of each object; `frame` is for those that name none.

    Raises:
        UsageError: an object lacks its label or shape, or has an impossible value.
    """
    if isinstance(objects, pd.DataFrame):
        names = list(objects.columns)
        objects = (dict(zip(names, values, strict=True)) for values in objects.itertuples(index=False, name=None))
    for number, given in enumerate(objects):
        try:
            number_of_frame = whole(given.get("frame"), "frame")
            fields = {
                "label": text(given.get("label"), "label"),
                "shape": shape(given.get("shape")),
                "score": fraction(given.get("score"), "score"),
                "track_id": whole(given.get("track_id"), "track_id"),
                "state": state,
            }
            named = given.get("object_id")
            object_id = uuid4().hex if missing(named) else text(named, "object_id")
            yield object_id, frame if number_of_frame is None else number_of_frame, fields
        except UsageError as error:
            raise UsageError(f"object {number}: {error}") from error


def missing(value: Any) -> bool:
    """Whether a value is None or one of the nulls of a table."""
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def text(value: Any, name: str) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{name} must be a text that is not empty, got {value!r:.100}")
    return value


def whole(value: Any, name: str) -> int | None:
    """A whole number from 0 as int; None for a null."""
    if missing(value):
        return None
    try:
        if not isinstance(value, bool | str) and value >= 0 and int(value) == value:
            return int(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise UsageError(f"{name} must be a whole number from 0, got {value!r:.100}")


def fraction(value: Any, name: str) -> float | None:
    """A number from 0 to 1 as float; None for a null."""
    if missing(value):
        return None
    try:
        if not isinstance(value, bool | str) and 0 <= value <= 1:
            return float(value)
    except (TypeError, ValueError):
        pass
    raise UsageError(f"{name} must be a number from 0 to 1, got {value!r:.100}")


def shape(value: Any) -> Row:
    """A shape: a dict with text keys, one of them `kind`, and values JSON can hold."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise UsageError(f"a shape must be a dict with text keys such as {{'kind': 'box', ...}}, got {value!r:.100}")
    text(value.get("kind"), "the `kind` of a shape")
    plain = cast(Row, json.loads(to_json(dict(value))))
    try:
        shape_from_dict(plain)
    except InputError as error:
        raise UsageError(f"{error}; a box wants x, y, width, height or x0, y0, x1, y1") from error
    return plain


def decision(value: str | None) -> str | None:
    """One of `DECISIONS`, or None."""
    if value is not None and value not in DECISIONS:
        raise UsageError(f"a decision is one of {', '.join(DECISIONS)}, got {value!r:.100}")
    return value


def scale(calibration: Calibration | None) -> Row:
    """The fields of an image that say its pixel size; none of them without a calibration."""
    if calibration is None or calibration.pixel_size_nm is None:
        return {}
    size_y, size_x = calibration.pixel_size_nm
    source = calibration.provenance.get("pixel_size_nm", "not stated")
    return {"pixel_nm_y": float(size_y), "pixel_nm_x": float(size_x), "pixel_source": source}


def groups(group: str | None, sample: str | None) -> Row:
    """The fields that say group and sample; None leaves one as it is, an empty text takes it away."""
    given = {"group_name": group, "sample_name": sample}
    return {key: value or None for key, value in given.items() if value is not None}


def model(value: Model | None) -> tuple[str, str | None] | None:
    """(name, sha256) of a model given by its name or that pair."""
    if value is None:
        return None
    name, sha256 = (value, None) if isinstance(value, str) else value
    if sha256 is not None and not SHA256.fullmatch(sha256):
        raise UsageError(f"the sha256 of a model has 64 hex digits, got {sha256!r:.100}")
    return text(name, "the name of a model"), sha256


def states(value: str | Iterable[str] | None) -> tuple[str, ...]:
    """The states asked for; None: all but rejected."""
    if value is None:
        return tuple(s for s in STATES if s != "rejected")
    wanted = (value,) if isinstance(value, str) else tuple(value)
    if unknown := set(wanted) - set(STATES):
        raise UsageError(f"a state is one of {', '.join(STATES)}, got {', '.join(sorted(map(str, unknown)))}")
    return wanted

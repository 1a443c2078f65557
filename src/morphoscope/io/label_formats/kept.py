"""What a label has beyond a format's own means, kept in a place that other tools pass over, so that reading back is lossless."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from morphoscope.io.label_formats.reading import interval_of, score_of, text, whole
from morphoscope.io.label_set import ImageFacts, Label, LabelSet
from morphoscope.io.shapes import Polygon, Shape, shape_from_dict, shape_to_dict
from morphoscope.recipe import Region

ALL = (
    "frame",
    "object_id",
    "score",
    "track_id",
    "empty images",
    "pixel_size_nm",
    "frame_interval_s",
    "complete_region",
    "classes",
)


def kept_label(label: Label) -> dict[str, Any]:
    """Class, ids, score and the exact shape as plain values."""
    values = {"label": label.label, "object_id": label.object_id, "score": label.score, "track_id": label.track_id}
    return {**{k: v for k, v in values.items() if v is not None}, "shape": shape_to_dict(label.shape)}


def restored(plain: Label, kept: Any, *, drawn: Callable[[Shape], Shape] = lambda shape: shape) -> Label:
    """A label read by a format's own means, with what was kept of it, unless it was changed since.

    Args:
        plain: as the format has it; a track of its own wins over the kept one.
        kept: values of `kept_label`; anything else is passed over.
        drawn: what the format makes of a shape. A kept shape counts only where that is the same still, a kept class only where
            the format's own differs in nothing but spaces.
    """
    if not isinstance(kept, dict) or "label" not in kept:
        return plain
    track = kept.get("track_id")
    label = text(kept["label"], "a class")
    found = replace(
        plain,
        label=label if label.split() == plain.label.split() else plain.label,
        object_id=str(kept["object_id"]) if "object_id" in kept else None,
        score=score_of(kept.get("score")),
        track_id=whole(track, least=-(2**53), most=2**53) if plain.track_id is None and track is not None else plain.track_id,
    )
    shape: Shape = shape_from_dict(kept["shape"])
    return replace(found, shape=shape) if _alike(drawn(shape), plain.shape) else found


def _alike(one: Shape, other: Shape) -> bool:
    """Whether two shapes are of one kind and no number of theirs differs by more than rounding."""
    if type(one) is not type(other):
        return False
    first, second = (_numbers(shape) for shape in (one, other))
    return len(first) == len(second) and bool(np.allclose(first, second, rtol=1e-6, atol=2e-3))


def _numbers(shape: Shape) -> list[float]:
    if isinstance(shape, Polygon):
        return [float(len(shape.rings)), *(value for ring in shape.rings for corner in ring for value in corner)]
    values = shape_to_dict(shape)
    return [float(value) for key, value in values.items() if key not in ("kind", "runs")] + list(values.get("runs", ()))


def kept_image(file: str, facts: ImageFacts, labels: LabelSet) -> dict[str, Any]:
    """An image's name and facts, and what holds for the whole set, as plain values."""
    region = labels.complete_region
    return {
        "file": file,
        "width": facts.width,
        "height": facts.height,
        "frames": facts.frames,
        "pixel_size_nm": facts.pixel_size_nm,
        "frame_interval_s": facts.frame_interval_s,
        "classes": labels.classes,
        "complete_region": None if region is None else region.model_dump(),
    }


def restored_image(kept: Any) -> tuple[str, ImageFacts, tuple[str, ...], Region | None] | None:
    """Name, facts, classes and region of `kept_image`'s values; None where they are none."""
    if not isinstance(kept, dict) or not isinstance(kept.get("file"), str):
        return None
    scale = kept.get("pixel_size_nm")
    facts = ImageFacts(
        width=whole(kept["width"]) if kept.get("width") else None,
        height=whole(kept["height"]) if kept.get("height") else None,
        frames=whole(kept.get("frames", 1), least=1),
        pixel_size_nm=(float(scale[0]), float(scale[1])) if scale else None,
        frame_interval_s=interval_of(kept.get("frame_interval_s")),
    )
    region = kept.get("complete_region")
    return kept["file"], facts, tuple(str(c) for c in kept.get("classes", ())), Region.model_validate(region) if region else None


def parsed(content: str) -> Any:
    """JSON content, None where it is not valid."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None

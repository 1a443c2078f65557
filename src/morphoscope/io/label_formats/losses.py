"""What a label set has that a format cannot hold, as sentences for the user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from morphoscope.io.label_set import Label, LabelSet


def losses(
    labels: LabelSet,
    *,
    changed_shapes: dict[str, str],
    holds: Collection[str] = (),
) -> list[str]:
    """Sentences on what is lost or changed.

    Args:
        labels: what is to be written.
        changed_shapes: what becomes of shapes the format cannot hold as they are: kind (`point`, `box`, `turned box`, `ellipse`,
            `polygon`, `polygon with holes`, `mask`) to a phrase such as "their upright boxes are written".
        holds: which of frame, object_id, score, track_id, empty images, pixel_size_nm, frame_interval_s, complete_region,
            classes the format keeps.
    """
    said = [f"{count} {_many(kind, count)}: {changed_shapes[kind]}" for kind, count in _kinds(labels) if kind in changed_shapes]
    present = {
        "frame": ("frame numbers", sum(label.frame != 0 for label in labels.labels)),
        "object_id": ("object ids", sum(label.object_id is not None for label in labels.labels)),
        "score": ("scores", sum(label.score is not None for label in labels.labels)),
        "track_id": ("track ids", sum(label.track_id is not None for label in labels.labels)),
        "empty images": ("images without objects", len(set(labels.images) - {label.file for label in labels.labels})),
        "pixel_size_nm": ("pixel sizes", sum(facts.pixel_size_nm is not None for facts in labels.images.values())),
        "frame_interval_s": ("times between frames", sum(f.frame_interval_s is not None for f in labels.images.values())),
        "complete_region": ("the region in which labels are complete", int(labels.complete_region is not None)),
        "classes": ("classes without objects", sum(count == 0 for count in labels.counts().values())),
    }
    for name, (what, count) in present.items():
        if count and name not in holds:
            said.append(f"{what} cannot be held and are left out ({count})" if count > 1 else f"{what} cannot be held: left out")
    return said


def shape_kind(label: Label) -> str:
    """The kind of a label's shape as `losses` names it."""
    kind = label.shape.kind
    if kind == "box" and getattr(label.shape, "angle_deg", 0) != 0:
        return "turned box"
    return "polygon with holes" if kind == "polygon" and len(getattr(label.shape, "rings", ())) > 1 else kind


def _kinds(labels: LabelSet) -> list[tuple[str, int]]:
    return sorted(Counter(shape_kind(label) for label in labels.labels).items())


def _many(kind: str, count: int) -> str:
    if count == 1:
        return kind
    head, _, tail = kind.partition(" with ")
    plural = f"{head}es" if head.endswith("x") else f"{head}s"
    return f"{plural} with {tail}" if tail else plural

"""A recipe as TOML: the settings of a run to keep, or a commented file to start from."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from morphoscope.recipe import Recipe

# what a setting without a default value looks like
EXAMPLES: dict[str, str] = {
    "calibration.pixel_size_nm": "0.372",
    "calibration.frame_interval_s": "1.75",
    "calibration.axes": '[{ name = "dose", unit = "dpa", start = 0.0, step = 0.0014 }]',
    "frames.stop": "500",
    "frames.region": "{ x0 = 0, y0 = 0, x1 = 780, y1 = 710 }",
    "frames.channel": '"red"',
    "frames.part": "0",
    "frames.exclude": "[{ x0 = 0, y0 = 0, x1 = 120, y1 = 40 }]",
    "frames.samples": '"samples.csv"',
    "detect.objects": '"corrected.csv"',
    "detect.threshold": "0.3",
    "segment.zoom": "1.4",
    "segment.outline": '"learnt"',
    "segment.level": "19.0",
    "segment.separate_px": "10.0",
    "segment.spot_min_mass": "200.0",
    "segment.spot_threshold": "2.0",
    "score.patch_px": "50.0",
    "score.patch_nm": "25000.0",
    "score.stride_px": "25.0",
    "score.conditions": '"conditions.csv"',
    "score.time": '"time_h"',
    "score.x": '"ratio"',
    "score.y": '"anneal_C"',
    "classify.model": '"categories.onnx"',
    "classify.sort": '"copy"',
    "classify.project": '"categories.project"',
    "orient.radius_px": "24.0",
    "orient.radius_nm": "500.0",
    "track.max_distance_px": "8.0",
    "physics.thickness_nm": "75.0",
    "physics.steady": "[461, 806]",
    "physics.inner": "{ x0 = 40, y0 = 40, x1 = 1080, y1 = 670 }",
    "physics.structure": "true",
    "physics.cluster_distance_px": "12.0",
    "physics.cluster_distance_nm": "5.0",
    "physics.truth": '"hand_counts.csv"',
    "report.axis": '"dose"',
    "report.track": "17",
    "report.box_plots_at": "[0.9, 1.5, 2.1]",
    "report.masks": "true",
    "report.title": '"Fe-18Cr-3Al, 320 degC"',
    "report.citation": '"doi:10.0000/example"',
    "train.network": '"film"',
    "train.epochs": "20",
    "train.classes": '["nanowires", "powder"]',
    "train.backbone": '"lite1"',
    "train.weights": '"inception_v3_google-0cc3c7bd.pth"',
    "train.view_px": "320",
    "train.zoom": "2.0",
    "train.video": '"video.mp4"',
    "run.threads": "2",
}
# what a command has a default of its own for, where the recipe is silent
OF_THE_COMMAND = frozenset(
    ("detect.model", *(f"train.{k}" for k in ("steps", "batch", "rate", "target", "patches", "patience", "bands", "folds")))
)


def recipe_toml(recipe: Recipe, *, commented: bool = False) -> str:
    """TOML that `load_recipe` reads back as the same recipe.

    Args:
        recipe: the settings.
        commented: say what each is for, and show as a comment those without a value, with an example, and those of which some
            command has a default of its own.
    """
    lines: list[str] = []
    if commented:
        lines += [
            "# A recipe for `morphoscope analyze --recipe`. All values are the defaults; a line that starts",
            "# with #: shows a setting without a default, or with another one in some commands. Unknown keys are refused.",
        ]
    for section, kind in Recipe.model_fields.items():
        values: BaseModel = getattr(recipe, section)
        lines += ["", *(_comment(inspect.getdoc(kind.annotation) or "") if commented else []), f"[{section}]"]
        for name, field in type(values).model_fields.items():
            lines += _setting(f"{section}.{name}", getattr(values, name), field.description if commented else None, commented)
    return "\n".join(lines).lstrip("\n") + "\n"


def _comment(text: str) -> Iterator[str]:
    return (f"# {line}" for line in text.splitlines() if line)


def _setting(name: str, value: Any, description: str | None, commented: bool) -> list[str]:
    key = name.split(".")[1]
    lines = [f"# {description}"] if description else []
    if value is not None and value != ():
        return [*lines, f"{'#: ' if commented and name in OF_THE_COMMAND else ''}{key} = {_toml(value)}"]
    return [*lines, f"#: {key} = {EXAMPLES[name]}"] if commented else []


def _toml(value: Any) -> str:
    if isinstance(value, BaseModel):
        value = {name: v for name, v in value.model_dump().items() if v is not None}
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(v)}" for key, v in value.items()) + " }"
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    # JSON's strings are TOML's, but for DEL, which TOML wants escaped
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str) else repr(value)

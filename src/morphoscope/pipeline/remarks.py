"""What a run says of its scale and units, whether it is of pictures or of a table."""

from __future__ import annotations

import pandas as pd

from morphoscope.calibration import Calibration
from morphoscope.models.card import ModelCard
from morphoscope.pipeline.scale import CLOSE
from morphoscope.recipe import Recipe

LISTED = 5


def scale_warnings(calibration: Calibration, recipe: Recipe) -> list[str]:
    """What lacks without a scale."""
    if calibration.has_scale:
        return []
    said = [
        "No scale is known: all lengths are in px and there is no density. "
        "State it with --scale or calibration.pixel_size_nm (nm per px)."
    ]
    if recipe.physics.thickness_nm is not None:
        said.append("A foil thickness is given, but without a scale there is no density.")
    return said


def unplaced_warnings(frames: pd.DataFrame) -> list[str]:
    """A warning where frames (`schema.FRAMES`) with objects were not recognised; shift_quality is null where none was to be."""
    peopled = frames[frames["count"] > 0]
    lost = peopled.loc[peopled["shift_quality"] == 0, "frame"]
    if lost.empty:
        return []
    listed = ", ".join(map(str, lost[:LISTED])) + (" and so on" if len(lost) > LISTED else "")
    if len(lost) > len(peopled) / 2:
        return [
            f"How the picture moved is not known in {len(lost)} of the {len(peopled)} frames that have objects: next to "
            "nothing of an earlier one was found again. These seem to be pictures of different places, and their objects "
            "were followed as if they were the same: tracks, growth and motion then mean nothing. State "
            "frames.series = false, or use `morphoscope segment`, to take each for itself. If they do show one place, "
            "track.register_frames = false leaves positions as they are."
        ]
    return [
        f"How the picture moved is not known in {len(lost)} of the {len(peopled)} frames that have objects: too "
        f"little of an earlier one was found again (frame {listed}). Positions there, and later where it did move, may be off. "
        "Look at shift_quality in the frames table; track.register_frames = false leaves positions as they are."
    ]


def outline_warnings(card: ModelCard) -> list[str]:
    """A warning where outlines are drawn by a model of patches that was not taught the pixel in their middle."""
    if card.task != "score" or card.training.get("target") == "centre":
        return []
    return [
        f"{card.name} tells what a patch of {card.seen_px or card.patch_px:g} px holds as a whole, so its outlines are blurred "
        "by as much: areas, widths and positions of edges are off by up to a patch. Models trained on masks with train.target = "
        '"centre" outline to the pixel.'
    ]


def overruled(recipe: Recipe, stated: Calibration) -> list[str]:
    """A warning where the scale that was given is not the one the input states."""
    given, size = recipe.calibrate(Calibration()).pixel_size_nm, stated.pixel_size_nm
    if given is None or size is None or all(abs(a - b) <= CLOSE * max(a, b) for a, b in zip(given, size, strict=True)):
        return []
    source = stated.provenance.get("pixel_size_nm", "file")
    return [
        f"Two scales disagree: the {source} states {size[0]:.4g} (y) and {size[1]:.4g} (x) nm per px, {given[0]:.4g} and "
        f"{given[1]:.4g} were given. Used: those given."
    ]


def unit_notes(
    calibration: Calibration, recipe: Recipe, *, frames: int, area: bool = True, masks: bool = False, files: bool = True
) -> list[str]:
    """Which units results are in for want of a thickness, an interval or an order in time.

    Args:
        calibration: of the run.
        recipe: of the run.
        frames: how many were analysed.
        area: the field is known.
        masks: objects are outlined: their number per area is what is asked for, not a density in a foil.
        files: each frame is a file of its own.
    """
    said = []
    if calibration.has_scale and area and not masks and recipe.physics.thickness_nm is None:
        said.append("No foil thickness is given: density is per area. State physics.thickness_nm for a density per volume.")
    if calibration.frame_interval_s is None and frames > 1 and recipe.frames.series:
        said.append("No frame interval is known: rates are per frame. State calibration.frame_interval_s (s).")
    if not recipe.frames.series and frames > 1:
        what = "images are independent" if files else "frames of one file were taken each for itself"
        said.append(f"The {what}: nothing was registered or tracked.")
    return said

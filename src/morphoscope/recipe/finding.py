"""The sections of a recipe on what is analysed and how objects are found."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from morphoscope.recipe.parts import AxisRecipe, Finite, Positive, Region, Section

SCALE_BAR = re.compile(r"off|check|read|\d+(\.\d+)? ?(pm|nm|um|µm|μm|mm|cm|Å)")


class CalibrationRecipe(Section):
    """What the file does not say; these values win over the file's and are noted as `recipe`."""

    pixel_size_nm: Positive | tuple[Positive, Positive] | None = Field(None, description="nm per px, or [y, x]")
    frame_interval_s: Positive | None = Field(None, description="true seconds between stored frames (not the playback rate)")
    scale_bar: str = Field(
        "check",
        description="burnt-in scale bar: off, check (compare), read (use it if nothing else is known), or its length: '200 nm'",
    )
    axes: tuple[AxisRecipe, ...] = Field((), description="axes such as dose, linear in the frame number")

    @field_validator("scale_bar")
    @classmethod
    def _bar(cls, value: str) -> str:
        if not SCALE_BAR.fullmatch(value):
            raise ValueError(f"must be off, check, read or the length the bar stands for, such as '200 nm', got {value!r}")
        return value

    @model_validator(mode="after")
    def _distinct(self) -> CalibrationRecipe:
        names = [axis.name for axis in self.axes]
        if "frame" in names or len(set(names)) < len(names):
            raise ValueError(f"axes need names of their own, none of them 'frame', got {', '.join(names)}")
        return self


class FramesRecipe(Section):
    """Which frames and which part of them are analysed."""

    start: int = Field(0, ge=0, description="first frame analysed, counted from 0")
    stop: int | None = Field(None, ge=1, description="first frame not analysed; none for the end")
    step: int = Field(1, ge=1, description="every step-th frame is analysed")
    region: Region | None = Field(None, description="analysed region; none for the whole frame")
    exclude: tuple[Region, ...] = Field((), description="parts left out of detection results and of the valid area")
    info_bar: Literal["cut", "keep"] = Field("cut", description="a band with texts under the picture: left out, or kept")
    level: Literal["none", "plane", "quadratic", "rows", "plane+rows", "quadratic+rows"] = Field(
        "none",
        description="height maps (AFM): tilt (plane), bow (quadratic) and jumps of lines (rows) taken out first",
    )
    scars: bool = Field(False, description="height maps: stretches of a single line that stand out are filled")
    invert: bool = Field(False, description="turn bright into dark before detection")
    channel: int | str | None = Field(None, description="colour or channel (0, 1, ... or red, green, blue); none for luma grey")
    part: int | str | None = Field(None, description="which image or dataset of a file that holds several")
    series: bool = Field(True, description="a folder is one series in natural order (false: independent images)")
    samples: str | None = Field(
        None, description="CSV file,sample (names or * patterns): independent images as fields of view of samples"
    )

    @model_validator(mode="before")
    @classmethod
    def _apart(cls, values: Any) -> Any:
        """Fields of view do not follow each other in time."""
        if not isinstance(values, dict) or values.get("samples") is None:
            return values
        if values.get("series") is True:
            raise ValueError(
                "samples names fields of view, and a series is one field of view followed in time: leave out samples, or set "
                "series = false"
            )
        return {**values, "series": False}


class DetectRecipe(Section):
    """How objects are found."""

    model: str = Field(
        "loops", description="a shipped model, the path of an .onnx file, or without one: otsu, multi-otsu, local, level, spots"
    )
    objects: str | None = Field(None, description="labels, masks or corrected objects to measure; no model is used then")
    threshold: float | None = Field(None, gt=0, lt=1, description="lowest score; none for the model card's own")
    nms_iou: float = Field(0.45, gt=0, le=1, description="boxes overlapping more than this are one object")
    polarity: Literal["dark", "bright"] = Field(
        "dark", description="what is measured in each box: dark on bright, or bright on dark"
    )
    resample: bool = Field(True, description="resample frames whose pixel size is far from the model's; false refuses them")


class SegmentRecipe(Section):
    """How particles are outlined: by a model, without (detect.model "otsu", "multi-otsu", "local", "level"), or as "spots"."""

    zoom: Positive | None = Field(
        None, description="how much a model sees pictures magnified; none: as suits each, one for all frames of a series"
    )
    outline: Literal["learnt", "half level"] | None = Field(
        None, description="a model's outlines as it learnt them from people, or moved to half level; none: as its card says"
    )
    polarity: Literal["auto", "bright", "dark"] = Field(
        "auto",
        description="of the particles against their ground; auto: the side whose parts are convex and touch less of the rim",
    )
    median_px: int = Field(0, ge=0, le=31, description="width of a median filter before the threshold, odd; 0: none")
    blur_px: float = Field(1.0, ge=0, le=100, description="standard deviation of the smoothing before the threshold")
    window_px: float = Field(101.0, gt=2, description="local: width of the surroundings a pixel is compared with")
    levels: int = Field(3, ge=2, le=5, description="multi-otsu: classes of grey, all but the ground's are particles")
    level: Finite | None = Field(
        None, description="level: the grey value that parts particles from ground in all pictures, itself counted as dark"
    )
    separate_px: float | None = Field(
        None, ge=0, description="least distance of two centres in touching particles; none: their typical radius; 0: not parted"
    )
    smallest_px: int = Field(50, ge=1, description="particles of fewer px are left out")
    holes_px: int = Field(200, ge=0, description="holes of up to so many px are filled")
    edge: Literal["keep", "leave out"] = Field("keep", description="masks that touch the edge: kept and flagged, or left out")
    spot_px: int = Field(11, ge=3, description="diameter of spots, odd, a little more than their own")
    spot_min_mass: Positive | None = Field(None, description="least brightness of a spot in all; none: by the noise")
    spot_threshold: float | None = Field(
        None, ge=0, description="grey levels above the ground that count as none; none: the noise"
    )
    spot_method: Literal["plain", "trackpy"] = Field(
        "plain", description="trackpy: what trackpy.locate finds, to the last digits"
    )

    @field_validator("spot_px", "median_px")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value and value % 2 == 0:
            raise ValueError(f"wants an odd number of px, such as {value + 1}, got {value}")
        return value

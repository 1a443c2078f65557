"""A run's settings: validated, unknown keys refused, TOML in and out."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from morphoscope.calibration import Axis, Calibration
from morphoscope.errors import InputError, RecipeError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
SCALE_BAR = re.compile(r"off|check|read|\d+(\.\d+)? ?(pm|nm|um|µm|μm|mm|cm|Å)")
UNION_PARTS = (
    "constrained-float",
    "tuple[constrained-float, constrained-float]",
)  # pydantic's names of `Positive` and a pair of it


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Region(_Section):
    """A rectangle in px of the stored frame: x0 <= x < x1, y0 <= y < y1."""

    x0: int = Field(ge=0)
    y0: int = Field(ge=0)
    x1: int = Field(ge=1)
    y1: int = Field(ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> Region:
        if self.x1 <= self.x0 or self.y1 <= self.y0:
            raise ValueError(f"a region needs x0 < x1 and y0 < y1, got x {self.x0}..{self.x1}, y {self.y0}..{self.y1}")
        return self


class AxisRecipe(_Section):
    """A quantity linear in the frame number: value = start + step * frame."""

    name: str
    unit: str = ""
    start: Finite = 0.0
    step: Finite


class CalibrationRecipe(_Section):
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


class FramesRecipe(_Section):
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


class DetectRecipe(_Section):
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


class SegmentRecipe(_Section):
    """How particles are outlined: by a model, without (detect.model "otsu", "multi-otsu", "local", "level"), or as "spots"."""

    zoom: Positive | None = Field(
        None, description="how much a model sees pictures magnified; none: as suits each, one for all frames of a series"
    )
    outline: Literal["learnt", "half level"] | None = Field(
        None, description="a model's outlines as it learnt them from people, or moved to half level; none: as its card says"
    )
    polarity: Literal["auto", "bright", "dark"] = Field(
        "auto", description="of the particles against their ground; auto: the ground is what touches more of the picture's edge"
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


class TrackRecipe(_Section):
    """Registration and linking."""

    enabled: bool = Field(True, description="link objects from frame to frame")
    register_frames: bool = Field(True, description="measure and remove drift and stage jumps before linking")
    max_distance_px: Positive | None = Field(
        None, description="farthest an object moves from frame to frame, after registration; none: found from the data"
    )
    motion: Literal["still", "brownian", "directed"] = Field(
        "brownian", description="how objects move: sets how a gap widens the search"
    )
    memory: int = Field(15, ge=0, description="frames an object may be missed and still be the same track")
    events: bool = Field(False, description="look for objects that merge or split (events.csv)")
    min_points: int = Field(3, ge=1, description="shorter tracks are left out of tracks.parquet")


class PhysicsRecipe(_Section):
    """What the numbers are turned into."""

    thickness_nm: Positive | None = Field(None, description="foil thickness: density in cm^-3; none: per um^2")
    visibility_factor: Positive = Field(1.0, description="loops in all / loops visible, such as 7/4 = 1.75 for g = 011 in bcc")
    lag_frames: int = Field(1, ge=1, description="lag at which D_eff is given, in analysed frames")
    steady: tuple[int, int] | None = Field(
        None, description="frames of diffusion by size, [first, last + 1], where the camera is steadiest; none for all"
    )
    inner: Region | None = Field(
        None, description="region of diffusion by size, away from edges that objects drift across; none for the whole frame"
    )
    truth: str | None = Field(None, description="CSV of hand counts drawn as points: frame,count[,size_median_nm]")
    edge: Literal["leave out", "keep"] = Field(
        "leave out", description="size statistics of masks: objects cut by the edge left out and others weighted for it, or kept"
    )
    structure: bool | None = Field(
        None, description="nearest neighbours, g(r), S(q), psi_6 and clusters; none: of runs with masks only"
    )
    cluster_distance_px: Positive | None = Field(
        None, description="centres at most so far apart are in one cluster; none: 1.5 median diameters, where there are masks"
    )
    cluster_distance_nm: Positive | None = Field(None, description="the same in nm")

    @field_validator("steady")
    @classmethod
    def _window(cls, value: tuple[int, int] | None) -> tuple[int, int] | None:
        if value is not None and not 0 <= value[0] < value[1]:
            raise ValueError(
                f"wants [first, last + 1] with 0 <= first < last + 1, such as [461, 806], got [{value[0]}, {value[1]}]"
            )
        return value

    @model_validator(mode="after")
    def _one_distance(self) -> PhysicsRecipe:
        if self.cluster_distance_px is not None and self.cluster_distance_nm is not None:
            raise ValueError("give one of cluster_distance_px and cluster_distance_nm")
        return self


class ReportRecipe(_Section):
    """What is drawn."""

    axis: str | None = Field(None, description="axis results are drawn against; none for the first named axis, time or frame")
    box_plots_at: tuple[float, ...] = Field(
        (), description="values of that axis with a box plot of size; none for five even ones"
    )
    track: int | None = Field(None, ge=0, description="track whose growth is told with its picture; none for the longest")
    overlay: bool = Field(True, description="write overlay.mp4")
    masks: bool | None = Field(
        None, description="write masks/ with a label image per file; none: `segment` does, `analyze` does not"
    )
    svg: bool = Field(False, description="an .svg beside each .png")
    csv: bool = Field(False, description="a .csv beside each .parquet")
    title: str | None = Field(None, description="title of the report; none for the input's name")
    citation: str | None = Field(None, description="a citation of the data, printed in the report")


class TrainRecipe(_Section):
    """How a model is trained; ignored by `analyze`."""

    steps: int = Field(4000, ge=1, description="optimisation steps")
    batch: int = Field(8, ge=1, description="crops a step")
    crop_px: int = Field(256, ge=64, multiple_of=16, description="side of a crop")
    rate: Positive = Field(2e-3, description="highest learning rate (one cycle)")
    widths: tuple[int, int, int, int] = Field((16, 32, 64, 128), description="channels at strides 2, 4, 8 and 16")
    seed: int = Field(0, ge=0)
    bands: int = Field(4, ge=2, description="the labelled width is cut into this many bands of x for validation by place")
    folds: int = Field(1, ge=0, description="how many of the bands are held out in turn, each costing one more training")
    gap_px: int = Field(20, ge=0, description="px beside a held-out band that are not learnt either")
    video: str | None = Field(
        None, description="the labelled frames' video (relative to the labels): neighbours in time are learnt"
    )
    neighbours: int = Field(3, ge=0, description="how many frames before and after each labelled one, if a video is given")
    synthetic: int = Field(
        0, ge=0, description="drawn scenes of dislocation loops mixed in, a sixth of all crops (class `loop` only)"
    )
    outline: Literal["learnt", "half level"] = Field(
        "learnt", description="segment: outlines as in the labels, or moved to half level where the labels are uneven"
    )
    limits: str = Field("", description="what the model is known not to do well, for the model card and reports")
    licence: str = Field("not stated", description="licence of the training data, for the model card")
    citation: str = Field("", description="citation of the training data, for the model card")


class RunRecipe(_Section):
    """How the work is run; none of it changes results on the same provider and precision."""

    provider: Literal["cpu", "cuda", "openvino"] = Field("cpu", description="what runs the model: cpu, cuda or openvino")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="fp32, or bf16 with openvino")
    threads: int | None = Field(None, ge=1, description="cores the model may use; none for all")
    chunk: int = Field(64, ge=1, description="frames per part written to disk")


class Recipe(_Section):
    """All settings of a run, by section."""

    calibration: CalibrationRecipe = CalibrationRecipe()
    frames: FramesRecipe = FramesRecipe()
    detect: DetectRecipe = DetectRecipe()
    segment: SegmentRecipe = SegmentRecipe()
    track: TrackRecipe = TrackRecipe()
    physics: PhysicsRecipe = PhysicsRecipe()
    report: ReportRecipe = ReportRecipe()
    train: TrainRecipe = TrainRecipe()
    run: RunRecipe = RunRecipe()

    def calibrate(self, found: Calibration) -> Calibration:
        """The calibration of the file overruled by the recipe's, with provenance."""
        given = self.calibration
        size = given.pixel_size_nm
        return found.updated(
            "recipe",
            pixel_size_nm=(size, size) if isinstance(size, float) else size,
            frame_interval_s=given.frame_interval_s,
            axes=tuple(Axis(a.name, a.unit, a.start, a.step) for a in given.axes),
        )


def parse_recipe(values: dict[str, Any], source: str = "the recipe") -> Recipe:
    """A validated recipe from nested plain values.

    Raises:
        RecipeError: naming each key that is unknown or whose value is impossible.
    """
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{source} cannot be used:\n" + "\n".join(filter(None, map(_say, error.errors())))) from error


def _say(error: Any) -> str | None:
    """One of pydantic's errors in plain words; None for the alternative of a union that the value was not meant for."""
    loc, value = error["loc"], error["input"]
    where = ".".join(str(part) for part in loc if part not in UNION_PARTS)
    listed = isinstance(value, (list, tuple))
    if (loc[-1] == UNION_PARTS[0] and listed) or (loc[-1] == UNION_PARTS[1] and not listed):
        return None
    if error["type"] == "extra_forbidden":
        return f"  {where}: unknown key; known here: {', '.join(_section_at(loc[:-1]).model_fields)}"
    if error["type"] == "value_error":
        return f"  {where}: {error['msg'].removeprefix('Value error, ')}"
    if error["type"] == "missing":
        return f"  {where}: is missing"
    return f"  {where}: {error['msg']}, got {value!r}"


def _section_at(loc: tuple[str | int, ...]) -> type[BaseModel]:
    section: type[BaseModel] = Recipe
    for part in loc:
        if part in section.model_fields:
            section = _model_in(section.model_fields[str(part)].annotation) or section
    return section


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The section that an annotation such as `Region | None` or `tuple[AxisRecipe, ...]` is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def load_recipe(path: str | Path) -> Recipe:
    """The recipe in a TOML file; the model, objects and hand counts it names are relative to it.

    Raises:
        InputError: the file cannot be read.
        RecipeError: it is not TOML, or a key or value is wrong.
    """
    try:
        with open(path, "rb") as file:
            values = tomllib.load(file)
    except OSError as error:
        raise InputError(
            f"cannot read the recipe {path}: {error.strerror}; `morphoscope init` prints one to start from"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} is not valid TOML: {error}") from error
    return _from_folder(parse_recipe(values, str(path)), Path(path).resolve().parent)


def _from_folder(recipe: Recipe, folder: Path) -> Recipe:
    """The recipe with the files it names taken relative to its own folder."""
    truth, model = recipe.physics.truth, folder / recipe.detect.model
    physics = recipe.physics.model_copy(update={"truth": str(folder / truth)}) if truth is not None else recipe.physics
    detect = recipe.detect.model_copy(update={"model": str(model)}) if model.is_file() else recipe.detect
    frames = recipe.frames
    if frames.samples is not None:
        frames = frames.model_copy(update={"samples": str(folder / frames.samples)})
    if detect.objects is not None:
        detect = detect.model_copy(update={"objects": str(folder / detect.objects)})
    return recipe.model_copy(update={"physics": physics, "detect": detect, "frames": frames})

"""The sections of a recipe on what objects are turned into: tracks, numbers, a report; and on training and running."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from morphoscope.recipe.parts import Positive, Region, Section


class TrackRecipe(Section):
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


class PhysicsRecipe(Section):
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


class ReportRecipe(Section):
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


BackboneName = Literal["lite0", "lite1", "lite2", "mobilenet-v2", "resnet18", "resnet50", "inception-v3", "inception-v4", "tiny"]
Patches = Literal["film", "cells", "lite", "deepthin", "deepthin-road-50", "deepthin-road-27", "convnet", "crackcnn"]


class TrainRecipe(Section):
    """How a model is trained; ignored by `analyze`."""

    steps: int = Field(4000, ge=1, description="optimisation steps")
    batch: int = Field(8, ge=1, description="crops a step")
    crop_px: int = Field(256, ge=64, multiple_of=16, description="side of a crop")
    rate: Positive = Field(2e-3, description="highest learning rate (one cycle); classify, fine-tuned: 2e-4 in its place")
    widths: tuple[int, int, int, int] = Field((16, 32, 64, 128), description="channels at strides 2, 4, 8 and 16")
    network: (
        Literal["film", "cells", "lite", "deepthin", "deepthin-road-50", "deepthin-road-27", "convnet", "crackcnn"] | None
    ) = Field(None, description="score: the network of patches; none: film, or of images with one label each lite, pretrained")
    answer: Literal["auto", "multi-label", "exclusive", "ordinal"] = Field(
        "auto", description="score: classes that may overlap, that exclude each other, or degrees 0 to 10; auto: by the labels"
    )
    target: Literal["fraction", "centre", "any"] = Field(
        "fraction", description="score, of masks: what a patch is taught: the share of its area, its centre pixel, or whether any"
    )
    patches: int = Field(100, ge=1, description="score: patches a step")
    epochs: int | None = Field(None, ge=1, description="score: passes over the patches; none: early stopping decides")
    patience: int = Field(5, ge=1, description="score: epochs without a better validation before the training stops")
    split: Literal["image", "copy"] = Field(
        "image", description="score: held out by image or group; by augmented copy only to show how that flatters"
    )
    backbone: BackboneName | None = Field(
        None, description="classify: the pretrained network; none: lite0, or that of --from (tiny knows nothing: for trials)"
    )
    method: Literal["frozen", "neighbours", "fine-tuned"] = Field(
        "frozen",
        description="classify: features as they are with a linear layer, or with the most similar images; or all is learnt",
    )
    weights: str | None = Field(None, description="classify: file of the backbone's weights, as torchvision or timm name them")
    classes: tuple[str, ...] = Field(
        (), description="classify: the categories that are learnt, as the data name them (but for case, spaces and _); none: all"
    )
    view_px: int | None = Field(
        None,
        ge=64,
        le=2048,
        description="classify: px that an image's shorter side is brought to; none: as the backbone learnt",
    )
    seed: int = Field(0, ge=0)
    bands: int = Field(
        4, ge=2, description="parts (bands of x of the labelled width, or images) for validation; classify: 5 in place of 4"
    )
    folds: int = Field(
        1, ge=0, description="how many parts are held out in turn, each costing one more training; classify: all in place of 1"
    )
    gap_px: int = Field(20, ge=0, description="px beside a held-out band that are not learnt either")
    video: str | None = Field(
        None, description="the labelled frames' video (relative to the labels): neighbours in time are learnt"
    )
    neighbours: int = Field(3, ge=0, description="how many frames before and after each labelled one, if a video is given")
    synthetic: int = Field(
        0, ge=0, description="drawn scenes of dislocation loops mixed in, a sixth of all crops (class `loop` only)"
    )
    zoom: Positive | None = Field(
        None, description="segment, classes: how much images are magnified; none: by the size of what is labelled"
    )
    upright: bool = Field(False, description="segment, classes: images have an up and a down, so crops are mirrored, not turned")
    outline: Literal["learnt", "half level"] = Field(
        "learnt", description="segment: outlines as in the labels, or moved to half level where the labels are uneven"
    )
    limits: str = Field("", description="what the model is known not to do well, for the model card and reports")
    licence: str = Field("not stated", description="licence of the training data, for the model card")
    citation: str = Field("", description="citation of the training data, for the model card")


class RunRecipe(Section):
    """How the work is run; none of it changes results on the same provider and precision."""

    provider: Literal["cpu", "cuda", "openvino"] = Field("cpu", description="what runs the model: cpu, cuda or openvino")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="fp32, or bf16 with openvino")
    threads: int | None = Field(None, ge=1, description="cores the model may use; none for all")
    chunk: int = Field(64, ge=1, description="frames per part written to disk")

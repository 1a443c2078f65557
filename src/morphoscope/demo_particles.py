"""The built-in sample of particles: pictures of two samples and a video of coalescence, analysed and held against the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from morphoscope.demo import Check, relative
from morphoscope.errors import InputError
from morphoscope.physics.particle_sizes import NAMES
from morphoscope.pipeline import Run, analyze, segment
from morphoscope.pipeline.stream import Progress
from morphoscope.recipe import Recipe, load_recipe
from morphoscope.synth.particle_scene import ParticleScene
from morphoscope.synth.particle_video import MotionScene, ParticleVideo
from morphoscope.synth.write_particles import MEMORY, sample_scenes, write_particle_video, write_pictures

MODEL = "otsu"  # what outlines the particles
BIAS = 0.03  # how far outside its interval a median may lie: intervals know of places, not of the outlines
SEEN = 0.5  # share of a particle that must show for it to count as there
BEFORE, AFTER = 5, 8  # frames around a merge that areas are compared in


@dataclass(frozen=True)
class Story:
    """The two runs of the demo, and the table of found against true."""

    pictures: Run
    video: Run
    checks: list[Check]


def run_particles_demo(
    folder: Path,
    seed: int,
    *,
    places: int = 4,
    n_frames: int = 60,
    shape: tuple[int, int] = (400, 520),
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Story:
    """Draw pictures and a video into `folder/pictures` and `folder/video`, analyse them into `folder/run` and `folder/run-video`.

    Args:
        folder: made where it is missing.
        seed: the same seed gives the same pictures.
        places: fields of view per sample.
        n_frames: length of the video.
        shape: (height, width) in px, of pictures and video.
        overwrite: replace an earlier demo's runs there.
        progress: see `pipeline.analyze`.
    """
    scene = ParticleScene(seed=seed, shape=shape, median_nm=10.0, coverage=0.14)
    scenes = sample_scenes(scene, 2)
    pictures = write_pictures(scenes, folder / "pictures", places=places)
    film = MotionScene(seed=seed, shape=shape, n_frames=n_frames, median_nm=10.0, coverage=0.1, diffusion_nm2_per_s=0.5)
    drawn = ParticleVideo(film)
    video = write_particle_video(drawn, folder / "video", labelled=0)
    still = segment(
        pictures / "image", _with_model(pictures / "recipe.toml"), folder / "run", overwrite=overwrite, progress=progress
    )
    moving = analyze(
        video / "video.mp4", _with_model(video / "recipe.toml"), folder / "run-video", overwrite=overwrite, progress=progress
    )
    return Story(still, moving, [*compare_pictures(still, pictures), *compare_video(moving, drawn)])


def _with_model(path: Path) -> Recipe:
    recipe = load_recipe(path)
    return recipe.model_copy(update={"detect": recipe.detect.model_copy(update={"model": MODEL})})


def compare_pictures(run: Run, folder: Path) -> list[Check]:
    """Count, median diameters and their difference against what `write_pictures` put into a folder."""
    truth = pd.read_parquet(folder / "truth.parquet")
    known = pd.read_csv(folder / "samples.csv").groupby("sample").first()
    there = int((~truth["on_edge"] & (truth["visible"] >= SEEN)).sum())
    checks = [relative("particles, none cut off", float((~run.objects["on_edge"]).sum()), there, "", 0.1)]
    found = _of_diameters(run, "samples").set_index("sample")
    for name, row in found.iterrows():
        median, true = float(row["median"]), float(known.loc[name, "median_nm"])
        checks.append(relative(f"median diameter of {name}", median, true, "nm", 0.06))
        near = min(max(true, float(row["median_low"])), float(row["median_high"]))
        checks.append(relative("  nearest value in its interval", near, true, "nm", BIAS))
    (pair,) = _of_diameters(run, "sample_comparison").to_dict("records")
    a, b = (known.loc[pair[name], "mean_nm"] for name in ("sample_a", "sample_b"))
    checks.append(relative("difference of the means", pair["difference"], b - a, "nm", 0.3))
    checks.append(Check("chance of such a difference", pair["p_value"], 0.0, "", pair["p_value"], 0.05, relative=False))
    return checks


def compare_video(run: Run, video: ParticleVideo) -> list[Check]:
    """Count, merges, area kept in them and diffusion against a drawn video."""
    truth = video.truth
    found, known = (int((~table["on_edge"]).sum()) / len(video) for table in (run.objects, truth))
    merges = _table(run, "events")
    merges = merges[merges["kind"] == "merge"]
    there = len(tellable(video))
    d = run.quantities.set_index("name").loc["pooled D"]
    return [
        relative("the same, per frame of video", found, known, "", 0.1),
        Check("pairs that became one", len(merges), there, "", abs(len(merges) - there), max(3.0, 0.3 * there), relative=False),
        relative("area after / before, median", kept_area(run.objects, merges), 1.0, "", 0.08),
        relative("diffusion coefficient", float(d["value"]), video.scene.diffusion_nm2_per_s, "nm2/s", 0.3),
    ]


def tellable(video: ParticleVideo) -> pd.DataFrame:
    """True merges that a run can tell: of two seen whole, and not in the last frames, where a gap may yet be bridged."""
    seen = video.truth.loc[~video.truth["on_edge"], ["frame", "object_id"]]
    known = set(seen.itertuples(index=False, name=None))
    merges = video.merges[video.merges["frame"] < len(video) - MEMORY - video.scene.merging_frames]
    whole = [
        {(frame - 1, gone), (frame - 1, stays)} <= known
        for frame, gone, stays in zip(merges["frame"], merges["track_id"], merges["other_id"], strict=True)
    ]
    return merges[whole]


def kept_area(objects: pd.DataFrame, merges: pd.DataFrame) -> float:
    """Median over merges of the area of the one particle after over that of the two before; nan without merges."""
    tracked = objects[objects["track_id"].notna()]
    area = {int(number): one.set_index("frame")["area_px"] for number, one in tracked.groupby("track_id")}
    shares = []
    for event in merges.itertuples():
        gone, stays = area[int(event.track_id)], area[int(event.other_id)]
        last = int(gone.index.max())
        before = stays[(stays.index <= last) & (stays.index > last - BEFORE)].median() + gone.tail(BEFORE).median()
        shares.append(stays[(stays.index > last) & (stays.index <= last + AFTER)].median() / before)
    return float(np.nanmedian(shares)) if shares else float("nan")


def _of_diameters(run: Run, name: str) -> pd.DataFrame:
    table = _table(run, name)
    return table[table["quantity"] == NAMES["equivalent_diameter"]]


def _table(run: Run, name: str) -> pd.DataFrame:
    path = run.path / f"{name}.csv"
    if not path.is_file():
        raise InputError(f"the run {run.path} holds no {name}.csv; it was made by another version")
    return pd.read_csv(path)

"""Drawn particles: outlines against pixels and closed forms, the population, pictures and label images, motion, folders."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pandas as pd
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.stats import kstest

from morphoscope.calibration import Calibration
from morphoscope.errors import UsageError
from morphoscope.io.labels import read_labels
from morphoscope.measure.info_bar import find_info_bar
from morphoscope.measure.shape import shapes
from morphoscope.recipe import load_recipe
from morphoscope.synth.outlines import ANGLES, SHAPES, describe, offset_disc, outline, touch, touching_pair
from morphoscope.synth.particle_look import label_image
from morphoscope.synth.particle_motion import MOTIONS
from morphoscope.synth.particle_scene import GAP_PX, Bodies, _Placed, populate
from morphoscope.synth.particle_video import MotionScene, ParticleVideo
from morphoscope.synth.particles import ParticlePicture, ParticleScene
from morphoscope.synth.write_particles import Pages, population, sample_scenes, write_particle_video, write_pictures, write_tiff

SMALL = ParticleScene(seed=4, shape=(220, 260), median_nm=10)
RADII = st.floats(3, 40)


def _area(radii: np.ndarray) -> float:
    return math.pi * float((radii**2).mean())


def _one(radii: np.ndarray, at: tuple[float, float]) -> Bodies:
    x, y = np.array([at[0]]), np.array([at[1]])
    return Bodies(x, y, radii[None], np.zeros(1, np.int64), np.ones(1), np.zeros(1, np.int64))


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("seed", range(3))
def test_outlines_are_what_their_pixels_are(kind: str, seed: int) -> None:
    radii = outline(kind, np.random.default_rng(seed)) * 130
    assert _area(radii) == pytest.approx(math.pi / 4 * 130**2)
    known = describe(np.array([150.3]), np.array([148.6]), radii[None]).iloc[0]
    found = shapes(label_image(_one(radii, (150.3, 148.6)), (300, 300))).iloc[0]
    for name, tolerance in (("area_px", 0.004), ("major_px", 0.004), ("minor_px", 0.004), ("perimeter_px", 0.03)):
        assert found[name] == pytest.approx(known[name], rel=tolerance), name
    for name in ("x_px", "y_px", "width_px", "height_px", "ellipse_x_px", "ellipse_y_px", "feret_max_px", "feret_min_px"):
        assert found[name] == pytest.approx(known[name], abs=1.6 if "feret" in name else 1.1), name
    if known["aspect_ratio"] > 1.1:
        assert abs((found["angle_deg"] - known["angle_deg"] + 90) % 180 - 90) < 1.5


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="disc"):
        outline("star", np.random.default_rng(0))


@given(RADII, RADII, st.floats(0, 6.28))
@settings(max_examples=25, deadline=None)
def test_discs_touch_at_the_sum_of_their_radii(first: float, second: float, direction: float) -> None:
    one, other = np.full(360, first), np.full(360, second)
    assert touch(one, other, direction) == pytest.approx(first + second, abs=0.02 + 2e-4 * (first + second))


@given(RADII, RADII, st.floats(0, 6.28))
def test_areas_of_a_pair_and_of_a_disc_seen_from_within(first: float, second: float, direction: float) -> None:
    assert _area(touching_pair(first, second, direction)) == pytest.approx(math.pi * (first**2 + second**2), rel=1e-6)
    off = 0.9 * first * math.cos(direction), 0.9 * first * math.sin(direction)
    disc = describe(np.zeros(1), np.zeros(1), offset_disc(first, off)[None]).iloc[0]
    assert disc["area_px"] == pytest.approx(math.pi * first**2, rel=1e-6)
    assert (disc["ellipse_x_px"], disc["ellipse_y_px"]) == pytest.approx(off, abs=1e-4 * first)
    assert disc["major_px"] == pytest.approx(2 * first, rel=1e-4) and disc["aspect_ratio"] == pytest.approx(1, abs=1e-4)


def test_sizes_are_those_of_the_population() -> None:
    """A place is found for all sizes alike: a Kolmogorov-Smirnov test against the log-normal that was asked for."""
    scene = ParticleScene(shape=(700, 700), median_nm=6, geometric_sd=1.3, place_spread=0.0, kinds=("disc", "cube"), touching=0.2)
    drawn = [populate(np.random.default_rng(seed), scene, scene.shape) for seed in range(3)]
    size = np.concatenate([2 * np.sqrt((d.radii**2).mean(axis=1)) for d in drawn])
    assert len(size) > 1000
    assert kstest(np.log(size / 12) / math.log(1.3), "norm").pvalue > 0.01
    true = population(scene)
    assert true["mean_nm"] == pytest.approx(6 * math.exp(math.log(1.3) ** 2 / 2), rel=1e-5)
    covered = sum(np.pi / 4 * size**2) / 3 / (700 + 36) ** 2
    assert covered == pytest.approx(0.12, rel=0.1)


def test_free_particles_keep_apart_and_touching_ones_touch() -> None:
    free = ParticlePicture(SMALL, touching=0.0)
    inside = free.truth[~free.truth["on_edge"]]
    assert len(inside) > 10 and (inside["visible"] > 0.98).all()
    labels, count = ndimage.label(free.labels > 0)
    assert count == len(free.truth)
    near = ParticlePicture(SMALL, touching=0.9, coverage=0.2)
    wide = ndimage.binary_dilation(near.labels > 0)
    assert ndimage.label(wide)[1] < 0.6 * len(near.truth)
    hidden = ParticlePicture(SMALL, touching=0.9, coverage=0.2, overlap=0.4)
    assert (hidden.truth.loc[~hidden.truth["on_edge"], "visible"] < 0.95).mean() > 0.2


@given(seed=st.integers(0, 10**6), n=st.integers(1, 60), spread=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_particles_nearby_are_those_of_an_exhaustive_search(seed: int, n: int, spread: float) -> None:
    rng = np.random.default_rng(seed)
    place, reach = rng.uniform(-50, 150, (n + 1, 2)), 10 * np.exp(rng.normal(0, spread, n + 1))
    placed = _Placed(place, reach)
    for i in range(n):
        placed.add(i)
    apart = np.hypot(*(place[:n] - place[n]).T)
    assert sorted(placed.near(n)) == np.flatnonzero(apart < reach[:n] + reach[n] + GAP_PX).tolist()


def test_many_particles_are_placed_by_looking_around_only(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    near = _Placed.near
    monkeypatch.setattr(_Placed, "near", lambda self, i: looked.append(len(self._cells)) or near(self, i))
    picture = ParticlePicture(SMALL, shape=(400, 400), median_nm=4, touching=0.0)
    assert len(picture.bodies.x) > 200 and looked[-1] > 100


def test_a_field_without_particles() -> None:
    picture = ParticlePicture(SMALL, coverage=0.0)
    assert picture.image.shape == SMALL.shape and not picture.labels.any() and picture.truth.empty


@pytest.mark.parametrize(("look", "dark"), [("tem", True), ("sem", False)])
def test_the_picture_shows_what_the_label_image_says(look: str, dark: bool) -> None:
    """Half way between the grey of particles and that of the ground lies the outline."""
    picture = ParticlePicture(SMALL, look=look, touching=0.0, dose=1e6, support=0.0, gradient=0.0, kinds=("disc",))
    image, labels = picture.image.astype(float), picture.labels
    ground = float(np.median(image[labels == 0]))
    checked = 0
    for row in picture.truth[~picture.truth["on_edge"]].itertuples():
        x, y, reach = int(row.x_px), int(row.y_px), int(row.major_px / 2 + 3)
        part = (slice(y - reach, y + reach + 1), slice(x - reach, x + reach + 1))
        if y < reach or x < reach or len(np.unique(labels[part])) > 2:
            continue
        edge = float(np.median(image[labels == row.mask_label]))
        half = (ground + edge) / 2
        area = float(((image[part] < half) if dark else (image[part] > half)).sum())
        assert area == pytest.approx(row.area_px, rel=0.07)
        checked += 1
    assert checked > 4 and (edge < ground) == dark


def test_pictures_depend_on_seed_and_place_alone() -> None:
    assert np.array_equal(ParticlePicture(SMALL).image, ParticlePicture(SMALL).image)
    assert not np.array_equal(ParticlePicture(SMALL).image, ParticlePicture(SMALL, place=1).image)
    assert not np.array_equal(ParticlePicture(SMALL).labels, ParticlePicture(SMALL, seed=5).labels)


def test_the_info_bar_lies_below_the_particles() -> None:
    picture = ParticlePicture(SMALL, bar=True, shape=(360, 480))
    assert picture.image.shape == picture.labels.shape == (360, 480)
    row = find_info_bar(picture.image)
    assert row == 360 - picture.bar_px and not picture.labels[row:].any()
    band = picture.image[row:]
    longest = max(int((line == 255).sum()) for line in band[-8:])
    assert longest * 0.5 == pytest.approx(20.0, abs=0.01) or longest * 0.5 == pytest.approx(50.0, abs=0.01)


@pytest.mark.parametrize(
    "wrong", [{"kinds": ("star",)}, {"shape": (20, 300)}, {"coverage": 0.9}, {"median_nm": 1.0}, {"geometric_sd": 0.5}]
)
def test_impossible_pictures_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="wanted|needs|of the kinds"):
        ParticleScene(**wrong)  # type: ignore[arg-type]


def _video(**changes: object) -> ParticleVideo:
    scene = {"shape": (160, 200), "median_nm": 6, "n_frames": 30, "coverage": 0.15, "seed": 2} | changes
    return ParticleVideo(MotionScene(**scene))  # type: ignore[arg-type]


@pytest.mark.parametrize("conserved", ["area", "volume"])
def test_coalescence_conserves(conserved: str) -> None:
    video = _video(conserved=conserved, diffusion_nm2_per_s=0.5, n_frames=60)
    frames, merges = [video.bodies(i) for i in range(len(video))], video._moved[1]
    assert len(merges) > 5
    power = 2 if conserved == "area" else 3
    sums = []
    for frame, bodies in enumerate(frames):
        busy = [n for f, gone, stays in merges for n in (gone, stays) if f <= frame < f + video.scene.merging_frames]
        diameter = 2 * np.sqrt((bodies.radii**2).mean(axis=1))
        if conserved == "area" or not busy:
            sums.append(float((diameter**power).sum()))
    assert len(sums) > 3
    assert np.allclose(sums, sums[0], rtol=1e-6)
    first = {int(n): float(r.mean()) for n, r in zip(frames[0].id, frames[0].radii, strict=True)}
    assert first[merges[0][1]] < first[merges[0][2]]


def test_merges_are_events_of_tracks_that_end() -> None:
    video = _video(diffusion_nm2_per_s=1.0)
    tracks = video.tracks.set_index("object_id")
    assert len(video.merges) > 3 and set(video.merges["kind"]) == {"merge"}
    for event in video.merges.itertuples():
        assert tracks.loc[event.track_id, "last_frame"] == event.frame - 1
        assert tracks.loc[event.track_id, "merged_into"] == event.other_id
        here = video.truth[video.truth["frame"] == event.frame]
        assert event.other_id in set(here["object_id"]) and event.track_id not in set(here["object_id"])
    assert not video.truth.duplicated(["frame", "object_id"]).any()


def test_brownian_discs_diffuse_as_stated_and_keep_apart() -> None:
    video = _video(motion="brownian", n_frames=120, coverage=0.05, diffusion_nm2_per_s=0.4, drift_px=0.0)
    frames, merges = [video.bodies(i) for i in range(len(video))], video._moved[1]
    x, y = (np.array([getattr(f, axis) for f in frames]) for axis in ("x", "y"))
    found = float((np.diff(x, axis=0) ** 2 + np.diff(y, axis=0) ** 2).mean()) / 4 * 0.5**2 / 0.5
    assert merges == [] and found == pytest.approx(0.4, rel=0.06)
    last = frames[-1]
    apart = np.hypot(last.x[:, None] - last.x, last.y[:, None] - last.y)
    radius = np.sqrt((last.radii**2).mean(axis=1))
    apart[np.diag_indices(len(apart))] = np.inf
    assert (apart > radius[:, None] + radius).all()


def test_assembly_sticks() -> None:
    """Two discs that have met keep their distance from then on."""
    video = _video(motion="assembly", n_frames=60, coverage=0.25, diffusion_nm2_per_s=1.0)
    frames = [video.bodies(i) for i in range(len(video))]

    def pairs(index: int) -> np.ndarray:
        f = frames[index]
        return np.hypot(f.x[:, None] - f.x, f.y[:, None] - f.y)

    stuck = (np.abs(pairs(-1) - pairs(-2)) < 1e-9) & (np.abs(pairs(-2) - pairs(-3)) < 1e-9)
    start = (np.abs(pairs(2) - pairs(1)) < 1e-9) & (np.abs(pairs(1) - pairs(0)) < 1e-9)
    n = len(stuck)
    assert stuck.sum() - n > 1.5 * (start.sum() - n) >= 0 and stuck.sum() - n > n / 2


@pytest.mark.parametrize("motion", MOTIONS)
def test_outlines_are_held_once_for_all_frames(motion: str) -> None:
    video = _video(motion=motion, n_frames=20, diffusion_nm2_per_s=1.0)
    states, merges = video._moved
    assert all(state.unit is states[0].unit and state.tone is states[0].tone for state in states)
    assert (len(merges) > 0) == (motion == "coalescence") and len(states[-1].id) == len(states[0].id) - len(merges)


def test_growth_is_linear() -> None:
    video = _video(motion="growth", n_frames=21)
    rows = video.truth[~video.truth["on_edge"]]
    tracks = video.tracks.set_index("object_id")
    for number, one in list(rows.groupby("object_id"))[:5]:
        slope = np.polyfit(one["time_s"], one["equivalent_diameter_nm"], 1)[0]
        assert slope == pytest.approx(tracks.loc[number, "growth_nm_per_s"], rel=1e-6)


def test_the_support_moves_with_the_shifts() -> None:
    video = _video(motion="growth", n_frames=12, drift_px=1.5)
    moved = video.shifts.iloc[-1]
    assert math.hypot(moved["shift_x_px"], moved["shift_y_px"]) > 0.5
    by = video.truth[~video.truth["on_edge"]].pivot(index="frame", columns="object_id", values="ellipse_x_px").dropna(axis=1)
    assert np.allclose(by.iloc[-1] - by.iloc[0], moved["shift_x_px"], atol=0.3)


@pytest.mark.parametrize("wrong", [{"motion": "dance"}, {"n_frames": 0}, {"kinds": ("rod",)}])
def test_impossible_videos_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        _video(**wrong)


def test_a_folder_of_pictures(tmp_path) -> None:
    done: list[int] = []
    scenes = sample_scenes(SMALL, 2)
    folder = write_pictures(scenes, tmp_path / "p", places=2, progress=lambda i, n: done.append(i))
    assert done == [1, 2, 3, 4]
    samples = pd.read_csv(folder / "samples.csv")
    assert samples["file"].tolist() == ["a-01.tif", "a-02.tif", "b-01.tif", "b-02.tif"]
    assert samples.groupby("sample")["median_nm"].first().to_dict() == {"a": 10.0, "b": 12.5}
    truth = pd.read_parquet(folder / "truth.parquet")
    labels = tifffile.imread(folder / "instances" / "b-02.tif")
    own = truth[truth["file"] == "b-02.tif"]
    assert set(np.unique(labels)) - {0} == set(own["mask_label"]) and labels.dtype == np.uint16
    assert own["equivalent_diameter_nm"].tolist() == pytest.approx((own["equivalent_diameter_px"] * 0.5).tolist())
    recipe = load_recipe(folder / "recipe.toml")
    assert not recipe.frames.series and recipe.calibrate(Calibration()).mean_pixel_nm == 0.5
    assert len(read_labels(folder).labels) == len(truth)


def test_labels_beyond_16_bits_are_written_whole(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ParticlePicture, "truth", ParticlePicture(SMALL).truth)
    monkeypatch.setattr(ParticlePicture, "labels", property(lambda self: np.full(self.scene.shape, 2**16 + 3, np.int32)))
    folder = write_pictures({"a": SMALL}, tmp_path / "p", places=1)
    labels = tifffile.imread(folder / "instances" / "a-01.tif")
    assert labels.dtype == np.int32 and (labels == 2**16 + 3).all()


@pytest.mark.parametrize("kind", [np.uint16, np.int32])
def test_pages_are_written_one_at_a_time(tmp_path, kind: type[np.generic]) -> None:
    shape = (100, 120, 200)
    tracemalloc.start()
    write_tiff(tmp_path / "pages.tif", Pages(shape, kind, lambda i: np.full(shape[1:], i, kind)), 0.5)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    pages = tifffile.imread(tmp_path / "pages.tif")
    assert pages.shape == shape and pages.dtype == kind and (pages == np.arange(100)[:, None, None]).all()
    assert most < pages.nbytes / 4


def test_a_folder_of_a_video_replaces_what_was_drawn_before(tmp_path) -> None:
    folder = write_pictures({"a": SMALL}, tmp_path / "v", places=1)
    video = _video(n_frames=5, diffusion_nm2_per_s=1.0)
    write_particle_video(video, folder, labelled=2)
    assert sorted(p.name for p in (folder / "image").iterdir()) == ["frame00000.tif", "frame00004.tif"]
    assert not (folder / "samples.csv").exists()
    pages = tifffile.imread(folder / "instances.tif")
    truth = pd.read_parquet(folder / "truth.parquet")
    assert pages.shape == (5, 160, 200)
    assert set(np.unique(pages[3])) - {0} == set(truth.loc[truth["frame"] == 3, "mask_label"])
    assert pd.read_csv(folder / "events.csv").columns.tolist() == ["frame", "kind", "track_id", "other_id"]
    recipe = load_recipe(folder / "recipe.toml")
    assert recipe.track.events and recipe.calibration.frame_interval_s == 0.5


def test_command(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    from morphoscope.cli.synth import synth

    synth("particles", tmp_path / "p", seed=1, size="220x200", samples=1, places=1, look="sem", shapes="rod, cube")
    assert "1 pictures" in capsys.readouterr().out
    with pytest.raises(UsageError, match="--overwrite"):
        synth("particles", tmp_path / "p", seed=1, size="220x200")
    synth("particles", tmp_path / "p", seed=1, size="220x200", video="growth", frames=2, overwrite=True)
    assert (tmp_path / "p" / "video.mp4").stat().st_size > 500
    with pytest.raises(UsageError, match="--video"):
        synth("particles", tmp_path / "q", frames=3)
    with pytest.raises(UsageError, match="without an info bar"):
        synth("particles", tmp_path / "q", frames=3, bar=True, video="growth")


def test_directions_run_as_pixels_do() -> None:
    """A rod towards (1, 1) in px is at 135 degrees as seen, counter-clockwise."""
    radii = 10 / np.hypot(np.cos(ANGLES - np.pi / 4), 3 * np.sin(ANGLES - np.pi / 4))
    assert describe(np.zeros(1), np.zeros(1), radii[None])["angle_deg"].iloc[0] == pytest.approx(135.0)

"""Drawn films: shares against masks, optics against closed forms, kinetics, folders."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from morphoscope.cli.main import main
from morphoscope.errors import UsageError
from morphoscope.io.colour import read_colour
from morphoscope.io.open import open_frames
from morphoscope.synth.film_cracks import opening, pieces
from morphoscope.synth.film_dewetting import arrival, bare_ground, waves, withdrawn
from morphoscope.synth.film_marks import particles, scratches
from morphoscope.synth.film_optics import BEHIND, STRAY, SUBSTRATES, reflectance
from morphoscope.synth.film_scene import UNEVEN, FilmScene, random_film
from morphoscope.synth.film_thickness import non_uniform, relative_thickness
from morphoscope.synth.films import CLASSES, FilmPicture
from morphoscope.synth.write_films import dewetting_surface, film_series, film_surface, independent_films, write_films

SMALL = (128, 160)


@given(share=st.floats(0, 1), seed=st.integers(0, 5), mechanism=st.sampled_from(["spinodal", "holes"]))
@settings(deadline=None, max_examples=25)
def test_bare_ground_takes_the_share_asked_for(share: float, seed: int, mechanism: str) -> None:
    scene = FilmScene(seed=seed, shape=(64, 80), dewetting=share, mechanism=mechanism, dewetting_um=20)
    bare = bare_ground(np.random.default_rng(seed), scene)
    assert bare.sum() == round(share * bare.size)
    more = bare_ground(np.random.default_rng(seed), replace(scene, dewetting=min(share + 0.1, 1)))
    assert not (bare & ~more).any()


def test_spinodal_patterns_have_their_wavelength() -> None:
    field = waves(np.random.default_rng(0), (256, 256), 16.0)
    power = np.abs(np.fft.fft2(field)) ** 2
    q = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)[None, :])
    assert float((q * power).sum() / power.sum()) == pytest.approx(1 / 16, rel=0.1)


def test_small_shares_are_isolated_holes_and_large_ones_isolated_droplets() -> None:
    scene = FilmScene(shape=(256, 256), dewetting_um=26, patchiness=0.0)
    few = bare_ground(np.random.default_rng(1), replace(scene, dewetting=0.15))
    most = bare_ground(np.random.default_rng(1), replace(scene, dewetting=0.85))
    assert ndimage.label(few)[1] > 40 and ndimage.label(~most)[1] > 40
    assert ndimage.label(~few)[1] < 15


def test_holes_grow_at_one_speed() -> None:
    when = arrival(np.random.default_rng(3), (200, 200), 60.0)
    steep = np.hypot(*np.gradient(ndimage.gaussian_filter(when, 3)))
    assert float(np.median(steep)) == pytest.approx(1.0, rel=0.25)


@pytest.mark.parametrize("mechanism", ["spinodal", "holes"])
def test_the_film_that_withdraws_is_kept(mechanism: str) -> None:
    scene = FilmScene(shape=(200, 200), dewetting=0.2, mechanism=mechanism)
    bare = bare_ground(np.random.default_rng(2), scene)
    thickness = withdrawn(bare, scene)
    assert float(thickness.mean()) == pytest.approx(1.0, rel=1e-3)
    assert not thickness[bare].any() and (thickness[~bare] > 0).all()


def test_nothing_and_everything_dewetted() -> None:
    scene = FilmScene(shape=SMALL)
    assert (withdrawn(np.zeros(SMALL, bool), scene) == 1).all()
    assert (withdrawn(np.ones(SMALL, bool), scene) == 0).all()
    assert FilmPicture(scene, dewetting=1.0).image.std() < FilmPicture(scene, dewetting=0.4).image.std()


def test_pieces_have_borders_where_two_seeds_are_equally_near() -> None:
    borders = pieces(np.random.default_rng(0), (200, 200), 40.0)
    share = float((borders.distance < 1).mean())
    assert share == pytest.approx(2 * 2.0 / 40, rel=0.25)  # squares of side L: borders of length 2 / L per px, 2 px wide


@given(stretch=st.floats(1, 6), seed=st.integers(0, 20))
@settings(deadline=None, max_examples=8)
def test_distances_to_borders_are_px_however_long_the_pieces(stretch: float, seed: int) -> None:
    distance = pieces(np.random.default_rng(seed), (96, 96), 30.0, stretch=stretch).distance
    steep = np.hypot(*np.gradient(distance))[distance > 3]
    assert float(np.median(steep)) == pytest.approx(1.0, rel=0.15)


def test_no_cracks_and_wider_cracks() -> None:
    scene = FilmScene(shape=SMALL)
    assert not opening(np.random.default_rng(0), scene).any()
    shares = [
        float(opening(np.random.default_rng(0), replace(scene, cracks="network", crack_width_um=w)).mean())
        for w in (3.0, 6.0, 12.0)
    ]
    assert shares[1] == pytest.approx(2 * shares[0], rel=0.35) and shares[2] > 1.6 * shares[1]


def test_particles_cover_what_their_number_says() -> None:
    scene = FilmScene(shape=(384, 512), particles_per_mm2=400, particle_um=9)
    cover = particles(np.random.default_rng(1), scene).cover
    area = math.pi / 4 * 9**2 * math.exp(2 * 0.35**2) * 0.8  # mean of the square of a log-normal; mean of the axes' ratio
    assert float(cover.mean()) == pytest.approx(400 * area / 1e6, rel=0.25)


def test_scratches_are_long_and_straight_or_wide_arcs() -> None:
    cover = scratches(np.random.default_rng(5), FilmScene(shape=(384, 512), scratches=1)).cover
    assert not scratches(np.random.default_rng(5), FilmScene(shape=SMALL)).cover.any()
    y, x = np.nonzero(cover > 0.5)
    assert np.ptp(x) + np.ptp(y) > 150 and 0 < (cover > 0.5).mean() < 0.1


def test_uneven_where_the_thickness_changes_by_a_tenth_nearby() -> None:
    ramp = np.tile(1 + np.arange(400, dtype=np.float32) * (UNEVEN / 64) * 1.2, (80, 1))
    assert non_uniform(ramp)[:, 40:-40].all()
    assert not non_uniform(ramp * 0.5 + 0.5)[:, 40:-40].any()


@pytest.mark.parametrize("kind", ["rings", "streaks", "clouds", "slope"])
def test_unevenness_is_the_largest_change(kind: str) -> None:
    field = relative_thickness(np.random.default_rng(1), FilmScene(shape=SMALL, unevenness=0.4, uneven=kind))
    assert 0.02 < float(np.ptp(field)) <= 0.75
    even = relative_thickness(np.random.default_rng(1), FilmScene(shape=SMALL, uneven=kind))
    assert (even == 1).all()


def test_bare_ground_reflects_as_fresnel_says() -> None:
    for substrate, indices in SUBSTRATES.items():
        bare = reflectance(np.zeros(1, np.float32), "organic", substrate)[0] - BEHIND[substrate] - STRAY
        assert bare == pytest.approx([((n - 1) / (n + 1)) ** 2 for n in indices], rel=1e-5)


def test_colours_repeat_every_half_wavelength() -> None:
    half = np.float32(540 / 2 / 1.76)
    green = reflectance(np.array([100, 100 + half, 100 + half / 2], np.float32), "organic", "glass")[:, 1]
    assert green[1] == pytest.approx(green[0], rel=0.05)
    assert abs(green[2] - green[0]) > 3 * abs(green[1] - green[0])


def test_an_absorbing_film_hides_its_ground() -> None:
    thick = np.array([3000.0], np.float32)
    blue = [reflectance(thick, "perovskite", s)[0, 2] - BEHIND[s] for s in SUBSTRATES]
    assert blue[0] == pytest.approx(blue[1], rel=1e-3)


def test_a_film_in_both_fields() -> None:
    """Cracks, specks and edges are brighter than the film in dark field, and darker in bright field."""
    scene = FilmScene(shape=(192, 256), cracks="network", crack_width_um=6, particles_per_mm2=300, particle_um=12)
    for field, sign in (("dark", 1), ("bright", -1)):
        picture = FilmPicture(scene, field=field)
        grey = picture.image.mean(-1)
        free = ~np.any([picture.masks[name] for name in ("crack", "particle")], axis=0)
        for name in ("crack", "particle"):
            assert sign * (grey[picture.masks[name]].mean() - grey[free].mean()) > 15, (field, name)


@given(seed=st.integers(0, 10_000))
@settings(deadline=None, max_examples=8)
def test_random_films_repeat_and_tell_their_extents(seed: int) -> None:
    scene = random_film(seed, shape=(96, 112))
    picture, again = FilmPicture(scene), FilmPicture(scene)
    assert picture.image.shape == (96, 112, 3) and np.array_equal(picture.image, again.image)
    assert tuple(picture.extents) == CLASSES
    for name, share in picture.extents.items():
        assert share == picture.masks[name].mean()
    bare = picture.masks["dewetting"]
    assert not (picture.masks["crack"] & bare).any() and not (picture.masks["nonuniform"] & bare).any()
    other = FilmPicture(scene, shot=1)
    assert not np.array_equal(picture.image, other.image) and np.array_equal(picture.masks["crack"], other.masks["crack"])


def test_a_series_dewets_by_avrami() -> None:
    films = film_series(2, 12, shape=SMALL, most=0.8)
    shares = np.array([scene.dewetting for scene in films.scenes])
    assert shares[0] == 0 and shares[-1] == pytest.approx(0.8) and (np.diff(shares) > 0).all()
    time = films.conditions["time_s"].to_numpy()[1:]
    gone = -np.log(1 - shares[1:] * (1 - np.exp(-(1.6**2.5))) / 0.8)
    assert np.polyfit(np.log(time), np.log(gone), 1)[0] == pytest.approx(2.5)
    assert len({replace(scene, dewetting=0, shot=0) for scene in films.scenes}) == 1


def test_a_surface_follows_its_law() -> None:
    films = film_surface(1, (3, 4), shape=SMALL)
    assert len(films.conditions) == 12 and films.conditions.nunique().tolist() == [3, 4]
    law = dewetting_surface(films.conditions["ratio"], films.conditions["anneal_min"])
    assert [scene.dewetting for scene in films.scenes] == pytest.approx(law.tolist())
    assert 0 < law.min() < 0.1 and 0.7 < law.max() < 0.95
    with pytest.raises(UsageError, match="two values"):
        film_surface(1, (1, 4))


def test_a_folder_of_films(tmp_path: Path) -> None:
    done: list[int] = []
    folder = write_films(independent_films(4, 2, shape=SMALL, objective=20.0), tmp_path, progress=lambda k, n: done.append(k))
    scores = pd.read_csv(folder / "scores.csv", index_col="file")
    assert tuple(scores.columns) == CLASSES and done == [1, 2] and not (folder / "conditions.csv").exists()
    for name in scores.index:
        image = read_colour(folder / "image" / name)
        assert image.shape == (*SMALL, 3)
        with open_frames(folder / "image" / name) as frames:
            assert frames.calibration.mean_pixel_nm == pytest.approx(325)
        for kind in CLASSES:
            mask = cv2.imread(str(folder / "masks" / kind / Path(name).with_suffix(".png")), cv2.IMREAD_UNCHANGED)
            assert (mask > 0).mean() == pytest.approx(scores.loc[name, kind], abs=1e-6)
    write_films(film_series(4, 3, shape=SMALL), folder)
    assert list(pd.read_csv(folder / "conditions.csv")) == ["file", "time_s"]
    assert len(list((folder / "image").iterdir())) == 3


def test_bad_films() -> None:
    for settings_, said in (({"shape": (20, 90)}, "64"), ({"dewetting": 1.2}, "0 to 1"), ({"objective": 0}, "magnification")):
        with pytest.raises(UsageError, match=said):
            FilmScene(**settings_)
    with pytest.raises(UsageError, match="no films"):
        write_films(independent_films(0, 0), "nowhere")


def test_synth_films(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*more: str) -> str:
        with pytest.raises(SystemExit):
            main(["synth", "films", "-o", str(tmp_path / "f"), "--size", "160x128", "--overwrite", *more])
        out = capsys.readouterr()
        return out.out + out.err

    assert "2 pictures of films" in run("--pictures", "2", "--field", "dark")
    assert "4 pictures" in run("--surface", "2x2") and "conditions.csv" in run("--series", "--frames", "2")
    assert "give one of them" in run("--series", "--surface", "2x2")
    assert "8x8" in run("--surface", "eight")

"""Sizes, samples and structure of a run's particles against drawn truth, and what must not change them."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest

from morphoscope.calibration import Calibration
from morphoscope.measure.shape import shapes
from morphoscope.physics.density import poisson_interval
from morphoscope.physics.particle_sizes import particle_rows, particle_weights, particles_by_frame
from morphoscope.physics.places import sample_statistics
from morphoscope.pipeline.assembly import _pairs
from morphoscope.pipeline.doubts import result_warnings
from morphoscope.pipeline.particle_figures import density_of_particles, particle_figures
from morphoscope.pipeline.particles import even_edges, groups_of, particles_of, smallest_diameter, wanted
from morphoscope.pipeline.results import Results, compute_results
from morphoscope.pipeline.views import common_calibration
from morphoscope.recipe import parse_recipe

SIDE = 360
NM = Calibration((0.5, 0.5))


def drawn(seed: int, *, median: float = 16.0, spread: float = 1.25, cell: int = 38) -> np.ndarray:
    """(360, 360) discs that do not touch, of log-normal diameters, one in each cell of a shifted grid, also across the edge."""
    rng = np.random.default_rng(seed)
    image = np.zeros((SIDE, SIDE), np.int32)
    shift = rng.uniform(-cell, 0, 2)
    for k, corner in enumerate(np.argwhere(np.ones((SIDE // cell + 2,) * 2)) * cell + shift):
        d = min(median * math.exp(math.log(spread) * rng.normal()), cell - 2)
        x, y = corner + d / 2 + rng.uniform(0, cell - 2 - d, 2)
        cv2.circle(image, (round(16 * x), round(16 * y)), round(8 * (d - 1)), k + 1, -1, cv2.LINE_8, 4)
    return image


def tables(images, calibration: Calibration = NM, files: list[str] | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    names = files or [f"{i}.tif" for i in range(len(images))]
    parts = [shapes(im, calibration=calibration).assign(frame=i, file=names[i]) for i, im in enumerate(images)]
    objects = pd.concat(parts, ignore_index=True).assign(label="particle", score=np.nan, fitted=True)
    frames = pd.DataFrame({"frame": range(len(images)), "file": names, "dx": 0.0, "dy": 0.0, "quality": 1.0, "jump": False})
    return objects, frames


def computed(images, *, calibration: Calibration = NM, files: list[str] | None = None, **sections: dict[str, object]) -> Results:
    """Structure, which takes most of the time, only where it is asked for."""
    objects, frames = tables(images, calibration, files)
    sections["physics"] = {"structure": False} | dict(sections.get("physics", {}))
    height, width = images[0].shape
    return compute_results(
        objects,
        frames,
        recipe=parse_recipe(dict(sections)),
        calibration=calibration,
        valid_px=float(height * width),
        track=False,
        field=(-0.5, -0.5, width - 0.5, height - 0.5),
    )


FIELDS = [drawn(seed) for seed in range(4)]
APART = {"frames": {"series": False}}


def test_drawn_sizes_are_found_with_intervals_from_fields_of_view() -> None:
    found = computed(FIELDS, **APART)
    rows = found.quantities.set_index("name")
    assert rows.loc["log-normal median diameter", "value"] == pytest.approx(8, rel=0.06)
    assert rows.loc["geometric standard deviation", "value"] == pytest.approx(1.25, abs=0.03)
    assert rows.loc["log-normal median diameter by area", "value"] == pytest.approx(8 * 1.25 ** (2 * math.log(1.25)), rel=0.07)
    median = rows.loc["median diameter"]
    assert median["low"] < 8 < median["high"] and median["unit"] == "nm" and "4 fields of view" in median["method"]
    assert {"final density", "final median size"}.isdisjoint(rows.index)
    objects, _ = tables(FIELDS)
    by_hand = sample_statistics(objects.assign(sample="", w=particle_weights(objects)), "equivalent_diameter_nm", weight="w")
    assert median[["value", "low", "high"]].tolist() == by_hand.loc[0, ["median", "median_low", "median_high"]].tolist()


def test_number_and_covered_share_are_those_of_the_plane() -> None:
    """Weights make the number per area that of centres; all visible ones would be too many."""
    many = [drawn(seed) for seed in range(10, 22)]
    rows = computed(many, **APART).quantities.set_index("name")
    seen = np.mean([np.count_nonzero(image) / image.size for image in many])
    assert rows.loc["covered share of the area", "value"] == pytest.approx(seen, rel=0.06)
    density, true = rows.loc["number density"], 1 / (38 * 0.5e-3) ** 2
    visible = np.mean([len(np.unique(im)) - 1 for im in many]) / (SIDE * 0.5e-3) ** 2
    assert density["low"] < true < density["high"] < visible and density["unit"] == "um^-2"


def test_an_empty_field_of_view_counts_for_the_density() -> None:
    found = computed([*FIELDS, np.zeros((SIDE, SIDE), np.int32)], **APART).quantities.set_index("name")
    without = computed(FIELDS, **APART).quantities.set_index("name")
    assert found.loc["number density", "value"] == pytest.approx(0.8 * without.loc["number density", "value"])
    assert found.loc["median diameter", "value"] == without.loc["median diameter", "value"]
    assert "5 fields" in found.loc["number density", "method"] and "4 fields" in found.loc["median diameter", "method"]


def test_one_field_says_that_places_are_not_known() -> None:
    found = computed(FIELDS[:1])
    rows = found.quantities.set_index("name")
    row = rows.loc["median diameter"]
    assert row["low"] < row["value"] < row["high"] and "variance between places is not known" in row["method"]
    assert "Poisson" in rows.loc["number density", "method"] and np.isnan(rows.loc["covered share of the area", "low"])
    assert any("One field of view" in line for line in found.particles.remarks)


def test_frames_of_a_series_are_no_places() -> None:
    """Ten times the same picture says no more than one."""
    once = computed(FIELDS[:1]).quantities.set_index("name").loc["median diameter"]
    video = computed(FIELDS[:1] * 10, files=["v.tif"] * 10)
    rows = video.quantities.set_index("name")
    for end in ("first", "final"):
        assert (
            rows.loc[f"{end} median diameter", ["value", "low", "high", "n"]].tolist()
            == once[["value", "low", "high", "n"]].tolist()
        )
    assert any("not taken as fields of view" in line for line in video.particles.remarks)
    table = video.particles.tables["size_distribution"]
    assert table["frame"].nunique() == 2 and table.groupby("frame")["number_share"].sum().tolist() == pytest.approx([1, 1])
    stack = computed(FIELDS[:1] * 10, files=["v.tif"] * 10, **APART)
    assert stack.quantities.set_index("name").loc["final median diameter", "n"] == once["n"] and stack.particles.one_place
    assert any("Frames of one file" in line for line in stack.particles.remarks)


def test_where_all_are_cut_by_the_edge_their_number_is_not_known() -> None:
    image = np.zeros((SIDE, SIDE), np.int32)
    image[:, 100:200] = 1
    alone = computed([image], **APART)
    row = alone.quantities.set_index("name").loc["number density"]
    assert math.isnan(row["value"]) and math.isnan(row["high"]) and "cut by the edge" in row["method"]
    assert alone.particles.tables["particles"]["number_density_um2"].isna().all()
    assert any("Every particle is cut" in line for line in result_warnings(alone, parse_recipe({})))
    among = computed([image, FIELDS[0], FIELDS[1]], **APART)
    by_frame = among.particles.tables["particles"]["number_density_um2"]
    assert math.isnan(by_frame[0])
    mean = among.quantities.set_index("name").loc["number density", "value"]
    assert mean == pytest.approx(by_frame[1:].sum() / 3)
    assert any("In 1 of 3 frames" in line for line in result_warnings(among, parse_recipe({})))


def test_the_figure_of_density_weighs_for_the_edge() -> None:
    video = computed(FIELDS[:3], files=["v.tif"] * 3)
    drawn_as, by_frame = density_of_particles(video), video.particles.tables["particles"]
    assert drawn_as["density"].tolist() == pytest.approx(by_frame["number_density_um2"].tolist())
    assert (drawn_as["density"] < 0.97 * video.frames["density"]).all()
    low, high = poisson_interval(by_frame["n_counted"])
    assert drawn_as["density_high"].tolist() == pytest.approx((high / by_frame["n_counted"] * drawn_as["density"]).tolist())
    assert (low > 0).all() and (drawn_as["density_low"] < drawn_as["density"]).all()


def test_the_edge_may_be_kept() -> None:
    kept = computed(FIELDS, physics={"edge": "keep"}, **APART)
    rows = kept.quantities.set_index("name")
    objects, _ = tables(FIELDS)
    assert rows.loc["median diameter", "value"] == pytest.approx(objects["equivalent_diameter_nm"].median())
    assert rows.loc["median diameter", "n"] == len(objects) and not any("left out" in line for line in kept.particles.remarks)


def test_samples_are_told_apart_or_not(tmp_path) -> None:
    (tmp_path / "s.csv").write_text("file,sample\na*,small\nb*,large\nc*,also small\n")
    images = [drawn(seed, median=20 if 3 <= seed < 6 else 16) for seed in range(9)]
    names = [f"{'abc'[i // 3]}{i}.png" for i in range(9)]
    found = computed(images, files=names, frames={"samples": str(tmp_path / "s.csv")})
    assert found.objects["sample"].nunique() == 3 and found.frames["sample"].tolist()[0] == "small"
    pairs = found.particles.tables["sample_comparison"]
    sizes = pairs[pairs["quantity"] == "diameter"].set_index(["sample_a", "sample_b"])
    assert sizes.loc[("also small", "large"), "p_holm"] < 0.01 and sizes.loc[("also small", "small"), "p_holm"] > 0.05
    assert sizes.loc[("large", "small"), "ratio"] == pytest.approx(16 / 20, rel=0.06)
    samples = found.particles.tables["samples"]
    assert {"diameter", "number density", "circularity"} <= set(samples["quantity"]) and (samples["n_places"] == 3).all()
    rows = found.quantities.set_index("name")
    own = samples[(samples["quantity"] == "diameter") & (samples["sample"] == "large")].iloc[0]
    assert rows.loc["median diameter of sample large", ["value", "low", "high"]].tolist() == pytest.approx(
        own[["median", "median_low", "median_high"]].tolist()
    )


def test_samples_without_masks_and_without_a_scale(tmp_path) -> None:
    (tmp_path / "s.csv").write_text("file,sample\n0*,one\n1*,one\n2*,two\n3*,two\n")
    objects, frames = tables(FIELDS, Calibration())
    plain = objects[["frame", "file", "x_px", "y_px", "width_px", "height_px", "major_px", "minor_px", "angle_deg", "area_px"]]
    plain = plain.assign(label="loop", score=0.9, on_edge=False, fitted=True)
    settings = parse_recipe({"frames": {"samples": str(tmp_path / "s.csv")}})
    found = compute_results(plain, frames, recipe=settings, calibration=Calibration(), valid_px=SIDE**2, track=False)
    table = found.particles.tables["samples"]
    assert set(table["quantity"]) == {"size, major axis"} and set(table["unit"]) == {"px"} and found.particles.assembly is None


def test_nothing_is_told_of_runs_without_masks_unless_asked() -> None:
    plain = pd.DataFrame({"x_px": [1.0], "y_px": [1.0]})
    assert not wanted(plain, parse_recipe({})) and wanted(plain, parse_recipe({"physics": {"structure": True}}))
    masks = plain.assign(equivalent_diameter_px=2.0)
    assert wanted(masks, parse_recipe({})) and not wanted(masks.assign(equivalent_diameter_px=np.nan), parse_recipe({}))
    off, auto = (computed(FIELDS[:1], physics={"structure": said}).particles for said in (False, None))
    assert "structure" not in off.tables and off.assembly is None and len(auto.tables["structure"]) == 1


def lattice(spacing: float = 24.0, radius: int = 5) -> np.ndarray:
    image = np.zeros((SIDE, SIDE), np.int32)
    k = 0
    for row in range(int(SIDE / (spacing * math.sqrt(3) / 2)) + 1):
        for column in range(int(SIDE / spacing) + 1):
            k += 1
            x, y = (column + row % 2 / 2) * spacing, row * spacing * math.sqrt(3) / 2
            cv2.circle(image, (round(16 * x), round(16 * y)), 16 * radius, k, -1, cv2.LINE_8, 4)
    return image


def test_a_hexagonal_lattice_is_recognised_in_all_tables() -> None:
    found = computed([lattice()], physics={"structure": True, "cluster_distance_nm": 13.0})
    rows, made = found.quantities.set_index("name"), found.particles.tables
    assert rows.loc["local hexatic order |psi_6|", "value"] > 0.97 and rows.loc["global hexatic order", "value"] > 0.97
    nearest = rows.loc["median distance to the nearest neighbour"]
    assert nearest["value"] == pytest.approx(12, rel=0.01) and nearest["unit"] == "nm"
    curve = made["pair_correlation"]
    assert (
        curve.loc[curve["g"] > 3, "r_nm"].iloc[0] == pytest.approx(12, abs=0.6)
        and (curve.loc[curve["r_nm"] < 10.5, "g"] < 0.1).all()
    )
    waves = made["structure_factor"]
    assert waves["q_per_nm"].iloc[int(waves["S"].argmax())] == pytest.approx(4 * math.pi / math.sqrt(3) / 12, rel=0.05)
    assert made["structure"]["n_clusters"].tolist() == [1] and rows.loc["mean cluster size", "value"] > 200


def test_a_rim_without_centres_is_left_out_where_masks_at_the_edge_are_missing() -> None:
    objects, frames = tables([lattice()])
    inside = objects[~objects["on_edge"]]
    settings = {"segment": {"edge": "leave out"}, "detect": {"model": "otsu"}}
    found, bare = (
        particles_of(
            inside,
            frames.assign(count=len(inside)),
            parse_recipe(one),
            NM,
            valid_px=float(SIDE**2),
            box=(-0.5, -0.5, SIDE - 0.5, SIDE - 0.5),
        )
        for one in (settings, {})
    )
    cell = 12**2 * math.sqrt(3) / 2
    density = [p.assembly.tables["structure"]["count"].iloc[0] for p in (found, bare)]
    rim = SIDE - 2 * (objects["width_px"].max() / 2 + 1)
    assert density[0] / (rim / 2) ** 2 == pytest.approx(1 / cell, rel=0.04) and density[0] < density[1]
    assert any("without a rim" in line for line in found.remarks) and not any("rim" in line for line in bare.remarks)


@pytest.mark.parametrize("turn", ["mirror", "quarter", "relabel", "reorder"])
def test_turning_and_relabelling_change_nothing(turn: str) -> None:
    rng = np.random.default_rng(0)
    change = {
        "mirror": lambda im: im[:, ::-1].copy(),
        "quarter": lambda im: np.rot90(im).copy(),
        "relabel": lambda im: np.r_[0, 1 + rng.permutation(int(im.max()))][im].astype(np.int32),
        "reorder": lambda im: im,
    }[turn]
    images = [change(im) for im in FIELDS]
    names = [f"{i}.tif" for i in range(4)]
    if turn == "reorder":
        images, names = images[::-1], names[::-1]
    a, b = (computed(x, files=f, physics={"structure": True}, **APART) for x, f in ((FIELDS, None), (images, names)))
    one, two = (x.quantities.set_index("name")[["value", "low", "high"]] for x in (a, b))
    pd.testing.assert_frame_equal(one, two, rtol=1e-6, check_exact=False)
    sizes = [x.particles.tables["size_distribution"] for x in (a, b)]
    pd.testing.assert_frame_equal(*sizes)


def test_a_finer_scale_changes_only_units() -> None:
    """The same masks at half the pixel size: lengths halve, numbers per area are four times as many, shapes stay."""
    structure = {"structure": True}
    a, b = (
        computed(FIELDS, calibration=Calibration((s, s)), physics=structure, **APART).quantities.set_index("name")
        for s in (0.5, 0.25)
    )
    lengths, density = a["unit"] == "nm", a["unit"] == "um^-2"
    factor = np.where(lengths, 0.5, np.where(density, 4.0, 1.0))
    for column in ("value", "low", "high"):
        assert b[column].to_numpy() == pytest.approx(a[column].to_numpy() * factor, nan_ok=True)
    assert lengths.sum() > 5 and density.sum() == 1


def test_bins_are_round_and_hold_all_sizes() -> None:
    rng = np.random.default_rng(1)
    for scale in (0.03, 1.0, 470.0):
        sizes = scale * np.exp(rng.normal(0, 0.3, 300))
        edges = even_edges([sizes])
        assert edges[0] <= sizes.min() and edges[-1] > sizes.max() and 5 <= len(edges) <= 45
        assert f"{edges[1] - edges[0]:.2e}"[:4] in ("1.00", "2.00", "2.50", "5.00")
    assert len(even_edges([np.full(7, 3.0)])) >= 2 and even_edges([]).tolist() == [0, 1]


def test_groups_and_the_smallest_mask() -> None:
    frames = pd.DataFrame({"frame": range(0, 80, 2), "count": [0] * 10 + [3] * 30})
    first, final = groups_of(frames, None, series=True)
    assert first.frames.tolist() == [20, 22] and final.frames.tolist() == [76, 78] and final.frame == 78
    first, final = groups_of(frames.assign(count=0), None, series=True)
    assert first.frames.tolist() == [0, 2] and final.frames.tolist() == [76, 78]
    assert smallest_diameter(parse_recipe({"detect": {"model": "otsu"}, "segment": {"smallest_px": 50}})) == pytest.approx(
        7.979, abs=1e-3
    )
    assert smallest_diameter(parse_recipe({})) == 0


def test_frames_without_particles_have_rows_and_no_sizes() -> None:
    objects, frames = tables([FIELDS[0], np.zeros((SIDE, SIDE), np.int32)])
    table = particles_by_frame(objects, frames, NM, area_px=SIDE**2)
    assert table["n"].tolist() == [len(objects), 0] and table["diameter_median_nm"].notna().tolist() == [True, False]
    assert table["number_density_um2"].iloc[1] == 0 and table["n_counted"].iloc[0] == (~objects["on_edge"]).sum()
    assert particle_rows(objects[:0], table[1:], NM)[0]["value"] == 0
    nothing = computed([np.zeros((SIDE, SIDE), np.int32)])
    assert nothing.particles is None and len(nothing.quantities)


@pytest.mark.parametrize("series", [False, True])
def test_a_run_that_looks_for_masks_and_finds_none_says_how_many_there_may_be(series: bool) -> None:
    """3.689 is the upper 97.5 % bound of the mean of a Poisson count of 0 (Garwood 1936)."""
    _, frames = tables([np.zeros((SIDE, SIDE), np.int32)] * 2)
    settings = parse_recipe({"frames": {"series": series}})
    found = compute_results(
        tables(FIELDS[:1])[0][:0],
        frames,
        recipe=settings,
        calibration=NM,
        valid_px=SIDE**2,
        track=False,
        field=(-0.5, -0.5, SIDE - 0.5, SIDE - 0.5),
        masks=True,
    )
    row = found.quantities.set_index("name").loc["final number density" if series else "number density"]
    area = SIDE**2 * 0.25e-6 * (1 if series else 2)
    assert row["value"] == row["low"] == 0 and row["high"] == pytest.approx(3.689 / area, rel=1e-3) and row["unit"] == "um^-2"
    assert found.particles.tables["particles"]["n"].tolist() == [0, 0]
    assert "size_distribution" not in particle_figures(settings, found)


def mixed(*sizes: float, **sections: dict[str, object]) -> Results:
    """Each field at a scale of its own, nan for none."""
    parts = [
        shapes(im, calibration=Calibration((s, s)) if s == s else Calibration()) for im, s in zip(FIELDS, sizes, strict=False)
    ]
    objects = pd.concat([part.assign(frame=k, file=f"{k}.tif") for k, part in enumerate(parts)], ignore_index=True)
    frames = tables(FIELDS[: len(sizes)])[1]
    own = {"own_x0": 0.0, "own_y0": 0.0, "own_x1": 1.0 * SIDE, "own_y1": 1.0 * SIDE, "own_valid_px": 1.0 * SIDE**2}
    frames = frames.assign(pixel_y_nm=sizes, pixel_x_nm=sizes, **own)
    known, said = common_calibration(Calibration(), frames)
    settings = parse_recipe({**APART, **sections, "physics": {"structure": False}})
    objects = objects.assign(label="particle", score=np.nan, fitted=True)
    found = compute_results(objects, frames, recipe=settings, calibration=known, valid_px=SIDE**2, track=False)
    return replace(found, remarks=tuple(said))


@pytest.mark.parametrize("sizes", [(0.5, 0.5), (0.5, 2.0)])
def test_images_without_a_scale_are_not_mixed_with_others(sizes: tuple[float, float]) -> None:
    found, alone = mixed(*sizes, math.nan), mixed(*sizes)
    rows, wanted_rows = (x.quantities.set_index("name")[["value", "low", "high", "unit"]][2:] for x in (found, alone))
    pd.testing.assert_frame_equal(rows, wanted_rows)
    assert set(rows["unit"]) == {"nm", "um^-2", ""}
    sizes_of = [x.particles.tables["size_distribution"] for x in (found, alone)]
    pd.testing.assert_frame_equal(*sizes_of)
    assert "1 of 3 images have no scale" in found.remarks[0] and not any("no scale" in line for line in alone.remarks)
    bare = found.objects[found.objects["frame"] == 2]
    assert bare["equivalent_diameter_px"].notna().all() and bare["equivalent_diameter_nm"].isna().all() and len(bare) > 50


def test_fits_are_cut_off_where_the_coarsest_image_sees_no_more() -> None:
    """Masks from 50 px on: 7.98 px across, 4 nm at 0.5 nm per px and 16 nm at 2."""
    otsu = {"detect": {"model": "otsu"}, "segment": {"smallest_px": 50}}
    rows = mixed(0.5, 2.0, 0.5, 0.5, **otsu).quantities.set_index("name")
    assert "cut off below 16 nm" in rows.loc["log-normal median diameter", "method"]
    found = mixed(0.5, 0.5, math.nan, **otsu)
    assert "cut off below 3.99 nm" in found.quantities.set_index("name").loc["log-normal median diameter", "method"]
    assert found.particles.smallest_px == pytest.approx(7.979, abs=1e-3)


def test_without_one_field_there_is_no_structure_and_it_is_said() -> None:
    objects, frames = tables(FIELDS[:1])
    found = compute_results(objects, frames, recipe=parse_recipe({}), calibration=NM, valid_px=float(SIDE**2), track=False)
    assert "structure" not in found.particles.tables and any("No structure" in line for line in found.particles.remarks)


def test_a_cluster_distance_in_nm_without_a_scale_is_said() -> None:
    found = computed(FIELDS[:1], calibration=Calibration(), physics={"structure": True, "cluster_distance_nm": 9.0})
    assert found.particles.tables["structure"]["n_clusters"].isna().all()
    assert any("needs a scale" in line for line in found.particles.remarks)


def test_intervals_hold_only_what_is_possible(tmp_path) -> None:
    """Two fields of view that have nothing in common: the interval is as wide as can be, not wider."""
    (tmp_path / "s.csv").write_text("file,sample\n*,odd\n")
    odd = [drawn(0, median=6, cell=16), drawn(1, median=150, spread=1.05, cell=170)]
    found = computed(odd, frames={"samples": str(tmp_path / "s.csv")}, physics={"structure": True})
    rows = found.quantities.set_index("name")
    assert (rows["low"].dropna() >= 0).all() and (found.particles.tables["samples"]["mean_low"].dropna() >= 0).all()
    assert (
        rows.loc["mean diameter of sample odd", "low"] == 0 and rows.loc["covered share of the area of sample odd", "high"] <= 1
    )
    assert (rows["low"].isna() | (rows["low"] <= rows["value"])).all() and (
        rows["high"].isna() | (rows["value"] <= rows["high"])
    ).all()


def test_the_covered_share_is_what_is_seen_even_of_vast_particles() -> None:
    image = np.zeros((SIDE, SIDE), np.int32)
    cv2.circle(image, (180, 180), 150, 1, -1)
    for k, corner in enumerate(((20, 20), (340, 20), (20, 340), (340, 340), (0, 180))):
        cv2.circle(image, corner, 6, k + 2, -1)
    found = computed([image])
    rows = found.quantities.set_index("name")
    assert rows.loc["covered share of the area", "value"] == pytest.approx(np.count_nonzero(image) / image.size)
    assert any("rest on few" in line for line in found.particles.remarks)
    objects, frames = tables([image])
    weighed = particles_by_frame(objects, frames, NM, area_px=SIDE**2, cut_are_there=False)["area_share"].iloc[0]
    whole = objects[~objects["on_edge"]]
    assert weighed == pytest.approx((whole["area_px"] * whole["edge_weight"]).sum() / SIDE**2) and weighed > 1


def test_few_pairs_have_few_bins() -> None:
    rng = np.random.default_rng(0)

    def bins(count: int) -> int:
        own = pd.DataFrame({"frame": 0, "x_px": rng.uniform(0, 300, count), "y_px": rng.uniform(0, 300, count)})
        return len(_pairs(own, NM, (0, 0, 300, 300), independent=True))

    assert bins(30) == 8 and 30 < bins(100) < 50 and bins(900) == 120

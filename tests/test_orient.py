"""Runs of `orient`: against a finder that knows the truth, tables, maps, bad files, going on, the model's file."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from morphoscope.calibration import Calibration
from morphoscope.cli.main import main
from morphoscope.errors import InputError, ModelError, RunExistsError, UsageError
from morphoscope.measure.alignment import Directions
from morphoscope.measure.structure_tensor import structure_tensor
from morphoscope.models.card import ModelCard
from morphoscope.models.orient import Orienter
from morphoscope.models.wire_maps import CHANNELS, WireMaps
from morphoscope.pipeline.again import analyze_again, differences
from morphoscope.pipeline.folder import Run
from morphoscope.pipeline.orient_doubts import doubt_of, methods_disagree
from morphoscope.pipeline.orient_image import MODEL_ERROR, orient_image, radius_px
from morphoscope.pipeline.orient_outputs import findings
from morphoscope.pipeline.orienting import orient
from morphoscope.pipeline.score_maps import read_map
from morphoscope.pipeline.square_pixels import square_shape
from morphoscope.recipe import Recipe, parse_recipe
from morphoscope.report.orient_figures import correlation_figure, fraction_figure, histogram_figure, orientation_figure
from morphoscope.report.style import new_figure, save_figure
from morphoscope.schema import ORIENTATION
from morphoscope.synth.wire_scene import WireScene
from morphoscope.synth.wires import WirePicture
from morphoscope.synth.write_wires import write_wires

CARD = ModelCard(
    name="known",
    task="orient",
    classes=("wire",),
    preprocess="robust-1",
    postprocess="wires-1",
    stride=16,
    extent_error={MODEL_ERROR: 0.05},
)
QUIET = {"calibration": {"scale_bar": "off"}, "report": {"overlay": False}}
OFF = parse_recipe(QUIET)


class Knowing:
    """A finder that knows the pictures: what it says is the truth."""

    card = CARD

    def __init__(self, *pictures: WirePicture) -> None:
        self._known = {p.image[: p.scene.shape[0]].tobytes(): p for p in pictures}
        self.calls = 0

    def maps(self, image: np.ndarray, *, radius_px: float = 32.0) -> WireMaps:
        self.calls += 1
        picture = self._known.get(image.tobytes())
        if picture is None:  # as models say of pictures without wires: a little everywhere
            little = np.full(image.shape, 0.1, np.float32)
            return WireMaps(little, Directions(little, little), little)
        return WireMaps(picture.mask.astype(np.float32), picture.field, picture.aligned.astype(np.float32))


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures over all images take most of the time of a small run; where they do not matter they are left out."""
    monkeypatch.setattr("morphoscope.pipeline.orient_outputs._curves", lambda *_, **__: {})


@pytest.fixture(scope="module")
def scenes() -> list[WireScene]:
    return [WireScene(seed=k, shape=(144, 176), pixel_size_nm=10.0, following=f) for k, f in ((1, 1.0), (2, 0.3))]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory, scenes: list[WireScene]) -> Path:
    return write_wires(scenes, tmp_path_factory.mktemp("wires"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, drawn: Path, scenes: list[WireScene]) -> Run:
    finder = Knowing(*(WirePicture(scene) for scene in scenes))
    with pytest.MonkeyPatch.context() as coarse:  # figures of little size, and one picture of them
        coarse.setattr("morphoscope.pipeline.orient_outputs.SHOWN", 1)
        coarse.setattr("morphoscope.pipeline.orient_outputs.save_figure", lambda *a, **_: save_figure(*a[:3], dpi=30))
        return orient(drawn / "image", drawn / "recipe.toml", tmp_path_factory.mktemp("run") / "r", finder=finder)


def test_the_truth_comes_out_as_the_truth(run: Run, drawn: Path) -> None:
    truth = pd.read_csv(drawn / "truth.csv")
    table = run.orientation
    assert list(table["file"]) == list(truth["file"])
    for name in ("aligned_fraction", "wire_share", "aligned_share", "S2", "director_deg"):
        assert np.allclose(table[name], truth[name], atol=2e-3), name
    assert set(table.columns) <= set(ORIENTATION) and (table["radius_nm"] == 320).all()
    assert np.allclose(table["coherence_length_nm"], 10 * table["coherence_length_px"], equal_nan=True)
    assert table["aligned_fraction_tensor"].between(0, 1).all() and table["aligned_fraction_lgo"].between(0, 1).all()
    known = table["aligned_fraction_low"].notna()
    assert (table["aligned_fraction_low"] <= table["aligned_fraction"])[known].all()


def test_the_folder_holds_maps_histograms_figures_and_a_report(run: Run, scenes: list[WireScene]) -> None:
    picture = WirePicture(scenes[0])
    found = read_map(run.path / "maps" / "001.tif")
    assert found.classes == ("orientation_deg", "wire", "aligned")
    assert np.array_equal(np.isfinite(found.values[0]), picture.mask)
    apart = np.abs((found.values[0] - picture.orientation_deg + 90) % 180 - 90)
    assert np.nanmax(apart) < 0.01
    histogram = pd.read_csv(run.path / "histogram.csv")
    assert histogram.groupby(["file", "method"])["share"].sum().to_numpy() == pytest.approx(1)
    assert set(histogram["method"]) == {"learned", "structure tensor", "local gradient orientation"}
    page = run.report.read_text(encoding="utf-8")
    assert "coherently aligned" in page and "Modarres" in page and "nan %" not in page
    for name in ("orientation_1", "orientation_histogram", "orientation_correlation", "aligned_fractions"):
        assert (run.path / "figures" / f"{name}.png").is_file()
    quantities = run.quantities.set_index("name")
    assert quantities.loc["aligned fraction", "value"] == pytest.approx(run.orientation["aligned_fraction"].mean())
    assert run.exit_code == 0 and run.info["kind"] == "orient"


def test_a_complete_run_is_not_done_again_and_is_not_overwritten(run: Run, drawn: Path) -> None:
    finder = Knowing()
    with pytest.raises(RunExistsError):
        orient(drawn / "image", drawn / "recipe.toml", run.path, finder=finder)
    again = orient(drawn / "image", drawn / "recipe.toml", run.path, finder=finder, resume=True)
    assert finder.calls == 0 and again.info["created"] == run.info["created"]
    with pytest.raises(UsageError, match="orient|recipe"):
        orient(drawn / "image", parse_recipe({"orient": {"radius_px": 20}}), run.path, finder=finder, resume=True)


@pytest.mark.usefixtures("no_figures")
def test_bad_files_are_listed_an_info_bar_is_left_out_and_no_scale_is_said(tmp_path: Path) -> None:
    picture = WirePicture(WireScene(seed=4, shape=(240, 256), bar=True))
    folder = tmp_path / "in"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), picture.image)
    cv2.imwrite(str(folder / "flat.png"), np.full((80, 90), 50, np.uint8))
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n not a picture")
    found = orient(folder, OFF, tmp_path / "r", finder=Knowing(picture))
    assert found.exit_code == 4 and [one["file"] for one in found.info["failed"]] == ["broken.png"]
    table = found.orientation.set_index("file")
    assert table.loc["a.png", "aligned_fraction"] == pytest.approx(picture.aligned_fraction, abs=1e-6)
    unknown = [c for c in table if c.startswith(("aligned", "S2", "director", "coherence"))]
    assert len(unknown) == 14 and table.loc["flat.png", unknown].isna().all()
    assert dict(table["doubt"]) == {"a.png": "", "flat.png": "few wires"} and table["coherence_length_nm"].isna().all()
    told = found.quantities.set_index("name")
    assert (told["n"][told["value"].notna()] == 1).all()
    assert told.loc["share of the picture with wires", "value"] == pytest.approx(picture.mask.mean())
    said = " ".join(found.warnings)
    assert "one grey value" in said and "no scale" in said
    cv2.imwrite(str(folder / "a.png"), picture.image)
    with pytest.raises(InputError, match="none of the 1 files"):
        orient(folder / "broken.png", OFF, tmp_path / "s", finder=Knowing())
    assert not (tmp_path / "s").exists()


@pytest.mark.usefixtures("no_figures")
def test_what_is_left_out_does_not_count(tmp_path: Path) -> None:
    picture = WirePicture(WireScene(seed=6, shape=(128, 128)))
    cv2.imwrite(str(tmp_path / "a.png"), picture.image)
    left = {"x0": 0, "y0": 0, "x1": 64, "y1": 128}
    half = parse_recipe({**QUIET, "frames": {"exclude": [left]}, "orient": {"maps": False}})
    found = orient(tmp_path / "a.png", half, tmp_path / "r", finder=Knowing(picture))
    kept = picture.mask[:, 64:]
    assert found.orientation["aligned_fraction"][0] == pytest.approx(picture.aligned[:, 64:].sum() / kept.sum(), abs=1e-6)
    assert found.orientation["wire_share"][0] == pytest.approx(kept.mean(), abs=1e-6)
    assert not (found.path / "maps").exists()


@pytest.mark.usefixtures("no_figures")
def test_stacks_have_a_row_per_frame_and_a_broken_off_run_goes_on(tmp_path: Path) -> None:
    import tifffile

    pictures = [WirePicture(WireScene(seed=k, shape=(96, 96))) for k in range(3)]
    folder = tmp_path / "in"
    folder.mkdir()
    tifffile.imwrite(folder / "a.tif", np.stack([p.image for p in pictures[:2]]))
    tifffile.imwrite(folder / "b.tif", pictures[2].image)
    recipe = parse_recipe({**QUIET, "run": {"chunk": 1}})

    class Breaking(Knowing):
        def maps(self, image: np.ndarray, *, radius_px: float = 32.0) -> WireMaps:
            if self.calls == 2:
                raise KeyboardInterrupt
            return super().maps(image, radius_px=radius_px)

    with pytest.raises(KeyboardInterrupt):
        orient(folder, recipe, tmp_path / "r", finder=Breaking(*pictures))
    finder = Knowing(*pictures)
    found = orient(folder, recipe, tmp_path / "r", finder=finder, resume=True)
    assert finder.calls == 1
    assert list(found.orientation["frame"]) == [0, 1, 0]
    assert found.orientation["aligned_fraction"].to_numpy() == pytest.approx([p.aligned_fraction for p in pictures], abs=1e-6)
    assert not (found.path / "parts").exists()


@pytest.mark.usefixtures("no_figures")
def test_a_run_broken_off_after_its_maps_were_joined_lists_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture, folder = WirePicture(WireScene(seed=1, shape=(96, 96))), tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), picture.image)

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("morphoscope.pipeline.orienting.write_orient_outputs", broken)
        orient(folder, OFF, tmp_path / "r", finder=Knowing(picture))
    (tmp_path / "r" / "maps" / "b.tif").replace(tmp_path / "r" / "parts" / "map-000001.tif")
    finder = Knowing()
    found = orient(folder, OFF, tmp_path / "r", finder=finder, resume=True)
    assert finder.calls == 0 and found.info["maps"] == ["maps/a.tif", "maps/b.tif"]


class Tensor:
    """A finder that goes by the structure tensor alone, and is sure of wires everywhere."""

    card = CARD

    def maps(self, image: np.ndarray, *, radius_px: float = 32.0) -> WireMaps:
        ones = np.ones(image.shape, np.float32)
        return WireMaps(ones, structure_tensor(image, window_px=4).field, ones)


def grating(angle_deg: float, shape: tuple[int, int] = (128, 160)) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    t = np.deg2rad(angle_deg)
    wave = np.cos(2 * np.pi * (np.sin(t) * x + np.cos(t) * y) / 16)
    return np.asarray((120 + 80 * wave).round(), np.uint8)


@pytest.mark.parametrize("angle", [10.0, 30.0, 31.0, 77.0])
def test_all_methods_tell_the_direction_of_a_grating(angle: float) -> None:
    row = orient_image(grating(angle), Tensor(), OFF, Calibration()).row
    for name in ("", "_tensor", "_lgo"):
        assert row[f"director{name}_deg"] == pytest.approx(angle, abs=0.5)
        assert row[f"S2{name}"] > 0.99
    assert row["doubt"] == ""


def test_pixels_that_are_not_square_do_not_turn_directions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[np.ndarray, Calibration]] = []

    def keep(picture: np.ndarray, _: object, calibration: Calibration) -> Figure:
        shown.append((picture, calibration))
        return new_figure(1, 1)

    monkeypatch.setattr("morphoscope.pipeline.orient_outputs._curves", lambda *_, **__: {})
    monkeypatch.setattr("morphoscope.report.orient_figures.orientation_figure", keep)
    true = grating(45)
    cv2.imwrite(str(tmp_path / "a.png"), cv2.resize(true, (160, 64), interpolation=cv2.INTER_AREA))
    left = {"x0": 0, "y0": 0, "x1": 160, "y1": 10}
    uneven = {"calibration": {"scale_bar": "off", "pixel_size_nm": [20.0, 10.0]}, "frames": {"exclude": [left]}}
    found = orient(tmp_path / "a.png", parse_recipe(uneven), tmp_path / "r", finder=Tensor())
    row = found.orientation.iloc[0]
    for name in ("", "_tensor", "_lgo"):
        assert row[f"director{name}_deg"] == pytest.approx(45, abs=1.0)
    assert row["wire_share"] == 1 and (row["width_px"], row["height_px"]) == (160, 64)
    assert row["radius_nm"] == pytest.approx(32 * 200**0.5) and row["pixel_size_nm"] == pytest.approx(200**0.5)
    maps = read_map(found.path / "maps" / "a.tif").values
    assert maps.shape == (3, 64, 160) and np.isnan(maps[0, :9]).all()
    assert np.median(maps[0, 12:]) == pytest.approx(45, abs=1.0)
    ((picture, scale),) = shown
    assert picture.shape == (91, 113) and scale.pixel_size_nm == pytest.approx((200**0.5, 200**0.5))
    assert any("not square" in note for note in found.info["notes"])
    assert square_shape((10, 20), Calibration(pixel_size_nm=(5.0, 5.01))) == (10, 20)


@pytest.mark.usefixtures("no_figures")
def test_images_that_the_methods_disagree_on_are_no_part_of_means_and_that_is_said(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), grating(20, (96, 96)))
    cv2.imwrite(str(tmp_path / "b.png"), np.random.default_rng(0).integers(0, 255, (96, 96)).astype(np.uint8))

    class Fooled(Tensor):
        def maps(self, image: np.ndarray, *, radius_px: float = 32.0) -> WireMaps:
            ones = np.ones(image.shape, np.float32)
            return WireMaps(ones, Directions(ones, 0 * ones), ones * np.float32(0.9 if image.std() > 70 else 0.6))

    found = orient(tmp_path, OFF, tmp_path / "r", finder=Fooled())
    assert list(found.orientation["doubt"]) == ["", "methods disagree"]
    assert found.quantities.set_index("name").loc["aligned fraction", ["value", "n"]].tolist() == [pytest.approx(0.6), 1]
    assert found.info["findings"][1].endswith("(in doubt: methods disagree)")
    assert "<td>methods disagree</td>" in found.report.read_text(encoding="utf-8")
    said = " ".join(found.info["notes"] + found.warnings)
    assert "1 of 2 images are in doubt" in said and "0.75 and not 0.6" in said and "look whether these are wires" in said


def test_pictures_that_nothing_can_be_told_of_are_in_doubt() -> None:
    kept, weight = np.ones((50, 50), bool), np.zeros((50, 50), np.float32)
    weight[:2] = 0.9
    assert doubt_of(weight, kept) == ""
    assert doubt_of(weight + 0.09, kept) == "unsure"
    weight[0, 25:] = 0
    assert doubt_of(weight, kept) == ""
    weight[0] = 0
    assert doubt_of(weight, kept) == "" and doubt_of(weight * 0.5, kept) == "few wires"
    row = {"aligned_fraction": 0.9, "S2": 0.95, "aligned_fraction_tensor": 0.0, "S2_tensor": 0.5}
    assert methods_disagree(row, ["tensor", "lgo"]) and not methods_disagree(row, [])
    agreed = row | {"S2_lgo": 0.9, "aligned_fraction_lgo": 0.8}
    assert not methods_disagree(agreed, ["tensor", "lgo"])


@pytest.mark.filterwarnings("error")
def test_blank_pictures_have_figures_and_are_said_to_be_blank() -> None:
    blank = orient_image(np.full((80, 90), 90, np.uint8), Knowing(), OFF, Calibration())
    histograms = [pd.DataFrame({**t.histogram._asdict(), "method": name}) for name, t in blank.told.items()]
    drawn = [orientation_figure(blank.picture, blank.told, Calibration()), histogram_figure(pd.concat(histograms))]
    drawn += [correlation_figure([blank.correlation.g], np.array([np.nan])), fraction_figure(pd.DataFrame([blank.row]))]
    for figure in drawn:
        figure.draw_without_rendering()
    labels = drawn[0].axes[5].get_yticklabels()
    assert all(one.get_window_extent().x1 < drawn[0].axes[5].get_window_extent().x0 for one in labels)  # beside the curves
    assert findings(pd.DataFrame([{"file": "a.png", **blank.row}])) == ["a.png: hardly any wires"]


def test_the_radius_is_in_px_or_in_nm() -> None:
    scale = Calibration(pixel_size_nm=(5.0, 5.0))
    assert radius_px(Recipe(), scale) == 32
    assert radius_px(parse_recipe({"orient": {"radius_nm": 200}}), scale) == 40
    with pytest.raises(InputError, match="no scale"):
        radius_px(parse_recipe({"orient": {"radius_nm": 200}}), Calibration())
    with pytest.raises(UsageError, match="one of"):
        parse_recipe({"orient": {"radius_nm": 200, "radius_px": 3}})


class Plain:
    """A session whose maps are the image itself, averaged over cells."""

    card = CARD
    input_shape = (None, 1, None, None)

    def run(self, batch: np.ndarray) -> list[np.ndarray]:
        n, _, h, w = batch.shape
        small = batch.reshape(n, h // 2, 2, w // 2, 2).mean((2, 4))
        return [np.stack([small] * len(CHANNELS), axis=1)]


def test_large_pictures_are_looked_at_in_tiles_and_small_ones_padded(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).integers(0, 255, (150, 230)).astype(np.uint8)
    whole = Orienter(Plain()).maps(image)
    monkeypatch.setattr("morphoscope.models.orient.TILE", 96)
    monkeypatch.setattr("morphoscope.models.orient.MARGIN", 32)
    tiled = Orienter(Plain()).maps(image)
    assert whole.wire.shape == image.shape
    for one, two in zip((whole.wire, *whole.field, whole.aligned), (tiled.wire, *tiled.field, tiled.aligned), strict=True):
        assert np.array_equal(one, two)


def test_the_radius_resizes_what_the_model_sees() -> None:
    seen: list[tuple[int, ...]] = []

    class Watching(Plain):
        def run(self, batch: np.ndarray) -> list[np.ndarray]:
            seen.append(batch.shape)
            return super().run(batch)

    image = np.random.default_rng(0).random((128, 160)).astype(np.float32)
    assert Orienter(Watching()).maps(image, radius_px=64).wire.shape == (128, 160)
    assert set(seen) == {(1, 1, 64, 80)}
    with pytest.raises(InputError, match="radius"):
        Orienter(Plain()).maps(image, radius_px=2)
    with pytest.raises(InputError, match="finite"):
        Orienter(Plain()).maps(np.full((64, 64), np.nan))
    with pytest.raises(InputError, match="grey"):
        Orienter(Plain()).maps(np.zeros((64, 64, 3)))


def test_models_for_other_tasks_are_refused() -> None:
    class Other(Plain):
        card = CARD.model_copy(update={"task": "segment"})

    class Later(Plain):
        card = CARD.model_copy(update={"postprocess": "wires-2"})

    with pytest.raises(ModelError, match="orient"):
        Orienter(Other())
    with pytest.raises(ModelError, match="wires-2"):
        Orienter(Later())


def test_the_command_refuses_what_does_not_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for more in (["--overwrite", "--resume"], ["--radius", "20", "--radius-nm", "200"]):
        with pytest.raises(SystemExit) as ended:
            main(["orient", str(tmp_path), "-o", str(tmp_path / "r"), *more])
        assert ended.value.code == 2
    assert "give one of them" in capsys.readouterr().err


def test_run_json_says_what_the_fractions_rest_on(run: Run) -> None:
    info = json.loads((run.path / "run.json").read_text(encoding="utf-8"))
    assert info["counts"] == {"images": 2, "files": 2, "left out": 0}
    assert any("0.05" in note for note in info["notes"]) and any("0.75" in note for note in info["notes"])
    assert info["maps"] == ["maps/001.tif", "maps/002.tif"]


@pytest.mark.usefixtures("no_figures")
def test_a_run_of_the_shipped_model_is_the_same_again(drawn: Path, tmp_path: Path) -> None:
    first = orient(drawn / "image" / "002.tif", OFF, tmp_path / "one")
    again = analyze_again(first, tmp_path / "two")
    assert again.info["kind"] == "orient" and differences(first, again) == []
    other = orient(drawn / "image" / "002.tif", parse_recipe({**QUIET, "orient": {"radius_px": 24}}), tmp_path / "three")
    assert any("aligned_fraction" in line for line in differences(first, other))

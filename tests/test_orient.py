"""Runs of `orient`: against a finder that knows the truth, tables, maps, bad files, going on, the model's file."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from morphoscope.cli.main import main
from morphoscope.errors import InputError, ModelError, RunExistsError, UsageError
from morphoscope.measure.alignment import Directions
from morphoscope.models.card import ModelCard
from morphoscope.models.orient import Orienter
from morphoscope.models.wire_maps import CHANNELS, WireMaps
from morphoscope.pipeline.again import analyze_again, differences
from morphoscope.pipeline.folder import Run
from morphoscope.pipeline.orient_image import MODEL_ERROR, radius_px
from morphoscope.pipeline.orienting import orient
from morphoscope.pipeline.score_maps import read_map
from morphoscope.recipe import Recipe, parse_recipe
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
        if picture is None:
            nothing = np.zeros(image.shape, np.float32)
            return WireMaps(nothing, Directions(nothing, nothing), nothing)
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
    for name in ("orientation_1", "orientation_2", "orientation_histogram", "orientation_correlation", "aligned_fractions"):
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
    assert np.isnan(table.loc["flat.png", "aligned_fraction"]) and table["coherence_length_nm"].isna().all()
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


def test_the_radius_is_in_px_or_in_nm() -> None:
    from morphoscope.calibration import Calibration

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

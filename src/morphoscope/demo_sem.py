"""The built-in sample of SEM pictures: few labelled ones teach categories, a person corrects what is doubtful, wires are told."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from morphoscope.demo import Check
from morphoscope.errors import UsageError
from morphoscope.io.tables import write_csv
from morphoscope.pipeline import Run, classify, orient, take_labels
from morphoscope.pipeline.classify_results import FOREIGN
from morphoscope.pipeline.corrections import Taken
from morphoscope.pipeline.stream import Progress
from morphoscope.recipe import Recipe
from morphoscope.synth.categories import BETWEEN, ODD, save_picture, write_categories, write_pool
from morphoscope.synth.wires import WirePicture

ACCURACY = 0.9  # of the accepted; 0.99 takes some hundreds of labelled images
LABELLED, POOL, FRESH = 12, 12, 6  # pictures of a category
PIXEL_NM = 10.0
FOLLOWING = (1.0, 0.8, 0.55, 0.3)  # shares of the wires that follow their pattern

Teacher = Callable[[Path, Path | None, Path], None]


@dataclass(frozen=True)
class Story:
    """The runs of the demo, what was moved and what was answered in next.csv between them, and found against true."""

    first: Run
    second: Run
    wires: Run
    moved: Taken
    told: Taken
    checks: list[Check]


def run_sem_demo(
    folder: Path,
    seed: int,
    *,
    labelled: int = LABELLED,
    pool: int = POOL,
    fresh: int = FRESH,
    shape: tuple[int, int] = (240, 320),
    teacher: Teacher | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Story:
    """Draw pictures, teach categories, classify a mixed folder, correct by hand, teach again, classify new pictures, tell wires.

    `folder/labelled` holds a folder per category, `folder/pool` and `folder/fresh` mixed pictures, among them some of no category
    and some of particles on nanowires, which the person makes a category of its own. The models are `first.onnx` and
    `second.onnx`, the runs `run-first`, `run` and `run-wires`, the person's words lie in `sem.project`.

    Args:
        folder: made where it is missing.
        seed: the same seed gives the same pictures.
        labelled: pictures of a category that are labelled.
        pool: pictures of a category in the folder that is classified first.
        fresh: the same in the second one.
        shape: (height, width) of the pictures in px.
        teacher: used instead of `train classify`.
        overwrite: replace an earlier demo's runs there.
        progress: see `pipeline.classify`.

    Raises:
        UsageError: PyTorch or the pretrained network is not installed.
    """
    teach, project = teacher or _teach, folder / "sem.project"
    if overwrite:
        _clear(folder)
    data = write_categories(folder / "labelled", labelled, seed=seed, shape=shape)
    teach(data, None, folder / "first.onnx")
    odd = max(pool // 2, 1)
    mixed, truth = write_pool(folder / "pool", pool, odd=odd, between=odd, seed=seed + 1, shape=shape)
    truth.to_csv(folder / "pool.csv", index=False)
    first = _classified(mixed, folder / "first.onnx", project, folder / "run-first", overwrite, progress)
    checks = compare_decisions(first.images, truth)
    correct_by_hand(first, truth)
    moved = take_labels(first.path, project, author="demo")
    answer_list(first, truth)
    told = take_labels(first.path / "next.csv", project, author="demo")
    teach(data, project, folder / "second.onnx")
    new, later = write_pool(folder / "fresh", fresh, odd=0, between=fresh, seed=seed + 2, shape=shape)
    later.to_csv(folder / "fresh.csv", index=False)
    second = _classified(new, folder / "second.onnx", project, folder / "run", overwrite, progress)
    checks += compare_later(second.images, later)
    wires, true = _wires(folder, seed + 3, overwrite, progress)
    return Story(first, second, wires, moved, told, [*checks, compare_wires(wires, true)])


def _clear(folder: Path) -> None:
    """Remove what an earlier demo drew and sorted there, so that this one begins anew."""
    for name in ("labelled", "pool", "fresh", "wires", "run-first/sorted", "run/sorted"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / "sem.project").unlink(missing_ok=True)


def _teach(data: Path, project: Path | None, target: Path) -> None:
    try:
        from morphoscope.train.class_data import Source
        from morphoscope.train.classify import train_classifier
    except ImportError as error:
        raise UsageError(
            f"`demo sem` teaches a network, which needs the extra 'train' ({error}): pip install 'morphoscope[train]'"
        ) from error
    recipe = Recipe.model_validate({"train": {"limits": "taught by a few drawn pictures", "licence": "drawn by morphoscope"}})
    train_classifier(Source(data, project), target, recipe)


def _classified(images: Path, model: Path, project: Path, output: Path, overwrite: bool, progress: Progress | None) -> Run:
    settings = {"model": str(model), "accuracy": ACCURACY, "sort": "copy", "project": str(project)}
    recipe = Recipe.model_validate({"classify": settings})
    return classify(images, recipe, output, overwrite=overwrite, progress=progress)


def correct_by_hand(run: Run, truth: pd.DataFrame) -> int:
    """Do what a person does with the sorted folders: move what was left over where it belongs; how many images were moved.

    Only the images under review and those called foreign are looked at, as they are in the laboratory.
    """
    folder, known = run.path / "sorted", dict(zip(truth["file"], truth["label"], strict=True))
    moved = 0
    for place in ("review", "foreign"):
        for path in sorted((folder / place).rglob("*.png")):
            label = known[path.name]
            target = folder / ("foreign" if label == ODD else f"accept/{label}") / path.name
            if target != path:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(path, target)
                moved += 1
    return moved


def answer_list(run: Run, truth: pd.DataFrame) -> None:
    """Fill in the images to label next, as a person does in a spreadsheet."""
    path, known = run.path / "next.csv", dict(zip(truth["file"], truth["label"], strict=True))
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    true = table["file"].map(known)
    write_csv(path, table.assign(label=true.where(true != ODD, ""), decision=true.where(true == ODD, "").replace(ODD, FOREIGN)))


def compare_decisions(images: pd.DataFrame, truth: pd.DataFrame) -> list[Check]:
    """The first run: are the accepted right, how many are left over, and is what belongs nowhere held back."""
    table = images.merge(truth.rename(columns={"label": "true"}), on="file")
    usual = table[~table["true"].isin((ODD, BETWEEN))]
    accepted = usual[usual["decision"] == "accept"]
    odd = table[table["true"] == ODD]
    right = float((accepted["label"] == accepted["true"]).mean()) if len(accepted) else 0.0
    return [
        _least("accepted that are right", right, ACCURACY),
        _least("accepted of the known categories", len(accepted) / max(len(usual), 1), 0.7),
        _least("pictures of no category held back", float((odd["decision"] != "accept").mean()), 0.5),
    ]


def compare_later(images: pd.DataFrame, truth: pd.DataFrame) -> list[Check]:
    """The second run, on new pictures: the category that the person made is known now."""
    table = images.merge(truth.rename(columns={"label": "true"}), on="file")
    usual, made = table[table["true"] != BETWEEN], table[table["true"] == BETWEEN]
    return [
        _least("taught again: right of all", float((usual["label"] == usual["true"]).mean()), 0.9),
        _least(f"  right of {BETWEEN}", float((made["label"] == made["true"]).mean()), 0.6),
    ]


def _least(name: str, found: float, least: float) -> Check:
    return Check(name, found, 1.0, "", 1 - found, round(1 - least, 6), relative=False)


def _wires(folder: Path, seed: int, overwrite: bool, progress: Progress | None) -> tuple[Run, pd.DataFrame]:
    rows = []
    for k, following in enumerate(FOLLOWING):
        picture = WirePicture(seed=seed + k, pattern="domains", following=following, pixel_size_nm=PIXEL_NM)
        save_picture(folder / "wires" / f"{k}.png", picture.image)
        rows.append((f"{k}.png", picture.aligned_fraction))
    truth = pd.DataFrame(rows, columns=["file", "aligned_fraction"])
    truth.to_csv(folder / "wires.csv", index=False)
    recipe = Recipe.model_validate({"calibration": {"pixel_size_nm": PIXEL_NM}})
    return orient(folder / "wires", recipe, folder / "run-wires", overwrite=overwrite, progress=progress), truth


def compare_wires(run: Run, truth: pd.DataFrame) -> Check:
    """The share of coherently aligned wires, on average over the pictures."""
    found = run.orientation.set_index("file").loc[truth["file"], "aligned_fraction"].to_numpy(float)
    true = truth["aligned_fraction"].to_numpy(float)
    off = float(np.abs(found - true).mean())
    return Check("aligned wires (error: mean)", float(found.mean()), float(true.mean()), "", off, 0.05, relative=False)

"""The built-in sample of films: few labelled ones teach a scorer, which scores a film that dewets and a grid of conditions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr

from morphoscope.demo import Check
from morphoscope.errors import InputError
from morphoscope.pipeline import Run, score
from morphoscope.pipeline.stream import Progress
from morphoscope.recipe import Recipe
from morphoscope.synth.film_scene import random_film
from morphoscope.synth.write_films import dewetting_surface, film_series, film_surface, films_alike, write_films

MODEL = "films"  # what the training starts from, and what scores where nothing can be trained
DEWETTING = "S_dewetting"
LABELLED, EPOCHS = 16, 3
PATCH_PX = 128


@dataclass(frozen=True)
class Story:
    """The runs of the demo, the table of found against true, and what scored."""

    surface: Run
    series: Run
    checks: list[Check]
    model: str


def run_films_demo(
    folder: Path,
    seed: int,
    *,
    n_pictures: int = 16,
    grid: tuple[int, int] = (6, 6),
    labelled: int = LABELLED,
    shape: tuple[int, int] = (384, 512),
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Story:
    """Draw films into `folder/labelled`, `series` and `surface`, learn from the first, score the others.

    The model is written to `folder/mine.onnx`; the runs are `folder/run-series` and `folder/run`.

    Args:
        folder: made where it is missing.
        seed: the same seed gives the same films.
        n_pictures: of the film that dewets.
        grid: how many values each of two conditions has.
        labelled: films with known extents that are learnt.
        shape: (height, width) of the pictures in px.
        overwrite: replace an earlier demo's runs there.
        progress: see `pipeline.score`.
    """
    like = random_film(seed, field="dark", thickness_nm=300.0, shape=shape)
    write_films(films_alike(seed + 1, like, labelled), folder / "labelled")
    series = write_films(film_series(seed + 2, n_pictures, like=like), folder / "series")
    surface = write_films(film_surface(seed + 3, grid, like=like), folder / "surface")
    model = teach(folder / "labelled", folder / "mine.onnx")
    recipe = Recipe.model_validate({"score": {"model": model}})
    one, many = (
        score(
            drawn / "image",
            recipe,
            folder / name,
            conditions=drawn / "conditions.csv",
            overwrite=overwrite,
            progress=progress,
        )
        for drawn, name in ((series, "run-series"), (surface, "run"))
    )
    return Story(many, one, [*compare_series(one, series), *compare_surface(many)], model)


def teach(labelled: Path, target: Path) -> str:
    """Train a scorer from labelled films and give its path; the shipped model's name where PyTorch is not installed.

    Only its last layers learn: so few films would teach the others to know these films by heart.
    """
    try:
        from morphoscope.train.score import train_scorer
    except ImportError:
        return MODEL
    from morphoscope.models.card import resolve_model

    settings = {"epochs": EPOCHS, "patches": 50, "limits": "taught by a few drawn films", "licence": "drawn by morphoscope"}
    recipe = Recipe.model_validate({"score": {"patch_px": PATCH_PX}, "train": settings})
    train_scorer(labelled, target, recipe, start=resolve_model(MODEL), freeze="backbone")
    return str(target)


def compare_series(run: Run, drawn: Path) -> list[Check]:
    """The score of dewetting along a film that dewets against its true share."""
    found, true = scores_and_truth(run, drawn)
    rank = float(spearmanr(found[DEWETTING], true).statistic)
    rms = float(np.sqrt(((found[DEWETTING] - true) ** 2).mean()))
    end = (float(found[DEWETTING].iloc[-1]), float(true[-1]))
    chance = float(_table(run, "trends").set_index("score").loc[DEWETTING, "p_holm"])
    return [
        _near("dewetting at the end", *end, 0.1),
        _near("  rms over the series", rms, 0.0, 0.08),
        _near("rank correlation with the truth", rank, 1.0, 0.01),
        _near("chance that it is no trend", chance, 0.0, 0.01),
    ]


def _near(name: str, found: float, true: float, limit: float) -> Check:
    return Check(name, found, true, "", abs(found - true), limit, relative=False)


def compare_surface(run: Run) -> list[Check]:
    """The response surface of dewetting, and its interval, against the law that the films were drawn by."""
    table = _table(run, "response")
    table = table[table["score"] == DEWETTING]
    law = dewetting_surface(table["ratio"].to_numpy(), table["anneal_min"].to_numpy())
    rms = float(np.sqrt(((table["mean"] - law) ** 2).mean()))
    inside = float(((table["low"] <= law) & (law <= table["high"])).mean())
    return [
        _near("highest of the response surface", float(table["mean"].max()), float(law.max()), 0.12),
        _near("  rms of the surface", rms, 0.0, 0.06),
        _near("  share within its interval", inside, 0.95, 0.1),
    ]


def scores_and_truth(run: Run, drawn: Path) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """The rows of scores.parquet and the true share that is bare, in the order of the files."""
    found = pd.read_parquet(run.path / "scores.parquet").sort_values("file", ignore_index=True)
    true = pd.read_csv(drawn / "scores.csv").set_index("file").loc[found["file"], "dewetting"]
    return found, true.to_numpy(float)


def _table(run: Run, name: str) -> pd.DataFrame:
    path = run.path / f"{name}.csv"
    if not path.is_file():
        raise InputError(f"the run {run.path} holds no {name}.csv; it was made by another version")
    return pd.read_csv(path)

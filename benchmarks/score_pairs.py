"""Two classes of 100 images each, from the command line, judged on all other images: `python -m benchmarks.score_pairs`.

Each of the 15 pairs of classes of neu-surface: 100 images a class, drawn by chance, train a model with `train score` and no
settings (but the number of threads); `evaluate` judges it on the rest of both classes. What was measured is kept in
benchmarks/out/score_pairs, and pairs that are there are not trained again unless `--again` is given.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path

import numpy as np

from benchmarks.data import OUT, data_folder

FOLDER = OUT / "score_pairs"
LEARNT = 100


def deal(pair: tuple[str, str], folder: Path) -> None:
    """Copy the images of a pair of classes to learn/ and rest/ in a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in pair:
        files = sorted((data_folder("neu-surface") / name).iterdir())
        order = np.random.default_rng(0).permutation(len(files))
        for part, some in (("learn", order[:LEARNT]), ("rest", order[LEARNT:])):
            (folder / part / name).mkdir(parents=True)
            for k in some:
                shutil.copy(files[k], folder / part / name)


def command(*arguments: str) -> tuple[str, float, float]:
    """What a command prints, and the seconds that it takes: of the clock, and of all cores together."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "morphoscope.cli", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"morphoscope {' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout, time.perf_counter() - begin, used


def measure(pair: tuple[str, str], threads: int) -> dict[str, float]:
    """Train and judge one pair."""
    folder = FOLDER / "-".join(pair)
    deal(pair, folder)
    recipe, model = folder / "recipe.toml", folder / "model.onnx"
    recipe.write_text(f"[run]\nthreads = {threads}\n", encoding="utf-8")
    _, wall, used = command("train", "score", str(folder / "learn"), "-o", str(model), "--recipe", str(recipe))
    found = json.loads(command("evaluate", str(model), str(folder / "rest"), "--json")[0])
    return {**found, "wall_s": wall, "cpu_s": used}


def main() -> None:
    """All pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", action="store_true", help="train pairs that are there already, too")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=15, help="only so many")
    given = parser.parse_args()
    names = sorted(p.name for p in data_folder("neu-surface").iterdir())
    FOLDER.mkdir(parents=True, exist_ok=True)
    print(f"{'pair':<34} {'accuracy (95 %)':>22} {'AUC':>6} {'wrong':>9} {'wall':>6} {'CPU':>6}")
    rows = []
    for pair in list(combinations(names, 2))[: given.pairs]:
        kept = FOLDER / f"{'-'.join(pair)}.json"
        if given.again or not kept.exists():
            kept.write_text(json.dumps(measure(pair, given.threads)), encoding="utf-8")
        m = json.loads(kept.read_text(encoding="utf-8"))
        rows.append(m)
        wrong = f"{m['fp']:.0f} of {m['n_images']:.0f}"
        interval = f"{m['accuracy']:.3f} ({m['accuracy_low']:.3f} to {m['accuracy_high']:.3f})"
        print(
            f"{' / '.join(pair):<34} {interval:>22} {m['auc']:6.3f} {wrong:>9} {m['wall_s']:4.0f} s {m['cpu_s']:4.0f} s",
            flush=True,
        )
    accuracy, reached = [m["accuracy"] for m in rows], sum(m["accuracy"] >= 0.97 for m in rows)
    print(f"mean {np.mean(accuracy):.3f}, least {min(accuracy):.3f}; {reached} of {len(rows)} pairs reach 0.97")


if __name__ == "__main__":
    main()

"""How often the demo of particles passes, and how near its marks it comes.

`python -m benchmarks.demo_particles --seeds 15` runs `morphoscope demo particles` on seeds 0, 1, ... in a temporary folder, its
figures left out, and prints for each line of its table the median and the largest error beside what is allowed, and how often
it passed.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import pandas as pd

from morphoscope.demo_particles import MODEL, run_particles_demo
from morphoscope.pipeline import outputs


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=15)
    count = parser.parse_args().seeds
    rows, seconds = [], []
    outputs._save = lambda *_, **__: {}
    for seed in range(count):
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            story = run_particles_demo(Path(folder), seed)
            seconds.append(time.process_time() - start)
        for line, check in enumerate(story.checks):
            rows.append({"line": line, "name": check.name, "error": check.error / check.limit, "passed": check.passed})
        failed = [check.name for check in story.checks if not check.passed]
        print(
            f"seed {seed}: {seconds[-1]:.1f} s of CPU; {'failed: ' + ', '.join(failed) if failed else 'all passed'}", flush=True
        )
    table = (
        pd.DataFrame(rows)
        .groupby(["line", "name"])
        .agg(median=("error", "median"), largest=("error", "max"), passed=("passed", "sum"))
    )
    print(f"\n{MODEL}, {count} seeds; errors as shares of what is allowed")
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()

"""Networks of patches that go on from a trained model: norms that keep what they know; shares keep their size."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from morphoscope.train.patch_networks import build_network  # noqa: E402
from morphoscope.train.score_loop import Fit, best_temperature, train_patches  # noqa: E402


class Grey:
    """Patches that are all of one grey, half of each marked."""

    shift = 0.0

    def __len__(self) -> int:
        return 20

    def draw(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        patches = np.full((count, 3, 32, 32), 0.7, np.float32) + 0.01 * rng.standard_normal((count, 3, 32, 32), dtype=np.float32)
        return patches, np.full((count, 1), 0.5, np.float32), np.ones(count, np.float32)


@pytest.mark.parametrize("keep", [True, False])
def test_norms_keep_the_statistics_of_a_trained_model(keep: bool) -> None:
    network = build_network("cells", outputs=1, layers="4 / 4", input_px=32)
    before = [m.running_mean.clone() for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    fit = Fit("multi-label", 10, 4, 1e-3, 1, 1, 0, keep)
    learnt, _ = train_patches(network, Grey(), fit)
    after = [m.running_mean for m in learnt.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True)) == keep


def test_shares_are_not_drawn_towards_one_half_by_a_class_that_is_badly_told() -> None:
    network = build_network("film", outputs=2, layers="4", input_px=8).eval()
    patches = np.random.default_rng(0).random((40, 3, 8, 8), dtype=np.float32)
    fit = Fit("multi-label", 10, 4, 1e-3, 1, 1, 0)
    wrong = np.random.default_rng(1).random((40, 2)).astype(np.float32)
    assert best_temperature(network, (patches, wrong), fit) == 1
    assert best_temperature(network, (patches, np.round(wrong)), fit) != 1

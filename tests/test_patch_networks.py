"""Networks of patches: the published counts, one pass against patch by patch, and out to a file and back."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from morphoscope.errors import ModelError, UsageError  # noqa: E402
from morphoscope.models.card import ModelCard  # noqa: E402
from morphoscope.models.runtime import read_card  # noqa: E402
from morphoscope.train.export import export_scorer  # noqa: E402
from morphoscope.train.patch_networks import NETWORKS, build_network, side_left  # noqa: E402
from morphoscope.train.trained import load_network, load_patch_network, score_outputs  # noqa: E402

CARD = ModelCard(
    name="cracks", task="score", classes=("crack",), preprocess="unit-1", postprocess="scores-1", answer="multi-label"
)


def shapes(network) -> list[tuple[int, ...]]:
    """(kernel, channels in, channels out) of the convolutions."""
    found = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    return [(m.kernel_size[0], m.in_channels, m.out_channels) for m in found]


@pytest.mark.parametrize(("name", "count"), [("deepthin-road-50", 80_386), ("deepthin-road-27", 34_306)])
def test_the_published_counts_of_parameters(name: str, count: int) -> None:
    assert build_network(name, outputs=2).parameter_count == count


def test_the_published_layers() -> None:
    block = [(3, 3, 32), (3, 32, 32), (3, 32, 32), (3, 32, 32)]
    darkfield = build_network("deepthin", outputs=4)
    assert shapes(darkfield) == [*block, (9, 32, 20), (1, 20, 20), (1, 20, 4)]
    assert (darkfield.input_px, darkfield.channels, darkfield.pool, darkfield.dense) == (50, 3, 4, True)
    convnet = build_network("convnet", outputs=2)
    assert shapes(convnet) == [(4, 3, 48), (5, 48, 48), (3, 48, 48), (4, 48, 48), (3, 48, 200), (1, 200, 2)]
    cnn = build_network("crackcnn", outputs=25)
    assert [s[2] for s in shapes(cnn)] == [16, 16, 16, 32, 32, 64, 64, 25]
    assert shapes(cnn)[5] == (7, 32, 64) and not cnn.dense


@pytest.mark.parametrize("name", NETWORKS)
def test_a_patch_gives_one_answer(name: str) -> None:
    network = build_network(name, outputs=3).eval()
    with torch.inference_mode():
        patches = torch.zeros(2, network.channels, network.input_px, network.input_px)
        assert network.of_patches(patches, "multi-label").shape == (2, 3, 1, 1)


@pytest.mark.parametrize(
    ("name", "side"), [(n, s) for n in NETWORKS if n not in ("cells", "crackcnn", "convnet") for s in (16, 27, 33, 50)]
)
def test_one_pass_is_patch_by_patch(name: str, side: int) -> None:
    torch.manual_seed(side)
    network = build_network(name, outputs=2, input_px=side)
    network(torch.rand(8, network.channels, side, side))  # batch norms that do something
    network.eval()
    step = network.pool
    image = torch.rand(1, network.channels, side + 2 * step, side + 3 * step)
    with torch.inference_mode():
        whole = network(image)
        assert whole.shape[2:] == (3, 4)
        for row in range(3):
            for column in range(4):
                patch = image[:, :, row * step : row * step + side, column * step : column * step + side]
                assert torch.allclose(network(patch)[0, :, 0, 0], whole[0, :, row, column], atol=1e-5)


@pytest.mark.parametrize(("name", "least"), [("deepthin", 16), ("convnet", 59), ("film", 3), ("crackcnn", 1)])
def test_the_least_patch_is_said(name: str, least: int) -> None:
    assert build_network(name, outputs=1, input_px=least).input_px == least
    if least > 1:
        with pytest.raises(UsageError, match=f"{name} needs patches of at least {least} px, got {least - 1} px"):
            build_network(name, outputs=1, input_px=least - 1)


def test_the_side_left_is_what_the_layers_leave() -> None:
    for name in (n for n in NETWORKS if n != "cells"):
        for side in (61, 64, 99):
            network = build_network(name, outputs=1, input_px=side)
            with torch.inference_mode():
                left = network.features(torch.zeros(1, network.channels, side, side)).shape[-1]
            assert side_left(network.features, side) == left


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(UsageError, match=r"wanted one of the networks film, deepthin.*cells, got 'vgg'"):
        build_network("vgg", outputs=1)


@pytest.mark.parametrize(("name", "side"), [("film", 27), ("cells", 64), ("deepthin-road-27", 27), ("crackcnn", 27)])
def test_out_to_a_file_and_back(name: str, side: int, tmp_path) -> None:
    network = build_network(name, outputs=1, layers="8 / 8 8" if name in ("film", "cells") else None, input_px=side)
    network(torch.rand(8, network.channels, side, side))
    card = export_scorer(network, CARD, tmp_path / "m.onnx")
    assert card == read_card(tmp_path / "m.onnx")
    assert (card.patch_px, card.channels, card.dense, card.stride) == (
        side,
        network.channels,
        name != "crackcnn",
        card.stride,
    )
    again = load_patch_network(tmp_path / "m.onnx").eval()
    image = torch.rand(1, network.channels, side, side)
    with torch.inference_mode():
        assert torch.equal(again(image), network(image))
    other = load_patch_network(tmp_path / "m.onnx", outputs=score_outputs(("a", "b", "c", "d", "e"), 1))
    assert other.outputs == 5
    assert torch.equal(other.features[0].weight, network.features[0].weight)


def test_training_goes_on_with_each_class_by_its_name(tmp_path) -> None:
    """Data name classes in their own order: what was learnt of a class stays with it, new ones know nothing."""
    network = build_network("deepthin-road-27", outputs=3)
    export_scorer(network, CARD.model_copy(update={"classes": ("scratch", "crack", "particle")}), tmp_path / "m.onnx")
    there, image = network.eval(), torch.rand(1, 1, 27, 27)
    other = load_patch_network(tmp_path / "m.onnx", outputs=score_outputs(("crack", "hole", "scratch"), 1)).eval()
    with torch.inference_mode():
        was, now = there(image).flatten(), other(image).flatten()
    assert torch.equal(now, torch.stack([was[1], torch.tensor(0.0), was[0]]))


def test_a_file_of_another_kind_is_refused(tmp_path) -> None:
    export_scorer(build_network("deepthin-road-27", outputs=1), CARD, tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="CentreNet"):
        load_network(tmp_path / "m.onnx")

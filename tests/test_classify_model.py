"""Classifier files: what a network says is what the file says, and images are seen alike whatever their depth and size."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="training is an extra; pip install 'morphoscope[train]'")
import torch

from morphoscope.errors import InputError, ModelError, UsageError
from morphoscope.models.card import HeldOutAnswers, ModelCard
from morphoscope.models.classify import load_classifier, probabilities
from morphoscope.models.image_view import standard_view
from morphoscope.train.backbones import BACKBONES, build_backbone
from morphoscope.train.class_network import ClassNet, build_class_network
from morphoscope.train.export import export_classifier
from morphoscope.train.trained import load_class_network

CARD = ModelCard(
    name="tiny",
    task="classify",
    classes=("a", "b", "c"),
    preprocess="standard-rgb-1",
    postprocess="classes-of-image-1",
    view_px=64,
)
# parameters as published, with the classes of ImageNet; the heads of 1280 that are left out are added again
PUBLISHED = {
    "lite0": 4_652_008,
    "lite1": 5_416_680,
    "lite2": 6_092_072,
    "mobilenet-v2": 3_504_872,
    "resnet18": 11_689_512,
    "resnet50": 25_557_032,
    "inception-v3": 23_834_568,
    "inception-v4": 42_679_816,
}


def network(head="linear", *, known=7, seed=0):
    """A tiny network with random heads and known images."""
    torch.manual_seed(seed)
    made = ClassNet(build_backbone("tiny"), classes=3, known=known, head=head)
    with torch.no_grad():
        made.bank.copy_(torch.randn(known, made.backbone.features))
        made.reach.fill_(2.5)
        if head == "linear":
            made.head.last.weight.normal_()
        else:
            made.head.votes.copy_(torch.log(torch.rand(known, 3)))
            made.head.width.fill_(3.0)
    made.eval()
    return made


@pytest.mark.parametrize("head", ["linear", "neighbours"])
def test_a_file_says_what_the_network_says_and_trains_on(tmp_path, head):
    made, path = network(head), tmp_path / "m.onnx"
    held = HeldOutAnswers(truth_probability=(0.9, 0.2), top=(0.9, 0.5), right=(True, False), group=(0, 1))
    export_classifier(made, CARD.model_copy(update={"temperature": 2.0, "held_out": held}), path)
    model, rng = load_classifier(path, threads=1), np.random.default_rng(0)
    images = [rng.integers(0, 255, shape, np.uint8) for shape in ((70, 100), (64, 64, 3))]
    seen = [model.prepare(image) for image in images]
    answers = model.answers(seen)
    with torch.inference_mode():
        wanted = [[part[0].numpy() for part in made(torch.from_numpy(one[None]))] for one in seen]
        again = [part[0].numpy() for part in load_class_network(path)(torch.from_numpy(seen[0][None]))]
    for k, (logits, features, foreign) in enumerate(wanted):
        np.testing.assert_allclose(answers.logits[k], logits, atol=1e-4)
        np.testing.assert_allclose(answers.features[k], features, atol=1e-4)
        assert answers.foreign[k] == pytest.approx(foreign, rel=1e-3)
        np.testing.assert_allclose(answers.probability[k], np.exp(logits / 2) / np.exp(logits / 2).sum(), atol=1e-4)
    for part, same in zip(again, wanted[0], strict=True):
        np.testing.assert_allclose(part, same, atol=1e-4)
    assert model.card.held_out == held
    np.testing.assert_array_equal(model.answers(seen[1:]).logits[0], answers.logits[1])


def test_a_file_keeps_the_spread_that_its_backbone_saw(tmp_path):
    made, path = network(), tmp_path / "m.onnx"
    made.backbone.gain = 0.25  # as a version with another spread would have written it
    card = export_classifier(made, CARD, path)
    again, seen = load_class_network(path), torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert card.architecture["gain"] == again.backbone.gain == 0.25
    with torch.inference_mode():
        np.testing.assert_allclose(again(seen)[0].numpy(), made(seen)[0].numpy(), atol=1e-4, rtol=1e-4)
    older = {"network": "ClassNet", "backbone": "lite0", "head": "linear", "classes": 2, "known": 2}
    assert build_class_network(older).backbone.gain == 1 and build_backbone("lite0", pretrained=False).gain == 0.5


def test_votes_are_those_of_a_plain_count():
    made = network("neighbours")
    features = torch.randn(2, made.backbone.features)
    logits, bank = made.head(features, made.bank).numpy(), made.bank.numpy()
    for row, one in zip(logits, features.numpy(), strict=True):
        cosine = bank @ one / (np.linalg.norm(bank, axis=1) * np.linalg.norm(one))
        np.testing.assert_allclose(row, np.log(np.exp(cosine / 3.0) @ np.exp(made.head.votes.numpy())), rtol=1e-4)


def test_a_known_image_is_not_foreign_and_noise_is():
    made = network(known=1)
    image = np.tile(np.arange(64, dtype=np.uint8), (64, 1))
    seen = torch.from_numpy(standard_view(image, view_px=64)[None])
    with torch.inference_mode():
        made.bank.copy_(made(seen)[1])
        own = made(seen)[2]
        noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
        other = made(torch.from_numpy(standard_view(noise, view_px=64)[None]))[2]
    assert float(own) < 1e-2 < float(other)


def test_views_do_not_depend_on_depth_brightness_or_contrast():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 200, (90, 130), np.uint8)
    seen = standard_view(image, view_px=64)
    assert seen.shape == (3, 64, 96) and seen.dtype == np.float32
    assert seen.mean() == pytest.approx(0, abs=1e-5) and seen.std() == pytest.approx(1, abs=1e-3)
    for other in (image.astype(np.uint16) * 257, image / 255.0, 3.0 + image.astype(np.float32) * 0.01):
        np.testing.assert_allclose(standard_view(other, view_px=64), seen, atol=2e-4)
    np.testing.assert_allclose(standard_view(np.stack([image] * 3, axis=2), view_px=64), seen, atol=1e-5)
    assert not standard_view(np.full((64, 64), 7, np.uint8), view_px=64).any()


def test_an_info_bar_is_not_seen():
    rng = np.random.default_rng(1)
    image = rng.integers(60, 200, (240, 320), np.uint8)
    bar = np.zeros((24, 320), np.uint8)
    bar[8:16, 20:90:2] = 255
    np.testing.assert_array_equal(standard_view(np.vstack([image, bar]), view_px=64), standard_view(image, view_px=64))


def test_of_long_images_the_middle_is_seen():
    image = np.random.default_rng(0).integers(0, 255, (64, 640), np.uint8)
    np.testing.assert_array_equal(standard_view(image, view_px=64), standard_view(image[:, 256:384], view_px=64))
    assert standard_view(image.T, view_px=64).shape == (3, 128, 64)


@pytest.mark.parametrize("image", [np.zeros((8, 90)), np.full((64, 64), np.nan), np.zeros((64, 64, 2)), np.zeros((3, 4, 64, 64))])
def test_what_is_no_image_is_refused(image):
    with pytest.raises(InputError, match="wanted"):
        standard_view(image, view_px=64)


def test_models_of_other_tasks_are_refused(tmp_path):
    export_classifier(network(), CARD.model_copy(update={"task": "score"}), tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="task 'classify'"):
        load_classifier(tmp_path / "m.onnx")
    export_classifier(network(), CARD.model_copy(update={"preprocess": "later-1"}), tmp_path / "m.onnx")
    with pytest.raises(ModelError, match="update morphoscope"):
        load_classifier(tmp_path / "m.onnx")


def test_probabilities_add_up_and_a_temperature_levels_them():
    logits = np.array([[0.0, 2.0, -1.0], [900.0, 0.0, 0.0]], np.float32)
    plain, level = probabilities(logits), probabilities(logits, temperature=4.0)
    np.testing.assert_allclose(plain.sum(axis=1), 1, atol=1e-6)
    assert plain[0, 1] == pytest.approx(np.exp(2) / (1 + np.exp(2) + np.exp(-1)), rel=1e-5)
    assert level[0].max() < plain[0].max() and (level.argmax(axis=1) == plain.argmax(axis=1)).all()


@pytest.mark.parametrize("name", ["lite0", "lite1", "lite2", "mobilenet-v2", "resnet18", "inception-v3"])
def test_backbones_have_as_many_parameters_as_published(name):
    body = build_backbone(name, pretrained=False)
    last, count = body.stages[-1] // 2, sum(p.numel() for p in body.parameters())
    if name.startswith(("lite", "mobile")):
        count, last = count + last * 1280 + 2 * 1280, 1280
    assert count + 1000 * last + 1000 == PUBLISHED[name]
    with torch.inference_mode():
        assert body(torch.randn(2, 3, 96, 80)).shape == (2, body.features)


def test_weights_of_a_file_are_taken_and_others_refused(tmp_path):
    given = build_backbone("resnet18", pretrained=False)
    torch.save(
        {f"module.{k}": v for k, v in given.body.state_dict().items()} | {"fc.bias": torch.zeros(1000)}, tmp_path / "r.pth"
    )
    taken = build_backbone("resnet18", weights=tmp_path / "r.pth")
    wanted, got = given.body.state_dict(), taken.body.state_dict()
    assert got.keys() == wanted.keys() and all(torch.equal(got[name], value) for name, value in wanted.items())
    with pytest.raises(ModelError, match="does not hold the weights of mobilenet-v2"):
        build_backbone("mobilenet-v2", weights=tmp_path / "r.pth")
    (tmp_path / "no.pth").write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be read as weights"):
        build_backbone("resnet18", weights=tmp_path / "no.pth")
    with pytest.raises(UsageError, match="wanted a file of weights"):
        build_backbone("resnet18", weights=tmp_path / "absent.pth")
    with pytest.raises(UsageError, match="wanted a backbone of lite0"):
        build_backbone("vgg")


def test_without_a_network_a_download_says_what_to_do(monkeypatch):
    def offline(*_, **__):
        raise OSError("no route")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    with pytest.raises(UsageError, match="fetch https://.*inceptionv4.*train.weights"):
        build_backbone("inception-v4")


def test_all_backbones_of_the_recipe_are_known():
    from typing import get_args

    from morphoscope.recipe.telling import BackboneName

    assert set(get_args(BackboneName)) == set(BACKBONES)

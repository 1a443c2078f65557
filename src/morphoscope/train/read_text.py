"""The reader of scale texts: trained on drawn words alone, with connectionist temporal classification.

Graves et al., Proc. ICML 2006, 369-376; the network follows Shi et al., arXiv:1507.05717, without its recurrent part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from morphoscope import __version__
from morphoscope.errors import InputError
from morphoscope.models.card import DataSource, ModelCard
from morphoscope.models.read_text import ALPHABET, HEIGHT, decode, in_alphabet, parse_length, to_line
from morphoscope.synth.scale_text import draw_words, list_fonts, other_words, scale_words
from morphoscope.train.export import export_reader

Picture = NDArray[Any]

WIDTH = 256
# families whose fonts are learnt; the others named are only for measuring
LEARNT = (
    *("DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono", "STIXGeneral", "Liberation Sans", "Liberation Serif", "Liberation Mono"),
    *("Liberation Sans Narrow", "FreeSans", "FreeSerif", "FreeMono", "Nimbus Sans", "Nimbus Roman", "Nimbus Sans Narrow"),
    *("Roboto", "Roboto Condensed", "Open Sans", "TeX Gyre Heros", "TeX Gyre Termes", "TeX Gyre Cursor", "Carlito", "P052"),
    *("Noto Sans", "Noto Serif", "Noto Sans Mono", "C059", "URW Bookman"),
)
UNSEEN = ("Lato", "Caladea", "TeX Gyre Schola", "URW Gothic", "TeX Gyre Adventor", "Nimbus Mono PS", "Noto Sans Display")


class ReaderNet(nn.Module):
    """A line (n, 1, 32, w) to class logits (n, w / 4, classes), class 0 the blank."""

    def __init__(self, classes: int, widths: Sequence[int] = (24, 48, 64, 96, 128)) -> None:
        super().__init__()
        a, b, c, d, e = widths

        def block(inputs: int, outputs: int, pool: tuple[int, int]) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
                nn.MaxPool2d(pool),
            )

        self.body = nn.Sequential(
            block(1, a, (2, 2)), block(a, b, (2, 2)), block(b, c, (2, 1)), block(c, d, (2, 1)), block(d, e, (2, 1))
        )
        self.line = nn.Sequential(
            nn.Conv1d(e, e, 5, padding=2, bias=False), nn.BatchNorm1d(e), nn.ReLU(inplace=True), nn.Dropout(0.1)
        )
        self.head = nn.Conv1d(e, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        column = self.body(x).squeeze(2)
        logits: Tensor = self.head(column + self.line(column))
        return logits.permute(0, 2, 1)


def draw_example(fonts: Sequence[Path], rng: np.random.Generator, *, scale_share: float = 0.65) -> tuple[Picture, str]:
    """A line (32, w) as it might be cut from a picture, and what it says in the reader's alphabet."""
    text = scale_words(rng) if rng.random() < scale_share else other_words(rng)
    size = round(7 * (44 / 7) ** rng.random())
    ink: Picture = draw_words(text, fonts[int(rng.integers(len(fonts)))], size)
    if rng.random() < 0.06:
        text, ink = "", np.zeros_like(ink)
    stretch = rng.uniform(0.8, 1.2)
    ink = cv2.resize(ink, (max(round(ink.shape[1] * stretch), 3), ink.shape[0]), interpolation=cv2.INTER_LINEAR)
    top, bottom, left, right = (int(round(v)) for v in rng.uniform(0, 0.3, 4) * ink.shape[0] + rng.integers(0, 2, 4))
    ink = cv2.copyMakeBorder(ink, top, bottom, left, right, cv2.BORDER_CONSTANT, value=0)
    return to_line(_spoil(ink, rng), widest=WIDTH), in_alphabet(text)


def _spoil(ink: Picture, rng: np.random.Generator) -> Picture:
    """Ink on a background with texture, blur, noise and compression."""
    height, width = ink.shape
    if rng.random() < 0.5:
        ink = cv2.GaussianBlur(ink, (0, 0), float(rng.uniform(0.3, 0.09 * height**0.7 + 0.4)))
    if rng.random() < 0.2:  # printed bold, or thinned by a threshold
        ink = np.clip(ink * rng.uniform(1, 2.5) - rng.uniform(0, 0.4), 0, 1)
    smooth = rng.normal(size=(max(height // 6, 2), max(width // 6, 2))).astype(np.float32)
    field = cv2.resize(smooth, (width, height), interpolation=cv2.INTER_CUBIC) * float(rng.choice([0, 0.04, 0.12, 0.22]))
    contrast = float(rng.uniform(0.35, 1.0))
    picture = field + ink * (contrast - field * (rng.random() < 0.8))
    if rng.random() < 0.15:  # the bar itself, or a frame, at the rim of the crop
        row = int(rng.choice([0, height - 1]))
        picture[row : row + 1] = np.maximum(picture[row : row + 1], contrast)
    picture = picture + rng.normal(0, float(rng.choice([0, 0.01, 0.04, 0.1])), picture.shape)
    levels: Picture = np.clip(60 + 150 * picture, 0, 255).astype(np.uint8)
    if rng.random() < 0.5 and min(levels.shape) > 4:
        _, coded = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 95))])
        levels = np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE))
    return levels.astype(np.float32)


def batch_of(fonts: Sequence[Path], rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Lines (n, 1, 32, 256) padded on the right, and their letters' numbers in one row with their counts."""
    lines = np.zeros((size, 1, HEIGHT, WIDTH), dtype=np.float32)
    numbers: list[int] = []
    counts: list[int] = []
    for k in range(size):
        line, text = draw_example(fonts, rng)
        lines[k, 0, :, : line.shape[1]] = line
        lines[k, 0, :, line.shape[1] :] = line.min()
        numbers += [ALPHABET.index(letter) + 1 for letter in text]
        counts.append(len(text))
    return torch.from_numpy(lines), torch.tensor(numbers), torch.tensor(counts)


def train_reader(
    fonts: Sequence[Path], steps: int, *, seed: int = 0, progress: Callable[[int, float], None] | None = None
) -> ReaderNet:
    """Train on drawn words for `steps` batches of 64 (AdamW, one cycle, bfloat16 autocast)."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = ReaderNet(len(ALPHABET) + 1)
    network.to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps, pct_start=0.1)
    measure = nn.CTCLoss(zero_infinity=True)
    running = 0.0
    for step in range(1, steps + 1):
        lines, numbers, counts = batch_of(fonts, rng, 64)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(lines.contiguous(memory_format=torch.channels_last))
        chances = logits.float().log_softmax(2).permute(1, 0, 2)
        value = measure(chances, numbers, torch.full((len(lines),), chances.shape[0]), counts)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        running += float(value.detach())
        if step % 50 == 0:
            if progress:
                progress(step, running / 50)
            running = 0.0
    network.eval()
    return network


def exact_share(network: ReaderNet, fonts: Sequence[Path], count: int, *, seed: int) -> dict[str, float]:
    """Share of fresh drawn lines read without a mistake: of all lines, and of those that state a length."""
    rng = np.random.default_rng(seed)
    right: dict[str, list[bool]] = {"lines": [], "lengths": []}
    for _ in range(count):
        line, text = draw_example(fonts, rng)
        with torch.inference_mode():
            logits = network(torch.from_numpy(line[None, None, :, : line.shape[1] - line.shape[1] % 4]))
        same = decode(logits[0].numpy()).text == text.strip()
        right["lines"].append(same)
        if parse_length(text) is not None:
            right["lengths"].append(same)
    return {name: float(np.mean(found)) for name, found in right.items()}


def train_scale_text(
    path: Path, *, steps: int = 5000, seed: int = 0, progress: Callable[[int, float], None] | None = None
) -> ModelCard:
    """Train the reader on the installed fonts of `LEARNT`, measure it on those of `UNSEEN`, and write the model file.

    Raises:
        InputError: fewer than half of the families are installed.
    """
    fonts, unseen = list_fonts(LEARNT), list_fonts(UNSEEN)
    if len(fonts) < 60 or len(unseen) < 10:
        raise InputError(
            f"wanted the fonts of {', '.join((*LEARNT, *UNSEEN))}; only {len(fonts)} and {len(unseen)} files are installed"
        )
    network = train_reader(fonts, steps, seed=seed, progress=progress)
    return write_reader(network, path, exact_share(network, unseen, 2000, seed=seed + 1), steps=steps, seed=seed)


def write_reader(network: ReaderNet, path: Path, shares: dict[str, float], *, steps: int, seed: int) -> ModelCard:
    """Export a trained reader with its card."""
    card = ModelCard(
        name="scale-text",
        task="read",
        classes=tuple(ALPHABET),
        preprocess="line-1",
        postprocess="ctc-1",
        stride=4,
        threshold=0.5,
        data=(DataSource(name="words drawn in freely licensed fonts", licence="none needed: generated"),),
        architecture={"network": "ReaderNet"},
        metrics={f"exact_{name}_unseen_fonts": round(share, 4) for name, share in shares.items()},
        limits="One line of printed text; handwriting, turned text and units other than lengths are not read.",
        training={"steps": steps, "seed": seed, "families": list(LEARNT), "unseen": list(UNSEEN)},
        morphoscope_version=__version__,
    )
    export_reader(network, card, path)
    return card

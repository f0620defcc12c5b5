"""The networks over a study: ResNet-50 over 40 CT slices, the attention U-Net over 155 MRI slices.

Full size, as the configs build them, briefly fitted to phantoms, so that their outputs say something and batch norm has
statistics as after training; each backend runs them through the inferer of `inference.json`.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.fitted_networks import fit_classifier, fit_segmenter
from benchmarks.job import Job
from benchmarks.plain_networks import slice_by_slice
from custom_transforms.export_network import export_network

BUNDLES = Path(__file__).parents[2] / "bundles"
EXACT = 1e-5  # of the largest logit, or of 1 where all are smaller
ROUNDED = 16  # slices at most, of which the plain way's own error is measured
DICE_SHIFT = 0.001
CHOICES = (("torch", False), ("onnxruntime", False), ("openvino", False), ("torch", True), ("openvino", True))
TO_REACH = {False: 1.5, True: 7.0}


@dataclass(frozen=True)
class Subject:
    """A network with its study, and what of its output counts.

    Args:
        name: as the table shows it.
        bundle: name of the bundle.
        network: fitted, on the CPU, in torch's own order of memory.
        slices: `(S, C, H, W)`, what the plain way runs.
        image: the same as the bundle's inferer takes it.
        logits: of the inferer's output, in the order of the plain way's.
        decide: of logits, what is decided by them.
        compare: of two decisions, whether they are equal enough, and what to say of them.
    """

    name: str
    bundle: str
    network: nn.Module
    slices: torch.Tensor
    image: torch.Tensor
    logits: Callable[[torch.Tensor], torch.Tensor]
    compare: Callable[[torch.Tensor, torch.Tensor], tuple[bool, str]]


def jobs(folder: Path, threads: int) -> Iterator[Job]:
    """Give each network by each backend in each precision."""
    del threads  # every backend takes torch's
    logging.disable(logging.WARNING)  # the exporter's
    for make in (_classifier, _segmenter):
        subject = make()
        place = folder / subject.bundle
        place.mkdir()
        torch.save(subject.network.state_dict(), place / "model.pt")
        export_network(subject.network, place / "model.pt", place / "model.onnx")
        with FlopCounterMode(display=False) as counter:
            slice_by_slice(subject.network, subject.slices[:1])
        flops = float(counter.get_total_flops()) * len(subject.slices)
        exact = max(EXACT, 2 * _rounding(subject))
        for backend, bfloat16 in CHOICES:
            yield _job(subject, place, (backend, bfloat16), flops=flops, exact=exact)


def _rounding(subject: Subject) -> float:
    """Measure how far the plain way in float32 is from float64, on some of the slices."""
    slices = subject.slices[:: -(-len(subject.slices) // ROUNDED)]
    truth = slice_by_slice(copy.deepcopy(subject.network).double(), slices.double())
    return _shift(truth, slice_by_slice(subject.network, slices))


def _shift(expected: torch.Tensor, found: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1))


def _job(subject: Subject, place: Path, choice: tuple[str, bool], *, flops: float, exact: float) -> Job:
    backend, bfloat16 = choice
    network, inferer = _parts(subject, place, backend, bfloat16=bfloat16)

    def ours() -> torch.Tensor:
        with torch.no_grad():
            return subject.logits(inferer(subject.image, network))

    def equal(expected: torch.Tensor, found: torch.Tensor) -> bool:
        return subject.compare(expected, found)[0] and (bfloat16 or _shift(expected, found) <= exact)

    def describe(expected: torch.Tensor, found: torch.Tensor) -> str:
        return (
            f"largest shift {_shift(expected, found):.1e} of the largest logit; {subject.compare(expected, found)[1]}"
        )

    kind = "bf16" if bfloat16 else "fp32"
    return Job(
        name=f"{subject.name}, {kind}, {backend}",
        baseline=lambda: slice_by_slice(subject.network, subject.slices),
        ours=ours,
        equal=equal,
        tolerance=_tolerance(subject, bfloat16=bfloat16, exact=exact),
        flops=flops,
        precision="bfloat16" if bfloat16 else "float32",
        runs=2,  # the plain way takes up to half a minute
        to_reach=TO_REACH[bfloat16],
        describe=describe,
    )


def _tolerance(subject: Subject, *, bfloat16: bool, exact: float) -> str:
    decided = "the same decision on every head" if subject.slices.shape[1] == 1 else f"Dice shift under {DICE_SHIFT}"
    float32 = f"logits within {exact:.1e} of the largest: 1e-5, or twice the plain way's own distance from float64"
    return f"{decided}; {'bfloat16 has three digits' if bfloat16 else float32}"


def _parts(subject: Subject, place: Path, backend: str, *, bfloat16: bool) -> tuple[nn.Module, Any]:
    """Build the network and the inferer of `inference.json`, with these weights."""
    parser = ConfigParser()
    parser.read_config(str(BUNDLES / subject.bundle / "configs" / "inference.json"))
    parser.update({"models_dir": str(place), "device": "cpu", "backend": backend, "cpu_bfloat16": bfloat16})
    network: nn.Module = parser.get_parsed_content("network")
    network.load_state_dict(subject.network.state_dict())
    return network.eval(), parser.get_parsed_content("inferer")


def _classifier() -> Subject:
    network, slices, heads = fit_classifier()

    def compare(expected: torch.Tensor, found: torch.Tensor) -> tuple[bool, str]:
        first, second = (torch.stack([part[heads == head].max() > 0 for head in heads.unique()])
                         for part in (expected, found))  # fmt: skip
        same, alike = int((first == second).sum()), int(((expected > 0) == (found > 0)).sum())
        shift = float((found.sigmoid() - expected.sigmoid()).abs().max())
        text = f"{same} of {len(first)} heads ({int(first.sum())} positive) and {alike} of {len(heads)} slices decided"
        return same == len(first), f"{text} alike, probabilities of slices within {shift:.1e}"

    return Subject("ResNet-50, 40 slices", "ct_metastasis_classifier", network, slices, slices[None],
                   lambda maps: maps[0, :, 1:, 0, 0], compare)  # fmt: skip


def _segmenter() -> Subject:
    network, slices, truth = fit_segmenter()

    def dice(logits: torch.Tensor) -> float:
        marked = logits > 0
        return float(2 * (marked & truth).sum() / (marked.sum() + truth.sum()))

    def compare(expected: torch.Tensor, found: torch.Tensor) -> tuple[bool, str]:
        first, second = dice(expected), dice(found)
        changed = int(((expected > 0) != (found > 0)).sum())
        return abs(first - second) < DICE_SHIFT, f"Dice {first:.5f} and {second:.5f}, {changed} voxels differ"

    return Subject("U-Net, 155 slices", "brats_attention_unet", network, slices, slices.permute(1, 2, 3, 0)[None],
                   lambda volume: volume[0].permute(3, 0, 1, 2), compare)  # fmt: skip

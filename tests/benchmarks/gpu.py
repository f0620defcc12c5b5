"""Jobs on a GPU: both networks, their training steps, and whether the loader keeps up with the step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from conftest import BRATS, CT
from monai.bundle import ConfigParser
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.gpu_data import write_phantoms
from benchmarks.gpu_training import Training
from benchmarks.job import Job

HALF = "1 % of the largest value of a slice's output: half precision has 3 digits, and a network 50 layers"
STUDIES = {CT: (40, 1, 256, 256), BRATS: (155, 4, 240, 240)}
NAMES = {CT: "ResNet-50 over a 40-slice study", BRATS: "U-Net over 155 slices"}
STAGES = {1: 0, 2: 5, 3: 12}  # of the curriculum, and the epochs before each


def jobs(folder: Path, threads: int) -> Iterator[Job]:
    """Give the jobs, each made when its turn comes."""
    for bundle in STUDIES:
        yield inference_job(bundle)
    data_sets = write_phantoms(folder / "phantoms", workers=threads)
    mri = Training(BRATS, data_sets[BRATS], folder / "mri", workers=threads)
    yield mri.step_job("U-Net training step, batch 16")
    yield mri.loader_job("U-Net training from its loader")
    ct = Training(CT, data_sets[CT], folder / "ct", workers=threads)
    for stage, epochs in STAGES.items():
        yield ct.step_job(f"training step, stage {stage}", epochs=epochs)
    yield ct.loader_job("training, stage 1, from its loader")


def inference_job(bundle: Path) -> Job:
    """Run a network over one study: slice by slice in float32, and by the bundle's inferer under `amp`."""
    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.json")
    torch.manual_seed(0)
    network, inferer = parser.get_parsed_content("network").eval(), parser.get_parsed_content("inferer")
    slices = torch.randn(STUDIES[bundle], device="cuda")
    run = network.evidence if bundle == CT else network
    study = slices[None] if bundle == CT else slices.movedim(0, -1)[None]
    ours = partial(_by_bundle, network, inferer, study)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run(slices[:1])
    return Job(
        f"{NAMES[bundle]}, GPU",
        partial(_by_slice, run, slices),
        ours if bundle == CT else lambda: ours()[0].movedim(-1, 0),
        equal=lambda expected, found: _difference(expected, found) <= 0.01,
        tolerance=HALF,
        flops=counter.get_total_flops() * len(slices),
        precision="bfloat16",
        describe=lambda expected, found: f"largest difference {_difference(expected, found):.2g} of the largest value",
    )


@torch.no_grad()
def _by_slice(run: Callable[[Tensor], Tensor], slices: Tensor) -> Tensor:
    outputs = torch.cat([run(part.contiguous()) for part in slices.split(1)])
    torch.cuda.synchronize()
    return outputs


@torch.no_grad()
def _by_bundle(network: nn.Module, inferer: Callable[[Tensor, nn.Module], Tensor], study: Tensor) -> Tensor:
    with torch.autocast("cuda"):
        outputs = inferer(study, network).float()
    torch.cuda.synchronize()
    return outputs


def _difference(expected: Tensor, found: Tensor) -> float:
    return float((expected - found.reshape(expected.shape)).abs().max() / expected.abs().max())

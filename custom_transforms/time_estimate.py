"""Say beforehand how long a training will take on this machine."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import torch
from monai.bundle import ConfigParser


def estimate_seconds(config: ConfigParser, *, patients: dict[str, int], slices: int) -> float:
    """Measure a training step and a forward pass with a config's own network, and count how many there will be.

    Args:
        config: `train.json` with its overlays; nothing of it is trained by this.
        patients: how many there are in `training`, `validation` and `test`.
        slices: axial slices of a patient.

    Returns:
        seconds of training with its validations, one evaluation and one inference. Reading of files, drawing and
        the start of programs are not in it. On a CPU, augmentation takes its time from the training step.
    """
    settings = {name: config.get_parsed_content(name) for name in KNOBS}
    step_s, slice_s = _measure(config, settings["batch_size"], settings["slice_size"])
    augment_s = _measure_augmentation(config, settings["slice_size"]) * settings["batch_size"] / (os.cpu_count() or 1)
    steps = settings["max_epochs"] * patients["training"] * settings["slices_per_patient"] / settings["batch_size"]
    validations = settings["max_epochs"] // settings["val_interval"]
    whole_volumes = validations * patients["validation"] + 2 * patients["test"]
    return float(steps * (step_s + augment_s) + whole_volumes * slices * slice_s)


KNOBS = ("batch_size", "slice_size", "max_epochs", "slices_per_patient", "val_interval")


def _measure(config: ConfigParser, batch_size: int, slice_size: list[int]) -> tuple[float, float]:
    """Return seconds of a training step, and of a forward pass for one slice."""
    network, loss, optimizer, inferer, device = (
        config.get_parsed_content(name) for name in ("network", "loss", "optimizer", "train::inferer", "device")
    )
    image = torch.randn(batch_size, 4, *slice_size, device=device)
    truth = torch.zeros_like(inferer(image[:1], network)).expand(batch_size, -1, -1, -1)

    def train() -> None:
        optimizer.zero_grad()
        loss(inferer(image, network), truth).backward()
        optimizer.step()

    def infer() -> None:
        with torch.no_grad():
            inferer(image, network)

    return _seconds(train), _seconds(infer) / batch_size


def _measure_augmentation(config: ConfigParser, slice_size: list[int]) -> float:
    """Return seconds of one processor for one slice."""
    augment = config.get_parsed_content("train::augmentation")
    channels = len(config.get_parsed_content("regions"))
    item = {"image": torch.randn(4, *slice_size), "label": torch.zeros(channels, *slice_size)}
    return _seconds(lambda: [augment(item) for _ in range(10)]) / 10


def _seconds(work: Callable[[], object]) -> float:
    work()  # the first run also builds kernels
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(3):
        work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / 3

"""Export a trained network to one ONNX file, and prove that every backend gives torch's numbers with it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import torch
from torch import nn

from custom_transforms.atomic_file import whole_file
from custom_transforms.backend import BACKENDS
from custom_transforms.exported_network import (
    EVIDENCE,
    INPUT,
    NETWORK,
    OUTPUT,
    WEIGHTS,
    network_sha256,
    open_exported,
    require_package,
)
from custom_transforms.file_hash import file_sha256
from custom_transforms.refusal import RefusedError, last_line
from custom_transforms.safe_weights import read_weights

# of the largest logit that torch gives, or of 1 where all are smaller: rounding in another order reaches 1e-5
TOLERANCE = 1e-4
SHAPES = ((1, 64, 96), (3, 96, 64), (8, 160, 160))  # slices, rows, columns; all that a U-Net of depth 5 takes
SEED = 88


class _WithEvidence(nn.Module):
    """Give both outputs of a slice classifier, of which one follows from the other."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps: torch.Tensor = self.network.evidence(image)  # type: ignore[operator]
        return maps[:, 1:, 0, 0], maps


def export_network(network: nn.Module, weights: Path, path: Path) -> dict[str, float]:
    """Load weights into a network and write it as a file that every backend reads, if all of them agree with torch.

    Args:
        network: as a config builds it; is left with the weights, in eval mode, on the CPU.
        weights: `.pt` or `.safetensors` file of it.
        path: the ONNX file, which appears whole or not at all.

    Returns:
        each installed backend, to its largest deviation in float32, as a part of torch's largest logit, or of 1.

    Raises:
        RefusedError: weights that are missing or of another network, no exporter or no backend, or a deviation above
            `TOLERANCE`.
    """
    if not weights.is_file():
        expected = f"trained weights at {weights} (training writes them)"
        raise RefusedError.of("missing_checkpoint", weights.name, expected=expected, got="no such file")
    network = network.cpu().float().eval()
    try:
        network.load_state_dict(read_weights(weights, part="network"))
    except RuntimeError as error:
        expected = "weights of the network in this config (was it trained with the same overlay?)"
        raise RefusedError.of("checkpoint_mismatch", weights.name, expected=expected, got=last_line(error)) from error
    installed = [backend for backend in BACKENDS if backend != "torch" and _is_there(backend)]
    if not installed:
        require_package("onnxruntime")
    with whole_file(path) as file:
        _write(network, file, {WEIGHTS: file_sha256(weights), NETWORK: network_sha256(network)})
        return {backend: _require_parity(network, file, backend) for backend in installed}


def _write(network: nn.Module, file: Path, made_from: dict[str, str]) -> None:
    for package in ("onnx", "onnxscript"):
        require_package(package)
    slices, *size = SHAPES[1]
    example = torch.zeros(slices, _channels(network), *size)
    any_size = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    has_evidence = hasattr(network, EVIDENCE)
    program = torch.onnx.export(
        _WithEvidence(network).eval() if has_evidence else network,
        (example,),
        dynamo=True,
        verbose=False,
        input_names=[INPUT],
        output_names=[OUTPUT, EVIDENCE] if has_evidence else [OUTPUT],
        dynamic_shapes=(any_size,),
    )
    if program is None:
        raise RuntimeError("torch.onnx.export: expected a program, got none")
    program.model.metadata_props.update({**made_from, "torch": torch.__version__, "onnx": metadata.version("onnx")})
    program.save(file)


@torch.no_grad()
def _require_parity(network: nn.Module, file: Path, backend: str) -> float:
    """Run both on seeded slices; give the largest deviation.

    Raises:
        RefusedError: it is above `TOLERANCE`, or not a number.
    """
    exported = open_exported(file, backend, threads=torch.get_num_threads())
    largest = 0.0
    for slices in _examples(_channels(network)):
        pairs = [(network(slices), exported(slices))]
        if hasattr(network, EVIDENCE):
            pairs.append((network.evidence(slices), exported.evidence(slices)))  # type: ignore[operator]
        for expected, found in pairs:
            deviation = float((found - expected).abs().max() / expected.abs().max().clamp(min=1))
            if expected.shape != found.shape or not deviation <= TOLERANCE:
                wanted = f"torch's numbers from {backend}, to {TOLERANCE:g} of the largest or of 1"
                raise RefusedError.of("no_parity", file.name, expected=wanted, got=f"a deviation of {deviation:.1e}")
            largest = max(largest, deviation)
    return largest


def _examples(channels: int) -> Iterator[torch.Tensor]:
    """Give slices of noise on an empty background, as z-scored slices have one."""
    generator = torch.Generator().manual_seed(SEED)
    for count, rows, columns in SHAPES:
        slices = torch.randn(count, channels, rows, columns, generator=generator)
        slices[..., : rows // 4, :] = 0
        yield slices


def _channels(network: nn.Module) -> int:
    return next(part.in_channels for part in network.modules() if isinstance(part, nn.Conv2d))


def _is_there(backend: str) -> bool:
    try:
        require_package(backend)
    except RefusedError:
        return False
    return True

"""Which library runs the network: torch, or ONNX Runtime or OpenVINO on its exported copy."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import torch
from monai.inferers import Inferer
from monai.utils import convert_to_tensor

from custom_transforms.autocast import CpuBfloat16Inferer, computes_bfloat16
from custom_transforms.exported_network import (
    NETWORK,
    REMEDY,
    WEIGHTS,
    ExportedNetwork,
    network_sha256,
    open_exported,
    require_package,
)
from custom_transforms.file_hash import file_sha256
from custom_transforms.fingerprint import file_states
from custom_transforms.refusal import RefusedError

BACKENDS = ("torch", "onnxruntime", "openvino")


class BackendInferer(Inferer):
    """Run another inferer on the network itself, or on its exported copy in another library.

    The network that an engine hands over stays a plain module, and the result a plain tensor: programs that take the
    bundle see no difference. Nothing but torch is imported unless it is chosen.

    Args:
        inferer: what runs the network over slices.
        backend: `torch`, `onnxruntime` or `openvino`; the latter two on CPUs alone.
        bfloat16: compute in bfloat16 where the CPU does so natively; ONNX Runtime has none.
        exported: ONNX file that `scripts/export_backend.py` makes of the weights.
        weights: file that the exported one must have been made from.
        device: that the engine works on.

    Raises:
        RefusedError: a backend that is unknown, not installed, or not to be had on this device or in this precision;
            when called, an exported file that is missing, damaged, or of other weights or of another network.
    """

    def __init__(
        self,
        inferer: Inferer,
        backend: str = "torch",
        *,
        bfloat16: bool = False,
        exported: str | Path = "",
        weights: str | Path = "",
        device: str | torch.device = "cpu",
    ) -> None:
        super().__init__()
        self.inferer = CpuBfloat16Inferer(inferer, enabled=bfloat16) if backend == "torch" else inferer
        self.backend = backend
        self.bfloat16 = bfloat16
        self.exported = Path(exported)
        self.weights = Path(weights)
        if backend != "torch":
            _refuse(backend, bfloat16=bfloat16, device=torch.device(device))

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return the network's output for `inputs`, float32, without metadata."""
        if self.backend != "torch":
            inputs, network = convert_to_tensor(inputs, track_meta=False), self._open(network)
        return cast(torch.Tensor, self.inferer(inputs, network, *args, **kwargs))

    def _open(self, network: Callable[..., torch.Tensor]) -> ExportedNetwork:
        """Open the exported file, anew where a program that keeps this inferer has trained another network since."""
        states = [file_states(str(path)) for path in (self.exported, self.weights) if path.is_file()]
        choice = (self.backend, self.bfloat16 and computes_bfloat16(), torch.get_num_threads())
        return _opened(self.exported, self.weights, network_sha256(network), choice, str(states))


@lru_cache(maxsize=1)  # not kept by the inferer, which is hashed as a setting and sent to other processes
def _opened(exported: Path, weights: Path, network: str, choice: tuple[str, bool, int], states: str) -> ExportedNetwork:
    """Open an exported file and compare what it was made from; `states` only tells when to do so anew."""
    backend, bfloat16, threads = choice
    opened = open_exported(exported, backend, threads=threads, bfloat16=bfloat16)
    for what, sha256 in ((WEIGHTS, file_sha256(weights)), (NETWORK, network)):
        if opened.made_from.get(what) != sha256:
            of = f"weights {weights.name}" if what == WEIGHTS else "the network of this config"
            expected, got = f"an export of {of} ({REMEDY})", f"one of another {what.partition('_')[0]}"
            raise RefusedError.of("stale_export", exported.name, expected=expected, got=got)
    return opened


def _refuse(backend: str, *, bfloat16: bool, device: torch.device) -> None:
    if backend not in BACKENDS:
        raise RefusedError.of("unknown_backend", "backend", expected=f"one of {', '.join(BACKENDS)}", got=backend)
    if device.type != "cpu":
        expected = f"device cpu for {backend}, which runs on nothing else here"
        raise RefusedError.of("backend_device", "backend", expected=expected, got=device.type)
    if bfloat16 and backend == "onnxruntime":
        expected = "cpu_bfloat16 False, or backend torch or openvino"
        raise RefusedError.of("backend_precision", "backend", expected=expected, got="onnxruntime, which has none")
    require_package(backend)

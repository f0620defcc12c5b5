"""Run the network on plain tensors, and in bfloat16 on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import torch
from monai.inferers import Inferer
from monai.utils import convert_to_tensor

from custom_transforms.kept_memory import kept_memory

MANY = 1 << 20  # numbers: 16 slices of 256x256


class CpuBfloat16Inferer(Inferer):
    """Run another inferer under bfloat16 autocast where the CPU computes bfloat16 natively, else as it is.

    MONAI's engines have `amp` for CUDA only. The output is float32 again, so that sums over pixels stay exact. In both
    cases the network gets a plain tensor: each operation on a `MetaTensor` copies its metadata, which takes about as
    long as a small layer.

    Args:
        inferer: what runs the network.
        enabled: False leaves it at that.
    """

    def __init__(self, inferer: Inferer, enabled: bool = True) -> None:
        super().__init__()
        self.inferer = inferer
        self.enabled = enabled

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return the network's output for `inputs`, float32, without metadata."""
        inputs = convert_to_tensor(inputs, track_meta=False)
        with kept_memory(_fills_memory(inputs)), cpu_bfloat16(self.enabled, inputs) as lower:
            output = cast(torch.Tensor, self.inferer(inputs, network, *args, **kwargs))
        return output.float() if lower else output


def _fills_memory(inputs: torch.Tensor) -> bool:
    """Tell whether it takes longer to run a network over them than to give memory back, some 10 ms."""
    return inputs.device.type == "cpu" and inputs.numel() >= MANY


@contextmanager
def cpu_bfloat16(enabled: bool, inputs: torch.Tensor) -> Iterator[bool]:
    """Compute in bfloat16 in the block if that is wanted, `inputs` are on a CPU, and it can; tell whether."""
    lower = enabled and inputs.device.type == "cpu" and computes_bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16) if lower else nullcontext():
        yield lower


def computes_bfloat16() -> bool:
    """Tell whether the CPU has instructions for bfloat16; torch has no public function for it."""
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)())

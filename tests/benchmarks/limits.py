"""What the machine itself can do: matrix products and copies of memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

MATRIX_SIDE = 2048  # large enough for full speed on a CPU, 17 GFLOP a product
COPIED_BYTES = 1 << 28  # far more than any cache
TRIALS = 7


@dataclass(frozen=True)
class Limits:
    """Best rates seen, in operations and bytes a second; a byte copied is one read and one written."""

    float32: float
    bfloat16: float
    copied: float

    def seconds(self, *, flops: float, moved_bytes: float, precision: str) -> float | None:
        """Tell the least time for so many operations and bytes; None where the job states neither."""
        rate = self.bfloat16 if precision == "bfloat16" else self.float32
        return max(flops / rate, moved_bytes / self.copied) or None


def measure_limits() -> Limits:
    """Measure with as many threads as torch is set to."""
    return Limits(_matrix_rate(torch.float32), _matrix_rate(torch.bfloat16), _copy_rate())


def _matrix_rate(dtype: torch.dtype) -> float:
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(MATRIX_SIDE, MATRIX_SIDE, generator=generator).to(dtype) for _ in range(2))
    return 2 * MATRIX_SIDE**3 / _best_seconds(lambda: left @ right)


def _copy_rate() -> float:
    source = torch.ones(COPIED_BYTES, dtype=torch.uint8)
    target = torch.empty_like(source)
    return 2 * COPIED_BYTES / _best_seconds(lambda: target.copy_(source))


def _best_seconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(TRIALS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)

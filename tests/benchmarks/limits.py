"""What the machine itself can do: matrix products and copies of memory.

In a process of their own: memory of this size, once freed, makes the C library keep what it would give back to the
system, and plain code that allocates anew for each slice runs twice as fast in such a process as in its own.

usage: python -m benchmarks.limits DEVICE THREADS   (prints one object of JSON)
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

MATRIX_SIDE = {"cpu": 2048, "cuda": 8192}  # large enough for full speed
COPIED_BYTES = {"cpu": 1 << 28, "cuda": 1 << 32}  # far more than any cache
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


def measure_limits(device: str, threads: int) -> Limits:
    """Measure a GPU, or a CPU on so many threads."""
    command = [sys.executable, "-m", "benchmarks.limits", device, str(threads)]
    return Limits(**json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))


def _measure(device: str) -> Limits:
    return Limits(_matrix_rate(device, torch.float32), _matrix_rate(device, torch.bfloat16), _copy_rate(device))


def _matrix_rate(device: str, dtype: torch.dtype) -> float:
    side = MATRIX_SIDE[device]
    generator = torch.Generator(device).manual_seed(0)
    left, right = (torch.randn(side, side, generator=generator, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / _best_seconds(lambda: left @ right, device)


def _copy_rate(device: str) -> float:
    source = torch.ones(COPIED_BYTES[device], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * source.numel() / _best_seconds(lambda: target.copy_(source), device)


def _best_seconds(work: Callable[[], object], device: str) -> float:
    times = []
    for _ in range(TRIALS):
        began = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times)


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[2]))
    print(json.dumps(vars(_measure(sys.argv[1]))))

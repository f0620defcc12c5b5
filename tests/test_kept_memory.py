"""Freed memory that is kept while a network runs."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from conftest import ROOT

from custom_transforms import kept_memory as module
from custom_transforms.autocast import CpuBfloat16Inferer

MEASURE = """
import torch
from pathlib import Path
from custom_transforms.kept_memory import kept_memory

def resident_mib():
    return int(Path("/proc/self/statm").read_text().split()[1]) // 256

before = resident_mib()
try:
    with kept_memory():
        for _ in range(3):
            torch.ones(1 << 28, dtype=torch.uint8)
        inside = resident_mib() - before
        {last}
except ValueError:
    pass
print(inside, resident_mib() - before)
"""


def measure(last: str) -> list[int]:
    """Tell how many MiB more there are in the block and after it, in a process in which nothing else was freed."""
    command = [sys.executable, "-c", MEASURE.format(last=last)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


def test_numbers_are_the_same_with_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    network, slices = torch.nn.Conv2d(1, 8, 3), torch.randn(4, 1, 512, 512, generator=generator)
    inferer = CpuBfloat16Inferer(lambda inputs, network: network(inputs), enabled=False)
    kept = inferer(slices, network)
    monkeypatch.setattr(module, "_glibc", lambda: None)
    assert torch.equal(kept, inferer(slices, network))


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone can be told")
@pytest.mark.parametrize("last", ["pass", "raise ValueError"])
def test_memory_stays_in_the_block_and_goes_back_after_it(last: str) -> None:
    inside, after = measure(last)
    assert inside > 200
    assert after < 50


def test_what_is_small_is_run_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_glibc", lambda: pytest.fail("expected nothing to be told"))
    assert CpuBfloat16Inferer(lambda inputs, network: inputs + 1, enabled=False)(torch.zeros(1), None) == 1

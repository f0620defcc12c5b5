"""Freed memory that is kept while a network runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from custom_transforms import kept_memory as module
from custom_transforms.autocast import CpuBfloat16Inferer
from custom_transforms.kept_memory import kept_memory

MIB = 1 << 20


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_numbers_are_the_same_with_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    network, slices = torch.nn.Conv2d(1, 8, 3), torch.randn(4, 1, 512, 512, generator=generator)
    inferer = CpuBfloat16Inferer(lambda inputs, network: network(inputs), enabled=False)
    kept = inferer(slices, network)
    monkeypatch.setattr(module, "_glibc", lambda: None)
    assert torch.equal(kept, inferer(slices, network))


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone can be told")
def test_memory_stays_in_the_block_and_goes_back_after_it() -> None:
    before = resident_bytes()
    with kept_memory():
        for _ in range(3):
            torch.ones(64 * MIB, dtype=torch.uint8)
        inside = resident_bytes()
    assert inside - before > 48 * MIB
    assert resident_bytes() - before < 16 * MIB


def test_an_error_in_the_block_passes_and_memory_goes_back() -> None:
    def fail(inputs: torch.Tensor, network: object) -> torch.Tensor:
        torch.ones(64 * MIB, dtype=torch.uint8)
        raise ValueError("from inside")

    before = resident_bytes()
    with pytest.raises(ValueError, match="from inside"):
        CpuBfloat16Inferer(fail, enabled=False)(torch.zeros(MIB), fail)
    assert resident_bytes() - before < 16 * MIB


def test_what_is_small_is_run_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_glibc", lambda: pytest.fail("expected nothing to be told"))
    assert CpuBfloat16Inferer(lambda inputs, network: inputs + 1, enabled=False)(torch.zeros(1), None) == 1

"""Networks as a script runs them: one slice at a time, eager, in float32, in torch's own order of memory."""

from __future__ import annotations

from collections.abc import Callable

import torch


def slice_by_slice(network: Callable[[torch.Tensor], torch.Tensor], slices: torch.Tensor) -> torch.Tensor:
    """Run a network over slices `(S, C, H, W)`, one after another."""
    with torch.no_grad():
        return torch.cat([network(one[None]) for one in slices])

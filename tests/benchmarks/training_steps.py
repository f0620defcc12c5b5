"""What every training step ends with, and how two of them are compared."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.flop_counter import FlopCounterMode

Gradients = dict[str, Tensor]


def finish_step(network: nn.Module, optimizer: Optimizer) -> Gradients:
    """Clip, keep the gradients, which the next step overwrites, and move the weights."""
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    gradients = {name: weight.grad.clone() for name, weight in network.named_parameters() if weight.grad is not None}
    optimizer.step()
    return gradients


def distance(expected: Gradients, found: Gradients) -> float:
    """Euclidean norm of the difference; infinite where other weights have one."""
    if expected.keys() != found.keys():
        return float("inf")
    return float(torch.stack([(found[name] - gradient).norm() for name, gradient in expected.items()]).norm())


def cosine(expected: Gradients, found: Gradients) -> float:
    """Cosine of the angle between two gradients."""
    one, other = (
        torch.cat([gradients[name].double().flatten() for name in expected]) for gradients in (expected, found)
    )
    return float(nn.functional.cosine_similarity(one, other, dim=0))


def count_flops(step: Callable[[], object]) -> float:
    """Count a step's operations in convolutions and matrix products, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        step()
    return float(counter.get_total_flops())

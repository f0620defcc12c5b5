"""Monte-Carlo dropout: a network as many thinned networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from monai.inferers import Inferer
from torch import nn

from custom_transforms.refusal import RefusedError
from custom_transforms.sampling_inferer import Network, Run, SamplingInferer


class DropoutInferer(SamplingInferer):
    """Run a network with dropout at work, and all else in eval mode.

    Sample number t is one thinned network: the same units are dropped in all slices of a patient, in whatever chunks
    they come, and in all patients. So a rerun gives the same digits on every device up to rounding, no case depends on
    those before it, and a patient's highest slice is not the highest of so many independent draws.

    Args:
        inferer: what runs the network.
        count: samples.
        seed: another seed drops other units.

    Raises:
        RefusedError: when called, a network without dropout: trained with dropout 0, or run by another backend.

    Reference:
        Gal and Ghahramani, Dropout as a Bayesian Approximation, ICML 2016.
    """

    def __init__(self, inferer: Inferer, count: int = 20, *, seed: int = 88) -> None:
        super().__init__(inferer)
        self.count = count
        self.seed = seed

    def draw(self, inputs: torch.Tensor, network: Network, run: Run) -> Iterator[torch.Tensor]:
        """Give `count` samples."""
        parts = network.modules() if isinstance(network, nn.Module) else ()
        layers = [part for part in parts if isinstance(part, nn.Dropout) and part.p > 0]
        if not layers:
            expected = "backend torch and a network with dropout above 0, or other samples (uncertainty: flips)"
            raise RefusedError.of("no_dropout", "uncertainty", expected=expected, got="no dropout to draw from")
        for number in range(self.count):
            with thinned(layers, [self.seed, number]):
                yield from run(inputs)


@contextmanager
def thinned(layers: Sequence[nn.Dropout], seed: Sequence[int]) -> Iterator[None]:
    """Drop in the block the same units of every item that dropout layers get; they must be in eval mode.

    Args:
        layers: what they get is `(N, …)`; each element of `…` is a unit, kept with probability `1 - p` and multiplied
            by `1 / (1 - p)`.
        seed: the number of the layer is added, so that layers drop independently.
    """
    drawn: dict[tuple[int, torch.Size], torch.Tensor] = {}
    numbers = {layer: number for number, layer in enumerate(layers)}

    def drop(layer: nn.Dropout, given: tuple[torch.Tensor, ...], _: Any) -> torch.Tensor:
        key = (numbers[layer], given[0].shape[1:])
        if key not in drawn:
            mask = _mask(given[0].shape[1:], layer.p, [*seed, numbers[layer]])
            one = given[0][:1]  # whose device and order in memory the mask takes
            drawn[key] = torch.empty_like(one, dtype=torch.float32).copy_(mask)
        return given[0] * drawn[key].to(given[0].dtype)

    handles = [layer.register_forward_hook(drop) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _mask(shape: torch.Size, prob: float, seed: Sequence[int]) -> torch.Tensor:
    """Draw on the CPU, where every machine draws the same."""
    state = np.random.SeedSequence(seed).generate_state(1, np.uint64)
    generator = torch.Generator().manual_seed(int(state[0]))
    return (torch.rand(1, *shape, generator=generator) >= prob).float() / (1 - prob)

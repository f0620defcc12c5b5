"""Run another inferer several times, each time a little differently, and give every result."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from monai.inferers import Inferer
from torch import nn

Network = Callable[..., torch.Tensor]
Run = Callable[[torch.Tensor], Iterator[torch.Tensor]]


class SamplingInferer(Inferer):
    """Base of the inferers that give samples; their randomness may be nested, and the samples are then all pairs.

    The network runs in eval mode, whatever mode it comes in, so that batch norm neither mixes the items of a batch nor
    learns; afterwards every part has its own mode again, also after an error.

    Args:
        inferer: what runs the network; may give samples itself.
    """

    def __init__(self, inferer: Inferer) -> None:
        super().__init__()
        self.inferer = inferer

    def __call__(self, inputs: torch.Tensor, network: Network, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return all samples, `(B, T, …)` where the wrapped inferer gives `(B, …)`, in float32."""
        return torch.stack(list(self.samples(inputs, network, *args, **kwargs)), dim=1)

    def samples(
        self, inputs: torch.Tensor, network: Network, *args: Any, **kwargs: Any
    ) -> Generator[torch.Tensor, None, None]:
        """Give one sample after the other, so that whoever sums them up keeps none.

        Between two samples the network is not as it was: end or close the iteration before it is used elsewhere.
        """

        def run(changed: torch.Tensor) -> Iterator[torch.Tensor]:
            if isinstance(self.inferer, SamplingInferer):
                yield from self.inferer.samples(changed, network, *args, **kwargs)
            else:
                output: torch.Tensor = self.inferer(changed, network, *args, **kwargs)
                yield output.float()

        with in_eval_mode(network):
            yield from self.draw(inputs, network, run)

    @abstractmethod
    def draw(self, inputs: torch.Tensor, network: Network, run: Run) -> Iterator[torch.Tensor]:
        """Call `run`, which gives one or more samples, with what one's own randomness makes of inputs or network."""


@contextmanager
def in_eval_mode(network: Network) -> Iterator[None]:
    """Put a network in eval mode for the block; MONAI's `eval_mode` would unfreeze what its owner has frozen."""
    modes = [(part, part.training) for part in network.modules()] if isinstance(network, nn.Module) else []
    try:
        if isinstance(network, nn.Module) and any(training for _, training in modes):
            network.eval()
        yield
    finally:
        for part, training in modes:
            if part.training != training:
                part.training = training

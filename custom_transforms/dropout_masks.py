"""Draw a network's dropout once, and use it again for some of the same items."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Hook = Callable[[Any, tuple[Tensor, ...], Any], Tensor]


class DropoutMasks:
    """The masks of every `nn.Dropout` that is at work, for networks that call each of them once a forward pass.

    As many random numbers are drawn as without it, so that what follows is the same.

    Args:
        network: the network; items are along the first axis of what its layers get.

    Example:
        >>> masks = DropoutMasks(network)
        >>> with masks.recorded():
        ...     outputs = torch.cat([network(chunk) for chunk in items.split(8)])
        >>> with masks.replayed(outputs.argmax(0)):
        ...     again = network(items[outputs.argmax(0)])
    """

    def __init__(self, network: nn.Module) -> None:
        self.layers = [part for part in network.modules() if isinstance(part, nn.Dropout) and part.training]
        self.drawn: dict[nn.Module, list[Tensor]] = {layer: [] for layer in self.layers}

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Keep what is drawn in the block, whose items come in chunks, one after the other."""

        def draw(layer: nn.Dropout, given: tuple[Tensor, ...], _: Any) -> Tensor:
            exact = torch.promote_types(given[0].dtype, torch.float32)  # under autocast 1 / (1 - p) would be rounded
            mask = functional.dropout(torch.ones_like(given[0], dtype=exact), layer.p)  # the numbers it draws itself
            self.drawn[layer].append(mask)
            return given[0] * mask.to(given[0].dtype)

        with self._instead(draw):
            yield

    @contextmanager
    def replayed(self, items: Tensor) -> Iterator[None]:
        """Use in the block what was drawn for `items` `(N,)`, their numbers; nothing is drawn."""
        chosen = {layer: torch.cat(masks)[items] for layer, masks in self.drawn.items()}

        def use(layer: nn.Dropout, given: tuple[Tensor, ...], _: Any) -> Tensor:
            return given[0] * chosen[layer].to(given[0].dtype)

        with self._instead(use):
            yield

    @contextmanager
    def _instead(self, hook: Hook) -> Iterator[None]:
        """Let a hook do what the layers do, which in eval mode pass on what they get."""
        handles = [layer.eval().register_forward_hook(hook) for layer in self.layers]
        try:
            yield
        finally:
            for layer, handle in zip(self.layers, handles, strict=True):
                handle.remove()
                layer.train()

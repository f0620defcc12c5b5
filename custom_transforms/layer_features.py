"""What the layers of a network make of a study, collected while something else runs the network on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d
from torch.utils.hooks import RemovableHandle

from custom_transforms.best_model import plain
from custom_transforms.refusal import RefusedError

Features = dict[str, NDArray[np.float64]]  # of each layer the means of its channels, `(C,)`


class LayerFeatures:
    """Mean output of layers, channel by channel, over the brain of all slices that passed.

    Brain is where the slices `(N, C, H, W)` that the network's first convolution is given are not 0. With the empty
    background, whose share differs from scan to scan, other scanners and sequences stood out less.

    It costs no pass of its own; the network's output, its weights and its export stay what they are. Where the same
    slices pass several times, as with samples of dropout, their mean counts.

    Args:
        layers: names of modules of the network, as `layer1`.

    Raises (by `attach`):
        RefusedError: the network has no such layer.
    """

    def __init__(self, layers: Sequence[str]) -> None:
        self.layers = tuple(layers)
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}
        self._brain = torch.zeros(1, 1, 1, 1)  # of the chunk that is passing, `(N, 1, H, W)`
        self._handles: list[RemovableHandle] = []

    def attach(self, network: nn.Module) -> None:
        """Collect from now on what passes the network.

        Raises:
            RefusedError: see above.
        """
        parts = dict(plain(network).named_modules())
        first = next(part for part in parts.values() if isinstance(part, nn.Conv2d))
        self._handles.append(first.register_forward_pre_hook(self._note_brain))
        for name in self.layers:
            if name not in parts:
                expected = "names of the network's modules"
                raise RefusedError.of("unknown_layer", "feature_layers", expected=expected, got=name)
            self._handles.append(parts[name].register_forward_hook(self._adder(name)))

    def detach(self) -> None:
        """Leave the network alone."""
        while self._handles:
            self._handles.pop().remove()

    def take(self) -> Features | None:
        """Give the features of what passed since the last call; None where nothing did, as with another backend."""
        sums, counts = self._sums, self._counts
        self.forget()
        return {name: (sums[name] / counts[name]).double().cpu().numpy() for name in self.layers} if sums else None

    def forget(self) -> None:
        """Drop what has passed since the last call of `take`, as where a pass broke off."""
        self._sums, self._counts = {}, {}

    def _note_brain(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._brain = (inputs[0].detach() != 0).any(dim=1, keepdim=True).float()

    def _adder(self, name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            share = adaptive_avg_pool2d(self._brain, (output.shape[2], output.shape[3]))
            total = (output.detach().float() * share).sum(dim=(0, 2, 3))
            self._sums[name] = self._sums.get(name, torch.zeros_like(total)) + total
            self._counts[name] = self._counts.get(name, torch.zeros_like(share.sum())) + share.sum()

        return add

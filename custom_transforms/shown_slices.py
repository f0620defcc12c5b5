"""Run a 2D network over a volume's slices, over the empty ones above and below once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from monai.inferers import SliceInferer


class ShownSliceInferer(SliceInferer):
    """MONAI's `SliceInferer`, for which all slices above and below what is not 0 are one slice.

    Above and below a skull-stripped brain a volume is empty, about a seventh of BraTS; what a network makes of one such
    slice it makes of all. Arguments are those of `SliceInferer`.

    Example:
        >>> logits = ShownSliceInferer(spatial_dim=2, roi_size=(-1, -1), sw_batch_size=4)(volume, network)
    """

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the network's output for each slice of `inputs` `(B, C, X, Y, Z)`, as `SliceInferer` does."""
        run = cast(Callable[..., torch.Tensor], super().__call__)
        axis = 2 + self.spatial_dim
        count = inputs.shape[axis]
        shown = (inputs != 0).movedim(axis, 0).flatten(1).any(1).nonzero().flatten().tolist() or [0]
        first, last = max(shown[0] - 1, 0), shown[-1]  # with one empty slice, below or, if there is none there, above
        if first == shown[0]:
            last = min(last + 1, count - 1)
        empty = last - first if first == shown[0] else 0
        place = torch.arange(count, device=inputs.device) - first
        place[:first], place[last + 1 :] = empty, empty
        return run(inputs.narrow(axis, first, last + 1 - first), network, *args, **kwargs).index_select(axis, place)

"""Run a 2D network over a volume's slices, over the empty ones once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from monai.inferers import SliceInferer


class ShownSliceInferer(SliceInferer):
    """MONAI's `SliceInferer`, for which all slices without a voxel other than 0 are one slice.

    Above and below a skull-stripped brain a volume is empty, about a seventh of BraTS; what a network makes of one such
    slice it makes of all. Arguments are those of `SliceInferer`.

    Example:
        >>> logits = ShownSliceInferer(spatial_dim=2, roi_size=(-1, -1), sw_batch_size=4)(volume, network)
    """

    def __call__(self, inputs: torch.Tensor, network: Callable[..., Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the network's output for each slice of `inputs` `(B, C, X, Y, Z)`, as `SliceInferer` does."""
        run = cast(Callable[..., torch.Tensor], super().__call__)
        axis = 2 + self.spatial_dim
        shown = (inputs != 0).movedim(axis, 0).flatten(1).any(1)
        empty = (~shown).nonzero().flatten()
        if len(empty) < 2:
            return run(inputs, network, *args, **kwargs)
        kept = torch.cat([empty[:1], shown.nonzero().flatten()])
        place = shown.cumsum(0) * shown  # of each slice among those kept
        return run(inputs.index_select(axis, kept), network, *args, **kwargs).index_select(axis, place)

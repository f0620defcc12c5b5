"""Test-time augmentation by the one exact move that a head allows: left and right."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from monai.inferers import Inferer

from custom_transforms.sampling_inferer import Network, Run, SamplingInferer


class FlipInferer(SamplingInferer):
    """Run a network on the images as they are and mirrored, and mirror the second result back.

    Heads are about symmetric from left to right and never from front to back. A mirrored voxel is a voxel, so nothing
    is interpolated. Two samples, and no more.

    Args:
        inferer: what runs the network.
        axis: from left to right, of the inputs; results with as many axes have it too, others, such as a patient's
            logit, have none and are taken as they are.
    """

    def __init__(self, inferer: Inferer, axis: int) -> None:
        super().__init__(inferer)
        self.axis = axis

    def draw(self, inputs: torch.Tensor, network: Network, run: Run) -> Iterator[torch.Tensor]:
        """Give both samples."""
        yield from run(inputs)
        for sample in run(inputs.flip(self.axis)):
            yield sample.flip(self.axis) if sample.ndim == inputs.ndim else sample

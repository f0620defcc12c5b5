"""A network whose answer rests on one bright spot, and slices that have it, so that it is known where it must look."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

SIDE, CELL = 64, 8
SPOT = (slice(16, 24), slice(40, 48))  # cell (2, 5) of 8x8


class BrightSpot(nn.Module):
    """Positive where any cell of 8x8 pixels is much brighter than the brain; each position's evidence is its own."""

    def __init__(self) -> None:
        super().__init__()
        mean = nn.Conv2d(1, 1, CELL, stride=CELL)
        nn.init.constant_(mean.weight, 1 / CELL**2)
        nn.init.constant_(mean.bias, -1.0)  # a cell of mean brightness gives nothing
        self.layer4 = nn.Sequential(mean, nn.ReLU())
        self.scale, self.shift = nn.Parameter(torch.tensor(4.0)), nn.Parameter(torch.tensor(-4.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.layer4(x).sum(dim=(1, 2, 3))[:, None] + self.shift

    def evidence(self, x: Tensor) -> Tensor:
        features = self.layer4(x)
        return torch.cat([self.scale * features + self.shift, self(x)[:, :, None, None].expand_as(features)], dim=1)


def spotted_slice(*, spot: bool = True, seed: int = 1) -> NDArray[np.float32]:
    """Make a round brain of noise, z-scored, 0 around it, with or without a spot of 3 standard deviations."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    brain = np.hypot(rows, columns) < 28
    image = np.random.default_rng(seed).normal(0, 0.2, (SIDE, SIDE))
    if spot:
        image[SPOT] += 3
    return np.where(brain, image, 0).astype(np.float32)

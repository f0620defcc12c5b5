"""Grad-CAM of slices, by MONAI, on a copy of the network."""

from __future__ import annotations

from copy import deepcopy

import torch
from monai.visualize import GradCAM
from torch import nn


class SliceGradCam:
    """Weigh a layer's features by how much the slice's logit grows with them, at every position.

    It works on a copy: MONAI's hooks cannot be taken off again, and would keep every later activation. MONAI's own last
    step scales each map to 0..1 upside down, 0 where the evidence is highest; here it is left out.

    Args:
        network: slice classifier from `(N, 1, H, W)` to logits `(N, C)`, of which the first counts.
        layer: name of the layer.

    Reference:
        Selvaraju et al., Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization, ICCV 2017.
    """

    def __init__(self, network: nn.Module, layer: str = "layer4") -> None:
        copy = deepcopy(network).eval().requires_grad_(False)
        self.of_monai = GradCAM(copy, layer, upsampler=lambda _: nn.Identity(), postprocessing=nn.Identity())

    def __call__(self, slices: torch.Tensor) -> torch.Tensor:
        """Return maps `(N, h, w)` of slices `(N, 1, H, W)`: 0 and above, without a unit."""
        with torch.enable_grad():  # a gradient of the slices reaches the layer also where its weights are frozen
            maps: torch.Tensor = self.of_monai(slices.detach().requires_grad_(), class_idx=0)
        return maps.detach()[:, 0].float()

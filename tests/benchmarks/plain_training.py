"""Training steps as one writes them from the description: slice by slice, in float32, with torch's defaults."""

from __future__ import annotations

import torch
from monai.losses import FocalLoss
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from benchmarks.training_steps import Gradients, finish_step


def plain_patient_step(network: nn.Module, optimizer: Optimizer, bag: Tensor, label: Tensor) -> Gradients:
    """Classify a patient's slices `(K, 1, H, W)` one by one, take the highest logit, and learn from it."""
    optimizer.zero_grad()
    logits = torch.cat([network(image[None]) for image in bag])
    functional.binary_cross_entropy_with_logits(logits.max(), label).backward()
    return finish_step(network, optimizer)


def plain_slice_step(network: nn.Module, optimizer: Optimizer, images: Tensor, masks: Tensor) -> Gradients:
    """Segment a batch `(N, 4, H, W)` and learn from its masks `(N, 1, H, W)`."""
    optimizer.zero_grad()
    plain_tumour_loss(network(images), masks).backward()
    return finish_step(network, optimizer)


def plain_tumour_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """0.5 Dice, 1.5 times where the tumour is smaller than 500 pixels, 0.3 cross entropy, 0.2 focal loss."""
    probs, pixels = torch.sigmoid(logits), masks.sum((2, 3))
    dice = (2 * (probs * masks).sum((2, 3)) + 1) / (probs.sum((2, 3)) + pixels + 1)
    weight = torch.where((pixels > 0) & (pixels < 500), 1.5, 1.0)
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, masks, pos_weight=torch.tensor(1.3))
    focal = FocalLoss(gamma=2.0, alpha=0.25)(logits, masks)
    return 0.5 * ((1 - dice) * weight).mean() + 0.3 * cross_entropy + 0.2 * focal

"""Dice, binary cross entropy and focal loss with more weight for small tumours."""

from __future__ import annotations

import torch
from monai.losses import FocalLoss
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits


def small_tumour_dice(
    probs: torch.Tensor, target: torch.Tensor, *, small_pixels: int = 500, small_weight: float = 1.5
) -> torch.Tensor:
    """Mean Dice loss of samples and channels, larger where the tumour is small.

    Args:
        probs: probabilities `(N, R, H, W)`, 0..1.
        target: truth of the same shape, 0 or 1.
        small_pixels: a sample whose tumour has at least one and fewer than this many pixels is small.
        small_weight: weight of a small sample; others weigh 1.

    Returns:
        mean of weight times `1 - (2 |P ∩ T| + 1) / (|P| + |T| + 1)`, scalar. The 1 makes an empty slice with an empty
        prediction perfect.
    """
    axes = tuple(range(2, target.ndim))
    overlap = (probs * target).sum(axes)
    tumour_pixels = target.sum(axes)
    dice = (2 * overlap + 1) / (probs.sum(axes) + tumour_pixels + 1)
    is_small = (tumour_pixels > 0) & (tumour_pixels < small_pixels)
    weight = torch.where(is_small, small_weight, 1.0)
    return ((1 - dice) * weight).mean()


class SmallTumourLoss(nn.Module):
    """`0.5 Dice + 0.3 BCE + 0.2 focal`, the defaults being those of the published system that this bundle follows.

    Args:
        dice_weight, bce_weight, focal_weight: weights of the three terms.
        positive_weight: weight of tumour pixels in the cross entropy.
        small_pixels, small_weight: see `small_tumour_dice`.

    Focal loss has alpha 0.25 and gamma 2 (Lin et al., ICCV 2017).

    Example:
        >>> SmallTumourLoss()(torch.zeros(2, 3, 64, 64), torch.zeros(2, 3, 64, 64)) > 0
        tensor(True)
    """

    def __init__(
        self,
        *,
        dice_weight: float = 0.5,
        bce_weight: float = 0.3,
        focal_weight: float = 0.2,
        positive_weight: float = 1.3,
        small_pixels: int = 500,
        small_weight: float = 1.5,
    ) -> None:
        super().__init__()
        self.dice_weight, self.bce_weight, self.focal_weight = dice_weight, bce_weight, focal_weight
        self.small_pixels, self.small_weight = small_pixels, small_weight
        self.positive_weight = positive_weight
        self.focal = FocalLoss(gamma=2.0, alpha=0.25)

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return the loss of a batch, scalar.

        Args:
            logits: network output `(N, R, H, W)`; computed on in float32, as sums over pixels overflow float16.
            target: truth of the same shape, 0 or 1.

        Raises:
            ValueError: the shapes differ.
        """
        if logits.shape != target.shape:
            raise ValueError(f"loss: expected a truth of shape {tuple(logits.shape)}, got {tuple(target.shape)}")
        logits, target = logits.float(), target.float()
        dice = small_tumour_dice(
            logits.sigmoid(), target, small_pixels=self.small_pixels, small_weight=self.small_weight
        )
        positive_weight = torch.tensor(self.positive_weight, device=logits.device)
        bce = binary_cross_entropy_with_logits(logits, target, pos_weight=positive_weight)
        focal: torch.Tensor = self.focal(logits, target)
        return self.dice_weight * dice + self.bce_weight * bce + self.focal_weight * focal

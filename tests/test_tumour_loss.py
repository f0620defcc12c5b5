from __future__ import annotations

import math

import pytest
import torch

from custom_transforms.tumour_loss import SmallTumourLoss, small_tumour_dice


def square(side: int) -> torch.Tensor:
    """One sample, one channel, with a tumour of side x side pixels."""
    target = torch.zeros(1, 1, 64, 64)
    target[..., :side, :side] = 1
    return target


def test_dice_of_a_wrong_prediction_by_hand() -> None:
    # 10x10 tumour, all of it missed, nothing predicted: 1 - 1 / (0 + 100 + 1), times 1.5 as 100 < 500 pixels
    loss = small_tumour_dice(torch.zeros(1, 1, 64, 64), square(10))
    assert loss.item() == pytest.approx(1.5 * (1 - 1 / 101))


@pytest.mark.parametrize(("side", "weight"), [(0, 1), (22, 1.5), (23, 1)])  # 484 and 529 pixels
def test_only_tumours_below_500_pixels_weigh_more(side: int, weight: float) -> None:
    probs = torch.full((1, 1, 64, 64), 0.3)
    target = square(side)
    plain = 1 - (2 * 0.3 * side**2 + 1) / (0.3 * 64**2 + side**2 + 1)
    assert small_tumour_dice(probs, target).item() == pytest.approx(weight * plain, rel=1e-5)


def test_all_terms_by_hand_on_one_pixel() -> None:
    # logit 0 on a tumour pixel: p = 0.5; weight 1.5 as the tumour has one pixel
    dice = 1.5 * (1 - (2 * 0.5 + 1) / (0.5 + 1 + 1))
    bce = 1.3 * math.log(2)
    focal = 0.25 * 0.5**2 * math.log(2)
    loss = SmallTumourLoss()(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1))
    assert loss.item() == pytest.approx(0.5 * dice + 0.3 * bce + 0.2 * focal, rel=1e-5)


def test_focal_term_weighs_background_by_three_quarters() -> None:
    # logit 0 on background: p = 0.5, alpha 1 - 0.25
    only_focal = SmallTumourLoss(dice_weight=0, bce_weight=0, focal_weight=1)
    assert only_focal(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)).item() == pytest.approx(
        0.75 * 0.25 * math.log(2)
    )


def test_right_answer_costs_nothing_and_half_precision_stays_finite() -> None:
    target = square(20).expand(2, 3, 64, 64)
    logits = (target * 2 - 1) * 30
    assert SmallTumourLoss()(logits, target).item() == pytest.approx(0, abs=1e-5)
    assert torch.isfinite(SmallTumourLoss()(torch.zeros(2, 3, 240, 240).half(), torch.ones(2, 3, 240, 240)))


def test_other_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected a truth of shape \(1, 3, 4, 4\), got \(1, 1, 4, 4\)"):
        SmallTumourLoss()(torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4))

"""The window: its bounds, and what tells brain from background."""

from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from custom_transforms.brain_window import DARKEST_BRAIN, WindowBraind

HU = torch.tensor([-1000.0, -20.0, 0.0, 20.0, 40.0, 80.0, 300.0]).reshape(1, 7, 1, 1)


def test_window_brings_its_bounds_to_0_and_1_and_cuts_beyond() -> None:
    item = {"image": MetaTensor(HU), "brain": MetaTensor(torch.ones_like(HU, dtype=torch.uint8))}
    shown = WindowBraind("image")(item)["image"].flatten().tolist()
    assert shown == pytest.approx([DARKEST_BRAIN] * 3 + [0.25, 0.5, 1, 1])
    assert torch.equal(item["image"], HU)


def test_fluid_in_the_brain_is_told_from_background() -> None:
    brain = torch.tensor([0, 1, 1, 1, 0, 1, 0], dtype=torch.uint8).reshape(HU.shape)
    shown = WindowBraind("image")({"image": MetaTensor(HU), "brain": MetaTensor(brain)})["image"]
    assert torch.equal(shown > 0, brain > 0)


def test_without_a_mask_all_is_shown() -> None:
    assert float(WindowBraind("image", centre_hu=100, width_hu=400)({"image": MetaTensor(HU)})["image"].max()) == 1.0


def test_window_without_width_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a width above 0 HU, got 0"):
        WindowBraind("image", width_hu=0)

"""A fixed set of augmented copies: what decides them, and which of them an epoch takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.transforms import Compose, RandShiftIntensityd

from custom_transforms.augmented_copies import AugmentedCopies
from custom_transforms.patient_bag import BagsDataset


def make_bag(item: dict[str, Any]) -> dict[str, Any]:
    """Slice number s of 12 is full of s."""
    slices = torch.arange(12, dtype=torch.float32)[:, None, None, None].expand(-1, 1, 2, 2)
    return {**item, "image": slices, "slice_index": torch.arange(12)}


def make_copies(folder: Path, names: str = "abc", *, copies: int = 3, seed: int = 7) -> AugmentedCopies:
    for name in names:
        (folder / name).touch()
    items = [{"case": name, "image": str(folder / name), "label": 1} for name in names]
    shift = Compose([RandShiftIntensityd("image", offsets=0.2, prob=1.0)])
    bags = BagsDataset(items, make_bag, None, bag_transform=shift, slices_per_bag=4)
    return AugmentedCopies(bags, copies=copies, seed=seed)


def test_copy_comes_from_seed_patient_and_number_alone(tmp_path: Path) -> None:
    copies = make_copies(tmp_path)
    first = copies.copy(1, 2)["image"]
    assert first.shape == (4, 1, 2, 2)
    copies.copy(0, 0)
    others = [copies.copy(1, 1), copies.copy(0, 2), make_copies(tmp_path, seed=8).copy(1, 2)]
    assert all(not torch.equal(first, other["image"]) for other in others)
    assert torch.equal(copies.copy(1, 2)["image"], first)
    assert torch.equal(make_copies(tmp_path, "bc").copy(0, 2)["image"], first)  # in another place of the list


def test_epochs_take_copies_at_random_and_the_same_ones_again(tmp_path: Path) -> None:
    copies = make_copies(tmp_path)
    fixed = [[copies.copy(index, number)["image"] for number in range(3)] for index in range(3)]
    taken: dict[int, list[int]] = {}
    for copies.epoch in [*range(12), *range(12)]:
        drawn = [copies[index]["image"] for index in range(3)]
        numbers = [
            next(n for n, one in enumerate(of) if torch.equal(one, got)) for of, got in zip(fixed, drawn, strict=True)
        ]
        assert taken.setdefault(copies.epoch, numbers) == numbers
    assert all({numbers[index] for numbers in taken.values()} == {0, 1, 2} for index in range(3))
    assert len({tuple(numbers) for numbers in taken.values()}) > 3  # patients draw independently


def test_no_copies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="augmented copies: expected at least 1, got 0"):
        make_copies(tmp_path, copies=0)

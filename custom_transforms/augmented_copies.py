"""A fixed set of augmented copies of each patient, in the place of ever new ones."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.utils import MAX_SEED
from torch.utils.data import Dataset

from custom_transforms.fingerprint import fingerprint
from custom_transforms.mri_study import case_name
from custom_transforms.patient_bag import BagsDataset
from custom_transforms.prepared_folder import open_arrays

ARRAYS = ("activations",)


class AugmentedCopies(Dataset[Any]):
    """Bags whose draw of slices and whose augmentation come from seed, patient and number of the copy alone.

    Every epoch takes one copy of each patient at random, from seed, epoch and patient alone, so that a resumed training
    takes the same. The price of what this makes possible: a training sees a patient in so many ways and no more.

    Args:
        bags: the patients; it is seeded anew for every item.
        copies: of each patient.
        seed: of copies and of their draw.

    Attributes:
        epoch: present epoch.
        passed: number of `PARTS` of the network that the items have passed.
        folders: where what passed these is read from, copy after copy of the first patient, then of the next.

    Returns (by index):
        what `bags` gives, of a copy; where something was passed, `image` holds the activations `(K, …)` float32 and
        only `label` and `case` are beside it; and always `passed`.

    Raises:
        ValueError: `copies` below 1.
    """

    def __init__(self, bags: BagsDataset, *, copies: int, seed: int = 0) -> None:
        if copies < 1:
            raise ValueError(f"augmented copies: expected at least 1, got {copies}")
        self.bags = bags
        self.copies = copies
        self.seed = seed
        # now, before steps keep what they have drawn beside their settings
        self.work = fingerprint(seed, bags.transform, bags.bag_transform, bags.slices_per_bag)
        self.epoch = 0
        self.passed = 0
        self.folders: Sequence[Path] = ()

    def __len__(self) -> int:
        """Count patients."""
        return len(self.bags)

    def copy(self, index: int, number: int) -> dict[str, Any]:
        """Make a patient's copy of this number, always the same."""
        self.bags.set_random_state(seed=self._seed(index, 0, number))
        item: dict[str, Any] = self.bags[index]
        return item

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Return the copy that the present epoch takes."""
        number = self._seed(index, 1, self.epoch) % self.copies
        if not self.passed:
            return {**self.copy(index, number), "passed": 0}
        activations = open_arrays(self.folders[index * self.copies + number], ARRAYS)["activations"]
        item = {"image": torch.from_numpy(np.array(activations)), "case": case_name(self.bags.data[index])}
        labels = {key: label for key, label in self.bags.data[index].items() if key == "label"}
        return {**item, **labels, "passed": self.passed}

    def _seed(self, index: int, purpose: int, number: int) -> int:
        """Mix numbers to a seed; a patient is known by name, as its place changes with the data list."""
        name = zlib.crc32(case_name(self.bags.data[index]).encode())
        mixed = np.random.SeedSequence([self.seed, name, purpose, number]).generate_state(1)
        return int(mixed[0]) % MAX_SEED

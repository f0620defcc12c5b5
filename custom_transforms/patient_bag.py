"""A patient as a bag of slices: prepared once, drawn from at random, and padded into batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from monai.transforms import Randomizable
from monai.utils import MAX_SEED
from numpy.typing import NDArray

from custom_transforms.class_of_mask import with_classes
from custom_transforms.mri_study import case_name
from custom_transforms.prepared_folder import Arrays
from custom_transforms.prepared_items import PreparedItems


class Bag(NamedTuple):
    """One patient's prepared slices, those kept only."""

    image: NDArray[np.float32]  # (K, 1, H, W), 0..1 between the window's bounds, 0 outside the brain
    slice_index: NDArray[np.int64]  # (K,) numbers of the kept slices, 0-based from the feet
    dropped: NDArray[np.str_]  # JSON object: number of a dropped slice to its reason
    notes: NDArray[np.str_]  # remarks of the reader


class BagsDataset(PreparedItems, Randomizable):
    """Patients as bags of slices, prepared on first use and read from disk ever after.

    Args:
        data: items with `image`, and `label` where it is known: 0, 1, or a mask's file; see `with_classes`.
        transform: deterministic steps from item to `image` `(K, 1, H, W)`, `slice_index`, `dropped`, `notes`.
        cache_dir: folder of the prepared bags, 262 kB a slice of 256x256; None computes each time.
        bag_transform: what follows on each drawn bag, such as augmentation and normalisation.
        slices_per_bag: at most so many slices of a patient, one drawn at random from each of as many equal stretches
            of the head, so that the longest study takes no more memory than others; None takes all.

    Returns (by index):
        what `bag_transform` makes of `image` `(K, 1, H, W)` float32, `label` and `case`.

    Raises:
        ValueError: `slices_per_bag` below 1.
    """

    FORMAT = 1
    ARRAYS = Bag._fields
    FILES = ("image",)

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Callable[[Any], Any],
        cache_dir: str | Path | None,
        *,
        bag_transform: Callable[[Any], Any],
        slices_per_bag: int | None = None,
    ) -> None:
        if slices_per_bag is not None and slices_per_bag < 1:
            raise ValueError(f"bags: expected slices_per_bag of at least 1, got {slices_per_bag}")
        super().__init__(with_classes(data), transform, cache_dir)
        self.bag_transform = bag_transform
        self.slices_per_bag = slices_per_bag

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> BagsDataset:
        """Seed the draw of slices, and from it the random steps; MONAI seeds only the outermost of them."""
        super().set_random_state(seed, state)
        if isinstance(self.bag_transform, Randomizable):
            self.bag_transform.set_random_state(seed=int(self.R.randint(MAX_SEED)))
        return self

    def randomize(self, data: int) -> None:
        """Draw which of `data` slices are taken, `positions` ascending."""
        wanted = min(data, self.slices_per_bag or data)
        edges = np.arange(wanted + 1) * data // wanted
        self.positions = edges[:-1] + np.floor(self.R.random_sample(wanted) * np.diff(edges)).astype(np.int64)

    def plain(self) -> BagsDataset:
        """Give the same patients as whole bags, without what follows on them."""
        return BagsDataset(self.data, self.transform, self.cache_dir, bag_transform=dict)

    def bag(self, index: int) -> Bag:
        """Open a patient's bag without reading its slices, preparing it first where that was not done."""
        return Bag(**self.arrays(index))

    def to_arrays(self, prepared: Mapping[str, Any]) -> Arrays:
        """Take the kept slices, and why the others were dropped."""
        image = np.asarray(prepared["image"], dtype=np.float32)
        texts = (np.array(prepared.get(key, default)) for key, default in (("dropped", "{}"), ("notes", "")))
        return Bag(image, np.asarray(prepared["slice_index"], dtype=np.int64), *texts)._asdict()

    def __getitem__(self, index: int) -> Any:
        """Return a patient's bag, drawn and transformed."""
        bag = self.bag(index)
        self.randomize(len(bag.image))
        item = {"image": torch.from_numpy(np.array(bag.image[self.positions])), "case": case_name(self.data[index])}
        if "label" in self.data[index]:
            item["label"] = self.data[index]["label"]
        return self.bag_transform(item)


def collate_bags(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Put patients into a batch; the shorter bags are padded with empty slices that `slice_mask` tells apart.

    Args:
        items: with `image` `(K, 1, H, W)`, `case`, and in all of them or in none `label` 0 or 1, and `passed`; see
            `SliceClassifier`.

    Returns:
        `image` `(B, K, 1, H, W)`, `slice_mask` `(B, K)` bool, `label` `(B, 1)` float32, `case` and `passed`, lists.
    """
    bags = [torch.as_tensor(item["image"]) for item in items]
    lengths = torch.tensor([len(bag) for bag in bags])
    batch: dict[str, Any] = {
        "image": bags[0][None] if len(bags) == 1 else torch.nn.utils.rnn.pad_sequence(bags, batch_first=True),
        "slice_mask": torch.arange(int(lengths.max())) < lengths[:, None],
        "case": [item["case"] for item in items],
    }
    if "label" in items[0]:
        batch["label"] = torch.tensor([[float(item["label"])] for item in items])
    if "passed" in items[0]:
        batch["passed"] = [item["passed"] for item in items]
    return batch

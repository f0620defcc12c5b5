"""Tell, patient by patient, who is the best or the worst so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from custom_transforms.tumour_counts import count_voxels, dice


class BestAndWorst:
    """Remember the highest and the lowest mean Dice over regions; the last ones that stood out are those of all."""

    def __init__(self) -> None:
        self.highest = float("-inf")
        self.lowest = float("inf")

    def stands_out(self, item: Mapping[str, Any]) -> bool:
        """Take a patient in, and tell whether none was better, or none worse, before.

        Args:
            item: with `pred` and `label`, each `(R, X, Y, S)`, 0 or 1; without `label` nobody stands out.
        """
        if item.get("label") is None:
            return False
        mean = float(dice(count_voxels(item["pred"], item["label"])).mean())
        stands_out = mean > self.highest or mean < self.lowest
        self.highest, self.lowest = max(self.highest, mean), min(self.lowest, mean)
        return stands_out

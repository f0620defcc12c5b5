"""Draw random slices from prepared volumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable
from monai.utils import MAX_SEED
from torch.utils.data import Dataset

from custom_transforms.prepared_volumes import PreparedVolumes, VolumeSlices


class RandSlicesDataset(Dataset[Any], Randomizable):
    """Axial slices drawn at random, the same number from every patient in every epoch.

    Args:
        data, transform, cache_dir: see `PreparedVolumes`.
        slice_transform: random steps on a slice with `image` `(C, X, Y)` and `label` `(R, X, Y)`.
        slices_per_patient: slices drawn from each patient in an epoch.
        tumour_fraction: probability, 0..1, that a slice is drawn from those with tumour, where there are any; else
            it comes from all slices that hold brain.

    Returns (by index):
        what `slice_transform` makes of `image` float32, `label` uint8 and `case`.

    Raises:
        ValueError: `slices_per_patient` below 1, or `tumour_fraction` outside 0..1.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Callable[[Any], Any],
        cache_dir: str | Path,
        *,
        slice_transform: Callable[[Any], Any],
        slices_per_patient: int = 32,
        tumour_fraction: float = 0.5,
    ) -> None:
        if slices_per_patient < 1 or not 0 <= tumour_fraction <= 1:
            raise ValueError(
                "sampling: expected slices_per_patient >= 1 and tumour_fraction in 0..1, "
                f"got {slices_per_patient} and {tumour_fraction}"
            )
        self.volumes = PreparedVolumes(data, transform, cache_dir)
        self.slice_transform = slice_transform
        self.slices_per_patient = slices_per_patient
        self.tumour_fraction = tumour_fraction

    def __len__(self) -> int:
        """Count slices in an epoch."""
        return len(self.volumes) * self.slices_per_patient

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandSlicesDataset:
        """Seed the draw of slices, and from it the random steps; MONAI seeds only the outermost of them."""
        super().set_random_state(seed, state)
        if isinstance(self.slice_transform, Randomizable):
            self.slice_transform.set_random_state(seed=int(self.R.randint(MAX_SEED)))
        return self

    def randomize(self, data: Any = None) -> None:
        """Draw whether a tumour is wanted, and where among the slices that qualify, both in 0..1."""
        self._wants_tumour = self.R.random_sample() < self.tumour_fraction
        self._place = self.R.random_sample()

    def __getitem__(self, index: int) -> Any:
        """Return a random slice of the patient that `index` falls on."""
        patient = index // self.slices_per_patient
        self.randomize()
        volume = self.volumes.slices(patient)
        try:
            image, label = self._drawn(volume)
        except (FileNotFoundError, ValueError):  # removed or cut since they were opened
            self.volumes.forget_slices(patient)
            volume = self.volumes.slices(patient)
            image, label = self._drawn(volume)
        return self.slice_transform({"image": image, "label": label, "case": volume.case})

    def _drawn(self, volume: VolumeSlices) -> tuple[torch.Tensor, torch.Tensor]:
        candidates = volume.with_tumour if self._wants_tumour and len(volume.with_tumour) else volume.with_brain
        position = candidates[int(self._place * len(candidates))]
        return torch.from_numpy(volume.image[position]).float(), torch.from_numpy(volume.label[position])

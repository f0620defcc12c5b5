"""From the classifier's maps to a patient's result: probability, decision, slices that carry it, suspicious region."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any, cast

import nibabel as nib
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.data.utils import affine_to_spacing
from monai.transforms import MapTransform, Orientation
from torch.nn.functional import grid_sample

from custom_transforms.check_head import slice_positions
from custom_transforms.fingerprint import file_states
from custom_transforms.operating_point import UNDECIDED, OperatingPoint, read_operating_point
from custom_transforms.outside_score import with_outside
from custom_transforms.patient_pooling import pool_slices
from custom_transforms.spread_of_samples import spread_of_samples

CARRYING = 3  # slices that a record names as those that carry the result
SAMPLED = 5  # axes of maps of several samples
EVEN = 0.5  # probability above which a region is drawn where no operating point says otherwise


class EvidenceToResultd(MapTransform):
    """Turn the maps that `EvidenceInferer` gives for one patient into the patient's result.

    Args:
        keys: the maps `(K, 1 + C, h, w)` of the K kept slices; or `(T, K, 1 + C, h, w)`, T samples of them, of whose
            probabilities all that follows is the mean.
        pooling: as in training; the probability is then that of `PatientPoolingInferer`.
        top_k: as in training.
        operating_point: file of the threshold. Where there is none, no decision is made, and the record says so.
        weights: file of the network that the threshold must belong to.
        settings: pooling and preprocessing that it must belong to; see `OperatingPoint`.

    Where `OutsideScoreHandler` found the study outside of what the network was trained on, no decision is made either.

    The item must hold `brain` `(1, X, Y, S)` in LPS axes, `slice_index` `(K,)`, and, as texts, `case` (else the record
    says `image`), `notes` and `dropped`, as the steps before leave them.

    Returns:
        the item with, under the key, the suspicious region `(1, X, Y, S)`, uint8 0 or 1, on the grid of the scan as
        it was read; `result`, `{"patient_probability": …}`; `slice_prob` `(K,)`; `carrying`, numbers of the
        slices with the highest; `region`, the region in LPS axes; `spread`, of samples, see `spread_of_samples`; and
        `record`, all of it in plain values.

    Raises:
        RefusedError: a threshold that is damaged, of another network or of other settings.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        pooling: str = "max",
        top_k: int = 3,
        operating_point: str | Path = "",
        weights: str | Path = "",
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(keys)
        self.pooling = pooling
        self.top_k = top_k
        self.operating_point = Path(operating_point) if operating_point else None
        self.weights = weights
        self.settings = settings
        self._point: OperatingPoint | None = None
        self._read_in: list[list[str | int]] = []  # the state of the files that it was read from

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Work out the result."""
        item = dict(data)
        point = self._read_point()
        for key in self.keys:
            maps = torch.as_tensor(item[key]).detach().float()
            maps = maps if maps.ndim == SAMPLED else maps[None]
            outputs = maps[:, :, 1:, 0, 0]  # the same at every position
            everything = torch.ones(outputs.shape[:2], dtype=torch.bool, device=outputs.device)
            logit = pool_slices(outputs, everything, pooling=self.pooling, top_k=self.top_k)
            probs = logit.sigmoid()[:, 0].cpu()
            slice_prob = outputs[..., 0].sigmoid().mean(0).cpu()
            threshold = point.threshold if point else EVEN
            item["result"] = {"patient_probability": float(probs.mean())}
            item["spread"] = spread_of_samples(probs.tolist())
            item["slice_prob"] = slice_prob
            item["region"] = _region(maps[:, :, 0].sigmoid().mean(0).cpu(), slice_prob, item, threshold)
            item["carrying"] = _carrying(item["slice_index"].tolist(), slice_prob)
            item["record"] = with_outside(_record(item, point), item)
            item[key] = _as_read(item["region"])
        return item

    def _read_point(self) -> OperatingPoint | None:
        """Read the threshold, anew where a program that keeps this transform has trained another network since."""
        if self.operating_point is None or not self.operating_point.is_file():
            return None
        state = [*file_states(str(self.operating_point)), *file_states(str(self.weights))]
        if state != self._read_in:
            self._point = read_operating_point(self.operating_point, self.weights, self.settings)
            self._read_in = state
        return self._point


def _region(
    position_prob: torch.Tensor, slice_prob: torch.Tensor, item: Mapping[Hashable, Any], threshold: float
) -> MetaTensor:
    """Mark brain whose position and whose slice are at or above the threshold.

    `position_prob` is `(K, h, w)`, rows and columns of the square that the bag shows; `slice_prob` is `(K,)`.
    """
    brain: MetaTensor = item["brain"]
    columns, rows = brain.shape[1:3]
    region = torch.zeros(brain.shape, dtype=torch.uint8)
    shown = spread_over_slice(position_prob, (rows, columns), affine_to_spacing(brain.affine).tolist())
    marked = (shown >= threshold) & (slice_prob >= threshold)[:, None, None]
    region[0, :, :, item["slice_index"]] = marked.permute(2, 1, 0).to(torch.uint8)
    return MetaTensor(region * (brain.as_tensor().cpu() > 0), meta=brain.meta)


def spread_over_slice(maps: torch.Tensor, shape: tuple[int, int], spacing_mm: list[float]) -> torch.Tensor:
    """Interpolate maps of the square around a slice at the slice's own pixels.

    Args:
        maps: `(K, h, w)`, which cover the square that `SlicesToBagd` makes: as wide as the slice's longer side in mm,
            with the slice in its middle.
        shape: rows and columns of the slice.
        spacing_mm: distance of columns and of rows.

    Returns:
        `(K, rows, columns)`, bilinear, the outermost values carried on to the edge.
    """
    (rows, columns), (column_mm, row_mm) = shape, spacing_mm[:2]
    half_mm = max(rows * row_mm, columns * column_mm) / 2
    down = (torch.arange(rows) - (rows - 1) / 2) * row_mm / half_mm
    across = (torch.arange(columns) - (columns - 1) / 2) * column_mm / half_mm
    grid = torch.stack(torch.meshgrid(across, down, indexing="xy"), dim=-1).to(maps)
    return grid_sample(maps[None], grid[None], padding_mode="border", align_corners=False)[0]


def _as_read(region: MetaTensor) -> MetaTensor:
    """Bring a region back to the axes that the scan was read in."""
    axes = nib.aff2axcodes(torch.as_tensor(region.meta["original_affine"]).numpy())
    return cast(MetaTensor, Orientation(axcodes="".join(axes), labels=None)(region))


def _record(item: Mapping[Hashable, Any], point: OperatingPoint | None) -> dict[str, Any]:
    prob, total = item["result"]["patient_probability"], item["brain"].shape[-1]
    kept = [int(number) for number in item["slice_index"]]
    probs = [float(value) for value in item["slice_prob"]]
    positions_mm = slice_positions(item["brain"])
    dropped: dict[str, str] = json.loads(item.get("dropped", "{}"))
    record: dict[str, Any] = {"case": item.get("case", "image"), "patient_probability": prob}
    record |= item["spread"]
    record["calibrated_probability"] = point.calibrated(prob) if point else None
    record["decision"] = point.decide(prob) if point else UNDECIDED
    record["operating_point"] = point.described() if point else None
    record["slices"] = {"total": total, "used": len(kept), "dropped": len(dropped)}
    record["carrying_slices"] = item["carrying"]
    record["notes"] = item.get("notes", "")
    record["by_slice"] = [
        {"slice": number, "position_mm": round(positions_mm[number], 2), "probability": value}
        for number, value in zip(kept, probs, strict=True)
    ]
    record["dropped"] = [{"slice": int(number), "reason": reason} for number, reason in dropped.items()]
    return record


def _carrying(kept: list[int], slice_prob: torch.Tensor) -> list[int]:
    """Name the slices with the highest probabilities, in order from the feet."""
    highest = slice_prob.argsort(descending=True, stable=True)[:CARRYING]
    return sorted(kept[index] for index in highest.tolist())

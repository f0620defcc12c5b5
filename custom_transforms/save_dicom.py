"""Write a patient's result as DICOM: a segmentation of the suspicious region, and a report."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import SaveImaged
from numpy.typing import NDArray
from pydicom import dcmwrite
from pydicom.dataset import Dataset

from custom_transforms.atomic_file import whole_file
from custom_transforms.dicom.find_slices import find_slices_isolated
from custom_transforms.dicom.measurement_report import make_report
from custom_transforms.dicom.result_instance import Algorithm, highdicom
from custom_transforms.dicom.segmentation import SUSPICIOUS_REGION, make_segmentation
from custom_transforms.file_stem import file_stem
from custom_transforms.refusal import RefusedError
from custom_transforms.runs.summary import NONE

WRITTEN = "region and report"
SAME_GRID_MM = 1e-3


class SaveImageDicomd(SaveImaged):
    """Write `<output_dir>/<case>_region.dcm`, a DICOM SEG, and `<case>_report.dcm`, a TID 1500 report, or say why not.

    Both belong to the study that was read: they carry its patient's tags, as any image of it does. The name keeps
    `SaveImage`, by which other programs recognise a writer.

    Args:
        keys: regions `(1, X, Y, S)`, 0 or 1, on the grid of the scan as it was read.
        output_dir: folder of the files; made if need be.
        bundle_root: folder whose `configs/metadata.json` has name and version of the algorithm.

    The item has `case` and `record` as `EvidenceToResultd` leaves it, and, if it was read from DICOM, `source` as
    `LoadImageStudyd` leaves it.

    Returns:
        the item, whose `record` says in `dicom` what was written; where nothing was, `none: ` and the reason. A
        probability is worth having without these files, so that a source which cannot be referred to is no failure.

    Raises:
        RefusedError: `missing_extra`, highdicom is not installed.
    """

    def __init__(self, keys: KeysCollection, output_dir: str | Path, bundle_root: str | Path) -> None:
        super().__init__(keys, output_dir=output_dir)
        highdicom()
        self.output_dir = Path(output_dir)
        about = json.loads((Path(bundle_root) / "configs" / "metadata.json").read_text(encoding="utf-8"))
        self.algorithm = Algorithm(about["name"], about["version"])

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the files of each key."""
        item = dict(data)
        for key in self.keys:
            try:
                results = self._make(item[key], item)
            except RefusedError as error:
                said = f"{NONE}{error}"
            except (AttributeError, TypeError, ValueError) as error:  # of highdicom; its text may quote tags
                said = f"{NONE}tags that highdicom cannot take over ({type(error).__name__})"
            else:
                said = WRITTEN
                for name, result in results.items():
                    self._write(result, f"{file_stem(str(item['case']))}_{name}.dcm")
            item["record"] = {**item["record"], "dicom": said}
        return item

    def _make(self, region: MetaTensor, item: Mapping[Hashable, Any]) -> dict[str, Dataset]:
        if "source" not in item:
            raise RefusedError.of("not_dicom", "scan", expected="DICOM to refer to", got="NIfTI")
        slices = find_slices_isolated(**json.loads(item["source"]))
        segmentation = make_segmentation(_on_slices(region), slices, [SUSPICIOUS_REGION], algorithm=self.algorithm)
        report = make_report(item["record"], slices, segmentation, algorithm=self.algorithm)
        return {"region": segmentation, "report": report}

    def _write(self, result: Dataset, name: str) -> None:
        with whole_file(self.output_dir / name) as file:
            dcmwrite(file, result)


def _on_slices(region: MetaTensor) -> NDArray[np.uint8]:
    """Give a region as the slices have it, `(S, R, C)`: columns, rows and slices from the feet to the head, reversed.

    Raises:
        RefusedError: `grid_mismatch`, it has not come back to the axes of the scan, which equal shapes would hide.
    """
    read = torch.as_tensor(region.meta["original_affine"]).numpy()
    if not np.allclose(region.affine.cpu().numpy(), read, atol=SAME_GRID_MM) or nib.aff2axcodes(read)[2] != "S":
        expected = "the grid of the scan as it was read"
        raise RefusedError.of("grid_mismatch", "region", expected=expected, got="another")
    return np.asarray(region.as_tensor()[0].cpu().numpy().transpose(2, 1, 0), dtype=np.uint8)

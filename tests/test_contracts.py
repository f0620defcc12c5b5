"""What programs that take a bundle set in its configs, and what they find in its output folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import BRATS, CT
from monai.bundle import create_workflow

from custom_transforms.ct_study import read_ct
from custom_transforms.data_list import load_fold
from custom_transforms.slice_classifier import SliceClassifier

SMALL: dict[Path, dict[str, Any]] = {
    BRATS: {"channels": [4, 8, 16, 32, 64], "num_workers": 0},
    CT: {"widths": [8, 16, 32, 64], "image_size": 64, "num_workers": 0},
}


def run(bundle: Path, config: str, **overrides: Any) -> Any:
    files = [str(bundle / "configs" / f"{name}.json") for name in config.split("+")]
    options = {"bundle_root": str(bundle), "device": "cpu", **SMALL[bundle], **overrides}
    kind = "infer" if config.startswith("inference") else "train"
    workflow = create_workflow(config_file=files, workflow_type=kind, logging_file=False, **options)
    torch.manual_seed(88)
    workflow.run()
    workflow.finalize()
    return workflow


def items_of(folder: Path, fold: str) -> list[dict[str, Any]]:
    """Items as other programs hand them over: full paths, and `image` and `label` alone."""
    items = load_fold(folder / "data_list.json", fold, folder)
    return [{key: item[key] for key in ("image", "label")} for item in items]


@pytest.mark.parametrize(("bundle", "data"), [(BRATS, "phantoms"), (CT, "heads")], ids=["brats", "ct"])
def test_data_epochs_device_and_output_are_set_from_outside(
    bundle: Path, data: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(data)
    overrides = {
        "train::dataset::data": items_of(folder, "training"),
        "validate::dataset::data": items_of(folder, "validation"),
        "train::trainer::max_epochs": 2,
        "output_dir": str(tmp_path / "out"),
        "models_dir": str(tmp_path),
        "cache_dir": str(tmp_path / "prepared"),
        "dataset_dir": str(tmp_path / "absent"),
    }
    trained = run(bundle, "train+smoke", **overrides, **({"slice_size": [48, 48]} if bundle == BRATS else {}))
    assert trained.trainer.state.epoch == 2
    assert len((tmp_path / "out" / "history.csv").read_text().splitlines()) == 1 + 2
    assert (tmp_path / "model.pt").is_file()


def test_dicom_and_nifti_copies_of_a_head_have_one_probability(heads: Path, tmp_path: Path) -> None:
    dicom = sorted((heads / "CTs").iterdir())[0]
    scan = read_ct(dicom)
    nifti = tmp_path / "copy.nii.gz"
    nib.save(nib.Nifti1Image(scan.hu.transpose(2, 1, 0).astype(np.int16), scan.affine), nifti)
    torch.manual_seed(3)
    torch.save(SliceClassifier(widths=SMALL[CT]["widths"]).state_dict(), tmp_path / "model.pt")
    run(CT, "inference", **{"dataset::data": [{"image": str(dicom)}, {"image": str(nifti)}]},
        models_dir=str(tmp_path), output_dir=str(tmp_path / "out"), draw_slices=False)  # fmt: skip
    first, second = (json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in (dicom.name, "copy"))
    assert first["patient_probability"] == pytest.approx(second["patient_probability"], abs=1e-6)
    assert [row["probability"] for row in first["by_slice"]] == pytest.approx(
        [row["probability"] for row in second["by_slice"]], abs=1e-6
    )
    for name in (dicom.name, "copy"):
        (region,) = (tmp_path / "out").glob(f"{name}*.nii.gz")
        assert nib.load(region).shape == scan.hu.T.shape
        np.testing.assert_allclose(nib.load(region).affine, scan.affine, atol=1e-4)

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from custom_transforms.mri_study import read_patient
from data_lists.brats_layouts import find_data_set
from data_lists.decathlon import build_data_list

MSD_HEADER = {
    "name": "BRATS",
    "licence": "CC-BY-SA 4.0",
    "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
    "labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"},
}


def touch(root: Path, *paths: str) -> Path:
    """Make empty files: a layout is recognised by names alone."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def make_msd(root: Path, **changes: object) -> Path:
    touch(root, "imagesTr/BRATS_001.nii.gz", "imagesTr/._BRATS_001.nii.gz", "labelsTr/BRATS_001.nii.gz")
    (root / "dataset.json").write_text(json.dumps(MSD_HEADER | changes), encoding="utf-8")
    return root


def test_msd_states_its_channels_and_labels_itself(tmp_path: Path) -> None:
    order = {"0": "T2w", "1": "T1w", "2": "t1gd", "3": "FLAIR"}
    data_set = find_data_set(make_msd(tmp_path, modality=order))
    assert (data_set.layout, data_set.name, data_set.licence) == ("msd", "BRATS", "CC-BY-SA 4.0")
    assert data_set.label_codes == {"oedema": 1, "necrotic core": 2, "enhancing tumour": 3}
    assert [case.image for case in data_set.cases] == [("imagesTr/BRATS_001.nii.gz",)]
    assert data_set.cases[0].modalities == ("T2", "T1", "T1ce", "FLAIR")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modality": {"0": "FLAIR", "1": "T1w", "2": "DWI", "3": "T2w"}}, "got 'DWI'"),
        ({"modality": {"0": "FLAIR", "1": "T1w", "2": "T1", "3": "T2w"}}, "got FLAIR, T1, T1, T2"),
        ({"modality": {"1": "FLAIR", "2": "T1w", "3": "t1gd", "4": "T2w"}}, "numbered from 0"),
        ({"modality": {}}, "got none"),
        ({"labels": MSD_HEADER["labels"] | {"4": "cyst"}}, "got 'cyst'"),  # type: ignore[operator]
        ({"labels": {"0": "background", "1": "edema"}}, "expected background, enhancing tumour"),
        ({"labels": ["edema"]}, "by number in dataset.json, got AttributeError"),
    ],
)
def test_msd_header_with_unknown_names_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        find_data_set(make_msd(tmp_path, **changes))


def test_msd_image_without_mask_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no file in labelsTr for imagesTr/BRATS_002.nii.gz"):
        find_data_set(touch(make_msd(tmp_path), "imagesTr/BRATS_002.nii.gz"))


def test_msd_mask_without_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no file in imagesTr for labelsTr/BRATS_002.nii.gz"):
        find_data_set(touch(make_msd(tmp_path), "labelsTr/BRATS_002.nii.gz"))


def make_msd_images(root: Path, channels: int = 4) -> Path:
    image = np.random.default_rng(1).random((6, 5, 4, channels), np.float32)
    mask = np.arange(120, dtype=np.uint8).reshape(6, 5, 4) % 4
    for folder, voxels in {"imagesTr": image, "labelsTr": mask}.items():
        (root / folder).mkdir()
        nib.save(nib.Nifti1Image(voxels, np.eye(4)), root / folder / "BRATS_001.nii.gz")
    (root / "dataset.json").write_text(json.dumps(MSD_HEADER), encoding="utf-8")
    return root


def test_4d_file_is_one_path_with_four_hashes(tmp_path: Path) -> None:
    (item,) = build_data_list(make_msd_images(tmp_path), read=read_patient, fractions=(0, 0, 1))["test"]
    assert item["image"] == "imagesTr/BRATS_001.nii.gz"
    assert item["label_convention"] == {"oedema": 1, "necrotic core": 2, "enhancing tumour": 3}
    assert len(set(item["sha256"]["image"])) == 4


def test_hashes_keep_the_fixed_order_where_channels_have_another(tmp_path: Path) -> None:
    first = build_data_list(make_msd_images(tmp_path), read=read_patient, fractions=(0, 0, 1))["test"][0]
    swapped = MSD_HEADER | {"modality": {"0": "T2w", "1": "T1w", "2": "t1gd", "3": "FLAIR"}}
    (tmp_path / "dataset.json").write_text(json.dumps(swapped), encoding="utf-8")
    second = build_data_list(tmp_path, read=read_patient, fractions=(0, 0, 1))["test"][0]
    assert second["modalities"] == ["T2", "T1", "T1ce", "FLAIR"]
    assert [second["sha256"]["image"][channel] for channel in (3, 1, 2, 0)] == first["sha256"]["image"]


def test_4d_file_with_another_number_of_channels_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="missing_modality: BRATS_001.nii.gz: expected 4 modalities, got 3"):
        build_data_list(make_msd_images(tmp_path, channels=3), read=read_patient)

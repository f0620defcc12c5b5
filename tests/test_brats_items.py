"""Which cases inference on a folder of MRI finds: by names alone, and an incomplete one stops no other."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from custom_transforms.load_mri import LoadImageModalitiesd
from custom_transforms.refusal import RefusedError
from custom_transforms.require_data import require_data
from custom_transforms.runs.study_items import StudyItems
from data_lists.brats_items import list_brats_items

WHOLE = ("flair", "t1", "t1ce", "t2")


def touch(folder: Path, case: str, *endings: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for ending in endings:
        (folder / f"{case}_{ending}.nii.gz").touch()


def found(folder: Path) -> dict[str, list[str]]:
    return {str(item["case"]): list(item["modalities"]) for item in list_brats_items(folder) if "case" in item}


def test_cases_of_a_whole_data_set_are_listed(tmp_path: Path) -> None:
    for case in ("P1", "P2"):
        touch(tmp_path / case, case, *WHOLE)
    items = list_brats_items(tmp_path)
    assert [item["case"] for item in items] == ["P1", "P2"]
    assert items[0]["image"] == [str(tmp_path / "P1" / f"P1_{ending}.nii.gz") for ending in WHOLE]


@pytest.mark.parametrize("folders", [("P1", "P2", "P3"), ("", "", "")], ids=["a folder each", "one folder"])
def test_incomplete_case_is_listed_beside_the_others(tmp_path: Path, folders: tuple[str, ...]) -> None:
    for folder, case in zip(folders, ("P1", "P2", "P3"), strict=True):
        touch(tmp_path / folder, case, *(WHOLE if case != "P2" else ("flair", "t2")))
    whole = ["FLAIR", "T1", "T1ce", "T2"]
    assert found(tmp_path) == {"P1": whole, "P2": ["FLAIR", "T2"], "P3": whole}


def test_one_incomplete_patient_is_a_case(tmp_path: Path) -> None:
    touch(tmp_path, "P1", "flair", "t1")
    assert found(tmp_path) == {"P1": ["FLAIR", "T1"]}


def refusals(folder: Path) -> dict[str, str]:
    """What the bundle's loader says of the items that are no case, by the folder's name."""
    lines = {}
    for item in list_brats_items(folder):
        if "case" not in item:
            with pytest.raises(RefusedError) as caught:
                LoadImageModalitiesd("image")(item)
            lines[Path(str(item["image"])).name] = str(caught.value).partition(", got")[0]
    return lines


@pytest.mark.parametrize("incomplete", [False, True], ids=["a whole data set", "beside an incomplete case"])
def test_folder_without_an_image_is_refused_by_name(tmp_path: Path, incomplete: bool) -> None:
    touch(tmp_path / "P1", "P1", *WHOLE[2 * incomplete :])
    for folder, file in {"page": "index.html", "other": "P2_t1.mha", "P1/notes": "notes.txt"}.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).touch()
    (tmp_path / "empty").mkdir()
    starts = {name: line.partition(": expected")[0] for name, line in refusals(tmp_path).items()}
    assert starts == {"empty": "no_files: .", "other": "not_nifti: P2_t1.mha", "page": "no_patient: ."}
    assert list(found(tmp_path)) == ["P1"]


def test_refusal_says_what_is_the_matter_with_the_files(tmp_path: Path) -> None:
    touch(tmp_path / "P1", "P1", *WHOLE)
    touch(tmp_path / "stack", "of", "unknown_channels")
    (tmp_path / "twice").mkdir()
    for name in ("P2_flair.nii", "P2_flair.nii.gz"):
        (tmp_path / "twice" / name).touch()
    assert refusals(tmp_path) == {
        "stack": "unstated_modalities: of_unknown_channels.nii.gz: expected a data list that says in `modalities` which"
        " channel is which",
        "twice": "two_files: P2_flair.nii.gz: expected one file for FLAIR",
    }


def test_refusal_withholds_a_name_that_stands_in_the_file(tmp_path: Path) -> None:
    image = nib.Nifti1Image(np.zeros((2, 2, 2, 4), np.int16), np.eye(4))
    image.header["descrip"] = "Quux Zebedee"
    nib.save(image, tmp_path / "zebedee.nii")
    assert refusals(tmp_path)[tmp_path.name].startswith("unstated_modalities: file 1 of 1: ")


def test_refused_folder_may_share_a_name_and_leaves_it_to_the_case(tmp_path: Path) -> None:
    touch(tmp_path / "LGG" / "P1", "P1", *WHOLE)
    for site in ("HGG", "other"):
        (tmp_path / site / "P1").mkdir(parents=True)
        (tmp_path / site / "P1" / "1.dcm").touch()
    items = list_brats_items(tmp_path)
    studies = StudyItems(items, dict)
    studies.salt = "00"
    require_data({"test": studies}, "data_list.json")
    (case,) = (index for index, item in enumerate(items) if "refused" not in item)
    assert (len(items), studies.owners()) == (3, {"P1": studies.row_id(case)})


def test_volume_of_slices_without_their_table_is_listed(tmp_path: Path) -> None:
    for volume in (1, 2):
        for number in range(3):
            (tmp_path / f"volume_{volume}_slice_{number}.h5").touch()
    assert [(item["image"], item["slices"]) for item in list_brats_items(tmp_path)] == [
        (str(tmp_path / f"volume_{volume}_slice_*.h5"), 3) for volume in (1, 2)
    ]


def test_folder_without_a_file_is_refused_and_files_of_nobody_are_one_refused_item(tmp_path: Path) -> None:
    (tmp_path / "P1").mkdir()
    with pytest.raises(ValueError, match="empty folder"):
        list_brats_items(tmp_path)
    (tmp_path / "scan.nii.gz").touch()
    assert refusals(tmp_path)[tmp_path.name].startswith("unstated_modalities: scan.nii.gz: ")
    with pytest.raises(NotADirectoryError):
        list_brats_items(tmp_path / "scan.nii.gz")

"""Which cases inference on a folder of MRI finds: by names alone, and an incomplete one stops no other."""

from __future__ import annotations

from pathlib import Path

import pytest

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


def test_files_that_are_no_case_become_their_folder(tmp_path: Path) -> None:
    touch(tmp_path / "P1", "P1", *WHOLE)
    touch(tmp_path / "stack", "of", "unknown_channels")
    (tmp_path / "empty").mkdir()
    (tmp_path / "twice").mkdir()
    for name in ("P2_flair.nii", "P2_flair.nii.gz"):
        (tmp_path / "twice" / name).touch()
    images = [item["image"] for item in list_brats_items(tmp_path) if "case" not in item]
    assert images == [str(tmp_path / name) for name in ("empty", "stack", "twice")]


def test_volume_of_slices_without_their_table_is_listed(tmp_path: Path) -> None:
    for volume in (1, 2):
        for number in range(3):
            (tmp_path / f"volume_{volume}_slice_{number}.h5").touch()
    assert [(item["image"], item["slices"]) for item in list_brats_items(tmp_path)] == [
        (str(tmp_path / f"volume_{volume}_slice_*.h5"), 3) for volume in (1, 2)
    ]


def test_folder_without_any_case_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="empty folder"):
        list_brats_items(tmp_path)
    (tmp_path / "scan.nii.gz").touch()
    with pytest.raises(ValueError, match="expected the names of one layout"):
        list_brats_items(tmp_path)

from __future__ import annotations

from pathlib import Path

import pytest

from data_lists.brats_layouts import find_data_set

ENDINGS_2018 = ("_flair", "_t1", "_t1ce", "_t2", "_seg")
ENDINGS_2023 = ("-t2f", "-t1n", "-t1c", "-t2w", "-seg")


def touch(root: Path, *paths: str) -> Path:
    """Make empty files: a layout is recognised by names alone."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def add_case(root: Path, folder: str, endings: tuple[str, ...] = ENDINGS_2018) -> Path:
    name = folder.rpartition("/")[2]
    return touch(root, *(f"{folder}/{name}{ending}.nii.gz" for ending in endings))


def test_case_folders_of_2018_are_recognised_also_nested(tmp_path: Path) -> None:
    add_case(tmp_path, "HGG/A_1")
    data_set = find_data_set(add_case(tmp_path, "LGG/B_1"))
    assert (data_set.layout, data_set.label_codes["enhancing tumour"]) == ("brats2018", 4)
    assert [case.case for case in data_set.cases] == ["A_1", "B_1"]
    assert data_set.cases[0].image == tuple(f"HGG/A_1/A_1_{kind}.nii.gz" for kind in ("flair", "t1", "t1ce", "t2"))
    assert data_set.cases[0].label == "HGG/A_1/A_1_seg.nii.gz"


def test_uncompressed_files_and_linked_folders_are_found(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", *(f"A{ending}.nii" for ending in ENDINGS_2018))
    (tmp_path / "set").mkdir()
    (tmp_path / "set/A").symlink_to(tmp_path / "elsewhere")
    assert find_data_set(tmp_path / "set").cases[0].label == "A/A_seg.nii"


def test_time_points_of_2023_share_a_patient(tmp_path: Path) -> None:
    add_case(tmp_path, "BraTS-GLI-00005-100", ENDINGS_2023)
    data_set = find_data_set(add_case(tmp_path, "BraTS-GLI-00005-101", ENDINGS_2023))
    assert (data_set.layout, data_set.label_codes["enhancing tumour"]) == ("brats2023", 3)
    assert {case.patient for case in data_set.cases} == {"BraTS-GLI-00005"}
    assert data_set.cases[0].image[0].endswith("-t2f.nii.gz")


def test_2024_is_only_asked_for(tmp_path: Path) -> None:
    data_set = find_data_set(add_case(tmp_path, "BraTS-GLI-00005-100", ENDINGS_2023), layout="brats2024")
    assert (data_set.label_convention, data_set.label_codes["resection cavity"]) == ("brats2024", 4)


def test_mask_is_not_needed_without_labels(tmp_path: Path) -> None:
    assert find_data_set(add_case(tmp_path, "A", ENDINGS_2018[:4]), unlabelled=True).cases[0].label is None


@pytest.mark.parametrize("missing", range(5))
def test_incomplete_case_is_refused(tmp_path: Path, missing: int) -> None:
    add_case(tmp_path, "A", ENDINGS_2018[:missing] + ENDINGS_2018[missing + 1 :])
    with pytest.raises(ValueError, match=rf"all files of case A, got none for .* \(A{ENDINGS_2018[missing]}.nii.gz\)"):
        find_data_set(tmp_path)


def test_misnamed_mask_is_named_in_the_refusal(tmp_path: Path) -> None:
    add_case(tmp_path, "A", ENDINGS_2018[:4])
    with pytest.raises(ValueError, match=r"not understood beside it: W39_Segm.nii"):
        find_data_set(touch(tmp_path, "A/W39_Segm.nii"))


def test_modality_with_two_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one file for T2 of A, got A/A_t2.nii and A/A_t2.nii.gz"):
        find_data_set(touch(add_case(tmp_path, "A"), "A/A_t2.nii"))


def test_names_of_no_layout_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"names of one layout .*got those of none"):
        find_data_set(touch(tmp_path, "ct.nii.gz"))


def test_names_of_two_layouts_are_refused(tmp_path: Path) -> None:
    add_case(tmp_path, "A")
    with pytest.raises(ValueError, match="got those of brats2018 and brats2023"):
        find_data_set(add_case(tmp_path, "BraTS-GLI-00005-100", ENDINGS_2023))


def test_folder_of_another_release_is_not_skipped_in_silence(tmp_path: Path) -> None:
    add_case(tmp_path, "A")
    add_case(tmp_path, "BraTS-GLI-00005-100", ENDINGS_2023)
    with pytest.raises(ValueError, match="in folder BraTS-GLI-00005-100, got BraTS"):
        find_data_set(tmp_path, layout="brats2018")


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got an empty folder"):
        find_data_set(tmp_path)


def test_empty_case_folder_is_refused(tmp_path: Path) -> None:
    (add_case(tmp_path, "A") / "B").mkdir()
    with pytest.raises(ValueError, match="in folder B, got nothing"):
        find_data_set(tmp_path)


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match="expected the folder of a data set"):
        find_data_set(tmp_path / "nowhere")


def test_unknown_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a layout of brats2018"):
        find_data_set(add_case(tmp_path, "A"), layout="brats2017")


def test_link_back_up_is_refused(tmp_path: Path) -> None:
    (add_case(tmp_path, "A") / "A/up").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="expected each folder once"):
        find_data_set(tmp_path)


def test_two_cases_of_one_name_are_refused(tmp_path: Path) -> None:
    add_case(tmp_path, "HGG/A")
    with pytest.raises(ValueError, match=r"one case per name, got 'A' \(HGG/A/.* and 'A' \(LGG/A/"):
        find_data_set(add_case(tmp_path, "LGG/A"))


def test_two_spellings_of_one_patient_are_refused(tmp_path: Path) -> None:
    add_case(tmp_path, "BraTS-GLI-00005-100", ENDINGS_2023)
    with pytest.raises(ValueError, match="one spelling per patient, got 'BraTS-GLI-00005' and 'BraTS-GLI-5'"):
        find_data_set(add_case(tmp_path, "BraTS-GLI-5-101", ENDINGS_2023))


def test_case_of_2023_without_time_point_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a case named <patient number>-<time point>"):
        find_data_set(add_case(tmp_path, "BraTS-GLI-00005", ENDINGS_2023))


def test_order_of_modalities_is_refused_where_names_state_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected no order of modalities"):
        find_data_set(add_case(tmp_path, "A"), modalities=["FLAIR", "T1", "T1ce", "T2"])


def test_folders_without_an_image_are_counted_in_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    touch(add_case(tmp_path, "A"), "B/B_t1.mha", "C/index.html", "A/notes/notes.txt", "readme.txt")
    assert [case.case for case in find_data_set(tmp_path).cases] == ["A"]
    assert caplog.messages == ["not used, since no image is in them: 2 folders"]

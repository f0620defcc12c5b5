from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from custom_transforms.mri_study import read_patient
from data_lists.brats_layouts import find_data_set
from data_lists.content import measure_cases
from data_lists.decathlon import build_data_list


def touch(root: Path, *paths: str) -> Path:
    """Make empty files: a layout is recognised by names alone."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    return root


def make_kaggle(root: Path, *, slices: tuple[int, ...] = (0, 1, 2), rows: tuple[int, ...] = (0, 1, 2)) -> Path:
    touch(root, *(f"data/volume_1_slice_{number}.h5" for number in slices))
    with (root / "data/meta_data.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["slice_path", "target", "volume", "slice"])
        writer.writerows([f"/content/data/volume_1_slice_{number}.h5", 0, 1, number] for number in rows)
    return root


def test_slices_of_one_volume_become_one_case(tmp_path: Path) -> None:
    (case,) = find_data_set(make_kaggle(tmp_path), modalities=["T1", "T2", "T1ce", "FLAIR"]).cases
    assert (case.patient, case.image, case.slices) == ("volume_1", ("data/volume_1_slice_*.h5",), 3)
    assert case.modalities == ("T1", "T2", "T1ce", "FLAIR")


def test_modality_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="each of FLAIR, T1, T1ce, T2 once, got FLAIR, FLAIR, T1, T2"):
        find_data_set(make_kaggle(tmp_path), modalities=["FLAIR", "FLAIR", "T1", "T2"])


@pytest.mark.parametrize(
    ("slices", "rows", "message"),
    [
        ((0, 2), (0, 2), "expected slices 0 to 2 of volume_1, got none numbered 1"),
        ((0, 1), (0, 1, 2), "got 3 rows and 2 files of volume_1; first difference volume_1_slice_2.h5"),
        ((0, 1, 2), (0, 1), "got 2 rows and 3 files"),
        ((0, 1), (0, 1, 1), "one row per slice, got volume_1_slice_1.h5 twice"),
    ],
)
def test_slices_that_do_not_fit_the_table_are_refused(
    tmp_path: Path, slices: tuple[int, ...], rows: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        find_data_set(make_kaggle(tmp_path, slices=slices, rows=rows))


def test_slices_without_table_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected one meta_data.csv beside the slices, got none"):
        find_data_set(touch(tmp_path, "volume_1_slice_0.h5"))


def test_table_without_its_columns_is_refused(tmp_path: Path) -> None:
    make_kaggle(tmp_path)
    (tmp_path / "data/meta_data.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"data/meta_data.csv: expected the columns slice_path.* KeyError"):
        find_data_set(tmp_path)


def make_volume(root: Path, mask: np.ndarray) -> Path:
    h5py = pytest.importorskip("h5py")
    images = np.random.default_rng(1).random((2, 5, 4, 4))
    with (root / "meta_data.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["slice_path", "target", "volume", "slice"])
        for number, image in enumerate(images):
            writer.writerow([f"/content/data/volume_1_slice_{number}.h5", 1, 1, number])
            with h5py.File(root / f"volume_1_slice_{number}.h5", "w") as slice_file:
                slice_file["image"], slice_file["mask"] = image, mask
    return root


def test_slices_are_one_pattern_with_coded_tissue(tmp_path: Path) -> None:
    mask = np.zeros((5, 4, 3), np.uint8)
    mask[0, 0, 2] = mask[1, 1, 0] = 1
    (item,) = build_data_list(make_volume(tmp_path, mask), read=read_patient, fractions=(0, 0, 1))["test"]
    assert item["image"] == item["label"] == "volume_1_slice_*.h5"
    assert (item["slices"], item["tumour_ml"]) == (2, 0.004)  # 2 slices of 2 voxels of 1 mm3
    assert item["label_convention"] == {"necrotic core": 1, "oedema": 2, "enhancing tumour": 4}


def test_damaged_slice_is_refused_by_name(tmp_path: Path) -> None:
    make_volume(tmp_path, np.zeros((5, 4, 3), np.uint8))
    (tmp_path / "volume_1_slice_1.h5").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="unreadable_h5: volume_1_slice_1.h5"):
        build_data_list(tmp_path, read=read_patient)


def test_slice_mask_with_two_tissues_in_a_pixel_is_refused(tmp_path: Path) -> None:
    mask = np.zeros((5, 4, 3))
    mask[0, 0, :2] = 1
    with pytest.raises(ValueError, match=r"label_channels: volume_1_slice_\*.h5: .*without overlap"):
        build_data_list(make_volume(tmp_path, mask), read=read_patient)


def test_slices_that_went_after_the_search_are_missed(tmp_path: Path) -> None:
    data_set = find_data_set(make_volume(tmp_path, np.zeros((5, 4, 3), np.uint8)))
    (tmp_path / "volume_1_slice_1.h5").unlink()
    with pytest.raises(ValueError, match=r"expected 2 slices, got 1 in volume_1_slice_\*.h5"):
        list(measure_cases(data_set, read=read_patient))


def test_missing_h5py_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_volume(tmp_path, np.zeros((5, 4, 3), np.uint8))
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ValueError, match=r"pip install 'neuro-oncology-bundles\[h5\]'"):
        build_data_list(tmp_path, read=read_patient)

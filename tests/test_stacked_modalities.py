"""Four files of a patient become one with four channels, the same voxels at the same places."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import ROOT

from custom_transforms.mri_study import read_modalities
from custom_transforms.stacked_modalities import stack_modalities

ENDINGS = ("flair", "t1", "t1ce", "t2")


def save_four(folder: Path, case: str, *, shift: float = 0.0) -> list[Path]:
    folder.mkdir(parents=True)
    shear = np.array([[0, -1.5, 0.2, 7], [2, 0, 0, -3], [0, 0.1, 3, 1], [0, 0, 0, 1]])
    files = []
    for channel, ending in enumerate(ENDINGS):
        voxels = np.random.default_rng(channel).integers(0, 900, (6, 5, 4)).astype(np.float32) + shift
        files.append(folder / f"{case}_{ending}.nii.gz")
        nib.save(nib.Nifti1Image(voxels, shear), files[-1])
    return files


@pytest.mark.parametrize(("shift", "dtype"), [(0.0, np.int16), (0.25, np.float32), (1e6, np.float32)])
def test_voxels_and_grid_are_those_of_the_four_files(tmp_path: Path, shift: float, dtype: type) -> None:
    files = save_four(tmp_path / "P1", "P1", shift=shift)
    stack = nib.load(stack_modalities(files[::-1], tmp_path / "P1.nii.gz", ("T2", "T1ce", "T1", "FLAIR")))
    assert stack.get_data_dtype() == dtype
    for channel, file in enumerate(files):
        np.testing.assert_array_equal(np.asarray(stack.dataobj)[..., channel], nib.load(file).get_fdata())
    np.testing.assert_allclose(stack.affine, nib.load(files[0]).affine, atol=1e-5)
    again, _ = read_modalities(tmp_path / "P1.nii.gz")
    np.testing.assert_array_equal(again, read_modalities(files)[0])


def test_command_stacks_a_folder_and_names_whom_it_refuses(tmp_path: Path) -> None:
    for case in ("P1", "P2", "P3"):
        save_four(tmp_path / "data" / case, case)
    (tmp_path / "data/P2/P2_t1ce.nii.gz").unlink()
    command = [sys.executable, ROOT / "scripts/stack_modalities.py", "data", "--output", "store"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "missing_modality: P2_flair.nii.gz: expected each of FLAIR, T1, T1ce, T2 once" in done.stderr
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["P1.nii.gz", "P3.nii.gz"]

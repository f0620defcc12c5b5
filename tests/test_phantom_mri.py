"""Phantom MRI patients: the same from the same seed, anatomical, hard for a threshold."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from data_lists.case_files import MODALITIES
from data_lists.phantom_grid import Grid
from data_lists.phantom_mri import ENHANCING, NECROSIS, OEDEMA, PhantomPatient, make_patient

SHAPE = (41, 37, 19)


@pytest.fixture(scope="module")
def patients() -> list[PhantomPatient]:
    return [make_patient(index, shape=(64, 64, 32), seed=88) for index in range(1, 7)]


@pytest.fixture(scope="module")
def patient() -> PhantomPatient:
    return make_patient(2, shape=SHAPE, seed=88)


def volume_ml(patient: PhantomPatient, *regions: int) -> float:
    return float(np.isin(patient.regions, regions).sum() * abs(np.linalg.det(patient.affine)) / 1000)


def test_same_seed_and_index_give_the_same_voxels(patient: PhantomPatient) -> None:
    again = make_patient(2, shape=SHAPE, seed=88)

    np.testing.assert_array_equal(again.image, patient.image)
    np.testing.assert_array_equal(again.regions, patient.regions)


@pytest.mark.parametrize(("index", "seed"), [(3, 88), (2, 89)])
def test_another_index_or_seed_is_another_patient(patient: PhantomPatient, index: int, seed: int) -> None:
    other = make_patient(index, shape=SHAPE, seed=seed)

    assert (other.image != patient.image).mean() > 0.1
    assert (other.regions != patient.regions).any()


def test_finer_grid_shows_the_same_tumour() -> None:
    coarse, fine = (make_patient(2, shape=shape, seed=88) for shape in ((48, 48, 31), (96, 96, 62)))

    assert volume_ml(coarse, 1, 2, 3) == pytest.approx(volume_ml(fine, 1, 2, 3), rel=0.1)


def test_types_and_shapes_are_as_promised(patient: PhantomPatient) -> None:
    assert (patient.image.dtype, patient.image.shape) == (np.int16, (len(MODALITIES), *SHAPE))
    assert (patient.regions.dtype, patient.regions.shape) == (np.uint8, SHAPE)


def test_affine_is_that_of_brats_over_a_fixed_field_of_view(patient: PhantomPatient) -> None:
    assert nib.aff2axcodes(patient.affine) == ("L", "P", "S")
    np.testing.assert_allclose(nib.affines.voxel_sizes(patient.affine) * SHAPE, (240, 240, 155))
    np.testing.assert_allclose(patient.affine[:3, 3], (0, 36 * 240 / 37, 0))


def test_background_is_zero_in_all_modalities_at_once(patients: list[PhantomPatient]) -> None:
    for patient in patients:
        brain = patient.image > 0

        assert (brain == brain[0]).all()
        assert not brain[0][[0, -1]].any()
        assert not brain[0][:, [0, -1]].any()
        assert 0.8 < brain[0].sum() * abs(np.linalg.det(patient.affine)) / 1e6 < 2.0  # litres, an adult brain


def test_tumour_lies_in_the_brain(patients: list[PhantomPatient]) -> None:
    for patient in patients:
        assert (patient.image[0][patient.regions > 0] > 0).all()


def test_oedema_surrounds_the_core(patients: list[PhantomPatient]) -> None:
    for patient in patients:
        core = np.isin(patient.regions, (NECROSIS, ENHANCING))
        beside_core = ndimage.binary_dilation(core) & ~core

        assert core.any()
        assert (patient.regions == OEDEMA).sum() > 0
        assert (patient.regions[beside_core] == OEDEMA).mean() > 0.5


def test_rim_parts_necrosis_from_oedema(patients: list[PhantomPatient]) -> None:
    rimmed = [patient for patient in patients if {NECROSIS, ENHANCING} <= set(np.unique(patient.regions))]
    touching = []
    for patient in rimmed:
        necrosis = patient.regions == NECROSIS
        around = ndimage.binary_dilation(necrosis) & ~necrosis
        touching.append((patient.regions[around] == ENHANCING).mean())

    assert np.median(touching) > 0.7


def test_tumour_sizes_vary_widely(patients: list[PhantomPatient]) -> None:
    sizes_ml = [volume_ml(patient, 1, 2, 3) for patient in patients]

    assert max(sizes_ml) > 3 * min(sizes_ml)


def test_modalities_show_what_they_should(patients: list[PhantomPatient]) -> None:
    flair, t1, t1ce, t2 = range(4)
    oedema, enhancing = [], []
    for patient in patients:
        brain = patient.image[:, patient.image[0] > 0]
        typical = np.median(brain, axis=1)
        typical[t1] = np.quantile(brain[t1], 0.8)  # white matter, the brightest of T1
        oedema.append(patient.image[:, patient.regions == OEDEMA].mean(axis=1) / typical)
        if (patient.regions == ENHANCING).any():
            enhancing.append(patient.image[:, patient.regions == ENHANCING].mean(axis=1) / typical)

    assert np.mean(oedema, axis=0)[flair] > 1.2
    assert np.mean(oedema, axis=0)[t2] > 1.2
    assert np.mean(oedema, axis=0)[t1] < 0.9
    assert np.mean(enhancing, axis=0)[t1ce] > 1.3
    assert np.mean(enhancing, axis=0)[t1] < 1.0


def test_one_threshold_does_not_find_the_tumour(patients: list[PhantomPatient]) -> None:
    best = []
    for patient in patients:
        brain = patient.image[0] > 0
        flair, whole = patient.image[0][brain], patient.regions[brain] > 0
        found = [flair > np.quantile(flair, q) for q in np.linspace(0.5, 0.995, 60)]
        best.append(max(2 * (f & whole).sum() / (f.sum() + whole.sum()) for f in found))

    assert np.mean(best) < 0.75


def cube_grid(side: int) -> Grid:
    axis_mm = ((np.arange(side) + 0.5) / side - 0.5) * 80.0
    whole = slice(0, side)
    return Grid((axis_mm, axis_mm, axis_mm), (whole, whole, whole), (80.0 / side, 80.0 / side, 80.0 / side))


def test_share_of_a_voxel_is_the_mean_over_a_finer_grid() -> None:
    grid, finer = cube_grid(16), cube_grid(64)
    sphere_mm, finer_sphere_mm = (30.0 - np.sqrt(sum(p**2 for p in g.points())) for g in (grid, finer))
    finer_mean = (finer_sphere_mm > 0).reshape(16, 4, 16, 4, 16, 4).mean(axis=(1, 3, 5))

    share = grid.share(sphere_mm)

    assert ((share > 0.05) & (share < 0.95)).sum() > 200
    np.testing.assert_allclose(share, finer_mean, atol=0.2)
    assert share.sum() == pytest.approx(finer_mean.sum(), rel=0.02)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"index": -1}, "at least 0, got index -1"),
        ({"index": 1, "seed": -2}, "seed -2"),
        ({"index": 1, "shape": (64, 64, 4)}, r"at least 8 voxels, got \(64, 64, 4\)"),
    ],
)
def test_impossible_patient_is_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_patient(**arguments)  # type: ignore[arg-type]

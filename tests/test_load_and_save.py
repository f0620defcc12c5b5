from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, DivisiblePadd, Invertd, LoadImaged, Orientationd

from custom_transforms import autocast
from custom_transforms.atomic_file import whole_file
from custom_transforms.autocast import CpuBfloat16Inferer
from custom_transforms.data_list import load_fold
from custom_transforms.file_stem import file_stem
from custom_transforms.load_ct import LoadImageStudyd
from custom_transforms.load_mri import LoadImageModalitiesd
from custom_transforms.mri_study import read_patient
from custom_transforms.save_mask import SaveImageMaskd
from custom_transforms.tumour_regions import LabelsToTumourRegionsd
from data_lists.data_list_file import write_data_list
from data_lists.decathlon import build_data_list
from data_lists.phantom_layouts import LAYOUTS, Layout, write_index, write_patient
from data_lists.phantom_mri import make_patient

CODES = {"necrotic core": 1, "oedema": 2, "enhancing tumour": 4}


def test_fold_has_full_paths_and_keeps_names(phantoms: Path) -> None:
    items = load_fold(phantoms / "data_list.json", "training", phantoms)
    assert len(items) == 3
    case = items[0]["case"]
    assert items[0]["image"][0] == str(phantoms / case / f"{case}_flair.nii.gz")
    assert items[0]["label"] == str(phantoms / case / f"{case}_seg.nii.gz")
    assert case == Path(case).name  # a folder of that name exists


def test_absent_list_or_fold_has_no_items(tmp_path: Path, phantoms: Path) -> None:
    assert load_fold(tmp_path / "none.json", "training", tmp_path) == []
    assert load_fold(phantoms / "data_list.json", "no such fold", phantoms) == []


@pytest.mark.parametrize("loader", [LoadImageStudyd("image"), LoadImageModalitiesd("image")])
def test_loader_takes_what_monai_label_sets_on_each_load_imaged(loader: LoadImaged) -> None:
    loader._loader.image_only = False


def test_item_is_loaded_with_mask_and_left_unchanged(phantoms: Path) -> None:
    item = load_fold(phantoms / "data_list.json", "test", phantoms)[0]
    before = dict(item)
    loaded = LoadImageModalitiesd(["image", "label"])(item)
    assert item == before
    assert (loaded["image"].shape, loaded["label"].shape) == ((4, 48, 40, 10), (1, 48, 40, 10))
    assert torch.equal(loaded["image"].affine, loaded["label"].affine)
    assert set(loaded["label"].unique().tolist()) <= {0, 1, 2, 4}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_patient(tmp_path: Path, layout: Layout) -> None:
    patient = make_patient(3, shape=(41, 37, 12))
    write_patient(patient, tmp_path, layout=layout, index=3)
    write_index(tmp_path, layout=layout)
    write_data_list(build_data_list(tmp_path, read=read_patient, fractions=(0, 0, 1)), tmp_path / "data_list.json")
    item = load_fold(tmp_path / "data_list.json", "test", tmp_path)[0]
    loaded = LoadImageModalitiesd(["image", "label"])(item)
    np.testing.assert_array_equal(loaded["image"], patient.image)
    regions = LabelsToTumourRegionsd("label", ["TC", "WT", "ET", "necrotic core"])(loaded)["label"].numpy()
    tissues = [(1, 3), (1, 2, 3), (3,), (1,)]
    np.testing.assert_array_equal(regions, [np.isin(patient.regions, codes) for codes in tissues])
    if layout != "kaggle_h5":  # the slices carry no geometry
        np.testing.assert_allclose(loaded["image"].affine, patient.affine)


def test_item_of_another_program_is_loaded_without_names(phantoms: Path) -> None:
    files = load_fold(phantoms / "data_list.json", "test", phantoms)[0]["image"]
    loaded = LoadImageModalitiesd(["image", "label"], label_convention=CODES)({"image": files})
    assert loaded["case"] == Path(files[0]).name.split(".")[0]
    assert loaded["label_convention"] == CODES
    assert "label" not in loaded


@pytest.mark.parametrize("axes", ["LPS", "RAS", "SPL", "AIR"])
def test_mask_comes_out_on_the_grid_that_went_in(tmp_path: Path, axes: str) -> None:
    target = nib.orientations.axcodes2ornt(tuple(axes))
    image = nib.Nifti1Image(
        np.random.default_rng(5).normal(size=(21, 18, 7, 4)).astype(np.float32), np.diag([1, 2, 3, 1])
    )
    image = image.as_reoriented(target)
    image.set_sform(image.affine, 1)
    nib.save(image, tmp_path / "scan.nii.gz")
    orient, pad = Orientationd("image", axcodes="RAS", labels=None), DivisiblePadd("image", k=[16, 16, 1])
    prepare = Compose([LoadImageModalitiesd("image"), orient, pad])
    item = prepare({"image": str(tmp_path / "scan.nii.gz"), "case": "case 7"})
    item["pred"] = MetaTensor((item["image"][2:3] > 0).float())
    restored = Invertd("pred", prepare, orig_keys="image", nearest_interp=True)(item)
    SaveImageMaskd("pred", tmp_path / "masks", "_mask")(restored)
    mask = nib.load(tmp_path / "masks" / "case_7_mask.nii.gz")
    np.testing.assert_allclose(mask.affine, image.affine)
    assert mask.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(mask.get_fdata() > 0, image.get_fdata()[..., 2] > 0)


def test_names_become_safe() -> None:
    assert file_stem("a/../b c") == "a_.._b_c"
    assert file_stem(".hidden") == "_hidden"


def test_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"

    def write_and_fail() -> None:
        with whole_file(path) as file:
            file.write_text("half")
            raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        write_and_fail()
    assert list((tmp_path / "new").iterdir()) == []
    for text in ("first", "second"):
        with whole_file(path) as file:
            file.write_text(text)
    assert path.read_text() == "second"
    assert [entry.name for entry in (tmp_path / "new").iterdir()] == ["table.csv"]


def test_bfloat16_is_used_only_where_enabled_and_comes_back_as_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    network, inputs, seen = torch.nn.Linear(8, 8), torch.randn(2, 8), []

    def run(inputs: torch.Tensor, network: torch.nn.Module) -> torch.Tensor:
        output: torch.Tensor = network(inputs)
        seen.append(output.dtype)
        return output

    for enabled, native in ((True, True), (False, True), (True, False)):
        monkeypatch.setattr(autocast, "computes_bfloat16", lambda native=native: native)
        assert CpuBfloat16Inferer(run, enabled=enabled)(inputs, network).dtype == torch.float32  # type: ignore[arg-type]
    assert seen == [torch.bfloat16, torch.float32, torch.float32]


def test_network_is_given_a_plain_tensor() -> None:
    """A MetaTensor would copy its metadata in every layer."""
    seen = []

    def network(x: torch.Tensor) -> torch.Tensor:
        seen.append(type(x))
        return x

    def run(inputs: torch.Tensor, network: torch.nn.Module) -> torch.Tensor:
        return network(inputs) * 2  # type: ignore[no-any-return]

    for enabled in (True, False):
        found = CpuBfloat16Inferer(run, enabled=enabled)(MetaTensor(torch.ones(2)), network)  # type: ignore[arg-type]
        assert found.tolist() == [2, 2]
    assert seen == [torch.Tensor, torch.Tensor]

"""MONAI Deploy App SDK 4: both bundles, as folder and as `.ts`, and the example application from DICOM to DICOM."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from conftest import BRATS, CT, ROOT
from monai.bundle import ConfigParser
from numpy.typing import NDArray
from pydicom import FileDataset, dcmread
from small_points import make_point
from tiny_studies import MRI_CHANNELS, WIDTHS, write_mri_weights, write_weights

from custom_transforms.data_list import load_fold
from custom_transforms.load_mri import LoadImageModalitiesd
from custom_transforms.series_reader import CtSeriesReader

pytestmark = pytest.mark.consumer

PYTHON = ROOT / ".venv-deploy" / "bin" / "python"
APP = ROOT / "docs" / "deploy" / "ct_metastasis_app.py"


def run(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False)


def monai(cwd: Path, *words: object) -> None:
    done = run(sys.executable, "-m", "monai.bundle", *words, cwd=cwd)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def deploy() -> Path:
    """Python with the SDK."""
    if not PYTHON.exists():
        pytest.fail("no environment for MONAI Deploy: make .venv-deploy/.ready", pytrace=False)
    return PYTHON


def small_bundle(bundle: Path, folder: Path, **settings: object) -> Path:
    """A bundle's folder whose config has these settings, for a small network."""
    shutil.copytree(bundle, folder, ignore=shutil.ignore_patterns("models", "eval", "prepared"))
    (folder / "models").mkdir()
    config = folder / "configs" / "inference.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | settings))
    return folder


def ts_of(bundle: Path) -> Path:
    return bundle.parent / "model.ts"


def infer(bundle: Path, data: Path) -> Path:
    """Predictions of MONAI's own program; the network as `.ts` outside the folder, where it would be preferred."""
    command = ("--config_file", "configs/inference.json")
    monai(bundle, "run", "inference", *command, "--dataset_dir", data, "--output_dir", "local", "--num_workers", "0")
    monai(bundle, "ckpt_export", *command, "--filepath", ts_of(bundle), "--ckpt_file", "models/model.pt")
    return bundle / "local"


@pytest.fixture(scope="module")
def ct(heads: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classifier with an operating point, and its local predictions."""
    bundle = small_bundle(CT, tmp_path_factory.mktemp("ct") / CT.name, widths=WIDTHS, image_size=64, draw_slices=False)
    weights = write_weights(bundle / "models" / "model.pt")
    settings = ConfigParser(ConfigParser.load_config_file(bundle / "configs/inference.json")).get_parsed_content
    point = make_point(weights.read_bytes(), settings=settings("settings"))
    point.write(bundle / "models" / "operating_point.json")
    infer(bundle, heads)
    return bundle


def study_of(heads: Path) -> Path:
    """The first head of the test fold."""
    return Path(load_fold(heads / "data_list.json", "test", heads)[0]["image"])


def mask_of(bundle: Path, case: str, postfix: str) -> NDArray[np.uint8]:
    """The mask `(S, Y, X)` that local inference wrote, which is not empty."""
    mask = np.asarray(nib.load(bundle / "local" / f"{case}{postfix}.nii.gz").dataobj, dtype=np.uint8).transpose(2, 1, 0)
    assert 0 < mask.mean() < mask.max()
    return mask


def region_by_slice(segmentation: FileDataset) -> dict[str, NDArray[np.uint8]]:
    """From the object that a frame was derived from to the frame."""
    planes = segmentation.pixel_array.reshape(-1, segmentation.Rows, segmentation.Columns)
    sources = [frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
               for frame in segmentation.PerFrameFunctionalGroupsSequence]  # fmt: skip
    return dict(zip(sources, planes, strict=True))


def assert_same_mask(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> None:
    """Equal but for voxels whose probability is the threshold, up to rounding."""
    assert found.shape == expected.shape
    assert np.mean(found != expected) < 1e-5


@pytest.mark.parametrize("as_ts", [False, True], ids=["folder", "ts"])
def test_application_gives_the_local_result_as_dicom(
    deploy: Path, ct: Path, heads: Path, tmp_path: Path, as_ts: bool
) -> None:
    study = shutil.copytree(study_of(heads), tmp_path / "study")
    for file in study.iterdir():
        image = dcmread(file)
        del image.PatientBirthDate  # as programs do that anonymise
        image.save_as(file)
    model = ts_of(ct) if as_ts else ct
    done = run(deploy, APP, "--input", study, "--output", "results", "--model", model, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    objects = {result.Modality: result for result in map(dcmread, (tmp_path / "results").iterdir())}
    case = study_of(heads).name
    local = json.loads((ct / "local" / f"{case}.json").read_text())
    told = dict(line.split(": ", 1) for line in objects["SR"].ContentSequence[0].TextValue.splitlines()[1:])
    assert float(told["Probability"]) == pytest.approx(local["patient_probability"], abs=2e-6)
    assert local["decision"] in ("positive", "negative")
    assert told["Decision"] == ("none: no operating point" if as_ts else local["decision"])
    assert told["Notes"] == local["notes"]
    region, frames = mask_of(ct, case, "_region"), region_by_slice(objects["SEG"])
    uids = CtSeriesReader().read(study).instance_uids
    assert_same_mask(np.stack([frames.get(uid, np.zeros_like(region[0])) for uid in uids]), region)
    for result in objects.values():
        assert (result.PatientID, result.StudyInstanceUID) == (image.PatientID, image.StudyInstanceUID)
    assert str(image.PatientID) not in done.stdout + done.stderr


def test_study_with_a_slice_missing_is_refused_and_nothing_is_written(
    deploy: Path, ct: Path, heads: Path, tmp_path: Path
) -> None:
    shutil.copytree(study_of(heads), tmp_path / "study")
    axial = [file for file in (tmp_path / "study").iterdir() if "AXIAL" in dcmread(file).ImageType]
    sorted(axial, key=lambda file: dcmread(file).ImagePositionPatient[2])[len(axial) // 2].unlink()
    done = run(deploy, APP, "--input", "study", "--output", "results", "--model", ct, cwd=tmp_path)
    assert done.returncode != 0
    assert "missing_slice" in done.stdout + done.stderr
    assert list((tmp_path / "results").iterdir()) == []


def test_folder_with_two_networks_is_refused_as_the_threshold_is_of_one(deploy: Path, ct: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(ct, tmp_path / ct.name)
    shutil.copy(ts_of(ct), bundle / "models")
    done = run(deploy, APP, "--input", tmp_path, "--output", "results", "--model", bundle, cwd=tmp_path)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith("two_networks: models: expected")


def test_stock_operator_gives_the_local_masks_from_folders_and_ts(
    deploy: Path, ct: Path, heads: Path, phantoms: Path, tmp_path: Path
) -> None:
    brats = small_bundle(BRATS, tmp_path / BRATS.name, channels=MRI_CHANNELS)
    write_mri_weights(brats / "models" / "model.pt")
    infer(brats, phantoms)
    item = LoadImageModalitiesd("image")(load_fold(phantoms / "data_list.json", "test", phantoms)[0])
    image, study, reader = item["image"], study_of(heads), CtSeriesReader()
    np.savez(tmp_path / "mri.npz", voxels=image.numpy(), affine=image.affine, original_affine=image.affine,
             original_channel_dim=0)  # fmt: skip
    voxels, metadata = reader.get_data(reader.read(study))
    np.savez(tmp_path / "ct.npz", voxels=voxels, **metadata)
    expected = {"mri": mask_of(brats, item["case"], "_mask"), "ct": mask_of(ct, study.name, "_region")}
    jobs = [
        {"image": f"{name}.npz", "model": str(model), "output": f"{name}{model.suffix}.npy"}
        for name, bundle in (("ct", ct), ("mri", brats))
        for model in (bundle, ts_of(bundle))
    ]
    done = run(deploy, Path(__file__).with_name("run_stock_operator.py"), *map(json.dumps, jobs), cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    for job in jobs:
        assert_same_mask(np.load(tmp_path / job["output"]), expected[Path(job["image"]).stem])

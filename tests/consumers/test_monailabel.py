"""MONAI Label's own monaibundle app runs both bundles: over HTTP its answers are those of local inference."""

from __future__ import annotations

import json
import math
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import itk
import nibabel as nib
import numpy as np
import pytest
from conftest import BRATS, CT, run_bundle
from served_bundles import Server, serve, write_bundles

from custom_transforms.file_hash import file_sha256
from custom_transforms.stacked_modalities import stack_modalities
from data_lists.phantom_ct import make_head
from data_lists.phantom_ct_layout import write_head
from data_lists.phantom_layouts import write_patient
from data_lists.phantom_mri import make_patient

pytestmark = pytest.mark.consumer
ON_CPU = {"device": "cpu", "multi_gpu": False}  # MONAI Label divides by the number of GPUs where that is not said


class Place(NamedTuple):
    """A server over studies of one kind, of which all but the last have a label, and the bundle for them."""

    server: Server
    studies: Path
    bundle: Path
    log: Path

    def names(self) -> list[str]:
        return sorted(path.name.removesuffix(".nii.gz") for path in self.studies.glob("*.nii.gz"))


def save_label(studies: Path, name: str, voxels: np.ndarray) -> None:
    folder = studies / "labels/final"
    folder.mkdir(parents=True, exist_ok=True)
    affine = nib.load(studies / f"{name}.nii.gz").affine
    nib.save(nib.Nifti1Image(voxels.astype(np.uint8), affine), folder / f"{name}.nii.gz")


def write_heads(studies: Path) -> None:
    """Five heads, the first two tilted; two of those with a label have a region drawn, two an empty mask."""
    for index in range(1, 6):
        write_head(make_head(index, matrix=192), studies / "made", index=index, file_format="nifti")
    for file in sorted((studies / "made/CTs").iterdir()):
        file.rename(studies / file.name)
    for index in range(1, 5):
        name = f"phantom_{index:04d}"
        drawn = np.zeros(nib.load(studies / f"{name}.nii.gz").shape)
        drawn[90:95, 90:95, 10] = index % 2
        save_label(studies, name, drawn)


def write_brains(studies: Path) -> None:
    """Three patients as 4-channel files; their labels are what this bundle marks, the necrotic core."""
    for index in range(1, 4):
        name = f"Phantom_{index:03d}"
        write_patient(make_patient(index, shape=(48, 40, 10)), studies / "made", layout="brats2018", index=index)
        made = studies / "made" / name
        files = [made / f"{name}_{ending}.nii.gz" for ending in ("flair", "t1", "t1ce", "t2")]
        stack_modalities(files, studies / f"{name}.nii.gz")
        if index < 3:
            save_label(studies, name, np.asarray(nib.load(made / f"{name}_seg.nii.gz").dataobj) == 1)


@pytest.fixture(scope="module", params=[CT.name, BRATS.name])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("monai label")  # with a space, as folders of users have
    (write_heads if request.param == CT.name else write_brains)(folder / "studies")
    write_bundles(folder / "bundles")
    known = {
        path.name.removesuffix(".nii.gz"): {"image": {"ext": ".nii.gz"}} for path in folder.glob("studies/*.nii.gz")
    }
    store = {"name": "phantoms", "description": "", "images_dir": ".", "objects": dict(sorted(known.items()))}
    (folder / "studies/datastore_v2.json").write_text(json.dumps(store))  # in this order training splits them
    with serve(folder / "studies", folder / "bundles", folder / "log.txt") as server:
        yield Place(server, folder / "studies", folder / "bundles" / request.param, folder / "log.txt")


def infer_locally(place: Place, name: str, folder: Path) -> Path:
    item = [{"image": str(place.studies / f"{name}.nii.gz")}]
    options = {"bundle_root": place.bundle, "output_dir": folder, "dataset::data": item}
    done = run_bundle("inference", "inference", bundle=place.bundle, **options)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def read_nrrd(content: bytes, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Voxels `(X, Y, Z)` and the affine to RAS."""
    (folder / "answer.nrrd").write_bytes(content)
    image = itk.imread(str(folder / "answer.nrrd"))
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(image.GetDirection()) * np.asarray(image.GetSpacing())
    affine[:3, 3] = np.asarray(image.GetOrigin())
    return itk.array_from_image(image).T, np.diag([-1, -1, 1, 1]) @ affine


def check_against_local(place: Place, name: str, folder: Path) -> None:
    """Voxels and grid of the answer, as a viewer asks for it, and a CT's probability are those of local inference."""
    local = infer_locally(place, name, folder)
    answer = place.server.infer(place.bundle.name, name, output="image", result_extension=".nrrd", result_dtype="uint8")
    voxels, affine = read_nrrd(answer, folder)
    (mask,) = local.glob(f"{name}_*.nii.gz")
    np.testing.assert_array_equal(voxels, np.asarray(nib.load(mask).dataobj))
    np.testing.assert_allclose(affine, nib.load(place.studies / f"{name}.nii.gz").affine, atol=1e-4)
    assert voxels.any()
    if place.bundle.name == CT.name:
        said = json.loads(place.server.infer(CT.name, name, output="json"))["patient_probability"]
        assert said == pytest.approx(json.loads((local / f"{name}.json").read_text())["patient_probability"], abs=1e-5)


def test_info_names_both_bundles_with_their_labels_and_the_bundles_say_nothing(place: Place) -> None:
    info = place.server.get("info/")
    labels = {name: model["labels"] for name, model in info["models"].items()}
    assert labels == {CT.name: {"suspicious region": 1}, BRATS.name: {"necrotic core": 1}}
    assert info["trainers"].keys() == info["scoring"].keys() == labels.keys()
    assert "custom_transforms" not in place.log.read_text()


def test_answers_are_those_of_local_inference(place: Place, tmp_path: Path) -> None:
    check_against_local(place, place.names()[0], tmp_path)


def test_all_studies_are_inferred_and_their_labels_kept(place: Place) -> None:
    task = place.server.run_task(f"batch/infer/{place.bundle.name}", "batch/infer", **ON_CPU)
    assert task["status"] == "DONE", task["details"]
    for name in place.names():
        image, label = (nib.load(place.studies / at / f"{name}.nii.gz") for at in (".", "labels/original"))
        assert label.shape == image.shape[:3]


def test_studies_without_label_get_an_epistemic_score(place: Place) -> None:
    task = place.server.run_task(f"scoring/{place.bundle.name}", "scoring/", simulation_size=2, **ON_CPU)
    assert task["status"] == "DONE", task["details"]
    store = json.loads((place.studies / "datastore_v2.json").read_text())["objects"]
    scores = {name: image["image"]["info"].get("epistemic_entropy") for name, image in store.items()}
    *labelled, last = place.names()
    assert math.isfinite(scores[last])
    assert {scores[name] for name in labelled} == {None}


def test_training_on_labels_of_a_viewer_leaves_a_model_that_serves(place: Place, tmp_path: Path) -> None:
    model = place.bundle / "models/model.pt"
    before = file_sha256(model)
    offered = place.server.get("info/")["trainers"][place.bundle.name]["config"]
    asked = {key: it[0] if isinstance(it, list) else it for key, it in offered.items()}  # as 3D Slicer asks
    task = place.server.run_task(f"train/{place.bundle.name}", "train/", **{**asked, "max_epochs": 1, "val_split": 0.5})
    assert task["status"] == "DONE", task["details"]
    assert file_sha256(model) != before
    assert file_sha256(model.with_name("model.previous.pt")) == before
    check_against_local(place, place.names()[0], tmp_path)


def test_study_that_is_refused_is_an_error_and_its_one_line_stands_in_the_log(place: Place, tmp_path: Path) -> None:
    (tmp_path / "other.nii.gz").write_bytes(b"no scan")
    with pytest.raises(urllib.error.HTTPError, match="500") as answer:
        place.server.infer(place.bundle.name, str(tmp_path / "other.nii.gz"), output="json")
    assert answer.value.read() == b"Internal Server Error"
    place.server.get("info/")  # the line is written by then
    reasons = [line for line in place.log.read_text().splitlines() if "RefusedError: " in line]
    assert "RefusedError: damaged_gzip: other.nii.gz: expected a whole gzip file" in reasons[-1]


@pytest.mark.parametrize("place", [CT.name], indirect=True)
def test_real_head_of_dicom_files_gets_the_probability_of_local_inference(
    place: Place, real_scans: Path, tmp_path: Path
) -> None:
    said = json.loads(
        place.server.infer(CT.name, str(real_scans / "head_ct_ge"), output="json", result_extension=".nrrd")
    )
    item = [{"image": str(real_scans / "head_ct_ge")}]
    options = {"bundle_root": place.bundle, "output_dir": tmp_path, "dataset::data": item}
    assert run_bundle("inference", "inference", bundle=place.bundle, **options).returncode == 0
    (record,) = tmp_path.glob("head_ct_ge*.json")
    assert said["patient_probability"] == pytest.approx(json.loads(record.read_text())["patient_probability"], abs=1e-5)

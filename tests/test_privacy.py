"""Nothing that is written or printed holds what stands in the patients' tags."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import pydicom
import pytest
import torch
from conftest import BRATS, CT, ROOT, run_bundle
from monai.bundle import ConfigParser
from monai.networks.nets import AttentionUnet
from tiny_studies import predict_command, write_weights

from custom_transforms.check_study import check_study
from custom_transforms.ct_study import read_ct
from custom_transforms.identifying import holds_identity
from custom_transforms.mri_study import read_patient
from custom_transforms.refusal import RefusedError
from data_lists.ct_list import build_ct_list
from data_lists.data_list_file import write_data_list
from data_lists.decathlon import build_data_list
from data_lists.neutral_names import hide_names
from data_lists.phantom_ct import is_positive, make_head
from data_lists.phantom_dicom import write_series
from data_lists.phantom_layouts import write_patient
from data_lists.phantom_mri import make_patient

HEADS = 8
PLANTED = {
    "PatientName": "Zebrowska^Quintilia", "PatientBirthDate": "19340517", "AccessionNumber": "ACX551927",
    "InstitutionName": "Kurhaus Wolkenstein", "ReferringPhysicianName": "Oppenfeld^Isidor", "StudyID": "SJ-77431",
    "OtherPatientIDs": "OTH660913", "PatientComments": "xylophone maker", "ImageComments": "marzipan allergy",
    "StudyDescription": "after dinghy race", "SeriesDescription": "requested by uncle",
    "PatientAddress": "Lindwurmgasse 7", "OperatorsName": "Vandersteeg^Ulla", "DeviceSerialNumber": "SN0448817",
    "RequestedProcedureID": "RQ210988",
}  # fmt: skip
WORDS = ["zebrowska", "quintilia", "19340517", "acx551927", "wolkenstein", "oppenfeld", "isidor", "77431", "oth660913",
         "xylophone", "marzipan", "dinghy", "uncle", "lindwurmgasse", "vandersteeg", "sn0448817", "rq210988",
         "qz918273"]  # fmt: skip


def patient_id(index: int) -> str:
    return f"QZ918273{index:02d}"


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Heads in folders called by their patients' ids, with a table of labels."""
    folder = tmp_path_factory.mktemp("data")
    for index in range(1, HEADS + 1):
        study = folder / "CTs" / patient_id(index)
        study.mkdir(parents=True)
        write_series(make_head(index, matrix=192), study, name=patient_id(index))
        for file in study.iterdir():
            image = pydicom.dcmread(file)
            for keyword, value in PLANTED.items():
                setattr(image, keyword, value)
            image.save_as(file)
    rows = [f"{patient_id(index)},{int(is_positive(index, seed=88))}" for index in range(1, HEADS + 1)]
    (folder / "labels.csv").write_text("\n".join(["PatientID,Label", *rows]) + "\n")
    data_list = build_ct_list(folder, read=read_ct, fractions=(0.5, 0.25, 0.25))
    write_data_list(hide_names(data_list, folder, holds_identity), folder / "data_list.json")
    return folder


def texts(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of all files, unpacked where they are packed."""
    for file in sorted(folder.rglob("*")):
        yield "name", file.relative_to(folder).as_posix().encode()
        if file.is_file():
            content = file.read_bytes()
            yield file.name, gzip.decompress(content) if file.suffix == ".gz" else content
            if file.suffix == ".png":
                yield file.name, b"".join(_png_texts(content))


def _png_texts(content: bytes) -> Iterator[bytes]:
    at = 8
    while at < len(content):
        length, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        if kind in (b"zTXt", b"iTXt"):
            yield zlib.decompress(content[at + 8 : at + 8 + length].split(b"\0", 1)[1][1:])
        at += length + 12


def found_in(place: str, content: bytes) -> list[str]:
    lower = content.lower()
    return [f"{word} in {place}" for word in WORDS if word.encode() in lower or word.encode("utf-16-le") in lower]


def check(folder: Path, printed: str) -> None:
    assert found_in("what was printed", printed.encode()) == []
    assert [found for place, content in texts(folder) for found in found_in(place, content)] == []


def run(place: Path, studies: Path, run_id: str, *configs: str) -> None:
    """Run a workflow in this process, as `monai.bundle run` does."""
    parser = ConfigParser()
    parser.read_config([str(CT / "configs" / f"{name}.json") for name in configs])
    places = {"dataset_dir": studies, "models_dir": place / "models", "output_dir": place / run_id, "bundle_root": CT}
    parser.update({name: str(path) for name, path in places.items()})
    if "cache_dir" in parser.get():
        parser.update({"cache_dir": str(place / "prepared")})
    parser.update({"image_size": 32, "widths": [4, 4, 8, 8], "num_workers": 0, "device": "cpu"})
    parser.get_parsed_content(run_id)


def test_no_run_writes_or_prints_what_stands_in_tags(
    studies: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, studies, "preparing", "train", "prepare")
    run(tmp_path, studies, "training", "train", "smoke")
    run(tmp_path, studies, "evaluating", "train", "evaluate")
    run(tmp_path, studies, "inference", "inference")
    assert list(tmp_path.glob("training/tensorboard/*"))
    assert list(tmp_path.glob("inference/*_slices.png"))
    check(tmp_path, "".join(capfd.readouterr()))


def test_neither_do_prediction_and_check_of_a_folder_with_damaged_studies(studies: Path, tmp_path: Path) -> None:
    folders = sorted((studies / "CTs").iterdir())
    slices = sorted(folders[0].iterdir())
    slices[3].write_bytes(slices[3].read_bytes()[:900])
    sorted(folders[1].iterdir())[2].unlink()
    image = pydicom.dcmread(sorted(folders[2].iterdir())[1])
    image.PatientID = "QZ91827399"
    image.save_as(sorted(folders[2].iterdir())[1])
    (folders[3] / f"{folders[3].name}.dcm").write_bytes(b"")
    weights = write_weights(tmp_path / "model.pt")
    predict = predict_command(studies / "CTs", tmp_path / "out", weights, num_workers=0)[1:]
    checking = [
        "scripts/check_study.py",
        str(studies / "CTs"),
        "--task",
        "ct",
        "--output",
        str(tmp_path / "check.json"),
    ]
    printed = ""
    for command in (predict, checking):
        ran = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
        assert ran.returncode == 2, ran.stderr[-2000:]
        printed += ran.stdout + ran.stderr
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["refused"] >= 3
    assert summary["ok"] + summary["refused"] == HEADS
    assert "named by its row id" in (tmp_path / "out" / "ledger.jsonl").read_text()
    check(tmp_path, printed.replace(str(studies), ""))


NIFTI_TEXTS = {"descrip": b"Zebrowska^Quintilia 19340517", "aux_file": b"QZ91827301", "db_name": b"ACX551927",
               "intent_name": b"marzipan allergy"}  # fmt: skip
SMALL = {"channels": "[4,8,16,32,64]", "num_workers": 0, "device": "cpu"}


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MRI of patients whose folders and files are called by their names; the T2 of one to train on is cut."""
    folder = tmp_path_factory.mktemp("mri")
    for index in range(1, 5):
        write_patient(make_patient(index, shape=(48, 40, 10)), folder / "plain", layout="brats2018", index=index)
    for file in (folder / "plain").glob("*/*.nii.gz"):
        image = nib.load(file)
        for field, text in NIFTI_TEXTS.items():
            image.header[field] = text
        number, _, ending = file.name.removeprefix("Phantom_").partition("_")
        named = folder / "named" / f"QZ91827301_{number}" / f"Zebrowska_{number}_{ending}"
        named.parent.mkdir(parents=True, exist_ok=True)
        nib.save(image, named)
    data_list = build_data_list(folder / "named", read=read_patient, fractions=(0.5, 0.25, 0.25))
    write_data_list(hide_names(data_list, folder / "named", holds_identity), folder / "named" / "data_list.json")
    cut = folder / "named" / data_list["training"][0]["image"][3]
    cut.write_bytes(cut.read_bytes()[:-40])
    return folder / "named"


def test_planted_texts_are_in_the_files_and_names_of_mri(scans: Path) -> None:
    file = next(scans.glob("*/*_t2.nii.gz"))
    assert {"zebrowska", "qz918273", "19340517", "marzipan", "acx551927"} <= {
        found.split()[0]
        for content in (str(file).encode(), bytes(nib.load(file).header.binaryblock))
        for found in found_in("", content)
    }


def test_training_on_mri_that_is_refused_names_nobody(scans: Path, tmp_path: Path) -> None:
    places = {"dataset_dir": scans, "models_dir": tmp_path / "models", "output_dir": tmp_path / "eval"}
    options = {**places, "cache_dir": tmp_path / "prepared", "slice_size": "[48,48]", **SMALL}
    ran = run_bundle("training", "train", "smoke", bundle_root=BRATS, **options)
    assert ran.returncode != 0
    assert "refused_studies: data: " in ran.stderr
    told = (tmp_path / "eval" / "refused.csv").read_text()
    assert re.search(r'^training,patient_000\d,"damaged_gzip: file 5 of 5: expected', told, re.M)
    check(tmp_path, (ran.stdout + ran.stderr).replace(str(scans), ""))


def test_neither_do_inference_on_mri_and_its_check(scans: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    torch.manual_seed(1)
    torch.save(AttentionUnet(2, 4, 1, (4, 8, 16, 32, 64), (2, 2, 2, 2)).state_dict(), tmp_path / "models" / "model.pt")
    items = json.loads((scans / "data_list.json").read_text())["training"]
    unnamed = tmp_path / "list" / "data_list.json"  # whose cases are called as their files
    unnamed.parent.mkdir()
    unnamed.write_text(json.dumps({"test": [{"image": item["image"]} for item in items]}))
    places = {"dataset_dir": scans, "models_dir": tmp_path / "models", "output_dir": tmp_path / "out"}
    ran = run_bundle("inference", "inference", bundle_root=BRATS, data_list=unnamed, **places, **SMALL)
    shutil.rmtree(unnamed.parent)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (ran.returncode, summary["ok"], summary["refused"]) == (2, 1, 1)
    assert "named by its row id" in (tmp_path / "out" / "ledger.jsonl").read_text()
    assert "damaged_gzip: file 4 of 4: " in (tmp_path / "out" / "predictions.csv").read_text()
    assert len(list((tmp_path / "out").glob("*_mask.nii.gz"))) == 1
    checking = ["scripts/check_study.py", str(scans), "--task", "brats", "--labels"]
    checked = subprocess.run(
        [sys.executable, *checking, "--output", str(tmp_path / "check.json")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 2
    assert "damaged_gzip: file " in (tmp_path / "check.json").read_text()
    printed = ran.stdout + ran.stderr + checked.stdout + checked.stderr
    check(tmp_path, printed.replace(str(scans), ""))


def test_neither_does_the_check_of_one_patient_with_two_files_for_a_modality(scans: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(next(scans.glob("QZ*")), tmp_path / "one"))
    again = next(folder.glob("*_t1.nii.gz"))
    (folder / again.name.removesuffix(".gz")).write_bytes(gzip.decompress(again.read_bytes()))
    with pytest.raises(RefusedError, match=r"^two_files: file \d of 6: ") as refusal:
        check_study(folder, "brats")
    assert found_in("the refusal", str(refusal.value).encode()) == []

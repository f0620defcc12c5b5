"""Nothing that is written or printed holds what stands in the patients' tags."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from conftest import CT, ROOT
from monai.bundle import ConfigParser
from tiny_studies import predict_command, write_weights

from custom_transforms.ct_study import read_ct
from custom_transforms.identifying import holds_identity
from data_lists.ct_list import build_ct_list
from data_lists.data_list_file import write_data_list
from data_lists.neutral_names import hide_names
from data_lists.phantom_ct import is_positive, make_head
from data_lists.phantom_dicom import write_series

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

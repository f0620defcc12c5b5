"""Inference from DICOM to DICOM: a segmentation and a report of each study that was read from DICOM, checked."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import CT
from ct_files import enhanced_dataset, save, stored_slices
from dicom_series import COUNT, ORIENTATIONS, SHAPE, write_oriented
from monai.data import MetaTensor
from monai.transforms import Orientation
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from small_runs import build, count_rows, done_since, rows_of, run
from tiny_studies import write_weights

from custom_transforms.ct_study import read_ct
from custom_transforms.dicom.coded_terms import CALIBRATED, METASTASIS, PROBABILITY, THRESHOLD
from custom_transforms.dicom.find_slices import find_slices, find_slices_isolated
from custom_transforms.dicom.measurement_report import make_report
from custom_transforms.dicom.result_instance import Algorithm
from custom_transforms.dicom.segmentation import SUSPICIOUS_REGION, make_segmentation
from custom_transforms.dicom.source_slices import SourceSlices
from custom_transforms.dicom.tumour_parts import PARTS
from custom_transforms.load_ct import LoadImageStudyd
from custom_transforms.refusal import refusal_in
from custom_transforms.runs.summary import tell
from custom_transforms.save_dicom import SaveImageDicomd
from data_lists.phantom_ct import make_head
from data_lists.phantom_dicom import write_series

hd = pytest.importorskip("highdicom")
find_content_items = pytest.importorskip("highdicom.sr.utils").find_content_items

ALGORITHM = Algorithm("ct_metastasis_classifier", "0.1.0")
HEADS = {"even_with_localizer": 4, "tilted": 1, "two_slabs_tilted": 2}
POINT = {
    "threshold": 0.4, "rule": "best-f1", "split": "validation", "patients": 41, "date": "2026-11-27",
    "version": "0.1.0", "operating_point_version": "0123456789ab",
}  # fmt: skip
RECORD: dict[str, Any] = {
    "case": "P1", "patient_probability": 0.625, "calibrated_probability": 0.31, "decision": "positive",
    "operating_point": POINT,
    "slices": {"total": COUNT, "used": 4, "dropped": 1}, "carrying_slices": [0, 3], "notes": "gantry tilted",
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three heads in DICOM, one of them a zip, one without a frame of reference, and a NIfTI; and what came out."""
    place = tmp_path_factory.mktemp("place")
    for name, index in HEADS.items():
        folder = place / "in" / name
        folder.mkdir(parents=True)
        write_series(make_head(index, matrix=64), folder, name=f"TEST-{index:04d}")
    shutil.make_archive(str(place / "in" / "zipped"), "zip", place / "in" / "tilted")
    shutil.copytree(place / "in" / "tilted", place / "in" / "nameless")
    for file in (place / "in" / "nameless").iterdir():
        image = dcmread(file)
        image.FrameOfReferenceUID = ""
        image.save_as(file)
    scan = read_ct(place / "in" / "even_with_localizer")
    nib.save(nib.Nifti1Image(scan.hu.transpose(2, 1, 0).astype(np.int16), scan.affine), place / "in" / "head.nii.gz")
    weights = write_weights(place / "model.pt")
    state = torch.load(weights, weights_only=True)
    state["fc.3.bias"] += 2  # so that it marks something
    torch.save(state, weights)
    run(place, dicom_output=True)
    return place


def record_of(place: Path, case: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((place / "out" / f"{case}.json").read_text())
    return content


@pytest.mark.parametrize("case", [*HEADS, "zipped"])
def test_region_is_that_of_the_nifti_voxel_for_voxel(place: Path, case: str) -> None:
    study = place / "in" / {"zipped": "tilted"}.get(case, case)
    region = np.asarray(nib.load(place / "out" / f"{case}_region.nii.gz").dataobj).transpose(2, 1, 0)
    assert region.any()
    segmentation = hd.seg.segread(place / "out" / f"{case}_region.dcm")
    read = segmentation.get_pixels_by_source_instance(list(read_ct(study).instance_uids), combine_segments=True)
    np.testing.assert_array_equal(read, region)
    assert record_of(place, case)["dicom"] == "region and report"


def test_report_refers_to_the_slices_that_carry_the_result_and_to_the_region(place: Path) -> None:
    record, uids = record_of(place, "two_slabs_tilted"), read_ct(place / "in" / "two_slabs_tilted").instance_uids
    report = hd.sr.srread(place / "out" / "two_slabs_tilted_report.dcm")
    (group,) = report.content.get_image_measurement_groups()
    assert [image.referenced_sop_instance_uid for image in group.source_images] == [
        uids[number] for number in record["carrying_slices"]
    ]
    (probability,) = group.get_measurements(PROBABILITY)
    assert probability.value == pytest.approx(100 * record["patient_probability"], abs=1e-4)
    assert (probability.unit.value, group.get_measurements(THRESHOLD)) == ("%", [])
    region = dcmread(place / "out" / "two_slabs_tilted_region.dcm")
    (marked,) = report.content.get_volumetric_roi_measurement_groups()
    assert marked.tracking_uid == region.SegmentSequence[0].TrackingUID
    assert marked.referenced_segment.referenced_sop_instance_uid == region.SOPInstanceUID
    assert report.StudyInstanceUID == region.StudyInstanceUID
    assert "none: no operating point" in comment_of(report)


def test_study_without_dicom_to_refer_to_has_its_result_and_the_reason(place: Path) -> None:
    rows = rows_of(place)
    assert {row["status"] for row in rows.values()} == {"ok"}
    assert rows["head"]["table"]["dicom"] == "none: not_dicom: scan: expected DICOM to refer to, got NIfTI"
    assert rows["nameless"]["table"]["dicom"].endswith("expected FrameOfReferenceUID, got none")
    assert not [file.name for file in (place / "out").glob("*.dcm") if file.name.startswith(("head", "nameless"))]
    summary = json.loads((place / "out" / "summary.json").read_text())
    assert (summary["ok"], summary["without_dicom"]) == (6, 2)
    assert tell(summary).endswith("; 2 of them without DICOM results, for the reasons in predictions.csv")


def test_files_are_outputs_of_the_ledger_and_are_made_anew_where_one_is_lost(place: Path) -> None:
    assert {"tilted_region.dcm", "tilted_report.dcm"} <= set(rows_of(place)["tilted"]["outputs"])
    before = count_rows(place)
    run(place, dicom_output=True)
    assert done_since(place, before) == []
    (place / "out" / "tilted_report.dcm").unlink()
    run(place, dicom_output=True)
    assert done_since(place, before) == ["tilted"]
    assert (place / "out" / "tilted_report.dcm").is_file()


def test_what_is_shown_and_named_holds_nothing_of_the_tags(
    place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(place / "in" / "tilted", tmp_path / "in" / "Zebrowska")
    for file in (tmp_path / "in" / "Zebrowska").iterdir():
        image = dcmread(file)
        image.PatientName, image.PatientID, image.AccessionNumber = "Zebrowska", "QZ918273", "ACX551927"
        image.PatientSex = "X"
        image.save_as(file)
    shutil.copy(place / "model.pt", tmp_path)
    (row,) = run(tmp_path, dicom_output=True).values()
    assert row["table"]["dicom"] == "region and report"
    written = [file.name for file in (tmp_path / "out").iterdir()]
    texts = [file.read_text() for file in (tmp_path / "out").iterdir() if file.suffix in (".json", ".jsonl", ".csv")]
    shown = [*capfd.readouterr(), *written, *texts]
    for word in ("zebrowska", "qz918273", "acx551927"):
        assert not [text for text in shown if word in text.lower()]
    (report,) = (tmp_path / "out").glob("*_report.dcm")
    assert dcmread(report).PatientName == "Zebrowska"


@pytest.mark.parametrize("turned", ["RPS", "LPI"])
def test_region_that_has_not_come_back_to_its_scan_is_not_written(place: Path, tmp_path: Path, turned: str) -> None:
    item = LoadImageStudyd()({"image": str(place / "in" / "tilted")})
    region = MetaTensor((item["image"] > 0).to(torch.uint8), meta=item["image"].meta)
    item |= {"pred": Orientation(turned, labels=None)(region), "record": RECORD}
    written = SaveImageDicomd("pred", tmp_path, bundle_root=CT)(item)
    assert (
        written["record"]["dicom"] == "none: grid_mismatch: region: expected the grid of the scan as it was read, "
        "got another"
    )
    assert list(tmp_path.iterdir()) == []
    item["pred"] = region
    assert SaveImageDicomd("pred", tmp_path, bundle_root=CT)(item)["record"]["dicom"] == "region and report"


def test_without_the_extra_the_run_ends_before_it_begins(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "highdicom.sr", None)
    with pytest.raises(RuntimeError) as raised:  # of MONAI, under which the guard of a run finds the line
        build(place, dicom_output=True)
    assert "missing_extra: DICOM output: expected highdicom to be installed" in str(refusal_in(raised.value))


def write_odd(folder: Path, orientation: str) -> tuple[SourceSlices, Dataset]:
    """Slices in an orientation, or of an enhanced object, and a region on them, which is also written."""
    if orientation == "enhanced":
        scan = read_ct(save(enhanced_dataset(stored_slices(COUNT), 5.0 * np.arange(COUNT)), folder / "ct.dcm"))
        slices = find_slices_isolated(folder / "ct.dcm", scan.instance_uids, scan.frame_numbers)
    else:
        images = write_oriented(folder / "ct", orientation)
        slices = find_slices(str(folder / "ct"), [image.SOPInstanceUID for image in images], [1] * COUNT)
    labels = np.random.default_rng(1).integers(0, 2, (COUNT, *SHAPE)).astype(np.uint8)
    made = make_segmentation(labels, slices, [SUSPICIOUS_REGION], algorithm=ALGORITHM)
    dcmwrite(folder / "region.dcm", made)
    return slices, made


def comment_of(report: Dataset) -> str:
    found = find_content_items(report, name=hd.sr.CodedConcept("121106", "DCM", "Comment"), recursive=True)
    return " ".join(item.value for item in found)


@pytest.mark.parametrize("decision", ["positive", "negative"])
def test_report_says_threshold_decision_and_where_they_come_from(tmp_path: Path, decision: str) -> None:
    slices, region = write_odd(tmp_path, "enhanced")
    made = make_report({**RECORD, "decision": decision}, slices, region, algorithm=ALGORITHM)
    dcmwrite(tmp_path / "report.dcm", made)
    report = hd.sr.srread(tmp_path / "report.dcm")
    (group,) = report.content.get_image_measurement_groups()
    values = [group.get_measurements(name)[0].value for name in (PROBABILITY, THRESHOLD)]
    assert values == [62.5, 40.0]
    assert [probability.value for probability in group.get_measurements(PROBABILITY)] == [62.5, 31.0]
    assert group.get_measurements(PROBABILITY)[1].method == CALIBRATED
    (evaluation,) = group.get_qualitative_evaluations(METASTASIS)
    assert evaluation.value.meaning.lower() == decision
    assert [image.referenced_frame_numbers for image in group.source_images] == [[1], [4]]
    assert group.finding_type is None  # which would read as if the disease had been found
    said = comment_of(report)
    assert said.startswith("Research only, not for diagnosis. Probability of brain metastases: 0.6250.")
    assert f"Decision: {decision}" in said
    (parameters,) = find_content_items(report, name=hd.sr.CodedConcept("111002", "DCM", "Parameters"), recursive=True)
    assert "threshold 0.400000 by best-f1, chosen on 41 patients of the validation split" in parameters.value
    assert (report.PreliminaryFlag, report.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")


def test_report_on_nothing_suspicious_points_to_no_region(tmp_path: Path) -> None:
    slices, _ = write_odd(tmp_path, "axial")
    empty = np.zeros((COUNT, *SHAPE), np.uint8)
    region = make_segmentation(empty, slices, [SUSPICIOUS_REGION], algorithm=ALGORITHM)
    report = make_report(RECORD, slices, region, algorithm=ALGORITHM)
    dcmwrite(tmp_path / "report.dcm", report)
    assert hd.sr.srread(tmp_path / "report.dcm").content.get_volumetric_roi_measurement_groups() == []


if DCIODVFY := shutil.which("dciodvfy"):  # of Debian's dicom3tools; a skipped test would fail where real scans are

    def errors_of(file: Path) -> list[str]:
        """Give what the validator calls errors, none of which is tolerated.

        Its warnings are about what a DICOMDIR would need and the source lacks, as the date of the study.
        """
        done = subprocess.run([str(DCIODVFY), "-new", str(file)], capture_output=True, text=True, check=False)
        lines = (done.stdout + done.stderr).splitlines()
        assert {"Segmentation", "Comprehensive3DSR"} & set(lines), lines
        return [line for line in lines if line.startswith("Error")]

    def test_validator_finds_no_error_in_what_inference_writes(place: Path) -> None:
        written = sorted((place / "out").glob("*.dcm"))
        assert len(written) == 2 * 4
        assert [error for file in written for error in errors_of(file)] == []

    @pytest.mark.parametrize("orientation", [*ORIENTATIONS, "enhanced"])
    def test_validator_finds_no_error_in_any_orientation(orientation: str, tmp_path: Path) -> None:
        slices, region = write_odd(tmp_path, orientation)
        dcmwrite(tmp_path / "report.dcm", make_report(RECORD, slices, region, algorithm=ALGORITHM))
        labels = np.random.default_rng(2).integers(0, 4, (COUNT, *SHAPE)).astype(np.uint8)
        parts = [PARTS[code] for code in (1, 2, 4)]
        dcmwrite(tmp_path / "tumour.dcm", make_segmentation(labels, slices, parts, algorithm=ALGORITHM))
        for name in ("region", "report", "tumour"):
            assert errors_of(tmp_path / f"{name}.dcm") == []

    def test_validator_finds_no_error_in_results_on_the_real_head(real_scans: Path, tmp_path: Path) -> None:
        study = real_scans / "head_ct_ge"
        scan = read_ct(study)
        slices = find_slices_isolated(study, scan.instance_uids, scan.frame_numbers)
        labels = (scan.hu > 30).astype(np.uint8)
        region = make_segmentation(labels, slices, [SUSPICIOUS_REGION], algorithm=ALGORITHM)
        dcmwrite(tmp_path / "region.dcm", region)
        dcmwrite(tmp_path / "report.dcm", make_report(RECORD, slices, region, algorithm=ALGORITHM))
        assert errors_of(tmp_path / "region.dcm") == errors_of(tmp_path / "report.dcm") == []
        segmentation = hd.seg.segread(tmp_path / "region.dcm")
        read = segmentation.get_pixels_by_source_instance(list(scan.instance_uids), combine_segments=True)
        np.testing.assert_array_equal(read, labels)

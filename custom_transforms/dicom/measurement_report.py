"""A patient's result as a DICOM structured report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from custom_transforms.dicom.coded_terms import (
    BRAIN,
    CALIBRATED,
    COMMENT,
    CT_PROCEDURE,
    DEVICE,
    METASTASIS,
    NEGATIVE,
    PERCENT,
    POSITIVE,
    PROBABILITY,
    THRESHOLD,
)
from custom_transforms.dicom.result_instance import (
    MAKER,
    RESEARCH_ONLY,
    UTF_8,
    Algorithm,
    highdicom,
    new_instance,
    silent_highdicom,
)
from custom_transforms.dicom.source_slices import SourceSlices
from custom_transforms.operating_point import VERSION

SERIES_NUMBER = 901
DECISIONS = {"positive": POSITIVE, "negative": NEGATIVE}  # any other word is no decision, and is told in the comment


def make_report(record: Mapping[str, Any], slices: SourceSlices, region: Dataset, *, algorithm: Algorithm) -> Dataset:
    """Make a Comprehensive 3D SR after TID 1500, which viewers and IHE's profile of AI results ask for.

    One group of measurements holds the probability in percent, references to the slices that carry it, and all in
    words; where there is an operating point also the calibrated probability, the threshold, which is for the first
    one, and the decision. A second group points to the region, if any was marked.

    Args:
        record: of `EvidenceToResultd`.
        slices: those of the volume, in its order.
        region: the segmentation of these slices, from `make_segmentation`.
        algorithm: what found it.

    Returns:
        a dataset to be saved or sent, marked preliminary and unverified.

    Raises:
        RefusedError: `missing_extra`, without highdicom.

    Reference:
        DICOM PS3.16 TID 1500 (measurement report), TID 1501 (group), TID 1411 (volumetric region).
    """
    hd = highdicom()
    images = slices.datasets()
    with silent_highdicom():
        groups = [_patient_group(hd, record, slices, images, algorithm)]
        if region.pixel_array.any():
            groups.append(_region_group(hd, slices, region, algorithm))
        content = hd.sr.MeasurementReport(
            observation_context=hd.sr.ObservationContext(observer_device_context=_observer(hd, algorithm)),
            procedure_reported=CT_PROCEDURE,
            imaging_measurements=groups,
        )
        made: Dataset = hd.sr.Comprehensive3DSR(
            evidence=[*images, region],
            content=content[0],
            **new_instance(algorithm, SERIES_NUMBER),
            is_complete=True,
            series_description=RESEARCH_ONLY,
        )
        made.SpecificCharacterSet = UTF_8
    return made


def _observer(hd: Any, algorithm: Algorithm) -> Any:
    """Name the program as the observer; its UID is that of a version, equal in all reports."""
    uid = generate_uid(entropy_srcs=[MAKER, algorithm.name, algorithm.version])
    about = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=uid, name=algorithm.name, manufacturer_name=MAKER, model_name=algorithm.version
    )
    return hd.sr.ObserverContext(observer_type=DEVICE, observer_identifying_attributes=about)


def _patient_group(
    hd: Any, record: Mapping[str, Any], slices: SourceSlices, images: Sequence[Dataset], algorithm: Algorithm
) -> Any:
    """Say what holds for the patient as a whole; a disease stands there as a question alone, never as a finding."""
    point = record["operating_point"]
    numbers = [_percent(hd, PROBABILITY, record["patient_probability"])]
    if (calibrated := record["calibrated_probability"]) is not None:
        numbers.append(_percent(hd, PROBABILITY, calibrated, method=CALIBRATED))
    if point:
        numbers.append(_percent(hd, THRESHOLD, point["threshold"]))
    decision = DECISIONS.get(record["decision"])
    group = hd.sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=generate_uid(), identifier="patient"),
        finding_sites=[hd.sr.FindingSite(BRAIN)],
        algorithm_id=_algorithm(hd, algorithm, [_told_point(point)] if point else []),
        measurements=numbers,
        qualitative_evaluations=[hd.sr.QualitativeEvaluation(METASTASIS, decision)] if decision else [],
        source_images=[_reference(hd, slices, images, number) for number in record["carrying_slices"]],
    )
    comment = hd.sr.TextContentItem(
        name=COMMENT, value=told(record), relationship_type=hd.sr.RelationshipTypeValues.CONTAINS
    )
    group[0].ContentSequence.append(comment)
    return group


def _region_group(hd: Any, slices: SourceSlices, region: Dataset, algorithm: Algorithm) -> Any:
    """Point to the region under its own tracking UID; it is a hint where to look, so nothing is measured in it."""
    (segment,) = region.SegmentSequence
    return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(uid=segment.TrackingUID, identifier=segment.TrackingID),
        referenced_segment=hd.sr.ReferencedSegment(
            sop_class_uid=region.SOPClassUID,
            sop_instance_uid=region.SOPInstanceUID,
            segment_number=1,
            source_series=hd.sr.SourceSeriesForSegmentation(slices.series_uid),
        ),
        finding_sites=[hd.sr.FindingSite(BRAIN)],
        algorithm_id=_algorithm(hd, algorithm, []),
    )


def _algorithm(hd: Any, algorithm: Algorithm, parameters: list[str]) -> Any:
    return hd.sr.AlgorithmIdentification(algorithm.name, algorithm.version, parameters or None)


def _percent(hd: Any, name: Code, share: float, *, method: Code | None = None) -> Any:
    return hd.sr.Measurement(name=name, value=round(100 * share, 4), unit=PERCENT, method=method)


def _reference(hd: Any, slices: SourceSlices, images: Sequence[Dataset], number: int) -> Any:
    """Refer to a slice of the volume: an object, or a frame of one."""
    return hd.sr.SourceImageForMeasurementGroup(
        referenced_sop_class_uid=images[0].SOPClassUID,
        referenced_sop_instance_uid=slices.uids[number],
        referenced_frame_numbers=[slices.frames[number]] if slices.frames else None,
    )


def _told_point(point: Mapping[str, Any]) -> str:
    version = point[VERSION]
    origin = f"chosen on {point['patients']} patients of the {point['split']} split"
    return (
        f"operating point {version} of {point['date']}: threshold {point['threshold']:.6f} by {point['rule']}, {origin}"
    )


def told(record: Mapping[str, Any]) -> str:
    """Say a record in words, for whoever reads a report without its codes."""
    used = record["slices"]
    lines = [
        f"{RESEARCH_ONLY}.",
        f"Probability of brain metastases: {record['patient_probability']:.4f}.",
        f"Decision: {record['decision']}.",
        f"Slices: {used['used']} of {used['total']} used; the images referred to carry the result.",
        *([f"Notes: {record['notes']}."] if record["notes"] else []),
    ]
    return " ".join(lines)

"""The little of DICOMweb that is needed to find a series and to keep a result beside it."""

from __future__ import annotations

import io
import json
import urllib.request
from urllib.parse import urlencode

from pydicom import dcmwrite
from pydicom.dataset import Dataset

_PIXELS = "7FE00010"


def ask(url: str, body: bytes | None = None, **headers: str) -> bytes:
    """Get, or post where there is a body; headers with `_` for `-`.

    Raises:
        OSError: no answer, or one that tells of an error.
    """
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    with urllib.request.urlopen(urllib.request.Request(url, body, named)) as answer:
        content: bytes = answer.read()
    return content


def find_series(dicomweb: str, uid: str) -> tuple[str, list[Dataset]]:
    """Give the address of the study of a series, and the series' images without pixels.

    Args:
        dicomweb: address of the service, as `http://127.0.0.1:8042/dicom-web`.
        uid: SeriesInstanceUID.

    Raises:
        OSError: no answer, or one that tells of an error.
        ValueError: there is no such series.

    Reference:
        DICOM PS3.18 10.6 (search), 10.4.1.1.2 (metadata).
    """
    query = urlencode({"SeriesInstanceUID": uid})
    found = json.loads(ask(f"{dicomweb}/series?{query}", Accept="application/dicom+json"))
    if len(found) != 1:
        raise ValueError(f"{uid}: expected one series in {dicomweb}, got {len(found)}")
    study = f"{dicomweb}/studies/{found[0]['0020000D']['Value'][0]}"
    images = json.loads(ask(f"{study}/series/{uid}/metadata", Accept="application/dicom+json"))
    return study, [Dataset.from_json({tag: image[tag] for tag in image if tag != _PIXELS}) for image in images]


def store_instance(study: str, dataset: Dataset) -> None:
    """Store a dataset, with its file meta information, in a study.

    Raises:
        OSError: no answer, or one that tells of an error.

    Reference:
        DICOM PS3.18 10.5 (store).
    """
    file = io.BytesIO()
    dcmwrite(file, dataset)
    part = b"--part\r\nContent-Type: application/dicom\r\n\r\n" + file.getvalue() + b"\r\n--part--\r\n"
    kind = 'multipart/related; type="application/dicom"; boundary=part'
    ask(study, part, Content_Type=kind, Accept="application/dicom+json")

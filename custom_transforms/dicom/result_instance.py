"""What every DICOM result of this project has in common, and highdicom, which makes them, kept silent."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydicom.uid import generate_uid

from custom_transforms.dicom.tags import silent_pydicom
from custom_transforms.refusal import RefusedError

RESEARCH_ONLY = "Research only, not for diagnosis"
MAKER = "neuro-oncology bundles"
UTF_8 = "ISO_IR 192"  # in which texts of the patient are written, whatever the source had


@dataclass(frozen=True)
class Algorithm:
    """What found something.

    Args:
        name: of the bundle.
        version: of the bundle.
    """

    name: str
    version: str


def highdicom() -> Any:
    """Give highdicom, which is an extra.

    Raises:
        RefusedError: `missing_extra`.
    """
    try:
        import highdicom.sr
    except ModuleNotFoundError as error:
        expected = "highdicom to be installed (pip install 'neuro-oncology-bundles[dicom]')"
        raise RefusedError.of("missing_extra", "DICOM output", expected=expected, got="none") from error
    return highdicom


def new_instance(algorithm: Algorithm, number: int) -> dict[str, Any]:
    """Give the arguments that highdicom takes for any result: a new series of one instance.

    UIDs are drawn at random, and tell nothing of the patient.

    Args:
        algorithm: what found it.
        number: of the series.
    """
    return {
        "series_instance_uid": generate_uid(),
        "series_number": number,
        "sop_instance_uid": generate_uid(),
        "instance_number": 1,
        "manufacturer": MAKER,
        "manufacturer_model_name": algorithm.name,
        "software_versions": algorithm.version,
        "device_serial_number": "none",
    }


@contextmanager
def silent_highdicom() -> Iterator[None]:
    """Keep warnings of highdicom and pydicom from screen and log: they show patients' names."""
    logger = logging.getLogger("highdicom")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with silent_pydicom(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)

"""The heads that CT jobs work on: a phantom of 40 slices, and the real one where `NEURO_DATA` names its folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from data_lists.phantom_ct import make_head
from data_lists.phantom_dicom import write_series

FORTY_SLICES = 72  # number of a phantom head with 40 slices of 4 mm, without tilt, localizer or padding


def head_folders(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write the phantom below a folder where it is not there yet; give each head's name and folder of raw DICOM."""
    phantom = folder / "phantom"
    if not phantom.exists():
        phantom.mkdir()
        write_series(make_head(FORTY_SLICES, matrix=512), phantom, name=f"TEST-{FORTY_SLICES:04d}")
    yield "40 slices", phantom
    if "NEURO_DATA" in os.environ:
        yield "a real head of 28 slices", Path(os.environ["NEURO_DATA"]) / "head_ct_ge"

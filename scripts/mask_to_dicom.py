#!/usr/bin/env python
"""Write a tumour mask as DICOM SEG onto the DICOM series whose grid it has, with coded segments.

The mask holds BraTS codes: 1 necrotic core, 2 oedema, 3 or 4 enhancing tumour. Nothing is resampled: each voxel must
lie on a pixel of the series, in whatever order and direction the axes are. The file carries the patient's tags, as any
image of the series does. Exit status 0, or 3 where it cannot be done.

Example:
    python scripts/mask_to_dicom.py masks/P1_mask.nii.gz /data/P1/t1ce --output P1_tumour.dcm
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pydicom import dcmwrite

from custom_transforms.atomic_file import whole_file
from custom_transforms.dicom.find_slices import find_slices_isolated
from custom_transforms.dicom.place_mask import place_mask
from custom_transforms.dicom.result_instance import Algorithm
from custom_transforms.dicom.segmentation import make_segmentation
from custom_transforms.dicom.tumour_parts import tumour_segments
from custom_transforms.runs.isolation import run_isolated
from custom_transforms.runs.limits import LIMITS

METADATA = Path(__file__).resolve().parents[1] / "bundles/brats_attention_unet/configs/metadata.json"


def mask_to_dicom(given: argparse.Namespace) -> str:
    mask, name = given.mask.absolute(), given.mask.name
    read = run_isolated("custom_transforms.nifti:read_nifti", {"path": str(mask)}, name=name, limits=LIMITS)
    labels, segments = tumour_segments(read["0"], name)
    slices = find_slices_isolated(given.series)
    about = json.loads(METADATA.read_text(encoding="utf-8"))
    algorithm = Algorithm(about["name"], about["version"])
    made = make_segmentation(place_mask(labels, read["1"], slices), slices, segments, algorithm=algorithm)
    with whole_file(given.output) as file:
        dcmwrite(file, made)
    return f"{given.output}: {', '.join(segment.label for segment in segments)} on {len(slices.uids)} slices"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mask", type=Path, help="NIfTI file, as the bundle writes it")
    parser.add_argument("series", type=Path, help="folder, zip or file of DICOM of one series")
    parser.add_argument("--output", type=Path, required=True, help="file to write")
    try:
        print(mask_to_dicom(parser.parse_args()))
    except (OSError, ValueError) as error:
        print("mask_to_dicom:", *str(error).split(), file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())

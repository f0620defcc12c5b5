#!/usr/bin/env python
"""Have MONAI Label look at a head CT in a DICOMweb store, and keep the suspicious region there as DICOM SEG.

Prints one line of JSON: the patient's probability, and the number of the segmentation's series. Exit status 0, or 3
where it cannot be done. MONAI Label must serve the same store, as `make monailabel STUDIES=http://...` does.

Example:
    python scripts/store_region.py 1.2.840.113619.2.5 --dicomweb http://127.0.0.1:8042/dicom-web
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import urllib.error
from urllib.parse import urlencode

import nibabel as nib
import numpy as np

from custom_transforms.dicom.dicomweb import ask, find_series, store_instance
from custom_transforms.dicom.find_slices import slices_of_series
from custom_transforms.dicom.place_mask import check_first_voxel
from custom_transforms.dicom.result_instance import Algorithm
from custom_transforms.dicom.segmentation import SUSPICIOUS_REGION, make_segmentation

BUNDLE = "ct_metastasis_classifier"


def infer(server: str, uid: str, output: str) -> bytes:
    body = urlencode({"params": json.dumps({"result_extension": ".nii.gz"})}).encode()
    return ask(f"{server}/infer/{BUNDLE}?{urlencode({'image': uid, 'output': output})}", body)


def store_region(given: argparse.Namespace) -> dict[str, object]:
    study, images = find_series(given.dicomweb, given.series)
    version = json.loads(ask(f"{given.server}/info/"))["models"][BUNDLE]["version"]
    prob = json.loads(infer(given.server, given.series, "json"))["patient_probability"]
    map_ = nib.Nifti1Image.from_bytes(gzip.decompress(infer(given.server, given.series, "image")))
    region = (np.asarray(map_.dataobj) > 0).astype(np.uint8).transpose(2, 1, 0)
    slices = slices_of_series(images, "series")
    check_first_voxel(map_.affine, slices)
    made = make_segmentation(region, slices, [SUSPICIOUS_REGION], algorithm=Algorithm(BUNDLE, version))
    store_instance(study, made)
    return {"patient_probability": prob, "segmentation": made.SeriesInstanceUID}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("series", help="SeriesInstanceUID")
    parser.add_argument("--server", default="http://127.0.0.1:8000", help="MONAI Label; default: %(default)s")
    parser.add_argument("--dicomweb", default="http://127.0.0.1:8042/dicom-web", help="default: %(default)s")
    try:
        print(json.dumps(store_region(parser.parse_args())))
    except urllib.error.HTTPError as error:
        print(f"store_region: {error.url}: {error}; the log of that program tells why", file=sys.stderr)
        return 3
    except (ImportError, KeyError, OSError, ValueError) as error:
        print("store_region:", *str(error).split(), file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())

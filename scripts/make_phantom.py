"""Make phantom patients: made-up images with known tumours, in the file layout of a public data set.

Example:
    python scripts/make_phantom.py mri phantom_brats --patients 40 --shape 128 128 48 --layout brats2018 --seed 88
    python scripts/make_phantom.py ct phantom_ct --patients 60 --matrix 256 --format dicom --seed 88
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
from pathlib import Path

from tqdm import tqdm

from data_lists.phantom_ct import is_positive, make_head
from data_lists.phantom_ct_layout import HEAD_FORMATS, write_head, write_labels
from data_lists.phantom_layouts import LAYOUTS, write_index, write_patient
from data_lists.phantom_mri import make_patient
from data_lists.phantom_slab import cut_slab


def make_one_mri(index: int, *, given: argparse.Namespace) -> None:
    patient = make_patient(index, shape=tuple(given.shape), seed=given.seed)
    write_patient(patient, given.folder, layout=given.layout, index=index)


def make_one_ct(index: int, *, given: argparse.Namespace) -> None:
    head = make_head(index, positive=False if given.lesion_free else None, matrix=given.matrix, seed=given.seed)
    head = cut_slab(head, given.slab, seed=index) if given.slab else head
    write_head(head, given.folder, index=index, file_format="nifti" if given.slab else given.format)


def make(given: argparse.Namespace) -> None:
    if given.patients < 1:
        raise ValueError(f"--patients must be at least 1, got {given.patients}")
    if given.folder.exists() and any(given.folder.iterdir()):
        raise FileExistsError(f"{given.folder} is not empty")
    job = functools.partial(given.make_one, given=given)
    numbers = range(1, given.patients + 1)
    with multiprocessing.Pool(min(given.patients, os.cpu_count() or 1)) as pool:
        list(tqdm(pool.imap_unordered(job, numbers), total=len(numbers), unit="patient"))
    if given.make_one is make_one_mri:
        write_index(given.folder, layout=given.layout)
    else:
        write_labels(given.folder, {index: is_positive(index, seed=given.seed) for index in numbers})


def parse_arguments() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(required=True, metavar="KIND")
    mri = kinds.add_parser("mri", help="brain MRI with glioma, as in BraTS")
    ct = kinds.add_parser("ct", help="head CT, half of them with brain metastases")
    for kind, patients in ((mri, 40), (ct, 60)):
        kind.add_argument("folder", type=Path, metavar="OUT_DIR", help="a new or empty folder")
        kind.add_argument("--patients", type=int, default=patients, help="how many (default: %(default)s)")
        kind.add_argument("--seed", type=int, default=88, help="number of the collection (default: %(default)s)")
    mri.add_argument("--shape", type=int, nargs=3, default=[128, 128, 48], metavar="N", help="voxels of 240x240x155 mm")
    mri.add_argument("--layout", choices=LAYOUTS, default="brats2018", help="default: %(default)s")
    mri.set_defaults(make_one=make_one_mri)
    ct.add_argument("--matrix", type=int, default=256, help="rows and columns (default: %(default)s)")
    ct.add_argument("--format", choices=HEAD_FORMATS, default="dicom", help="default: %(default)s")
    ct.add_argument("--slab", type=int, default=0, help="NIfTI of so many slices, around a lesion if there is one")
    ct.add_argument("--lesion-free", action="store_true", help="draw no metastases; the labels then mean nothing")
    ct.set_defaults(make_one=make_one_ct)
    return parser, parser.parse_args()


def main() -> None:
    parser, given = parse_arguments()
    try:
        make(given)
    except (OSError, ValueError, ModuleNotFoundError) as error:
        parser.exit(2, f"make_phantom: {error}\n")


if __name__ == "__main__":
    main()

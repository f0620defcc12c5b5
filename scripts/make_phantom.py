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


def make_one_mri(index: int, *, arguments: argparse.Namespace) -> None:
    patient = make_patient(index, shape=tuple(arguments.shape), seed=arguments.seed)
    write_patient(patient, arguments.folder, layout=arguments.layout, index=index)


def make_one_ct(index: int, *, arguments: argparse.Namespace) -> None:
    head = make_head(index, matrix=arguments.matrix, seed=arguments.seed)
    write_head(head, arguments.folder, index=index, file_format=arguments.format)


def make(arguments: argparse.Namespace) -> None:
    if arguments.patients < 1:
        raise ValueError(f"--patients must be at least 1, got {arguments.patients}")
    if arguments.folder.exists() and any(arguments.folder.iterdir()):
        raise FileExistsError(f"{arguments.folder} is not empty")
    job = functools.partial(arguments.make_one, arguments=arguments)
    numbers = range(1, arguments.patients + 1)
    with multiprocessing.Pool(min(arguments.patients, os.cpu_count() or 1)) as pool:
        list(tqdm(pool.imap_unordered(job, numbers), total=len(numbers), unit="patient"))
    if arguments.make_one is make_one_mri:
        write_index(arguments.folder, layout=arguments.layout)
    elif not arguments.unlabelled:
        write_labels(arguments.folder, {index: is_positive(index, seed=arguments.seed) for index in numbers})


def parse_arguments() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(required=True, metavar="KIND")
    mri = kinds.add_parser("mri", help="brain MRI with glioma, as in BraTS")
    ct = kinds.add_parser("ct", help="head CT, half of them with brain metastases")
    for kind, patients in ((mri, 40), (ct, 60)):
        kind.add_argument("folder", type=Path, metavar="OUT_DIR", help="a new or empty folder")
        kind.add_argument("--patients", type=int, default=patients, help="how many (default: %(default)s)")
        kind.add_argument("--seed", type=int, default=88, help="number of the collection (default: %(default)s)")
    mri.add_argument("--shape", type=int, nargs=3, default=[128, 128, 48], metavar=("H", "W", "S"),
                     help="voxels along each axis of 240 x 240 x 155 mm (default: 128 128 48)")  # fmt: skip
    mri.add_argument("--layout", choices=LAYOUTS, default="brats2018", help="default: %(default)s")
    mri.set_defaults(make_one=make_one_mri)
    ct.add_argument("--matrix", type=int, default=256, help="rows and columns (default: %(default)s)")
    ct.add_argument("--format", choices=HEAD_FORMATS, default="dicom", help="default: %(default)s")
    ct.add_argument("--unlabelled", action="store_true", help="write no labels.csv")
    ct.set_defaults(make_one=make_one_ct)
    return parser, parser.parse_args()


def main() -> None:
    parser, arguments = parse_arguments()
    try:
        make(arguments)
    except (OSError, ValueError, ModuleNotFoundError) as error:
        parser.exit(2, f"make_phantom: {error}\n")


if __name__ == "__main__":
    main()

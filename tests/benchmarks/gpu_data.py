"""Full-size phantoms for the jobs on a GPU, with their data lists."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from conftest import BRATS, CT

from custom_transforms.ct_study import read_ct
from custom_transforms.mri_study import read_patient
from data_lists.ct_list import build_ct_list
from data_lists.data_list_file import write_data_list
from data_lists.decathlon import build_data_list
from data_lists.phantom_ct import is_positive, make_head
from data_lists.phantom_ct_layout import write_head, write_labels
from data_lists.phantom_layouts import write_patient
from data_lists.phantom_mri import make_patient

PATIENTS, HEADS = 12, 32
MRI_SHAPE = (240, 240, 155)


def write_phantoms(folder: Path, *, workers: int) -> dict[Path, Path]:
    """Write phantoms of both kinds and give, by bundle, the folder with their data list."""
    mri, ct = folder / "mri", folder / "ct"
    for part in (mri, ct):
        part.mkdir(parents=True)
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(partial(_write_patient, mri), range(1, PATIENTS + 1)))
        list(pool.map(partial(_write_head, ct), range(1, HEADS + 1)))
    write_labels(ct, {index: is_positive(index, seed=88) for index in range(1, HEADS + 1)})
    write_data_list(build_data_list(mri, read=read_patient), mri / "data_list.json")
    write_data_list(build_ct_list(ct, read=read_ct), ct / "data_list.json")
    return {BRATS: mri, CT: ct}


def _write_patient(folder: Path, index: int) -> None:
    write_patient(make_patient(index, shape=MRI_SHAPE), folder, layout="brats2018", index=index)


def _write_head(folder: Path, index: int) -> None:
    write_head(make_head(index), folder, index=index, file_format="dicom")

"""Phantom patients written under the file names and label codes of the public BraTS distributions."""

from __future__ import annotations

import csv
import gzip
import importlib
import io
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Literal, get_args

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from data_lists.case_files import LABEL_CONVENTIONS, MODALITIES
from data_lists.kaggle_layout import SLICE_NAME, TABLE
from data_lists.nifti_case_folders import MASK, NAMES_2018, NAMES_2023, FileNames
from data_lists.phantom_mri import ENHANCING, NECROSIS, OEDEMA, PhantomPatient

Layout = Literal["brats2018", "brats2023", "msd", "kaggle_h5"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

_REGIONS = {"necrotic core": NECROSIS, "oedema": OEDEMA, "enhancing tumour": ENHANCING}
_DECATHLON = {
    "name": "PHANTOM",
    "description": "Made-up patients in the layout of the Medical Segmentation Decathlon, Task01_BrainTumour",
    "tensorImageSize": "4D",
    "modality": {"0": "FLAIR", "1": "T1w", "2": "t1gd", "3": "T2w"},
    "labels": {"0": "background", "1": "edema", "2": "non-enhancing tumor", "3": "enhancing tumour"},
}


def write_patient(patient: PhantomPatient, folder: Path, *, layout: Layout, index: int) -> None:
    """Write one patient; it appears under its final name only when complete.

    Args:
        patient: the patient to write.
        folder: where the data set is; made if missing.
        layout: one of `LAYOUTS`.
        index: number of the patient, which becomes its name.

    Raises:
        ValueError: if the layout is unknown.
        FileExistsError: if the patient is there already.
        ModuleNotFoundError: if the layout is `kaggle_h5` and h5py is missing.
    """
    if layout not in LAYOUTS:
        raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, got {layout!r}")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished_", dir=folder) as room:
        finished = _WRITERS[layout](patient, Path(room), index)
        for path in finished:
            target = folder / path.relative_to(room)
            if target.exists():
                raise FileExistsError(f"{target} exists already")
            target.parent.mkdir(exist_ok=True)
            path.rename(target)


def write_index(folder: Path, *, layout: Layout) -> None:
    """Write the file that lists the patients in `folder`, where the layout has one: `msd` and `kaggle_h5`."""
    if layout == "msd":
        names = sorted(path.name for path in (folder / "imagesTr").glob("*.nii.gz"))
        pairs = [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names]
        counts = {"numTraining": len(pairs), "numTest": 0, "training": pairs, "test": []}
        (folder / "dataset.json").write_text(json.dumps({**_DECATHLON, **counts}, indent=1) + "\n", encoding="utf-8")
    elif layout == "kaggle_h5":
        (folder / TABLE).write_text(_kaggle_table(folder / "data"), encoding="utf-8")


def _write_brats_2018(patient: PhantomPatient, room: Path, index: int) -> list[Path]:
    case = room / f"Phantom_{index:03d}"
    _write_case(patient, case, names=NAMES_2018, codes=LABEL_CONVENTIONS["brats2018"])
    return [case]


def _write_brats_2023(patient: PhantomPatient, room: Path, index: int) -> list[Path]:
    case = room / f"Phantom-{index:05d}-000"
    _write_case(patient, case, names=NAMES_2023, codes=LABEL_CONVENTIONS["brats2023"])
    return [case]


def _write_case(patient: PhantomPatient, case: Path, *, names: FileNames, codes: Mapping[str, int]) -> None:
    """One file per modality and one for the labels, in a folder of the patient's own."""
    case.mkdir()
    volumes = [*patient.image, _recode(patient.regions, codes)]
    for kind, volume in zip((*MODALITIES, MASK), volumes, strict=True):
        _write_nifti(case / f"{case.name}{names.endings[kind]}.nii.gz", volume, patient.affine)


def _write_decathlon(patient: PhantomPatient, room: Path, index: int) -> list[Path]:
    image, labels = (room / part / f"PHANTOM_{index:03d}.nii.gz" for part in ("imagesTr", "labelsTr"))
    image.parent.mkdir()
    labels.parent.mkdir()
    _write_nifti(image, np.moveaxis(patient.image, 0, -1), patient.affine)
    _write_nifti(labels, _recode(patient.regions, LABEL_CONVENTIONS["msd"]), patient.affine)
    return [labels, image]  # image last: where it is, its labels are


def _write_kaggle(patient: PhantomPatient, room: Path, index: int) -> list[Path]:
    """One h5 file per axial slice, image (H, W, 4) and mask (H, W, 3) of necrosis, oedema, enhancing tumour."""
    h5py = _import_h5py()
    data = room / "data"
    data.mkdir()
    image = np.moveaxis(patient.image, 0, -1).astype(np.float64)  # (H, W, S, 4)
    mask = np.stack([patient.regions == code for code in _REGIONS.values()], axis=-1).astype(np.uint8)
    paths = [data / f"volume_{index}_slice_{number}.h5" for number in range(image.shape[2])]
    for number, path in enumerate(paths):
        with h5py.File(path, "w") as file:
            file.create_dataset("image", data=image[:, :, number], compression="gzip", shuffle=True)
            file.create_dataset("mask", data=mask[:, :, number], compression="gzip")
    return paths


_WRITERS: dict[Layout, Callable[[PhantomPatient, Path, int], list[Path]]] = {
    "brats2018": _write_brats_2018,
    "brats2023": _write_brats_2023,
    "msd": _write_decathlon,
    "kaggle_h5": _write_kaggle,
}


def _import_h5py() -> ModuleType:
    """h5py is needed for one layout alone, so it is looked for when that layout is asked for."""
    try:
        return importlib.import_module("h5py")
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError("layout kaggle_h5 needs h5py: pip install 'neuro-oncology-bundles[h5]'") from missing


def _kaggle_table(data: Path) -> str:
    """The table of all slices: path, whether any tumour is in it, volume and slice number."""
    h5py = _import_h5py()
    found = ((SLICE_NAME.fullmatch(path.name), path) for path in data.iterdir())
    slices = sorted((int(name["volume"]), int(name["slice"]), path) for name, path in found if name)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["slice_path", "target", "volume", "slice"])
    for volume, number, path in slices:
        with h5py.File(path) as file:
            target = int(np.any(file["mask"][()]))
        writer.writerow([f"/content/data/{path.name}", target, volume, number])
    return table.getvalue()


def _recode(regions: NDArray[np.uint8], codes: Mapping[str, int]) -> NDArray[np.uint8]:
    """Replace our region codes by a layout's own; background stays 0."""
    lookup = np.zeros(max(_REGIONS.values()) + 1, dtype=np.uint8)
    for tissue, ours in _REGIONS.items():
        lookup[ours] = codes[tissue]
    return lookup[regions]


def _write_nifti(path: Path, volume: NDArray[np.int16] | NDArray[np.uint8], affine: NDArray[np.float64]) -> None:
    """Write a gzipped NIfTI file without a time stamp, so that equal patients are equal files."""
    image = nib.Nifti1Image(volume, affine)
    image.set_sform(affine, code=1)
    image.set_qform(affine, code=1)
    image.header.set_xyzt_units(xyz="mm")
    path.write_bytes(gzip.compress(image.to_bytes(), compresslevel=6, mtime=0))

"""Which file of a BraTS-like data set is which modality of which case."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from data_lists.case_files import LABEL_CONVENTIONS, MODALITIES, DataSet, check_modalities
from data_lists.duplicates import check_case_names
from data_lists.kaggle_layout import SLICE_NAME, find_kaggle_cases
from data_lists.msd_layout import find_msd_cases, is_msd, read_msd_header
from data_lists.nifti_case_folders import NAMES_2018, NAMES_2023, find_case_folders

logger = logging.getLogger(__name__)
EXPECTED_NAMES = {
    "brats2018": "<case>_flair.nii.gz, _t1, _t1ce, _t2, _seg",
    "brats2023": "<case>-t2f.nii.gz, -t1n, -t1c, -t2w, -seg",
    "brats2024": "the names of brats2023, with label 4 for the resection cavity",
    "msd": "dataset.json with imagesTr/<case>.nii.gz, labelsTr",
    "kaggle_h5": "volume_<n>_slice_<m>.h5 with meta_data.csv",
}
LAYOUTS = tuple(EXPECTED_NAMES)
IMAGES = (".nii", ".nii.gz", ".h5")
_LICENCE = "not stated in the files: the terms under which the data set was released apply"


def find_data_set(
    dataset_dir: Path,
    *,
    layout: str | None = None,
    unlabelled: bool = False,
    modalities: Sequence[str] | None = None,
) -> DataSet:
    """Find the cases of a data set by its file names; no voxel is read, and labels are never guessed.

    Args:
        dataset_dir: folder of the data set.
        layout: one of `LAYOUTS`; the default, None, recognises it by file names (never `brats2024`).
        unlabelled: leave masks out, as for inference.
        modalities: channel order of the slices of `kaggle_h5`; the default is FLAIR, T1, T1ce, T2.

    Returns:
        The data set with at least one case.

    Raises:
        NotADirectoryError: If the folder does not exist.
        ValueError: If the names fit no layout, or two, or a case is incomplete, or two cases or patients share a name.

    Example:
        >>> find_data_set(Path("BraTS2020"), unlabelled=True).cases[0].image[0]
        'BraTS20_Training_001/BraTS20_Training_001_flair.nii.gz'
    """
    files = list_files(dataset_dir)
    layout = _check_layout(layout) if layout else recognise_layout(files)
    if modalities is not None and layout != "kaggle_h5":
        raise ValueError(f"expected no order of modalities: the files of layout {layout} state it themselves")
    name, licence, convention = dataset_dir.resolve().name, _LICENCE, layout
    if layout == "msd":
        header = read_msd_header(dataset_dir)
        name, licence = header.name or name, header.licence or licence
        codes, cases = header.label_codes, find_msd_cases(files, modalities=header.modalities, unlabelled=unlabelled)
    elif layout == "kaggle_h5":
        order = check_modalities(MODALITIES if modalities is None else modalities)
        cases = find_kaggle_cases(dataset_dir, files=files, modalities=order, unlabelled=unlabelled)
        convention, codes = "brats2018", LABEL_CONVENTIONS["brats2018"]  # its mask channels become these codes
    else:
        names = NAMES_2018 if layout == "brats2018" else NAMES_2023
        codes, cases = LABEL_CONVENTIONS[layout], find_case_folders(files, names=names, unlabelled=unlabelled)
    if not cases:
        raise ValueError(f"expected {EXPECTED_NAMES[layout]} for layout {layout}, got no case in {dataset_dir}")
    check_case_names(cases)
    if foreign := folders_without_images(files):
        logger.warning("not used, since no image is in them: %d folders", len(foreign))
    ordered = tuple(sorted(cases, key=lambda case: case.case))
    return DataSet(dataset_dir, layout, name, licence, convention, codes, ordered)


def list_files(dataset_dir: Path) -> list[str]:
    """List all files of a data set, sorted, as POSIX paths relative to it; an empty folder ends in `/`.

    Hidden names, such as the `._` files that macOS writes into archives, are left out; links to folders are followed.

    Raises:
        NotADirectoryError: If the folder does not exist.
        ValueError: If it holds no file.
    """
    if not dataset_dir.is_dir():
        raise NotADirectoryError(f"expected the folder of a data set, got {dataset_dir}")
    found: list[str] = []
    seen: set[Path] = set()
    for folder, subfolders, files in os.walk(dataset_dir, followlinks=True, onerror=_stop):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        if Path(folder).resolve() in seen:  # a link back up would never end
            raise ValueError(f"expected each folder once, got a link to a folder listed before: {folder}")
        seen.add(Path(folder).resolve())
        here = Path(folder).relative_to(dataset_dir)
        visible = [name for name in files if not name.startswith(".")]
        found += [(here / name).as_posix() for name in visible]
        if not visible and not subfolders:
            found.append(f"{here.as_posix()}/")
    if all(path.endswith("/") for path in found):
        raise ValueError(f"expected files, got an empty folder: {dataset_dir}")
    return sorted(found)


def recognise_layout(files: Sequence[str]) -> str:
    """Recognise the layout of a data set by its file names alone.

    Args:
        files: relative POSIX paths.

    Returns:
        One of `LAYOUTS`, never `brats2024`, whose names are those of `brats2023`.

    Raises:
        ValueError: If the names fit no layout or more than one.
    """
    signs: dict[str, Callable[[str], re.Match[str] | None]] = {
        "brats2018": NAMES_2018.pattern.fullmatch,
        "brats2023": NAMES_2023.pattern.fullmatch,
        "kaggle_h5": SLICE_NAME.fullmatch,
    }
    names = [path.rpartition("/")[2] for path in files]
    fits = [layout for layout, fit in signs.items() if any(fit(name) for name in names)]
    fits += ["msd"] if is_msd(files) else []
    if len(fits) == 1:
        return fits[0]
    expected = "; ".join(f"{layout}: {names}" for layout, names in EXPECTED_NAMES.items() if layout != "brats2024")
    raise ValueError(f"expected the names of one layout ({expected}), got those of {' and '.join(fits) or 'none'}")


def folders_without_images(files: Sequence[str]) -> list[str]:
    """Name the folders in which a patient may be lost: with neither image nor folder, and beside images, not below.

    Args:
        files: of `list_files`.

    Returns:
        Relative POSIX paths, sorted; `.` is the data set itself.
    """
    folders: dict[PurePosixPath, bool] = {}
    for path in files:
        folder = PurePosixPath(path.rpartition("/")[0])
        folders[folder] = folders.get(folder, False) or path.endswith(IMAGES)
    with_images = {folder for folder, has_image in folders.items() if has_image}
    with_folders = {parent for folder in folders for parent in folder.parents}
    leaves = folders.keys() - with_images - with_folders
    return sorted(folder.as_posix() for folder in leaves if with_images.isdisjoint(folder.parents))


def _stop(error: OSError) -> None:
    """Let a folder that may not be read stop the search: `os.walk` would leave it out in silence."""
    raise error


def _check_layout(layout: str) -> str:
    if layout not in LAYOUTS:
        raise ValueError(f"expected a layout of {', '.join(LAYOUTS)}, got {layout!r}")
    return layout

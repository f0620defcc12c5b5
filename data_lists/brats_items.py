"""Items of BraTS-like cases to run a network on, of which one that is incomplete does not stop the others."""

from __future__ import annotations

from pathlib import Path

from data_lists.brats_layouts import find_data_set, list_files
from data_lists.case_files import CaseFiles
from data_lists.data_list_file import CaseItem

NIFTI = (".nii", ".nii.gz")


def list_brats_items(dataset_dir: Path) -> list[CaseItem]:
    """List the cases of a folder, in any of the layouts; no voxel is read.

    Where the folder as a whole fits no layout, or a case of it is incomplete, each folder of NIfTI files is taken by
    itself; one that is no case becomes an item whose image is the folder, which the loader refuses.

    Args:
        dataset_dir: folder of a data set, or of one patient.

    Returns:
        Items with whole paths.

    Raises:
        OSError: If the folder cannot be read.
        ValueError: If there is no case in it.
    """
    try:
        return [_item(case, dataset_dir) for case in find_data_set(dataset_dir, unlabelled=True).cases]
    except ValueError as error:
        files = [path for path in list_files(dataset_dir) if path.endswith((*NIFTI, "/"))]
        folders = sorted({dataset_dir / path.rpartition("/")[0] for path in files})
        if folders in ([], [dataset_dir]):  # the whole is its only part
            raise error
    return [item for folder in folders for item in _items_of(folder)]


def _items_of(folder: Path) -> list[CaseItem]:
    try:
        return [_item(case, folder) for case in find_data_set(folder, unlabelled=True).cases]
    except ValueError:
        return [{"image": str(folder)}]


def _item(case: CaseFiles, folder: Path) -> CaseItem:
    image = [str(folder / path) for path in case.image]
    item: CaseItem = {"case": case.case, "image": image if len(image) > 1 else image[0]}
    item["modalities"] = list(case.modalities)
    if case.slices is not None:
        item["slices"] = case.slices
    return item

"""Items of BraTS-like cases to run a network on, of which one that is incomplete does not stop the others."""

from __future__ import annotations

from pathlib import Path

from data_lists.brats_layouts import find_data_set, list_files
from data_lists.case_files import CaseFiles
from data_lists.data_list_file import CaseItem
from data_lists.patient_files import UnclearFilesError, group_patients

IMAGES = (".nii", ".nii.gz", ".h5")


def list_brats_items(dataset_dir: Path) -> list[CaseItem]:
    """List the cases of a folder, in any of the layouts; no voxel is read.

    Where the folder as a whole fits no layout, or a case of it is incomplete, each folder of images is taken by itself:
    an incomplete case has fewer `modalities`, and the image of files that are no case is their folder. The loader
    refuses both.

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
    except ValueError:
        folders: dict[str, list[str]] = {}
        for path in list_files(dataset_dir):
            if path.endswith((*IMAGES, "/")):
                folder, _, name = path.rpartition("/")
                folders.setdefault(folder, []).append(name)
        items = [item for folder, names in folders.items() for item in _items_of(dataset_dir / folder, names)]
        if all(item["image"] == str(dataset_dir) for item in items):  # nothing is clear
            raise
        return items


def _items_of(folder: Path, names: list[str]) -> list[CaseItem]:
    try:
        cases = group_patients(names)
    except UnclearFilesError:
        return [{"image": str(folder)}]
    if any(not case.modalities for case in cases):  # a 4D file, which does not say what its channels are
        return [{"image": str(folder)}]
    return [_item(case, folder) for case in cases]


def _item(case: CaseFiles, folder: Path) -> CaseItem:
    image = [str(folder / path) for path in case.image]
    item: CaseItem = {"case": case.case, "image": image if len(image) > 1 else image[0]}
    item["modalities"] = list(case.modalities)
    if case.slices is not None:
        item["slices"] = case.slices
    return item

"""Items of BraTS-like cases to run a network on, of which one that is incomplete does not stop the others."""

from __future__ import annotations

from pathlib import Path

from data_lists.brats_layouts import IMAGES, find_data_set, folders_without_images, list_files
from data_lists.case_files import CaseFiles
from data_lists.data_list_file import CaseItem
from data_lists.patient_files import UnclearFilesError, group_patients


def list_brats_items(dataset_dir: Path) -> list[CaseItem]:
    """List the cases of a folder, in any of the layouts; no voxel is read.

    Where the folder as a whole fits no layout, or a case of it is incomplete, each folder of images is taken by itself.
    An incomplete case has fewer `modalities`; files that are no case, or no images, become an item of their folder that
    says why in `refused`. The loader refuses both, so that whatever lies beside the cases has its row.

    Args:
        dataset_dir: folder of a data set, or of one patient.

    Returns:
        Items with whole paths.

    Raises:
        OSError: If the folder cannot be read, or is none.
        ValueError: If there is no file in it.
    """
    names: dict[str, list[str]] = {}
    files = list_files(dataset_dir)
    for path in files:
        folder, _, name = path.rpartition("/")
        names.setdefault(folder or ".", []).extend([name] * bool(name))
    unclear = folders_without_images(files)
    items: list[CaseItem] = []
    try:
        items += [_item(case, dataset_dir) for case in find_data_set(dataset_dir, unlabelled=True).cases]
    except ValueError:
        unclear += [folder for folder, inside in names.items() if any(name.endswith(IMAGES) for name in inside)]
    return items + [item for folder in unclear for item in _items_of(dataset_dir / folder, names[folder])]


def _items_of(folder: Path, names: list[str]) -> list[CaseItem]:
    try:
        return [_item(case, folder) for case in _clear_cases(names)]
    except UnclearFilesError as error:
        reason = {"reason_code": error.reason_code, "file": error.file, "expected": error.expected, "got": error.got}
        return [{"image": str(folder), "refused": reason}]


def _clear_cases(names: list[str]) -> list[CaseFiles]:
    """Group files as `group_patients` does, and refuse one that does not say what its channels are."""
    cases = group_patients(names)
    for case in cases:
        if not case.modalities:
            expected = "a data list that says in `modalities` which channel is which"
            raise UnclearFilesError("unstated_modalities", case.image[0], expected, "one file, which does not say it")
    return cases


def _item(case: CaseFiles, folder: Path) -> CaseItem:
    image = [str(folder / path) for path in case.image]
    item: CaseItem = {"case": case.case, "image": image if len(image) > 1 else image[0]}
    item["modalities"] = list(case.modalities)
    if case.slices is not None:
        item["slices"] = case.slices
    return item

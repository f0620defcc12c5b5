"""Cases of the Medical Segmentation Decathlon's brain tumour task: one 4D file per case."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_lists.case_files import LABEL_CONVENTIONS, CaseFiles, check_modalities

_MODALITY_NAMES = {"flair": "FLAIR", "t1": "T1", "t1w": "T1", "t1gd": "T1ce", "t1ce": "T1ce", "t2": "T2", "t2w": "T2"}
_TISSUE_NAMES = {
    "background": "background",
    "edema": "oedema",
    "oedema": "oedema",
    "non-enhancing tumor": "necrotic core",
    "non-enhancing tumour": "necrotic core",
    "enhancing tumor": "enhancing tumour",
    "enhancing tumour": "enhancing tumour",
}


@dataclass(frozen=True)
class MsdHeader:
    """What `dataset.json` states.

    Attributes:
        name: name of the data set, empty if not stated.
        licence: its terms, empty if not stated.
        modalities: channel order of the 4D files.
        label_codes: code of each tissue.
    """

    name: str
    licence: str
    modalities: tuple[str, ...]
    label_codes: Mapping[str, int]


def is_msd(files: Sequence[str]) -> bool:
    """Tell whether relative paths are those of a decathlon task."""
    return "dataset.json" in files and any(path.startswith(("imagesTr/", "imagesTs/")) for path in files)


def read_msd_header(dataset_dir: Path) -> MsdHeader:
    """Read channel order and label codes from `dataset.json`, under the names used here.

    Args:
        dataset_dir: folder of the task.

    Returns:
        The header.

    Raises:
        ValueError: If the file is missing, is not as described, or has an unknown modality or tissue.
    """
    try:
        header = json.loads((dataset_dir / "dataset.json").read_text(encoding="utf-8"))
        channels = {int(number): str(name) for number, name in header["modality"].items()}
        labels = {int(code): str(name) for code, name in header["labels"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"expected `modality` and `labels` by number in dataset.json, got {type(error).__name__}: {error}"
        ) from error
    if sorted(channels) != list(range(len(channels))):
        raise ValueError(f"expected modalities numbered from 0 in dataset.json, got {sorted(channels)}")
    modalities = [_translate(channels[number], _MODALITY_NAMES) for number in sorted(channels)]
    tissues = {_translate(name, _TISSUE_NAMES): code for code, name in labels.items()}
    expected = {"background", *LABEL_CONVENTIONS["msd"]}
    if tissues.keys() != expected or len(labels) != len(tissues) or tissues["background"] != 0:
        raise ValueError(f"expected {', '.join(sorted(expected))} (background 0) in dataset.json, got {labels}")
    del tissues["background"]
    name, licence = str(header.get("name", "")), str(header.get("licence", ""))
    return MsdHeader(name, licence, check_modalities(modalities), tissues)


def find_msd_cases(files: Sequence[str], *, modalities: tuple[str, ...], unlabelled: bool) -> list[CaseFiles]:
    """Pair the images with their masks of the same name.

    Args:
        files: relative POSIX paths.
        modalities: channel order of the files.
        unlabelled: take the images of `imagesTs` as well, and no mask.

    Returns:
        One case per image.

    Raises:
        ValueError: If an image has no mask or a mask no image.
    """
    folders = ("imagesTr", "imagesTs") if unlabelled else ("imagesTr",)
    images = [path for path in files if _folder(path) in folders and path.endswith((".nii", ".nii.gz"))]
    masks = {_stem(path): path for path in files if _folder(path) == "labelsTr" and not path.endswith("/")}
    if not unlabelled:
        without_mask = [path for path in images if _stem(path) not in masks]
        without_image = sorted(masks.keys() - {_stem(path) for path in images})
        if without_mask or without_image:
            first = f"labelsTr for {without_mask[0]}" if without_mask else f"imagesTr for {masks[without_image[0]]}"
            raise ValueError(f"expected an image and a mask for each case, got no file in {first}")
    return [
        CaseFiles(_stem(path), _stem(path), (path,), modalities, None if unlabelled else masks[_stem(path)])
        for path in images
    ]


def _translate(name: str, names: Mapping[str, str]) -> str:
    if name.strip().casefold() not in names:
        raise ValueError(f"expected one of {', '.join(names)} in dataset.json, got {name!r}")
    return names[name.strip().casefold()]


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _stem(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".gz").removesuffix(".nii")

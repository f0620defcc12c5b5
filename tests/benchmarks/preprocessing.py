"""From Hounsfield units to the bag of pictures that the network takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose
from numpy.typing import NDArray

from benchmarks.heads import head_folders
from benchmarks.job import Job
from benchmarks.plain_preprocessing import SIZE, enclosed_and_resized, opened_filled_largest, preprocess
from custom_transforms.brain_region import GAP_MM, slice_masks
from custom_transforms.brain_shapes import disk
from custom_transforms.brain_window import WindowBrain
from custom_transforms.slice_bag import SlicesToBag

CONFIG = Path(__file__).parents[2] / "bundles/ct_metastasis_classifier/configs/inference.json"
LIMITS_HU = (-50.0, 100.0, 150.0)
Result = tuple[NDArray[np.bool_], NDArray[np.floating]]  # masks (S, R, C), pictures (S', 256, 256)


def jobs(folder: Path, threads: int) -> Iterator[Job]:
    """Each head: all steps of the bundle after loading; and those that look at one slice alone."""
    for name, study in head_folders(folder):
        item = Compose(_steps()[:3])({"image": str(study), "case": name})
        image = item["image"]
        hu = image.as_tensor()[0].permute(2, 1, 0).numpy()
        column_mm, row_mm = torch.linalg.norm(image.affine[:3, :2], dim=0).tolist()
        spacing_mm, positions_mm = (row_mm, column_mm), image.meta["slice_positions_mm"].numpy()
        job = partial(Job, equal=_equal, moved_bytes=hu.nbytes, runs=3)
        yield job(
            f"preprocess {name} of CT, the whole from HU to the bag",
            baseline=partial(preprocess, hu, spacing_mm, positions_mm),
            ours=partial(_all_steps, Compose(_steps()[3:]), item),
            tolerance="masks identical; pictures within 2e-6 standard deviations, 1e-6 of the window: float32, not 64",
            to_reach=8,
            describe=partial(_elsewhere, partial(opened_filled_largest, hu)),
        )
        yield job(
            f"preprocess {name} of CT, from threshold to resize without the step across slices",
            baseline=partial(enclosed_and_resized, hu, spacing_mm),
            ours=partial(_one_by_one, image, spacing_mm),
            tolerance="masks identical; pictures within 1e-6 of the window: float32, not 64",
            to_reach=20,
        )


def _steps() -> list[Any]:
    parser = ConfigParser()
    parser.read_config(CONFIG)
    return [parser.get_parsed_content(f"{part}::{name}") for part in ("steps", "bag_steps") for name in parser[part]]


def _all_steps(steps: Callable[[Mapping[str, Any]], Mapping[str, Any]], item: Mapping[str, Any]) -> Result:
    done = steps(item)
    return done["brain"][0].permute(2, 1, 0).numpy() > 0, done["image"][:, 0].numpy()


def _one_by_one(image: MetaTensor, spacing_mm: tuple[float, float]) -> Result:
    gap = disk(GAP_MM, spacing_mm)
    hu = image.as_tensor()[0].permute(2, 1, 0).numpy()
    masks = np.stack([masks.enclosed for masks in slice_masks(hu, LIMITS_HU, gap)])
    shown = WindowBrain()(image, torch.from_numpy(masks).permute(2, 1, 0)[None])
    return masks > 0, SlicesToBag(SIZE)(shown)[:, 0].numpy()


def _equal(baseline: Result, ours: Result) -> bool:
    """Compare; the tolerance is 2e-6 where pictures have been divided by their standard deviation, some 0.2 of 0..1."""
    if not np.array_equal(baseline[0], ours[0]) or baseline[1].shape != ours[1].shape:
        return False
    most = 1e-6 if baseline[1].max() <= 1 else 2e-6
    return bool(np.abs(baseline[1] - ours[1]).max() <= most)


def _elsewhere(other_way: Callable[[], object], baseline: Result, ours: Result) -> str:
    began = perf_counter()
    other_way()
    seconds = perf_counter() - began
    off = float(np.abs(baseline[1] - ours[1]).max())
    return f"pictures within {off:.1e}; opening, filling, largest piece instead, plainly: {seconds:.2f} s"

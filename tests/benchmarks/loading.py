"""Slices a second from the training loader, without and with augmentation."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader
from monai.transforms import NormalizeIntensity
from numpy.typing import NDArray
from torch.utils.data import DataLoader as PlainLoader

from benchmarks import plain_loading
from benchmarks.job import Job
from custom_transforms.slice_augment import RandSliceMove
from custom_transforms.slice_move import SliceMove, control_points, warp_grid
from custom_transforms.slice_sampling import RandSlicesDataset
from data_lists.phantom_mri import NECROSIS, PhantomPatient, make_patient

CONFIG = Path(__file__).parents[2] / "bundles" / "brats_attention_unet" / "configs" / "train.json"
SHAPE = (240, 240, 24)  # BraTS's slices, all with brain; fewer of them
PATIENTS, SLICES, BATCH = 3, 96, 16
IMAGE_AWAY, LABEL_AWAY = 0.01, 0.1  # of 1, and of the label's pixels, of which a small one has many at its edge
SAME = "each slice is one of the plain ones within float16's rounding, 2**-11 of its value"
MOVED = "0.01 of smooth slices in 0..1 moved by one draw, and 10 % of a small label: plainly, they are resampled twice"
Batch = dict[str, Any]


def jobs(folder: Path, threads: int) -> Iterator[Job]:
    """Write phantoms both ways, then give the jobs; all files are in the page cache.

    Where h5 files are not compressed, the baseline is at its best. The Kaggle copy would then take 115 GB; the phantoms
    of that layout have gzip, and so has the second pair of jobs.
    """
    cv2.setNumThreads(0)  # as albumentations does on import
    patients = [make_patient(index, shape=SHAPE) for index in range(PATIENTS)]
    items = [{"case": str(index), "image": str(index)} for index in range(PATIENTS)]
    recipe = ConfigParser(ConfigParser.load_config_file(CONFIG)).get_parsed_content("train::augmentation")
    for storage, compression in (("h5", None), ("gzip h5", "gzip")):
        written = [_write(patient, folder, index, compression) for index, patient in enumerate(patients)]
        files = [file for part, _ in written for file in part]
        moments = [moments for part, moments in written for _ in part]
        for name, transform, to_reach in (("without", dict, 10.0), ("with", recipe, 5.0)):
            plain = plain_loading.PlainSlices(files, moments, augmented=transform is recipe)
            ours = RandSlicesDataset(items, partial(_prepared, patients), folder / "prepared",
                                     slice_transform=transform, slices_per_patient=SLICES)  # fmt: skip
            yield Job(
                name=f"load {PATIENTS * SLICES} training slices {name} augmentation, baseline from {storage}",
                baseline=partial(_epoch, _fastest(PlainLoader, plain, threads)),
                ours=partial(_epoch, _fastest(DataLoader, ours, threads)),
                equal=_moves_are_equal if transform is recipe else partial(_same_slices, plain),
                tolerance=MOVED if transform is recipe else SAME,
                moved_bytes=PATIENTS * SLICES * SHAPE[0] * SHAPE[1] * (4 * (2 + 4) + 2),  # float16 in, float32 out
                to_reach=None if compression else to_reach,
                describe=lambda baseline, ours: f"workers: baseline {baseline['workers']}, ours {ours['workers']}",
            )


def _write(patient: PhantomPatient, folder: Path, index: int, compression: str | None) -> tuple[list[Path], np.ndarray]:
    """Write a patient's slices as the Kaggle copy has them, and give the mean and deviation of each modality."""
    image = np.moveaxis(patient.image, 0, -1).astype(np.float64)
    mask = (patient.regions == NECROSIS).astype(np.uint8)[..., None]
    files = [folder / f"{compression}_{index}_{number}.h5" for number in range(SHAPE[2])]
    for number, path in enumerate(files):
        with h5py.File(path, "w") as file:
            file.create_dataset("image", data=image[:, :, number], compression=compression, shuffle=bool(compression))
            file.create_dataset("mask", data=mask[:, :, number], compression=compression)
    brain = [part[part != 0] for part in np.moveaxis(image, -1, 0)]
    return files, np.array([[part.mean() for part in brain], [part.std() for part in brain]], np.float32)


def _prepared(patients: Sequence[PhantomPatient], item: Batch) -> Batch:
    """Stand for the bundle's deterministic steps, which are not measured here."""
    patient = patients[int(item["case"])]
    image = NormalizeIntensity(nonzero=True, channel_wise=True)(torch.from_numpy(patient.image).float())
    return {**item, "image": image, "label": torch.from_numpy(patient.regions == NECROSIS)[None]}


def _fastest(kind: type[PlainLoader[Any]], dataset: Any, threads: int) -> PlainLoader[Any]:
    """Load in this process or with a worker for each core, which stay from epoch to epoch, whichever is faster.

    Both sides choose for themselves: what comes from a worker has to pass through fresh shared memory, which may cost
    more than it saves.
    """
    loaders = [_loader(kind, dataset, workers) for workers in sorted({0, threads if threads > 1 else 0})]
    seconds = []
    for loader in loaders:
        _epoch(loader)
        began = time.perf_counter()
        _epoch(loader)
        seconds.append(time.perf_counter() - began)
    return loaders[int(np.argmin(seconds))]


def _loader(kind: type[PlainLoader[Any]], dataset: Any, workers: int) -> PlainLoader[Any]:
    as_many = torch.utils.data.RandomSampler(dataset, num_samples=PATIENTS * SLICES)
    return kind(dataset, batch_size=BATCH, sampler=as_many, num_workers=workers, persistent_workers=workers > 0)


def _epoch(loader: PlainLoader[Any]) -> Batch:
    """Go through an epoch and give its last batch."""
    for batch in loader:
        last = batch
    return {**last, "workers": loader.num_workers}


def _same_slices(plain: plain_loading.PlainSlices, expected: Batch, found: Batch) -> bool:
    """Look for each of our slices among all plain ones."""
    slices = [plain[index] for index in range(len(plain))]
    pairs = list(zip(found["image"], found["label"], strict=True))
    return len(pairs) == BATCH and all(any(_is_same(*pair, one) for one in slices) for pair in pairs)


def _is_same(image: torch.Tensor, label: torch.Tensor, plain: Batch) -> bool:
    near = torch.allclose(image, plain["image"], rtol=2**-11, atol=1e-5)  # the latter for the rounding of moments
    return near and torch.equal(label, plain["label"])


def _moves_are_equal(expected: Batch, found: Batch) -> bool:
    """Make one draw both ways; two runs that draw by themselves cannot be compared."""
    size, random = SHAPE[:2], np.random.default_rng(88)
    image = _smooth_brain(random)
    label = (image[:1] > 0.6).astype(np.uint8)
    offsets = torch.from_numpy(2 * random.standard_normal((2, *control_points(size, 32))).astype(np.float32))
    move = SliceMove((0, 0), True, 12.0, (5.0, -7.5), (1.08, 0.94), offsets, 32)
    step = RandSliceMove(size)
    step.move_to(move, size=size, source_size=size)
    ours = step(torch.from_numpy(image), randomize=False), step(torch.from_numpy(label), "nearest", randomize=False)
    plain = plain_loading.move(image.transpose(1, 2, 0), label.transpose(1, 2, 0), _as_draw(move, size))
    away = [
        np.abs(one.numpy() - other.transpose(2, 0, 1).astype(float)) for one, other in zip(ours, plain, strict=True)
    ]
    return bool(away[0].max() < IMAGE_AWAY and away[1].sum() < LABEL_AWAY * label.sum())


def _smooth_brain(random: np.random.Generator) -> NDArray[np.float32]:
    """Give four smooth modalities `(4, H, W)` in 0..1, 0 beyond a disc, as BraTS's brains lie within their slices."""
    noise = random.random((4, *SHAPE[:2]), np.float32)
    image = np.stack([cv2.GaussianBlur(part, (0, 0), 6) for part in noise])
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]] - (np.array(SHAPE[:2]).reshape(2, 1, 1) - 1) / 2
    disc = cv2.GaussianBlur((np.hypot(rows, columns) < 80).astype(np.float32), (0, 0), 6)
    return disc * (image - image.min()) / (image.max() - image.min())


def _as_draw(move: SliceMove, size: tuple[int, int]) -> plain_loading.Draw:
    """Say the same as OpenCV wants it: absolute pixels, columns first, and an offset for every pixel."""
    middle = (np.array(size) - 1) / 2
    back, shift = np.split(replace(move, flip=False).matrix(size, size)[0].double().numpy(), [2], axis=1)
    shift = shift + (middle - back @ middle)[:, None]
    straight = torch.eye(2, 3)[None]
    bent, flat = (
        warp_grid(straight, size=size, source_size=size, offsets=offsets) for offsets in (move.offsets[None], None)
    )
    field = ((bent - flat)[0].flip(-1).permute(2, 0, 1) * torch.tensor(size)[:, None, None] / 2).numpy()
    return plain_loading.Draw(flip=True, affine=np.hstack([back, shift])[::-1, [1, 0, 2]].copy(), field=field)

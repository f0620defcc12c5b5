from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import DataLoader
from monai.transforms import Compose, RandFlipd
from torch.utils.data import DataLoader as PlainLoader

from custom_transforms.epoch_seed import EpochSeedHandler
from custom_transforms.fingerprint import fingerprint
from custom_transforms.prepared_volumes import PreparedVolumes
from custom_transforms.slice_augment import RandSliceMoved
from custom_transforms.slice_intensity import RandIntensityd, Strength
from custom_transforms.slice_sampling import RandSlicesDataset


class MakeVolume:
    """Stands for the deterministic steps; counts how often it ran, in a file, as workers are other processes."""

    def __init__(self, log: Path, scale: float = 1.0) -> None:
        self.log, self.scale = str(log), scale

    def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
        with Path(self.log).open("a") as file:
            file.write("x")
        image = torch.zeros(4, 8, 6, 10)
        image[:, 2:5, 2:5, 2:9] = self.scale * (1 + item["number"]) * torch.linspace(1, 1.3, 7)
        label = torch.zeros(3, 8, 6, 10, dtype=torch.uint8)
        label[:, 3, 3, 4:6] = 1
        return {**item, "image": image, "label": label}


ITEMS = [{"case": f"c{number}", "number": number, "image": f"c{number}"} for number in range(3)]


def test_volume_is_prepared_once_and_read_back(tmp_path: Path) -> None:
    log, step = tmp_path / "log", MakeVolume(tmp_path / "log")
    for _ in range(2):
        volumes = PreparedVolumes(ITEMS, step, tmp_path / "cache")
        volumes.prepare(num_workers=2)
        assert log.read_text() == "xxx"
    expected = step(ITEMS[2])
    found = volumes[2]
    np.testing.assert_allclose(found["image"], expected["image"], rtol=2**-11)
    assert torch.equal(found["label"], expected["label"])
    assert found["case"] == "c2"


def test_changed_setting_or_file_is_prepared_anew(tmp_path: Path) -> None:
    scan = tmp_path / "scan.nii"
    scan.write_bytes(b"1")
    item = [{**ITEMS[0], "image": str(scan)}]
    log = tmp_path / "log"
    PreparedVolumes(item, MakeVolume(log), tmp_path / "cache").prepare()
    assert PreparedVolumes(item, MakeVolume(log, 3.0), tmp_path / "cache")[0]["image"].max() == pytest.approx(
        3.9, rel=1e-3
    )
    os.utime(scan, ns=(1, 1))
    PreparedVolumes(item, MakeVolume(log), tmp_path / "cache").prepare()
    assert log.read_text() == "xxx"


@pytest.mark.parametrize("damaged", ["image.npy", "with_tumour.npy", "crc32.json"])
def test_flipped_bit_is_found_when_a_run_starts_and_the_patient_prepared_anew(
    tmp_path: Path, damaged: str, caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "log"
    volumes = PreparedVolumes(ITEMS, MakeVolume(log), tmp_path / "cache")
    volumes.prepare()
    file = volumes.folder(1) / damaged
    content = file.read_bytes()
    flipped = len(content) - 2  # neither length nor header tells
    file.write_bytes(content[:flipped] + bytes([content[flipped] ^ 1]) + content[flipped + 1 :])
    volumes.prepare()
    assert "damaged prepared files: case c1 is prepared anew" in caplog.text
    assert file.read_bytes() == content
    assert log.read_text() == "xxxx"  # the others stayed


def test_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        PreparedVolumes(ITEMS, MakeVolume(tmp_path / "log"), tmp_path / "cache").volume(0)
    assert list((tmp_path / "cache").iterdir()) == []


def slices(folder: Path, **settings: Any) -> RandSlicesDataset:
    step = MakeVolume(folder / "log")
    return RandSlicesDataset(ITEMS, step, folder / "cache", slice_transform=lambda item: item, **settings)


def test_slices_hold_tumour_or_at_least_brain(tmp_path: Path) -> None:
    only_tumour = slices(tmp_path, slices_per_patient=20, tumour_fraction=1.0)
    assert len(only_tumour) == 60
    assert all(only_tumour[index]["label"].any() for index in range(60))
    any_brain = slices(tmp_path, slices_per_patient=40, tumour_fraction=0.0)
    drawn = [any_brain[index]["image"] for index in range(120)]
    assert all(image.any() for image in drawn)
    assert len({float(image.max()) for image in drawn}) == 3 * 7  # every slice with brain of every patient


@pytest.mark.parametrize("damage", ["removed", "cut"])
def test_slices_of_files_that_are_lost_meanwhile_are_prepared_anew(tmp_path: Path, damage: str) -> None:
    dataset = slices(tmp_path, slices_per_patient=1)
    before = dataset.set_random_state(seed=3)[1]["image"]
    folder = dataset.volumes.folder(1)
    shutil.rmtree(folder) if damage == "removed" else os.truncate(folder / "image.npy", 200)
    assert torch.equal(dataset.set_random_state(seed=3)[1]["image"], before)
    assert (tmp_path / "log").read_text() == "xx"


def test_slices_are_the_same_with_and_without_prepared_files(tmp_path: Path) -> None:
    step = MakeVolume(tmp_path / "log")
    kept, computed = (
        RandSlicesDataset(ITEMS, step, folder, slice_transform=dict).set_random_state(seed=3)
        for folder in (tmp_path / "cache", "")
    )
    for index in range(0, len(kept), 7):
        one, other = kept[index], computed[index]
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["label"], other["label"])
        assert one["case"] == other["case"]


def test_index_chooses_the_patient(tmp_path: Path) -> None:
    dataset = slices(tmp_path, slices_per_patient=5)
    patients = [int(dataset[index]["image"].max()) for index in (0, 4, 5, 14)]
    assert patients == [1, 1, 2, 3]


def epochs(folder: Path, workers: int) -> list[torch.Tensor]:
    """Two epochs of augmented slices, seeded at their starts as in training."""
    noise = RandIntensityd("image", noise=Strength(prob=1.0, most=1.0))
    steps = Compose([RandSliceMoved(["image", "label"]), noise])
    dataset = RandSlicesDataset(ITEMS, MakeVolume(folder / "log"), folder / "cache", slice_transform=steps)
    loader = DataLoader(dataset, batch_size=8, shuffle=True, num_workers=workers)
    drawn = []
    for number in (1, 2):
        EpochSeedHandler(7, dataset)(SimpleNamespace(state=SimpleNamespace(epoch=number), data_loader=loader))  # type: ignore[arg-type]
        drawn.append(torch.cat([batch["image"] for batch in loader]))
    return drawn


@pytest.mark.parametrize("workers", [0, 2])
def test_epochs_are_repeatable_and_no_slice_is_augmented_like_another(tmp_path: Path, workers: int) -> None:
    first, second = epochs(tmp_path, workers)
    again = epochs(tmp_path, workers)
    assert torch.equal(first, again[0])
    assert torch.equal(second, again[1])
    noise = torch.cat([first, second])[:, 0, 0, 0]  # in the background, or moved there, before the noise
    assert len(noise.unique()) == len(noise)  # in both epochs and all workers


def test_workers_share_a_cache_they_all_fill(tmp_path: Path) -> None:
    dataset = slices(tmp_path, slices_per_patient=10)
    assert len(list(PlainLoader(dataset, batch_size=None, num_workers=3))) == 30
    assert len(list((tmp_path / "cache").iterdir())) == 3


def test_impossible_sampling_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tumour_fraction in 0..1, got 32 and 1.5"):
        slices(tmp_path, tumour_fraction=1.5)


def test_fingerprint_sees_settings_and_not_random_state() -> None:
    flip, other = RandFlipd("image", prob=0.5), RandFlipd("image", prob=0.4)
    before = fingerprint(flip)
    flip.set_random_state(seed=5)
    assert fingerprint(flip) == before != fingerprint(other)
    assert fingerprint(np.int64(1)) != fingerprint(np.int64(2))
    assert fingerprint(partial(Path, "a")) != fingerprint(partial(Path, "b"))
    for unknowable in (lambda: 1, flip.set_random_state):
        with pytest.raises(ValueError, match="expected settings that can be told apart"):
            fingerprint(unknowable)
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 1, "b": 3})

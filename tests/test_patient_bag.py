"""Bags of slices: what is drawn, padded and kept on disk, and the order in which patients come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import Compose, RandShiftIntensityd

from custom_transforms.patient_bag import BagsDataset, collate_bags
from custom_transforms.patient_sampling import BalancedPatientSampler, balanced_order


def make_bag(item: dict[str, Any]) -> dict[str, Any]:
    """Slice number s is full of s, so that a test sees which slices were drawn."""
    count = int(Path(item["image"]).read_text())
    slices = torch.arange(count, dtype=torch.float32)[:, None, None, None].expand(-1, 1, 2, 2)
    return {**item, "image": slices, "slice_index": torch.arange(count) + 1, "dropped": '{"0": "too little brain: 0"}',
            "notes": "tilt 5.0 degrees"}  # fmt: skip


@pytest.fixture
def items(tmp_path: Path) -> list[dict[str, Any]]:
    """Patients of 40, 3 and 12 slices."""
    for name, count in (("a", 40), ("b", 3), ("c", 12)):
        (tmp_path / name).write_text(str(count))
    return [{"case": name, "image": str(tmp_path / name), "label": label} for name, label in zip("abc", (1, 0, 1))]  # noqa: B905


def numbers(item: dict[str, Any]) -> list[int]:
    return [int(value) for value in item["image"][:, 0, 0, 0]]


def test_whole_bag_comes_without_a_bound(items: list[dict[str, Any]], tmp_path: Path) -> None:
    bags = BagsDataset(items, make_bag, tmp_path / "cache", bag_transform=dict)
    assert numbers(bags[0]) == list(range(40))
    assert bags[0]["case"] == "a"
    assert bags[0]["label"] == 1


def test_bounded_bag_takes_one_slice_of_each_stretch(items: list[dict[str, Any]], tmp_path: Path) -> None:
    bags = BagsDataset(items, make_bag, tmp_path / "cache", bag_transform=dict, slices_per_bag=8)
    bags.set_random_state(seed=1)
    drawn = [numbers(bags[0]) for _ in range(200)]
    assert all([number // 5 for number in numbers_drawn] == list(range(8)) for numbers_drawn in drawn)
    assert {number for numbers_drawn in drawn for number in numbers_drawn} == set(range(40))  # any slice may come
    assert numbers(bags[1]) == [0, 1, 2]  # a short study is whole


def test_same_seed_draws_the_same(items: list[dict[str, Any]], tmp_path: Path) -> None:
    shift = Compose([RandShiftIntensityd("image", offsets=1.0, prob=1.0)])
    bags = BagsDataset(items, make_bag, tmp_path / "cache", bag_transform=shift, slices_per_bag=5)
    first, second, other = (bags.set_random_state(seed=seed)[0]["image"] for seed in (3, 3, 4))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_prepared_and_computed_bags_are_the_same(items: list[dict[str, Any]], tmp_path: Path) -> None:
    prepared = BagsDataset(items, make_bag, tmp_path / "cache", bag_transform=dict)
    prepared.prepare()
    computed = BagsDataset(items, make_bag, None, bag_transform=dict)
    for index in range(3):
        for name, array in prepared.bag(index)._asdict().items():
            np.testing.assert_array_equal(array, computed.bag(index)._asdict()[name])
    assert not any(path.suffix == ".pkl" for path in (tmp_path / "cache").rglob("*"))


def test_changed_scan_is_prepared_anew(items: list[dict[str, Any]], tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "1.dcm").write_text("2")

    def of_folder(item: dict[str, Any]) -> dict[str, Any]:
        return make_bag({**item, "image": str(folder / "1.dcm")})

    def dataset() -> BagsDataset:
        return BagsDataset([{"image": str(folder)}], Named(of_folder), tmp_path / "cache", bag_transform=dict)

    assert len(dataset().bag(0).image) == 2
    (folder / "1.dcm").write_text("30")
    assert len(dataset().bag(0).image) == 30


class Named:
    """A step that the fingerprint can tell by its class."""

    def __init__(self, function: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self.__class__.function = staticmethod(function)  # type: ignore[attr-defined]

    def __call__(self, item: dict[str, Any]) -> Any:
        return self.__class__.function(item)  # type: ignore[attr-defined]


def test_shorter_bags_are_padded_and_masked(items: list[dict[str, Any]], tmp_path: Path) -> None:
    bags = BagsDataset(items, make_bag, None, bag_transform=dict)
    batch = collate_bags([bags[1], bags[2]])
    assert batch["image"].shape == (2, 12, 1, 2, 2)
    assert batch["slice_mask"].sum(1).tolist() == [3, 12]
    assert batch["slice_mask"][0, :3].all()
    assert batch["label"].tolist() == [[0.0], [1.0]]
    assert batch["case"] == ["b", "c"]
    assert "label" not in collate_bags([{"image": torch.ones(2, 1, 2, 2), "case": "x"}])


def test_bag_of_no_slices_cannot_be_asked_for(items: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="slices_per_bag of at least 1, got 0"):
        BagsDataset(items, make_bag, None, bag_transform=dict, slices_per_bag=0)


@pytest.mark.parametrize("positives", [5, 50, 80])
def test_every_patient_comes_once_and_any_stretch_has_its_share_of_both_classes(positives: int) -> None:
    labels = np.array([1] * positives + [0] * (100 - positives))
    for seed in range(20):
        order = balanced_order(labels, np.random.RandomState(seed))
        assert Counter(order.tolist()) == Counter(range(100))
        running = np.cumsum(labels[order]) - np.arange(1, 101) * positives / 100
        assert np.abs(running).max() <= 1 + 1e-9


def test_each_epoch_has_an_order_of_its_own_that_the_seed_decides(items: list[dict[str, Any]]) -> None:
    bags = BagsDataset(items * 5, make_bag, None, bag_transform=dict)
    sampler = BalancedPatientSampler(bags, seed=7)
    orders = []
    for epoch in (0, 1, 0):
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
    assert orders[0] == orders[2] != orders[1]
    assert sorted(orders[0]) == list(range(15))
    assert len(sampler) == 15


def test_ranks_share_the_patients(items: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    bags = BagsDataset(items * 5, make_bag, None, bag_transform=dict)
    shares = []
    for rank in range(2):
        monkeypatch.setattr("ignite.distributed.get_world_size", lambda: 2)
        monkeypatch.setattr("ignite.distributed.get_rank", lambda rank=rank: rank)
        shares.append(list(BalancedPatientSampler(bags)))
    assert [len(share) for share in shares] == [8, 8]
    assert set(shares[0]) | set(shares[1]) == set(range(15))

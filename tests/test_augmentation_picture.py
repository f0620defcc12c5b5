"""The picture of augmentation: which slice, what is compared, and that training does not notice it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.transforms import Compose

from custom_transforms.augmentation_picture import (
    AugmentationPictureHandler,
    draw_augmentation,
    draw_bags,
    first_of_each_class,
    middle_slice,
)
from custom_transforms.class_augment import RandBagAffined, RandFiltersByClassd

SLICES, SIZE = 6, 32


def make_item(label: int, case: str = "p1") -> dict[str, Any]:
    """A square brain at 40 HU with a bright front right corner; slice 3 has most of it in the middle third."""
    bag = torch.zeros(SLICES, 1, SIZE, SIZE)
    bag[:, :, 8:24, 8:24] = 0.5
    bag[:, :, 8:12, 8:12] = 0.75
    bag[2, :, 20:] = 0
    return {"image": bag, "label": label, "case": case}


def brighter(item: Any) -> Any:
    return {**item, "image": torch.where(item["image"] > 0, item["image"] + 0.125, 0)}


def test_slice_with_most_brain_of_the_middle_third_is_shown() -> None:
    bag = make_item(1)["image"]
    assert middle_slice(bag) == 3
    assert middle_slice(bag[:1]) == 0


def test_first_of_each_class_is_found_without_loading_more() -> None:
    class Labels:
        def __len__(self) -> int:
            return 5

        def __getitem__(self, index: int) -> dict[str, Any]:
            assert index < 4, "loaded more than needed"
            return {"label": torch.tensor([0, 0, 0, 1][index]), "case": str(index)}

    assert [item["case"] for item in first_of_each_class(Labels())] == ["3", "0"]


def test_differences_are_drawn_in_hounsfield_units_on_one_symmetric_scale() -> None:
    patients = [make_item(1, "with"), make_item(0, "without")]

    figure = draw_augmentation(patients, [[brighter(item), item] for item in patients])

    *panels, bar = figure.axes
    assert len(panels) == 4 * 3
    original, first, second, empty, difference, unchanged = panels[:6]
    assert original.get_ylabel() == "metastases\nwith"
    assert panels[6].get_ylabel() == "no metastases\nwithout"
    grey = np.asarray(original.images[0].get_array())
    assert original.images[0].get_clim() == (0, 80)
    assert grey.max() == grey[: grey.shape[0] // 2, : grey.shape[1] // 2].max() == 60  # front right is upper left
    assert np.unique(grey).tolist() == [0, 40, 60]
    assert np.unique(np.asarray(first.images[0].get_array())).tolist() == [0, 50, 70]
    assert np.unique(np.asarray(difference.images[0].get_array())).tolist() == [0, 10]
    assert {panels[at].images[0].get_clim() for at in (4, 5, 10, 11)} == {(-10, 10)}
    assert (difference.get_xlabel(), unchanged.get_xlabel()) == ("mean change 10.00 HU", "unchanged")
    assert not empty.images
    assert second.get_title() == "draw 2"
    assert "HU" in bar.get_ylabel()


def test_nothing_to_draw_is_an_error() -> None:
    for patients, augmented in (([], []), ([make_item(1)], [[]])):
        with pytest.raises(ValueError, match="expected at least one patient and one draw"):
            draw_augmentation(patients, augmented)


def test_training_draws_the_same_with_and_without_the_picture(tmp_path: Path) -> None:
    steps = Compose([RandFiltersByClassd("image"), RandBagAffined("image")]).set_random_state(1)
    patients = [make_item(0), make_item(1)]
    expected = draw_bags(make_item(1), steps, draws=3, seed=5)
    plain = [steps(make_item(1))["image"] for _ in range(3)]
    steps.set_random_state(1)
    np.random.seed(3)
    torch.manual_seed(3)
    states = np.random.get_state()[1].copy(), torch.get_rng_state()
    trainer = Engine(lambda engine, batch: None)

    AugmentationPictureHandler(patients, steps, tmp_path / "eval" / "augmentation.png", draws=2).attach(trainer)
    trainer.run([0])

    assert all(torch.equal(steps(make_item(1))["image"], image) for image in plain)
    again = draw_bags(make_item(1), steps, draws=3, seed=5)
    assert all(torch.equal(one["image"], other["image"]) for one, other in zip(expected, again, strict=True))
    assert (np.random.get_state()[1] == states[0]).all()
    assert torch.equal(torch.get_rng_state(), states[1])
    assert (tmp_path / "eval" / "augmentation.png").read_bytes().startswith(b"\x89PNG")


def test_picture_is_the_same_each_time(tmp_path: Path) -> None:
    steps = RandFiltersByClassd("image")
    for name in ("first", "second"):
        AugmentationPictureHandler([make_item(0), make_item(1)], steps, tmp_path / f"{name}.png")()
        steps(make_item(0))
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()

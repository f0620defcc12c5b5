"""Filters by class against plain formulas, how often they come, and geometry that knows no class."""

from __future__ import annotations

import pickle
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, convolve, gaussian_filter

from custom_transforms.class_augment import RandBagAffined, RandFiltersByClassd
from custom_transforms.slice_filters import LEAST_INSIDE, MildFilters, StrongFilters

SLICES, SIZE = 3, 64


def make_bag(seed: int = 88) -> torch.Tensor:
    """Noise around 0.45 inside a disc, 0 outside."""
    rows, columns = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    noise = np.random.RandomState(seed).normal(0.45, 0.1, (SLICES, 1, SIZE, SIZE))
    return torch.from_numpy(np.where(np.hypot(rows, columns) < 24, noise.clip(0.01, 1), 0).astype(np.float32))


def make_item(label: int = 1) -> dict[str, Any]:
    return {"image": make_bag(), "label": label, "case": "p1"}


def always(**settings: Any) -> RandFiltersByClassd:
    """Both recipes with every filter applied."""
    return RandFiltersByClassd(
        "image", positive=MildFilters(prob=1), negative=StrongFilters(prob=1), **settings
    ).set_random_state(88)


def mean_inside(image: NDArray[Any], kernel: NDArray[Any]) -> NDArray[Any]:
    inside = image > 0
    total, weights = (convolve(part, kernel, mode="constant") for part in (image, inside.astype(float)))
    return np.where(inside, total / np.maximum(weights, 1e-9), 0)


def clipped(image: NDArray[Any], inside: NDArray[Any]) -> NDArray[Any]:
    return np.where(inside, image.clip(LEAST_INSIDE, 1), 0)


def by_formula(image: NDArray[Any], label: int, gamma: float) -> NDArray[Any]:
    inside = image > 0
    image = clipped(image**gamma, inside)
    if label == 1:
        centre = np.zeros((3, 3))
        centre[1, 1] = 1
        return clipped(mean_inside(image, gaussian_filter(centre, 0.5, radius=1)), inside)
    levels = np.rint(image * 255).astype(np.uint8)
    image = clipped(cv2.createCLAHE(2.0, (8, 8)).apply(levels) / 255, inside)
    smooth = mean_inside(image, np.array([[1, 1, 1], [1, 5, 1], [1, 1, 1]]) / 13)
    return clipped(2 * image - smooth, inside)


@pytest.mark.parametrize(("label", "low", "high"), [(1, 0.95, 1.05), (0, 0.9, 1.1)])
def test_recipes_agree_with_plain_formulas(label: int, low: float, high: float) -> None:
    step = always()

    filtered = step(make_item(label))["image"]

    gamma = low + (high - low) * np.random.RandomState(88).random_sample(2)[1]
    for before, after in zip(make_bag()[:, 0], filtered[:, 0], strict=True):
        np.testing.assert_allclose(after, by_formula(before.double().numpy(), label, gamma), atol=1e-6)


@pytest.mark.parametrize(("label", "prob", "filters"), [(1, 0.7, 2), (0, 0.5, 3)])
def test_each_filter_comes_with_its_class_probability(label: int, prob: float, filters: int) -> None:
    step = RandFiltersByClassd("image").set_random_state(88)
    recipe = step.positive if label == 1 else step.negative
    coins = []
    for _ in range(1000):
        step.randomize()
        coins.append([coin < recipe.prob for coin in step._draw.filters[:filters]])

    shares = np.mean(coins, axis=0)
    untouched = 1 - np.any(coins, axis=1).mean()

    np.testing.assert_allclose(shares, prob, atol=0.05)  # 3 standard errors of 1000 draws: 0.047
    assert untouched == pytest.approx((1 - prob) ** filters, abs=0.03)


@pytest.mark.parametrize("label", [0, 1])
def test_probability_0_leaves_the_bag_as_it_is(label: int) -> None:
    step = RandFiltersByClassd("image", positive=MildFilters(prob=0), negative=StrongFilters(prob=0))
    assert torch.equal(step(make_item(label))["image"], make_bag())


def test_without_class_condition_the_label_has_no_influence() -> None:
    results = {}
    for name, label in {"positive": {"label": 1}, "negative": {"label": 0}, "unknown": {}}.items():
        step = RandFiltersByClassd("image", class_conditional=False).set_random_state(88)
        results[name] = torch.stack([step({"image": make_bag(), **label})["image"] for _ in range(20)])

    assert torch.equal(results["positive"], results["negative"])
    assert torch.equal(results["positive"], results["unknown"])


def test_without_class_condition_both_recipes_come_as_often() -> None:
    step = always(class_conditional=False)
    inside = make_bag() > 0
    sharpened = [step(make_item())["image"][inside].std() > make_bag()[inside].std() for _ in range(200)]
    assert np.mean(sharpened) == pytest.approx(0.5, abs=0.11)  # 3 standard errors of 200 draws: 0.106


def test_random_stream_does_not_depend_on_the_label() -> None:
    states = []
    for label in (0, 1):
        step = RandFiltersByClassd("image").set_random_state(88)
        step(make_item(label))
        states.append(step.R.random_sample())
    assert states[0] == states[1]


@pytest.mark.parametrize("label", [1, np.int64(1), torch.tensor(1), torch.tensor([1.0]), MetaTensor([1])])
def test_label_is_read_however_it_is_kept(label: Any) -> None:
    assert torch.equal(always()({**make_item(), "label": label})["image"], always()(make_item(1))["image"])


@pytest.mark.parametrize("label", [{}, {"label": None}, {"label": 2}, {"label": 0.5}, {"label": [0, 1]}])
def test_absent_or_wrong_label_is_an_error(label: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"label: expected 0 or 1, got (None|2|0.5|\[0, 1\])"):
        always()({"image": make_bag(), **label})


def test_rounding_above_1_is_clipped() -> None:
    bag = make_bag()
    bag[:, :, SIZE // 2, SIZE // 2] = 1 + 1e-6
    assert always()({"image": bag, "label": 0})["image"].max() == 1


@pytest.mark.parametrize("bag", [make_bag() - 0.5, make_bag() * 3, make_bag() * torch.nan])
def test_bag_out_of_range_is_an_error(bag: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="image: expected values in 0..1"):
        always()({"image": bag, "label": 1})


@pytest.mark.parametrize("step", [RandFiltersByClassd("image"), RandBagAffined("image", prob=0.7)])
def test_steps_repeat_under_a_seed_keep_their_input_and_survive_pickling(step: Any) -> None:
    item = make_item(0)
    item["image"] = MetaTensor(item["image"], meta={"case": "p1"})
    step.set_random_state(88)
    copy = pickle.loads(pickle.dumps(step))

    first, again = ([one(item)["image"] for _ in range(5)] for one in (step, copy))

    assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))
    assert not all(torch.equal(first[0], other) for other in first[1:])
    assert torch.equal(item["image"].as_tensor(), make_bag())
    assert item["label"] == 0
    assert isinstance(first[0], MetaTensor)
    assert (first[0].shape, first[0].dtype) == (make_bag().shape, torch.float32)


def test_bag_is_moved_as_one_by_one_affine() -> None:
    step = RandBagAffined("image", prob=1.0, rotate_degrees=5, translate_pixels=3).set_random_state(88)
    image = make_bag()
    image[1] = image[0]

    moved = step({"image": image})["image"].numpy()

    grid = step.affine.rand_affine_grid
    (angle, *_), shift = grid.rotate_params, np.array(grid.translate_params)
    assert abs(angle) <= np.deg2rad(5)
    assert np.abs(shift).max() <= 3
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    centre = np.full(2, (SIZE - 1) / 2)
    for before, after in zip(image[:, 0].numpy(), moved[:, 0], strict=True):
        expected = affine_transform(before, turn, offset=centre - turn @ (centre - shift), order=1)
        np.testing.assert_allclose(after, expected, atol=1e-4)
    assert (moved[0] == moved[1]).all()
    assert (moved[:, :, :4] == 0).all()
    assert moved.max() <= 1


def test_geometry_is_the_same_for_both_classes() -> None:
    moved = {}
    for label in (0, 1):
        step = Compose([RandFiltersByClassd("image"), RandBagAffined("image", prob=0.5)]).set_random_state(88)
        grid = step.transforms[1].affine.rand_affine_grid
        moved[label] = []
        for _ in range(50):
            step(make_item(label))
            moves = step.transforms[1].affine._do_transform
            moved[label].append((moves, *(grid.rotate_params + grid.translate_params if moves else ())))
    assert moved[0] == moved[1]
    assert len(set(moved[0])) > 10


def test_geometry_comes_with_its_probability_and_fills_its_ranges() -> None:
    step = RandBagAffined("image", prob=0.5, rotate_degrees=5, translate_pixels=3).set_random_state(88)
    draws = []
    for _ in range(1000):
        step.randomize()
        if step.affine._do_transform:
            grid = step.affine.rand_affine_grid
            draws.append((*grid.rotate_params[:1], *grid.translate_params))
    assert len(draws) == pytest.approx(500, abs=50)
    limits = np.array([np.deg2rad(5), 3, 3])
    assert (np.abs(draws) <= limits).all()
    assert (np.ptp(draws, axis=0) > 1.9 * limits).all()


def test_bag_that_is_not_moved_is_unchanged() -> None:
    moved = RandBagAffined("image", prob=0)(make_item())["image"]
    assert torch.equal(moved, make_bag())
    assert type(moved) is torch.Tensor

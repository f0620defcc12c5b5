"""Deletion: a map of what the network rests on beats random maps, another does not; nothing else is deleted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from bright_spot import SIDE, SPOT, BrightSpot, spotted_slice
from numpy.typing import NDArray
from scipy.integrate import trapezoid

from custom_transforms.class_activation import SliceGradCam
from custom_transforms.deletion import Deletion, deleted_slices, filling, moved_map, rank_pixels, spread
from custom_transforms.refusal import RefusedError

IMAGE = spotted_slice()
BRAIN = IMAGE != 0
NETWORK = BrightSpot()


def prob_of(slices: NDArray[Any]) -> NDArray[Any]:
    with torch.no_grad():
        return NETWORK(torch.from_numpy(slices)[:, None])[:, 0].sigmoid().numpy()


def maps() -> dict[str, NDArray[Any]]:
    x = torch.from_numpy(IMAGE)[None, None]
    evidence = NETWORK.evidence(x)[0, 0].sigmoid().detach().numpy()
    return {"evidence": evidence, "grad_cam": SliceGradCam(NETWORK)(x)[0].numpy(), "elsewhere": np.rot90(evidence, 2)}


@pytest.mark.parametrize(("name", "beats"), [("evidence", True), ("grad_cam", True), ("elsewhere", False)])
@pytest.mark.parametrize("fill", ["mean", "blur"])
def test_only_a_map_of_what_the_network_rests_on_beats_random(name: str, beats: bool, fill: str) -> None:
    deletion = Deletion(draws=20, fill=fill)
    along, random = deletion(IMAGE, maps()[name], prob_of)
    areas = [trapezoid(curve, deletion.percent) for curve in (along, random.mean(axis=0))]
    assert (areas[0] < 0.5 * areas[1]) == beats
    assert (along[4] < 0.1) == beats  # 10 % of the brain holds the spot
    assert random.shape == (20, 8)


def test_a_map_drawn_by_chance_is_no_better_than_chance() -> None:
    """Over many slices with the spot anywhere, the difference of the areas is 0 within its error."""
    random, deletion, differences = np.random.default_rng(7), Deletion(draws=4), []
    for seed in range(80):
        image = spotted_slice(spot=False, seed=seed)
        row, column = random.integers(16, 40, 2)
        image[row : row + 8, column : column + 8] += 3
        along, chance = deletion(image, random.random((8, 8)), prob_of)
        differences.append(trapezoid(chance.mean(axis=0) - along, deletion.percent) / 100)
    assert abs(np.mean(differences)) < 2.5 * np.std(differences) / np.sqrt(80)
    assert np.std(differences) > 0.05


def test_deleting_nothing_leaves_the_probability_and_deleting_all_leaves_no_map_an_advantage() -> None:
    along, random = Deletion()(IMAGE, maps()["evidence"], prob_of)
    whole = prob_of(IMAGE[None])[0]
    assert whole > 0.9
    assert along[0] == whole
    assert (random[:, 0] == whole).all()
    assert (random[:, -1] == along[-1]).all()


def test_so_many_pixels_of_the_brain_are_replaced_and_no_others() -> None:
    order = rank_pixels(spread(maps()["evidence"], IMAGE.shape), BRAIN, np.random.default_rng(0), grain=8)
    assert sorted(order) == np.flatnonzero(BRAIN).tolist()
    slices = deleted_slices(IMAGE, order, np.full(IMAGE.shape, 9.0), [0, 10, 50, 100])
    replaced = slices == 9
    assert replaced.sum(axis=(1, 2)).tolist() == [round(BRAIN.sum() * share) for share in (0, 0.1, 0.5, 1)]
    assert not replaced[:, ~BRAIN].any()
    assert (replaced[1:] >= replaced[:-1]).all()  # what is gone stays gone
    assert (slices[~replaced] == np.broadcast_to(IMAGE, slices.shape)[~replaced]).all()
    assert replaced[1][SPOT].mean() > 0.9


def test_pixels_go_in_the_order_of_the_map() -> None:
    fine = np.random.default_rng(3).permutation(SIDE**2).reshape(SIDE, SIDE).astype(float)
    order = rank_pixels(fine, BRAIN, np.random.default_rng(0), grain=8)
    assert fine.ravel()[order].tolist() == sorted(fine[BRAIN].tolist(), reverse=True)


def test_where_a_map_says_nothing_random_patches_go_together() -> None:
    flat = np.zeros(IMAGE.shape)
    first = [rank_pixels(flat, BRAIN, np.random.default_rng(seed), grain=8)[:300] for seed in range(20)]
    gone = np.zeros((20, SIDE, SIDE), dtype=bool)
    for one, order in zip(gone, first, strict=True):
        one.ravel()[order] = True
    below = (gone[:, :-1] & gone[:, 1:]).sum() / gone.sum()
    assert below > 0.6  # of single pixels at random it would be 300 of 2,500
    assert 25 < np.nonzero(gone)[1].mean() < 39  # no favour for the top


def test_random_map_is_the_map_in_another_place() -> None:
    fine = spread(maps()["grad_cam"], IMAGE.shape)
    rows, columns = (np.flatnonzero(BRAIN.any(axis=axis)) for axis in (1, 0))
    box = np.ix_(rows, columns)
    moved = [moved_map(fine, BRAIN, np.random.default_rng(seed)) for seed in range(5)]
    for one in moved:
        assert sorted(one[box].ravel()) == sorted(fine[box].ravel())
        assert not np.array_equal(one, fine)
    assert len({one.argmax() for one in moved}) == 5


def test_fill_is_the_brains_mean_or_its_neighbourhood_without_the_background() -> None:
    assert filling(IMAGE, BRAIN, "mean") == pytest.approx(IMAGE[BRAIN].mean())
    grey = np.where(BRAIN, 2.0, 0.0)
    np.testing.assert_allclose(filling(grey, BRAIN, "blur")[BRAIN], 2.0, rtol=1e-4)  # not darker at the brain's edge
    assert filling(IMAGE, BRAIN, "blur")[SPOT].max() < 0.7 * IMAGE[SPOT].max()


@pytest.mark.parametrize(
    "setting",
    [
        {"percent": [0]},
        {"percent": [0, 10, 5]},
        {"percent": [0, 101]},
        {"percent": [-1, 5]},
        {"draws": 0},
        {"fill": "x"},
    ],
)
def test_wrong_setting_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match=r"wrong_setting: \w+: expected"):
        Deletion(**setting)

"""Filters of one slice: OpenCV's numbers, and a background that neither spills in nor is spilt on."""

from __future__ import annotations

from functools import partial
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from custom_transforms.slice_filters import (
    LEAST_INSIDE,
    SMOOTH,
    MildFilters,
    StrongFilters,
    apply_gamma,
    blur,
    equalise,
    sharpen,
)

FILTERS = {
    "gamma": partial(apply_gamma, exponent=1.1),
    "blur": partial(blur, sigma=0.5),
    "clahe": partial(equalise, clip=2.0, tiles=(8, 8)),
    "sharpen": partial(sharpen, strength=2.0),
}


def make_slice() -> NDArray[np.float32]:
    """Noise around 0.45 inside a disc, 0 outside."""
    rows, columns = np.mgrid[:64, :64] - 32
    noise = np.random.RandomState(88).normal(0.45, 0.1, (64, 64)).clip(0.01, 1)
    return np.where(np.hypot(rows, columns) < 24, noise, 0).astype(np.float32)


def test_blur_is_opencvs_where_no_background_is_near() -> None:
    image = make_slice()

    np.testing.assert_allclose(
        blur(image, image > 0, sigma=0.5)[20:44, 20:44],
        cv2.GaussianBlur(image, (3, 3), 0.5)[20:44, 20:44],
        atol=1e-6,
    )
    assert SMOOTH.sum() == pytest.approx(1)


@pytest.mark.parametrize("name", FILTERS)
def test_filter_neither_spills_out_of_the_brain_nor_lets_background_in(name: str) -> None:
    image = make_slice()
    inside = image > 0

    filtered = FILTERS[name](image, inside)

    assert filtered.dtype == np.float32
    assert (filtered[~inside] == 0).all()
    assert filtered[inside].min() >= np.float32(LEAST_INSIDE)  # numpy 1 compares with the double
    assert filtered[inside].max() <= 1
    if name in ("blur", "sharpen"):  # a flat brain has no edge against the background
        flat = np.where(inside, np.float32(0.5), np.float32(0))
        np.testing.assert_allclose(FILTERS[name](flat, inside), flat, atol=1e-6)


def test_clip_limit_limits_the_contrast() -> None:
    image = make_slice()
    spread = [equalise(image, image > 0, clip=clip, tiles=(2, 2))[image > 0].std() for clip in (1, 2, 8)]
    assert image[image > 0].std() < spread[0] < spread[1] < spread[2]


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        (MildFilters, {"prob": 1.1}, "prob: expected 0..1, got 1.1"),
        (MildFilters, {"gamma": (1.1, 0.9)}, "gamma: expected two exponents above 0"),
        (MildFilters, {"blur_sigma": 0}, "blur_sigma: expected above 0, got 0"),
        (StrongFilters, {"clahe_clip": -1.0}, "clahe_clip: expected above 0, got -1.0"),
    ],
)
def test_wrong_setting_is_an_error(recipe: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe(**settings)

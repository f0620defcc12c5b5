"""Moving slices: against a slow version that goes pixel by pixel, and what chance may give."""

from __future__ import annotations

import pickle
from math import cos, floor, radians, sin
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from custom_transforms.move_ranges import AffineRange, ElasticRange
from custom_transforms.slice_augment import RandSliceMove, RandSliceMoved
from custom_transforms.slice_intensity import RandIntensityd, Strength
from custom_transforms.slice_move import SliceMove, control_points, sample, warp_grid

SOURCE, SIZE, SPACING = (30, 26), (24, 28), 8.0
NEVER = {"flip_prob": 0.0, "affine": AffineRange(prob=0), "elastic": ElasticRange(prob=0)}


def smooth_image(channels: int = 2, size: tuple[int, int] = SOURCE) -> torch.Tensor:
    noise = np.random.default_rng(3).standard_normal((channels, *size))
    return torch.from_numpy(gaussian_filter(noise, (0, 3, 3)).astype(np.float32) * 10)


def full_move() -> SliceMove:
    points = control_points(SIZE, SPACING)
    offsets = np.random.default_rng(5).standard_normal((2, *points)).astype(np.float32)
    return SliceMove((2, -1), True, 12.0, (1.5, -2.25), (1.1, 0.93), torch.from_numpy(offsets), SPACING)


def catmull_rom(points: NDArray[Any], place: float) -> Any:
    """The spline through points one apart, with the slope from neighbour to neighbour at each."""
    first = floor(place) - 1
    a, b, c, d = (points[first + step] for step in range(4))
    t = place - floor(place)
    return (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3) / 2


def came_from(move: SliceMove, pixel: tuple[int, int]) -> NDArray[Any]:
    """The source pixel of a pixel of the result: step by step, last step first."""
    point = np.array(pixel, float)
    middle = (np.array(SIZE) - 1) / 2
    if move.offsets is not None:
        places = (point - middle) / move.spacing_pixels + (np.array(move.offsets.shape[1:]) - 1) / 2
        rows = catmull_rom(move.offsets.double().numpy().swapaxes(0, 1), places[0])
        point = point + catmull_rom(rows.T, places[1])
    point = point - move.shift_pixels - middle
    angle = radians(-move.rotate_degrees)
    point = np.array([[cos(angle), -sin(angle)], [sin(angle), cos(angle)]]) @ point
    point = point / move.scale + middle
    if move.flip:
        point[0] = SIZE[0] - 1 - point[0]
    return point + move.start


def moved_slowly(image: torch.Tensor, move: SliceMove, order: int) -> NDArray[Any]:
    places = np.array([[came_from(move, (row, column)) for column in range(SIZE[1])] for row in range(SIZE[0])])
    room = np.pad(image.double().numpy(), [(0, 0), (8, 8), (8, 8)])  # scipy would cut off within the last pixel
    return np.stack([map_coordinates(part, places.transpose(2, 0, 1) + 8, order=order) for part in room])


def moved(image: torch.Tensor, move: SliceMove, mode: str = "bilinear") -> torch.Tensor:
    step = RandSliceMove(SIZE)
    step.move_to(move, size=SIZE, source_size=SOURCE)
    return step(image, mode, randomize=False)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("bent", [False, True])
def test_fixed_move_is_that_of_the_slow_version(flip: bool, bent: bool) -> None:
    full = full_move()
    move = SliceMove(full.start, flip, full.rotate_degrees, full.shift_pixels, full.scale,
                     full.offsets if bent else None, SPACING)  # fmt: skip
    image = smooth_image()
    np.testing.assert_allclose(moved(image, move), moved_slowly(image, move, 1), atol=2e-5)


def test_label_takes_the_nearest_pixel_and_keeps_its_type() -> None:
    label = (smooth_image(1) > 0.5).to(torch.uint8)
    found = moved(label, full_move(), "nearest")
    assert found.dtype == torch.uint8
    assert (found.numpy() != moved_slowly(label, full_move(), 0)).mean() < 0.005  # where two are as near
    assert found.sum() > 0


@pytest.mark.parametrize("flip", [False, True])
def test_without_interpolation_pixels_are_exactly_those_of_the_slow_version(flip: bool) -> None:
    move = SliceMove((4, -1), flip)
    image = smooth_image()
    assert move.is_exact
    np.testing.assert_array_equal(moved(image, move), moved_slowly(image, move, 0).astype(np.float32))


def test_batch_of_grids_samples_each_slice_by_its_own() -> None:
    moves = [full_move(), SliceMove((0, 2), False, -7.0, (0.0, 3.0), (1.0, 1.05), -2 * full_move().offsets, SPACING)]
    images = torch.stack([smooth_image(), smooth_image().flip(2)])
    offsets = torch.stack([move.offsets for move in moves if move.offsets is not None])
    matrix = torch.cat([move.matrix(SIZE, SOURCE) for move in moves])
    grid = warp_grid(matrix, size=SIZE, source_size=SOURCE, offsets=offsets, spacing=SPACING)
    for image, move, found in zip(images, moves, sample(images, grid), strict=True):
        torch.testing.assert_close(found, moved(image, move), atol=1e-5, rtol=0)


def test_offsets_that_are_alike_shift_and_nothing_else() -> None:
    offsets = torch.ones(2, *control_points(SIZE, SPACING)) * torch.tensor([2.0, -3.0])[:, None, None]
    shifted = moved(smooth_image(), SliceMove(offsets=offsets, spacing_pixels=SPACING))
    torch.testing.assert_close(shifted, moved(smooth_image(), SliceMove((2, -3))), atol=1e-5, rtol=0)


def item(size: tuple[int, int] = SOURCE) -> dict[str, Any]:
    """A bright square of the image is the label."""
    label = torch.zeros(1, *size, dtype=torch.uint8)
    label[:, 8:16, 6:12] = 1
    return {"image": label.repeat(2, 1, 1).float(), "label": label, "case": "c1"}


def test_image_and_label_move_together_and_the_label_stays_0_or_1() -> None:
    always = {"affine": AffineRange(prob=1.0), "elastic": ElasticRange(prob=1.0, spacing_pixels=16)}
    step = RandSliceMoved(["image", "label"], size=SIZE, flip_prob=0.5, **always).set_random_state(1)
    for _ in range(20):
        found = step(item())
        assert found["label"].dtype == torch.uint8
        assert set(found["label"].unique().tolist()) <= {0, 1}
        sure = (found["image"][0] < 0.01) | (found["image"][0] > 0.99)
        assert torch.equal(found["image"][0][sure].round().to(torch.uint8), found["label"][0][sure])
        assert sure.float().mean() > 0.8


def test_landmark_goes_where_the_move_says() -> None:
    image = torch.zeros(1, *SOURCE)
    image[0, 10, 6] = 1
    for move, place in [
        (SliceMove((2, 0)), (8, 6)),
        (SliceMove((2, 0), flip=True), (SIZE[0] - 1 - 8, 6)),
        (SliceMove((0, 0), shift_pixels=(3, -2)), (13, 4)),
        (SliceMove((0, 0), rotate_degrees=90), (19, 12)),  # 1.5 above and 7.5 left of the middle: 7.5 below, 1.5 left
    ]:
        assert np.argwhere(moved(image, move)[0].numpy() > 0.5).tolist() == [list(place)]


def test_nothing_drawn_is_an_exact_copy() -> None:
    given = item()
    step = RandSliceMoved(["image", "label"], **NEVER)
    found = step(given)
    assert torch.equal(found["image"], given["image"])
    assert torch.equal(found["label"], given["label"])
    found["image"] += 1
    found["label"] += 1
    assert torch.equal(given["image"], item()["image"])
    assert torch.equal(given["label"], item()["label"])


@pytest.mark.parametrize("size", [(8, 40), (40, 8), (31, 27)])
def test_larger_slices_are_cropped_anywhere_and_smaller_ones_padded_alike(size: tuple[int, int]) -> None:
    step = RandSliceMove(size, **NEVER).set_random_state(1)
    starts = []
    for _ in range(300):
        assert step(smooth_image()).shape == (2, *size)
        starts.append(step.move.start)
    for axis, (side, source) in enumerate(zip(size, SOURCE, strict=True)):
        places = range(source - side + 1) if source >= side else [-((side - source) // 2)]
        assert {start[axis] for start in starts} == set(places)


def test_each_part_comes_with_its_probability_and_fills_its_range() -> None:
    step = RandSliceMove((96, 96)).set_random_state(1)
    moves = []
    for _ in range(1000):
        step.randomize((96, 96))
        moves.append(step.move)
    turned = [(move.rotate_degrees, *move.shift_pixels, *move.scale) for move in moves if move.scale != (1, 1)]
    bent = [float(move.offsets.std()) for move in moves if move.offsets is not None]
    assert np.mean([move.flip for move in moves]) == pytest.approx(0.5, abs=0.048)  # 3 standard errors of 1000 draws
    assert len(turned) == pytest.approx(500, abs=48)
    assert len(bent) == pytest.approx(200, abs=38)
    middle, limits = np.array([0, 0, 0, 1, 1]), np.array([15, 12, 12, 0.1, 0.1])
    assert (np.abs(np.array(turned) - middle) <= limits).all()
    assert (np.ptp(turned, axis=0) > 1.9 * limits).all()
    assert min(bent) == pytest.approx(1, abs=0.3)
    assert max(bent) == pytest.approx(4, abs=0.8)


def test_random_stream_does_not_depend_on_what_is_drawn() -> None:
    ends = []
    for settings in ({}, NEVER):
        step = RandSliceMove(SIZE, **settings).set_random_state(1)
        step(smooth_image())
        ends.append(step.R.random_sample())
    assert ends[0] == ends[1]


def recipe() -> Compose:
    often = Strength(prob=0.5, most=0.2)
    intensity = RandIntensityd("image", brightness=often, contrast=often, noise=often)
    return Compose([RandSliceMoved(["image", "label"], size=SIZE), intensity])


def test_recipe_repeats_under_a_seed_keeps_its_input_and_survives_pickling() -> None:
    steps = recipe().set_random_state(88)
    copy = pickle.loads(pickle.dumps(steps))
    given = {**item(), "image": MetaTensor(item()["image"])}
    first, again = ([one(given) for _ in range(10)] for one in (steps, copy))
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one["image"], other["image"])
        assert torch.equal(one["label"], other["label"])
        assert type(one["image"]) is torch.Tensor
    assert not all(torch.equal(first[0]["image"], other["image"]) for other in first[1:])
    assert torch.equal(given["image"].as_tensor(), item()["image"])


def intensity(brightness: float = 0, contrast: float = 0, noise: float = 0) -> RandIntensityd:
    parts = (Strength(prob, 0.2) for prob in (brightness, contrast, noise))
    return RandIntensityd("image", **dict(zip(("brightness", "contrast", "noise"), parts, strict=True)))


def test_intensity_agrees_with_the_plain_formula() -> None:
    image = smooth_image()
    for noise in (0, 1):
        step = intensity(1, 1, noise).set_random_state(4)
        found = step({"image": image})["image"]
        away = found - (image + step.added) * step.factor
        assert float(away.std()) == pytest.approx(step.deviation, rel=0.1, abs=1e-6)
        assert float(away.mean()) == pytest.approx(0, abs=step.deviation / 8 + 1e-6)
    assert torch.equal(image, smooth_image())


def test_intensity_comes_with_its_probabilities_and_fills_its_ranges() -> None:
    step = intensity(0.3, 0.4, 0.2).set_random_state(4)
    draws = []
    for _ in range(2000):
        step.randomize()
        draws.append((step.added, step.factor - 1, step.deviation))
    drawn = np.array(draws)
    np.testing.assert_allclose((drawn != 0).mean(axis=0), (0.3, 0.4, 0.2), atol=0.033)  # 3 standard errors
    np.testing.assert_allclose(drawn.min(axis=0), (-0.2, -0.2, 0), atol=0.01)
    np.testing.assert_allclose(drawn.max(axis=0), 0.2, atol=0.01)


def test_intensity_that_changes_nothing_passes_the_image_on() -> None:
    image = smooth_image()
    assert intensity()({"image": image})["image"] is image


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AffineRange(scale=1.0), "affine: expected prob and scale in 0..1"),
        (lambda: AffineRange(prob=1.5), "affine: expected prob"),
        (lambda: ElasticRange(magnitude_pixels=(4, 1)), "magnitudes least first"),
        (lambda: RandSliceMove((240,)), "two sides"),
        (lambda: RandSliceMove(flip_prob=-1), "flip_prob in 0..1"),
        (lambda: Strength(prob=0.5, most=-1), "strength: expected prob in 0..1"),
        (lambda: Strength(prob=2, most=1), "strength: expected prob in 0..1"),
        (lambda: RandSliceMoved(["image", "label"])({**item(), "label": item((9, 9))["label"]}), r"got \(9, 9\)"),
    ],
)
def test_wrong_settings_and_slices_are_errors(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()

"""The picture of all slices: where each is drawn, what is written and outlined, and the file of a case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.contour import ContourSet
from matplotlib.patches import Rectangle
from monai.data import MetaTensor
from monai.transforms import SaveImaged
from numpy.typing import NDArray

from custom_transforms.save_slices import SaveImageSlicesd, shown_study
from custom_transforms.slice_montage import DIMMED, GAP, ShownStudy, draw_slices

SLICES, ROWS, COLUMNS = 10, 30, 20
RIGHT_FRONT = (4, slice(2, 6), slice(1, 4))  # low row = anterior, low column = the patient's right


def make_hu() -> NDArray[np.float32]:
    """Water, 40 HU, that fills the image; slice 4 has bone on the patient's right, in front."""
    hu = np.full((SLICES, ROWS, COLUMNS), 40, np.float32)
    hu[RIGHT_FRONT] = 1000
    return hu


def make_brain() -> NDArray[np.bool_]:
    brain = np.zeros((SLICES, ROWS, COLUMNS), bool)
    brain[2:9, 8:24, 5:15] = True
    return brain


def make_study(**more: Any) -> ShownStudy:
    return ShownStudy(**{"hu": make_hu(), "brain": make_brain(), "spacing_mm": (0.6, 0.5), **more})


def make_item(**more: Any) -> dict[str, Any]:
    affine = torch.diag(torch.tensor([-0.5, -0.6, 5.0, 1.0], dtype=torch.float64))

    def in_lps(volume: NDArray[Any]) -> MetaTensor:
        return MetaTensor(torch.from_numpy(volume).permute(2, 1, 0)[None], affine=affine)

    item = {"hu": in_lps(make_hu()), "brain": in_lps(make_brain().astype(np.uint8)), "case": "p1", "dropped": "{}"}
    return item | more


def drawn(study: ShownStudy) -> tuple[Axes, NDArray[np.float32]]:
    """Return the plot, and its image as tiles `(rows of tiles, columns of tiles, R, C)`."""
    (axes,) = draw_slices(study).axes
    image = np.asarray(axes.images[0].get_array())
    padded = np.pad(image, ((0, GAP), (0, GAP)))
    tiles = padded.reshape(-1, ROWS + GAP, 8, COLUMNS + GAP).swapaxes(1, 2)
    return axes, tiles[..., :ROWS, :COLUMNS]


def words(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def frames(axes: Axes) -> list[tuple[float, float]]:
    return [patch.get_xy() for patch in axes.patches if isinstance(patch, Rectangle)]


def test_slices_are_drawn_feet_first_and_upright_with_their_true_proportions() -> None:
    axes, tiles = drawn(make_study())

    assert tiles.shape == (2, 8, ROWS, COLUMNS)
    np.testing.assert_array_equal(tiles[0, 4], np.where(make_hu()[4] == 1000, 1, 0.5))
    assert (tiles[1, :2] == 0.5).all()
    assert (tiles[1, 2:] == 1).all()  # paper
    assert axes.get_aspect() == pytest.approx(0.6 / 0.5)
    assert words(axes)[:4] == ["R", "0", "R", "1"]
    assert axes.texts[1].get_position()[0] < COLUMNS < axes.texts[3].get_position()[0]


def test_brain_and_region_are_outlined_where_they_are() -> None:
    region = np.zeros_like(make_brain())
    region[RIGHT_FRONT] = True

    axes, _ = drawn(make_study(region=region))

    brain, suspicious = (artist for artist in axes.collections if isinstance(artist, ContourSet))
    columns, rows = np.concatenate([path.vertices for path in suspicious.get_paths()]).T
    left = 4 * (COLUMNS + GAP)
    assert (columns.min(), columns.max()) == (left + 0.5, left + 3.5)  # halfway between pixels
    assert (rows.min(), rows.max()) == (1.5, 5.5)
    assert not np.array_equal(brain.get_edgecolor(), suspicious.get_edgecolor())
    columns = np.concatenate([path.vertices for path in brain.get_paths()])[:, 0]
    assert (columns.min(), columns.max()) == (4.5, 7 * (COLUMNS + GAP) + 14.5)  # slices 8 and 7


def test_dropped_slice_is_dark_and_says_why() -> None:
    axes, tiles = drawn(make_study(dropped={0: "too_little_brain", 9: "metal " * 20}, slice_prob={1: 0.25}))

    np.testing.assert_allclose(tiles[0, 0], 0.5 * DIMMED)
    np.testing.assert_allclose(tiles[0, 1], 0.5)
    assert "too little brain" in words(axes)
    (cut,) = (text for text in words(axes) if text.startswith("metal"))
    assert len(cut.splitlines()) == 2
    assert cut.endswith("…")
    assert [text for text in words(axes) if text.startswith("p ")] == ["p 0.25"]


def test_carrying_slices_are_framed() -> None:
    axes, _ = drawn(make_study(slice_prob={3: 0.4, 4: 0.6, 9: 0.9}, carrying=(4, 9)))
    assert frames(axes) == [(4 * (COLUMNS + GAP), 0), (COLUMNS + GAP, ROWS + GAP)]


def test_air_around_the_head_is_cut_off_in_all_slices_alike() -> None:
    hu = np.full((3, 40, 40), -1000, np.float32)
    hu[0, 5:25, 10:20] = 30
    hu[1, 8:28, 12:24] = 30
    study = ShownStudy(hu=hu, brain=hu > 0, spacing_mm=(1, 1))

    image = np.asarray(draw_slices(study).axes[0].images[0].get_array())

    assert image.shape == (23, 3 * 14 + 2 * GAP)


def test_fine_pixels_are_averaged_and_small_regions_kept() -> None:
    hu = np.zeros((1, 400, 400), np.float32)
    hu[:, ::2] = 80
    region = np.zeros(hu.shape, bool)
    region[0, 201, 101] = True

    axes = draw_slices(ShownStudy(hu=hu, brain=hu > 90, spacing_mm=(0.5, 0.5), region=region)).axes[0]

    image = np.asarray(axes.images[0].get_array())
    assert image.shape == (200, 200)
    np.testing.assert_allclose(image, 0.5)
    (outline,) = (artist for artist in axes.collections if isinstance(artist, ContourSet))
    np.testing.assert_allclose(outline.get_paths()[0].vertices[:-1].mean(axis=0), (50, 100), atol=0.2)


def test_study_of_air_without_brain_is_drawn_all_the_same() -> None:
    hu = np.full((2, 10, 10), -1000, np.float32)
    assert len(draw_slices(ShownStudy(hu=hu, brain=hu > 0, spacing_mm=(1, 1))).axes) == 1


def test_mask_of_another_shape_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"region: expected shape \(10, 30, 20\), got \(9, 30, 20\)"):
        make_study(region=make_brain()[1:])


def test_case_is_written_as_one_picture_and_left_unchanged(tmp_path: Path) -> None:
    item = make_item(case="../a b", slice_index=torch.tensor([2, 3]), slice_prob=torch.tensor([0.2, 0.7]))
    before = item["hu"].clone()

    result = SaveImageSlicesd("hu", tmp_path / "pictures")(item)

    (file,) = (tmp_path / "pictures").iterdir()
    assert file.name == "_._a_b_slices.png"
    assert file.read_bytes().startswith(b"\x89PNG")
    assert result == item
    assert torch.equal(item["hu"], before)
    assert issubclass(SaveImageSlicesd, SaveImaged)


def test_item_is_shown_upright_with_what_is_known_of_its_slices() -> None:
    item = make_item(dropped='{"0": "metal"}', slice_index=torch.tensor([2, 5]), slice_prob=torch.tensor([0.25, 0.5]))
    item["pred"] = item["brain"]

    study = shown_study(item, "hu", region_key="pred")

    np.testing.assert_array_equal(study.hu, make_hu())
    np.testing.assert_array_equal(study.brain, make_brain())
    np.testing.assert_array_equal(study.region, make_brain())
    assert study.spacing_mm == pytest.approx((0.6, 0.5))
    assert study.dropped == {0: "metal"}
    assert study.slice_prob == {2: 0.25, 5: 0.5}
    assert shown_study(make_item(), "hu").slice_prob == {}
    assert shown_study(make_item(), "hu").region is None


def test_volume_in_another_orientation_is_an_error(tmp_path: Path) -> None:
    item = make_item()
    item["hu"] = MetaTensor(item["hu"].as_tensor(), affine=torch.eye(4))
    with pytest.raises(ValueError, match="image: expected orientation LPS, else sides would be exchanged, got RAS"):
        SaveImageSlicesd("hu", tmp_path)(item)


def test_more_probabilities_than_slices_is_an_error(tmp_path: Path) -> None:
    item = make_item(slice_index=torch.tensor([2]), slice_prob=torch.tensor([0.2, 0.7]))
    with pytest.raises(ValueError, match="zip"):
        SaveImageSlicesd("hu", tmp_path)(item)


def test_volume_that_no_step_kept_is_named(tmp_path: Path) -> None:
    item = make_item()
    del item["hu"], item["dropped"]
    with pytest.raises(ValueError, match="expected hu in Hounsfield units"):
        SaveImageSlicesd("hu", tmp_path)(item)

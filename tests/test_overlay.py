"""Overlays: the sides of the patient, the slices chosen, what is filled and outlined, and the files of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib import _pylab_helpers
from matplotlib.axes import Axes
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.text import Text
from monai.data import MetaTensor
from monai.engines import SupervisedEvaluator
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from custom_transforms.overlay import OverlayHandler, draw_overlay
from custom_transforms.representative_slices import choose_slices

SHAPE = (20, 24, 9)
RIGHT_FRONT = (slice(15, 18), slice(19, 22), 4)  # RAS: high first index = right, high second = anterior


def make_image() -> torch.Tensor:
    return 1 + torch.rand((4, *SHAPE), generator=torch.Generator().manual_seed(88))


def make_mask(regions: int = 1) -> torch.Tensor:
    mask = torch.zeros((regions, *SHAPE))
    mask[(slice(None), *RIGHT_FRONT)] = 1
    return mask


def tumour_panel(figure: Figure) -> Axes:
    """Return the FLAIR panel of slice index 4."""
    return next(axes for axes in figure.axes if axes.get_title() == "slice 5 of 9")


def upper_left(drawn: NDArray[Any]) -> NDArray[Any]:
    return drawn[: drawn.shape[0] // 2, : drawn.shape[1] // 2]


def test_right_front_of_the_patient_is_drawn_upper_left() -> None:
    image = make_image()
    image[(slice(None), *RIGHT_FRONT)] = 50

    figure = draw_overlay(image, make_mask(), truth=make_mask(), regions=["ET"])

    panel = tumour_panel(figure)
    grey, colour = (np.asarray(drawn.get_array()) for drawn in panel.images)
    assert grey.shape == (24, 20)
    assert (grey > 10).sum() == (upper_left(grey) > 10).sum() == 9
    assert (colour[..., 3] > 0).sum() == (upper_left(colour)[..., 3] > 0).sum() == 9
    (outline,) = (artist for artist in panel.collections if isinstance(artist, ContourSet))
    columns, rows = outline.get_paths()[0].vertices.T
    assert columns.max() < 10
    assert rows.max() < 12
    assert panel.yaxis_inverted()  # row 0 is at the top
    assert not panel.xaxis_inverted()


def test_image_that_is_not_in_ras_is_refused() -> None:
    image = MetaTensor(make_image(), affine=torch.diag(torch.tensor([-1.0, -1, 1, 1])))
    with pytest.raises(ValueError, match=r"expected orientation RAS.*got LPS"):
        draw_overlay(image, make_mask(), regions=["ET"])


def test_innermost_region_gives_the_colour() -> None:
    pred = make_mask(2)
    pred[1, :, :20] = 0  # ET, the second channel, is a part of WT
    both = draw_overlay(make_image(), pred, regions=["WT", "ET"])
    exchanged = draw_overlay(make_image(), pred.flip(0), regions=["ET", "WT"])

    colours = [np.asarray(tumour_panel(figure).images[1].get_array()) for figure in (both, exchanged)]
    assert len(np.unique(colours[0].reshape(-1, 4), axis=0)) == 3  # air, WT, ET
    np.testing.assert_array_equal(*colours)


def test_air_is_black_in_z_scored_images() -> None:
    image = make_image() - 1.5  # values around 0, air 0
    image[:, :3] = 0
    figure = draw_overlay(image, make_mask(), regions=["ET"])

    grey = np.asarray(figure.axes[0].images[0].get_array())
    black, _ = figure.axes[0].images[0].get_clim()
    assert (grey[:, -1] == black).all()  # first index = left = drawn on the right


@pytest.mark.parametrize("channels", [1, 3])
def test_wrong_number_of_channels_is_refused(channels: int) -> None:
    with pytest.raises(ValueError, match=r"prediction: expected shape \(2, 20, 24, 9\)"):
        draw_overlay(make_image(), make_mask(channels), regions=["WT", "ET"])


def test_chosen_slices_hold_the_tumour_and_lie_apart() -> None:
    tumour = np.zeros((5, 5, 60), dtype=bool)
    tumour[2, 2, 20:50] = True
    tumour[1:4, 1:4, 33] = True

    chosen = choose_slices(tumour)

    assert 33 in chosen
    assert len(chosen) == 4
    assert min(chosen) >= 20
    assert max(chosen) < 50
    assert np.diff(chosen).min() >= 5


@pytest.mark.parametrize(("slices", "expected"), [(3, [0, 1, 2]), (100, [34, 50, 66])])
def test_slices_around_the_middle_are_chosen_without_tumour(slices: int, expected: list[int]) -> None:
    assert set(expected) <= set(choose_slices(np.zeros((4, 4, slices), dtype=bool)))


class KnowsTheMask(torch.nn.Module):
    """A network that always predicts the mask of these tests."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return make_mask().expand(len(image), -1, -1, -1, -1)


def run_handler(handler: OverlayHandler, cases: list[str], *, with_truth: bool = True, epochs: int = 1) -> None:
    truth = {"label": make_mask()} if with_truth else {}
    items = [{"image": make_image(), "case": case, **truth} for case in cases]
    evaluator = SupervisedEvaluator("cpu", DataLoader(items, batch_size=2), KnowsTheMask())
    handler.attach(evaluator)
    for epoch in range(1, epochs + 1):
        evaluator.run(epoch)


def test_handler_writes_one_picture_a_case_and_no_more_than_asked(tmp_path: Path) -> None:
    run_handler(OverlayHandler(tmp_path, ["ET"], max_cases=2), ["a/../b c", "B-2.x", "third"])

    assert sorted(path.name for path in tmp_path.iterdir()) == ["B-2.x.png", "a_.._b_c.png"]
    assert (tmp_path / "B-2.x.png").read_bytes().startswith(b"\x89PNG")


def test_best_and_worst_of_all_are_drawn_beyond_the_first(tmp_path: Path) -> None:
    truths = {"first": make_mask(), "worse": torch.roll(make_mask(), 1, 1), "alike": torch.roll(make_mask(), 1, 1)}
    truths |= {"worst": torch.roll(make_mask(), 2, 1), "between": torch.roll(make_mask(), 1, 1)}
    items = [{"image": make_image(), "case": case, "label": truth} for case, truth in truths.items()]
    evaluator = SupervisedEvaluator("cpu", DataLoader(items, batch_size=2), KnowsTheMask())
    OverlayHandler(tmp_path, ["ET"], max_cases=1).attach(evaluator)
    evaluator.run()
    assert {path.stem for path in tmp_path.iterdir()} == {"first", "worse", "worst"}


def test_picture_does_not_say_whose_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr("custom_transforms.overlay.save_picture", lambda figure, path: drawn.append(figure))
    run_handler(OverlayHandler(tmp_path, ["ET"]), ["patient_7"])
    assert "patient_7" not in "".join(text.get_text() for text in drawn[0].findobj(Text))


def test_patient_without_truth_is_drawn(tmp_path: Path) -> None:
    run_handler(OverlayHandler(tmp_path, ["ET"]), ["p1"], with_truth=False)
    assert [path.name for path in tmp_path.iterdir()] == ["p1.png"]


def test_figures_go_to_tensorboard_and_leave_nothing_in_pyplot(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    handler = OverlayHandler(tmp_path / "png", ["ET"], max_cases=1, tensorboard_dir=tmp_path / "board")
    run_handler(handler, ["p1", "p2"], epochs=2)

    events = EventAccumulator(str(tmp_path / "board")).Reload()
    assert events.Tags()["images"] == ["overlay/p1"]
    assert [picture.step for picture in events.Images("overlay/p1")] == [1, 2]  # a run draws anew
    assert not _pylab_helpers.Gcf.figs

"""Draw what augmentation makes of a slice with and a slice without metastases, when training starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Protocol

import ignite.distributed as idist
import numpy as np
import torch
from ignite.engine import Engine, Events
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from monai.transforms import Randomizable
from numpy.typing import NDArray

from custom_transforms.pictures import (
    CONVENTION,
    LABEL_POINTS,
    TICK_POINTS,
    TITLE_POINTS,
    brain_box,
    radiological_view,
    save_picture,
    show_axial,
)

Bag = Mapping[str, Any]
Slice = NDArray[np.floating[Any]]
Augmentation = Callable[[Bag], Bag]

CLASS_NAMES = {1: "metastases", 0: "no metastases"}
SMALLEST_LIMIT_HU = 1.0  # else differences of rounding would be drawn in full colour
PANEL_INCHES = 2.2


class BagDataset(Protocol):
    """What the handler needs of a data set."""

    def __len__(self) -> int:
        """Count patients."""

    def __getitem__(self, index: int) -> Bag:
        """Return a patient's item."""


class AugmentationPictureHandler:
    """Save a picture of what augmentation does to the first patient of either class, at the start of a trainer.

    It has random numbers of its own: training is the same with it and without.

    Args:
        dataset: gives items by index, with `image` `(S, 1, R, C)` in 0..1, rows to the patient's back and columns to
            the left, `label` 0 or 1, and `case`.
        augmentation: the random steps; None, as where a config has switched them off, draws nothing. Filters alone
            show best; when the head moves, every edge differs.
        path: the picture, a PNG.
        draws: how many times each patient is augmented.
        width_hu: Hounsfield units between 0 and 1, the window's width.
        seed: of the draws.
    """

    def __init__(
        self,
        dataset: BagDataset,
        augmentation: Augmentation | None,
        path: str | Path,
        *,
        draws: int = 4,
        width_hu: float = 80.0,
        seed: int = 88,
    ) -> None:
        self.dataset = dataset
        self.augmentation = augmentation
        self.path = Path(path)
        self.draws = draws
        self.width_hu = width_hu
        self.seed = seed

    def attach(self, engine: Engine) -> None:
        """Draw when the trainer starts."""
        engine.add_event_handler(Events.STARTED, self)

    def __call__(self) -> None:
        """Draw on the first rank."""
        if idist.get_rank() == 0 and self.augmentation is not None:
            patients = first_of_each_class(self.dataset)
            augmented = [draw_bags(bag, self.augmentation, draws=self.draws, seed=self.seed) for bag in patients]
            save_picture(draw_augmentation(patients, augmented, width_hu=self.width_hu), self.path)


def first_of_each_class(dataset: BagDataset) -> list[Bag]:
    """Return the first positive and the first negative item, as far as there are any."""
    found: dict[int, Bag] = {}
    for index in range(len(dataset)):
        item = dataset[index]
        found.setdefault(int(item["label"]), item)
        if len(found) == len(CLASS_NAMES):
            break
    return [found[label] for label in CLASS_NAMES if label in found]


def draw_bags(item: Bag, augmentation: Augmentation, *, draws: int, seed: int) -> list[Bag]:
    """Augment an item several times, with a copy of the augmentation, so that its random state stays as it is."""
    copy = deepcopy(augmentation)
    if isinstance(copy, Randomizable):
        copy.set_random_state(seed=seed)
    return [copy(item) for _ in range(draws)]


def middle_slice(bag: torch.Tensor) -> int:
    """Return the slice with most brain in the middle third of a bag `(S, 1, R, C)`."""
    count = len(bag)
    start = count // 3
    areas = (bag[start : count - start] > 0).sum(dim=(1, 2, 3))
    return start + int(areas.argmax())


def draw_augmentation(patients: Sequence[Bag], augmented: Sequence[Sequence[Bag]], *, width_hu: float = 80.0) -> Figure:
    """Draw a slice of each patient before and after every draw, and below the differences in Hounsfield units.

    Args:
        patients: items as for `AugmentationPictureHandler`.
        augmented: for each patient what the draws made of it, as many for each.
        width_hu: Hounsfield units between 0 and 1.

    Returns:
        a figure that pyplot does not know. All differences have one scale of colours, red where a draw is brighter.

    Raises:
        ValueError: there is no patient or no draw.
    """
    if not patients or not all(augmented):
        raise ValueError("augmentation picture: expected at least one patient and one draw, got none")
    shown = [_slices_hu(*pair, width_hu) for pair in zip(patients, augmented, strict=True)]
    changes = np.concatenate([(after - before).ravel() for before, *others in shown for after in others])
    changed = np.abs(changes[changes != 0])
    limit_hu = max(SMALLEST_LIMIT_HU, float(np.percentile(changed, 99.5)) if changed.size else 0)
    columns = 1 + len(augmented[0])
    size = (PANEL_INCHES * columns + 0.8, 2.25 * PANEL_INCHES * len(patients) + 0.6)
    figure = Figure(figsize=size, layout="compressed")
    panels = figure.subplots(2 * len(patients), columns, squeeze=False)
    for row, (item, slices) in enumerate(zip(patients, shown, strict=True)):
        _show_patient(panels[2 * row : 2 * row + 2], slices, width_hu=width_hu, limit_hu=limit_hu)
        panels[2 * row, 0].set_ylabel(f"{CLASS_NAMES[int(item['label'])]}\n{item['case']}", fontsize=LABEL_POINTS)
    drawn = next(axes.images[0] for axes in panels[1, 1:])
    bar = figure.colorbar(drawn, ax=panels, shrink=0.5, extend="both")
    bar.set_label("augmented less original, HU", fontsize=LABEL_POINTS)
    bar.ax.tick_params(labelsize=TICK_POINTS)
    figure.suptitle(f"Augmentation, one middle slice of each patient\n{CONVENTION}", fontsize=TITLE_POINTS)
    return figure


def _slices_hu(item: Bag, draws: Sequence[Bag], width_hu: float) -> list[Slice]:
    """Return the chosen slice, original first, `(R, C)` each, cut to the brain."""
    bags = [torch.as_tensor(one["image"]).cpu() for one in (item, *draws)]
    number = middle_slice(bags[0])
    slices = np.stack([bag[number, 0].numpy() for bag in bags], axis=-1)
    box = brain_box(slices > 0)
    return list(np.moveaxis(slices[box] * width_hu, -1, 0))


def _show_patient(panels: NDArray[Any], slices: Sequence[Slice], *, width_hu: float, limit_hu: float) -> None:
    images, differences = panels
    before = slices[0]
    for number, (image, axes, below) in enumerate(zip(slices, images, differences, strict=True)):
        # `radiological_view` is its own inverse: it turns the upright slice to RAS, which `show_axial` expects.
        show_axial(axes, radiological_view(image), np.ones(image.T.shape, bool), window=(0.0, width_hu))
        axes.set_title(f"draw {number}" if number else "original", fontsize=LABEL_POINTS)
        if number == 0:
            below.set_axis_off()
        else:
            _show_difference(below, image - before, inside=before > 0, limit_hu=limit_hu)


def _show_difference(axes: Axes, difference: Slice, *, inside: NDArray[np.bool_], limit_hu: float) -> None:
    axes.imshow(difference, cmap="RdBu_r", vmin=-limit_hu, vmax=limit_hu)
    axes.set_xticks([])
    axes.set_yticks([])
    mean_hu = float(np.abs(difference[inside]).mean()) if inside.any() else 0.0
    words = f"mean change {mean_hu:.2f} HU" if difference.any() else "unchanged"
    axes.set_xlabel(words, fontsize=TICK_POINTS)

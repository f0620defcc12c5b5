"""Pictures are written as matplotlib would write them, pixel for pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from custom_transforms.pictures import DOTS_PER_INCH, save_picture


@pytest.mark.parametrize("layout", ["constrained", "compressed", None])
def test_picture_has_the_pixels_of_savefig(tmp_path: Path, layout: str | None) -> None:
    figures = [Figure(figsize=(4, 3), layout=layout) for _ in range(2)]  # type: ignore[arg-type]
    for figure in figures:
        axes = figure.subplots()
        axes.imshow(np.arange(12).reshape(3, 4), aspect=1.3)
        axes.set_title("as drawn")
        figure.suptitle("twice")
    figures[0].savefig(tmp_path / "expected.png", dpi=DOTS_PER_INCH)
    save_picture(figures[1], tmp_path / "found.png")
    np.testing.assert_array_equal(imread(tmp_path / "found.png"), imread(tmp_path / "expected.png"))

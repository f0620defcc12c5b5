"""Write a picture of every slice of a case."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import SaveImaged
from numpy.typing import NDArray

from custom_transforms.file_stem import file_stem
from custom_transforms.orientation import require_axes
from custom_transforms.pictures import save_picture
from custom_transforms.slice_montage import ShownStudy, draw_slices


class SaveImageSlicesd(SaveImaged):
    """Write `<output_dir>/<case><postfix>.png`, every slice with the brain mask and what was found, to check a case.

    The name keeps `SaveImage`, by which other programs recognise a writer.

    Args:
        keys: volume to show, `(1, X, Y, S)` Hounsfield units as MetaTensor in LPS.
        output_dir: folder of the pictures; made if need be.
        postfix: what follows the case in the file's name.
        region_key: suspicious regions, `(1, X, Y, S)`, suspicious where above 0; may be absent.

    The item has `case`, `brain` `(1, X, Y, S)`, `dropped` (JSON: slice to reason), and, once the network has seen the
    slices `slice_index` `(K,)`, also `slice_prob` `(K,)` and `carrying`, numbers of the
    slices to frame.
    """

    def __init__(
        self,
        keys: KeysCollection,
        output_dir: str | Path,
        *,
        postfix: str = "_slices",
        region_key: str = "region",
    ) -> None:
        super().__init__(keys, output_dir=output_dir)
        self.output_dir = Path(output_dir)
        self.postfix = postfix
        self.region_key = region_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Draw each key, and return the item unchanged.

        Raises:
            ValueError: a key is absent; see `shown_study` for others.
        """
        case = file_stem(str(data["case"]))
        for key in self.keys:
            if key not in data:
                raise ValueError(f"picture of slices: expected {key} in Hounsfield units (step keep), got none")
            figure = draw_slices(shown_study(data, key, region_key=self.region_key), title=case)
            save_picture(figure, self.output_dir / f"{case}{self.postfix}.png")
        return dict(data)


def shown_study(item: Mapping[Hashable, Any], key: Hashable, *, region_key: str = "region") -> ShownStudy:
    """Take from an item what `draw_slices` shows.

    Args:
        item: see `SaveImageSlicesd`.
        key: the volume, `(1, X, Y, S)` Hounsfield units as MetaTensor in LPS.
        region_key: suspicious regions, `(1, X, Y, S)`, suspicious where above 0; may be absent.

    Raises:
        ValueError: the volume is not in LPS, a mask has another shape, or slices and probabilities differ in number.
    """
    image: MetaTensor = item[key]
    affine = image.affine.cpu().numpy()
    require_axes(affine, "LPS", why="else sides would be exchanged")
    width_mm, height_mm, _ = np.linalg.norm(affine[:3, :3], axis=0)
    slice_prob = {}
    if "slice_prob" in item:
        numbers, probs = (torch.as_tensor(item[name]).tolist() for name in ("slice_index", "slice_prob"))
        slice_prob = dict(zip(numbers, probs, strict=True))
    return ShownStudy(
        hu=_upright(image),
        brain=_upright(item["brain"]) > 0,
        spacing_mm=(float(height_mm), float(width_mm)),
        dropped={int(number): reason for number, reason in json.loads(item.get("dropped", "{}")).items()},
        slice_prob=slice_prob,
        carrying=tuple(item.get("carrying", ())),
        region=_upright(item[region_key]) > 0 if region_key in item else None,
    )


def _upright(volume: torch.Tensor) -> NDArray[Any]:
    """Turn `(1, X, Y, S)` in LPS to `(S, R, C)`."""
    return np.asarray(torch.as_tensor(volume)[0].permute(2, 1, 0).cpu())

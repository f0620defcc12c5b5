"""Maps of uncertainty: the sums against all samples kept, their meaning, their files, and a number for each lesion."""

from __future__ import annotations

import csv
import math
from collections.abc import Generator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SimpleInferer

from custom_transforms.lesion_uncertainty import SaveImageLesionsd, lesion_rows
from custom_transforms.sampling_inferer import SamplingInferer
from custom_transforms.save_uncertainty import SaveImageUncertaintyd
from custom_transforms.uncertainty import UncertaintyInferer, UncertaintyMapsd

AFFINE = np.array([[-2.0, 0, 0, 10], [0, 1, 0, -5], [0, 0, 4, 0], [0, 0, 0, 1]])


class Given(SamplingInferer):
    """Gives the samples that it was made with."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__(SimpleInferer())
        self.logits = logits

    def samples(self, *_: Any, **__: Any) -> Generator[torch.Tensor, None, None]:
        yield from self.logits

    def draw(self, *_: Any) -> Any:
        raise NotImplementedError


def maps_of(logits: torch.Tensor) -> dict[Any, Any]:
    """Maps of samples `(T, R, …)`."""
    sums = UncertaintyInferer(Given(logits[:, None]))(torch.zeros(1), lambda x: x)
    return UncertaintyMapsd("pred")({"pred": sums[0]})


def entropy(probs: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Entropy in bits, voxel by voxel."""
    found = np.zeros_like(probs)
    for place, prob in np.ndenumerate(probs):
        found[place] = -sum(share * math.log2(share) for share in (prob, 1 - prob) if share > 0)
    return found


def test_sums_are_those_of_all_samples_kept() -> None:
    logits = 3 * torch.randn(7, 2, 4, 3, 5, generator=torch.Generator().manual_seed(3))
    found = maps_of(logits)
    probs = 1 / (1 + np.exp(-logits.double().numpy()))
    predictive, expected = entropy(probs.mean(0)), np.mean([entropy(sample) for sample in probs], axis=0)
    for name, oracle in (("pred", probs.mean(0)), ("probability", probs.mean(0)), ("entropy", predictive),
                         ("mutual_information", predictive - expected)):  # fmt: skip
        np.testing.assert_allclose(found[name], oracle, atol=2e-6)
    assert float(found["mutual_information"].min()) >= 0
    assert float(found["mutual_information"].max()) > 0.1


@pytest.mark.parametrize("logit", [-100.0, -16.0, -1.0, 0.0, 2.0, 30.0])
def test_samples_that_agree_have_no_mutual_information(logit: float) -> None:
    found = maps_of(torch.full((20, 1, 1), logit))
    assert float(found["mutual_information"]) == pytest.approx(0, abs=2e-6)
    assert float(found["entropy"]) == pytest.approx(entropy(np.array([1 / (1 + math.exp(-logit))])).item(), abs=2e-6)


def test_samples_that_contradict_each_other_with_certainty_have_all_of_it() -> None:
    found = maps_of(torch.tensor([[[50.0]], [[-50.0]]]))
    assert [float(found[name]) for name in ("probability", "entropy", "mutual_information")] == [0.5, 1, 1]


def test_maps_are_written_on_the_grid_with_the_names_of_their_regions(tmp_path: Path) -> None:
    values = torch.rand(3, 4, 5, 6, generator=torch.Generator().manual_seed(1))
    item = {"case": "a/b", "entropy": MetaTensor(values, affine=torch.from_numpy(AFFINE)), "probability": None}
    item["probability"] = MetaTensor(values[:1], affine=torch.from_numpy(AFFINE))
    assert SaveImageUncertaintyd("entropy", tmp_path, ["TC", "WT", "ET"])(item) == item
    SaveImageUncertaintyd("probability", tmp_path, ["necrotic core"])(item)
    image = nib.load(tmp_path / "a_b_entropy.nii.gz")
    assert image.header["descrip"].item() == b"entropy: TC, WT, ET"
    assert image.get_data_dtype() == np.float32
    np.testing.assert_allclose(image.affine, AFFINE)
    np.testing.assert_allclose(image.get_fdata(), np.moveaxis(values.numpy(), 0, -1), atol=1 / 2048)
    assert nib.load(tmp_path / "a_b_probability.nii.gz").shape == (4, 5, 6)
    assert len(list(tmp_path.iterdir())) == 2


def lesion_maps() -> dict[str, np.ndarray[Any, Any]]:
    """One voxel, apart from two that touch by a corner; entropy tells the voxels apart."""
    prob = np.zeros((2, 5, 5, 3), np.float32)
    prob[0, 0, 0, 0] = 0.5
    prob[0, 2, 2, 1], prob[0, 3, 3, 2] = 0.6, 0.9
    return {"probability": prob, "entropy": prob / 2, "mutual_information": prob / 4}


def test_each_lesion_has_its_volume_place_and_means() -> None:
    """A voxel has 2 x 1 x 4 mm. The larger lesion's middle is voxel (2.5, 2.5, 1.5): (5, -2.5, 6) mm."""
    large, small = lesion_rows(lesion_maps(), ["TC", "ET"], AFFINE)
    assert large == {"region": "TC", "lesion": 1, "volume_ml": 0.016, "x_mm": 5.0, "y_mm": -2.5, "z_mm": 6.0,
        "mean_probability": 0.75, "mean_entropy": 0.375, "mean_mutual_information": 0.1875}  # fmt: skip
    assert (small["lesion"], small["volume_ml"], small["x_mm"], small["mean_probability"]) == (2, 0.008, 10.0, 0.5)


def test_table_of_lesions_is_written_and_has_no_row_without_one(tmp_path: Path) -> None:
    item = {name: MetaTensor(maps, affine=AFFINE) for name, maps in lesion_maps().items()}
    SaveImageLesionsd("probability", tmp_path, ["TC", "ET"])({**item, "case": "c1"})
    SaveImageLesionsd("probability", tmp_path, ["TC", "ET"], threshold=0.95)({**item, "case": "c2"})
    rows = [list(csv.DictReader((tmp_path / f"{case}_lesions.csv").open())) for case in ("c1", "c2")]
    assert [len(found) for found in rows] == [2, 0]
    assert rows[0][0]["mean_entropy"] == "0.375"

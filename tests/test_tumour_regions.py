from __future__ import annotations

import pytest
import torch

from custom_transforms.tumour_regions import LabelsToTumourRegionsd, TumourRegionsToLabelsd

BRATS_2018 = {"necrotic core": 1, "oedema": 2, "enhancing tumour": 4}
BRATS_2023 = {"necrotic core": 1, "oedema": 2, "enhancing tumour": 3}
DECATHLON = {"oedema": 1, "necrotic core": 2, "enhancing tumour": 3}
REGIONS = ["TC", "WT", "ET"]


def one_voxel_each(codes: dict[str, int]) -> torch.Tensor:
    """Background, necrotic core, oedema, enhancing tumour, in this order."""
    values = [0, codes["necrotic core"], codes["oedema"], codes["enhancing tumour"]]
    return torch.tensor(values, dtype=torch.uint8).reshape(1, 4, 1, 1)


@pytest.mark.parametrize("codes", [BRATS_2018, BRATS_2023, DECATHLON])
def test_regions_are_the_same_in_every_convention(codes: dict[str, int]) -> None:
    item = {"label": one_voxel_each(codes), "label_convention": codes}
    regions = LabelsToTumourRegionsd("label", [*REGIONS, "necrotic core"])(item)["label"]
    assert regions.flatten(1).tolist() == [[0, 1, 0, 1], [0, 1, 1, 1], [0, 0, 0, 1], [0, 1, 0, 0]]
    assert item["label"].shape[0] == 1  # the input is left alone


@pytest.mark.parametrize("codes", [BRATS_2018, BRATS_2023, DECATHLON])
def test_labels_come_back_from_regions(codes: dict[str, int]) -> None:
    labels = one_voxel_each(codes)
    regions = LabelsToTumourRegionsd("label", REGIONS)({"label": labels, "label_convention": codes})["label"]
    assert torch.equal(TumourRegionsToLabelsd("pred", REGIONS, codes)({"pred": regions})["pred"], labels)


def test_inner_region_wins_where_predictions_are_not_nested() -> None:
    pred = torch.tensor([[0, 1], [0, 0], [1, 1]]).reshape(3, 2, 1, 1)
    assert TumourRegionsToLabelsd("pred", REGIONS, BRATS_2018)({"pred": pred})["pred"].flatten().tolist() == [4, 4]


def test_default_task_marks_label_one() -> None:
    pred = torch.tensor([0, 1]).reshape(1, 2, 1, 1)
    assert TumourRegionsToLabelsd("pred", ["necrotic core"], BRATS_2018)({"pred": pred})["pred"].flatten().tolist() == [
        0,
        1,
    ]


def test_item_without_mask_passes() -> None:
    assert LabelsToTumourRegionsd("label", REGIONS)({"image": 1}) == {"image": 1}


def test_unknown_region_and_convention_without_it_are_refused() -> None:
    with pytest.raises(ValueError, match="got \\['tumour'\\]"):
        LabelsToTumourRegionsd("label", ["tumour"])
    with pytest.raises(ValueError, match="region ET: expected a code for enhancing tumour"):
        LabelsToTumourRegionsd("label", ["ET"])({"label": torch.zeros(1, 1, 1, 1), "label_convention": {"oedema": 2}})

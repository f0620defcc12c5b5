"""Programs that load by themselves leave out our loader and hand over an image with the metadata that MONAI knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import BRATS, CT
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose

from custom_transforms.data_list import load_fold
from custom_transforms.patient_pooling import EvidenceInferer
from custom_transforms.patient_result import EvidenceToResultd
from custom_transforms.series_reader import CtSeriesReader
from custom_transforms.slice_classifier import SliceClassifier


def steps_of(bundle: Path) -> tuple[Compose, Compose]:
    """Preparation with the loader, and without it."""
    config = ConfigParser(ConfigParser.load_config_file(bundle / "configs" / "inference.json"))
    whole = config.get_parsed_content("preprocessing")
    return whole, Compose([step for step in whole.transforms if "LoadImage" not in type(step).__name__])


def test_head_without_a_channel_gives_the_bag_and_the_result_of_its_files(heads: Path) -> None:
    whole, without_loader = steps_of(CT)
    folder = load_fold(heads / "data_list.json", "test", heads)[0]["image"]
    voxels, meta = CtSeriesReader().get_data(CtSeriesReader().read(folder))
    item = without_loader({"image": MetaTensor.ensure_torch_and_prune_meta(voxels, meta)})
    expected = whole({"image": folder})
    assert torch.equal(item["image"].as_tensor(), expected["image"].as_tensor())
    maps = torch.ones(len(item["slice_index"]), 2, 8, 8)
    result, wanted = (EvidenceToResultd("pred")({**data, "pred": maps}) for data in (item, expected))
    assert torch.equal(result["pred"].as_tensor(), wanted["pred"].as_tensor())
    assert (result["record"]["case"], result["result"]) == ("image", wanted["result"])


@pytest.mark.parametrize("channel", [0, -1])
def test_mri_with_channels_first_or_last_is_that_of_its_files(phantoms: Path, channel: int) -> None:
    whole, without_loader = steps_of(BRATS)
    item = load_fold(phantoms / "data_list.json", "test", phantoms)[0]
    loaded = whole.transforms[0](item)["image"]
    meta: dict[str, Any] = {"affine": loaded.affine.numpy(), "original_channel_dim": channel}
    image = MetaTensor.ensure_torch_and_prune_meta(loaded.moveaxis(0, channel).numpy(), meta)
    found, expected = without_loader({"image": image})["image"], whole(item)["image"]
    assert torch.equal(found.as_tensor(), expected.as_tensor())
    assert torch.equal(found.affine, expected.affine)


def test_network_in_a_wrapper_gives_the_same_maps() -> None:
    """`monai.deploy.core.TorchScriptModel` has the network as `predictor`, and none of its other methods."""
    torch.manual_seed(4)
    network = SliceClassifier(widths=(4, 4, 4, 4), layers=(1, 1, 1, 1)).eval()
    bag = torch.randn(1, 3, 1, 64, 64)

    class Wrapper:
        predictor = torch.jit.script(network)

    assert torch.equal(EvidenceInferer()(bag, Wrapper()), EvidenceInferer()(bag, network))  # type: ignore[arg-type]

"""Empty slices go through the network once, and every slice gets what it would get alone."""

from __future__ import annotations

import pytest
import torch
from monai.inferers import SliceInferer
from monai.networks.nets import AttentionUnet

from custom_transforms.shown_slices import ShownSliceInferer


@pytest.mark.parametrize(
    ("empty", "computed"),
    [([], 6), ([0], 6), ([5], 6), ([0, 1, 5], 4), ([0, 1], 5), ([3, 4, 5], 4), ([2, 3], 6), (list(range(6)), 2)],
    ids=str,
)
def test_every_slice_gets_what_it_would_get_alone(empty: list[int], computed: int) -> None:
    torch.manual_seed(0)
    network = AttentionUnet(spatial_dims=2, in_channels=2, out_channels=3, channels=(4, 8), strides=(2,)).eval()
    volume = torch.rand(1, 2, 16, 24, 6)
    volume[..., empty] = 0
    seen: list[int] = []

    def counted(slices: torch.Tensor) -> torch.Tensor:
        seen.append(len(slices))
        return network(slices)

    settings = {"spatial_dim": 2, "roi_size": (-1, -1), "sw_batch_size": 2}
    with torch.inference_mode():
        found = ShownSliceInferer(**settings)(volume, counted)
        expected = SliceInferer(**settings)(volume, network)
    assert sum(seen) == computed
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_slices_lie_along_any_axis_and_a_patient_beside_another_is_seen() -> None:
    volume = torch.zeros(2, 1, 5, 4, 4)
    volume[1, 0, 3, 1, 2] = 7
    inferer = ShownSliceInferer(spatial_dim=0, roi_size=(-1, -1), sw_batch_size=8)
    assert torch.equal(inferer(volume, lambda slices: slices + 1), volume + 1)

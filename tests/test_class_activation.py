"""Grad-CAM: MONAI's, the same as by hand, and without a trace in the network."""

from __future__ import annotations

import torch
from bright_spot import BrightSpot, spotted_slice
from torch import Tensor
from torch.nn.functional import relu

from custom_transforms.class_activation import SliceGradCam
from custom_transforms.slice_classifier import SliceClassifier


def grad_cam_by_hand(network: SliceClassifier, x: Tensor) -> Tensor:
    features = network.activations(x, 4)  # what passes layer4
    features = network.layer4(features).detach().requires_grad_(True)
    logit = network.fc(features.mean(dim=(2, 3)))
    (slope,) = torch.autograd.grad(logit.sum(), features)
    return relu((slope.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1)).detach()


def test_grad_cam_is_that_of_the_paper_also_where_layers_are_frozen_and_in_training_mode() -> None:
    torch.manual_seed(5)
    network = SliceClassifier(dropout=0.5, layers=(1, 1, 1, 1), widths=(4, 4, 8, 8)).eval()
    network.fc[0].weight.data *= 20  # else most of the head's units are off
    x = torch.randn(4, 1, 96, 96)
    expected = grad_cam_by_hand(network, x)
    network.requires_grad_(False)
    network.train()  # dropout would change the logit
    with torch.no_grad():
        found = SliceGradCam(network)(x)
    assert found.shape == (4, 3, 3)
    assert found.max() > 0
    torch.testing.assert_close(found, expected)


def test_highest_value_is_where_the_spot_is_and_the_network_stays_as_it_was() -> None:
    network = BrightSpot()
    found = SliceGradCam(network)(torch.from_numpy(spotted_slice())[None, None])
    assert found[0].argmax() == 2 * 8 + 5
    assert all(weight.grad is None for weight in network.parameters())
    assert not any(part._forward_hooks or part._backward_hooks for part in network.modules())

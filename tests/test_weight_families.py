"""Families of weights are recognised by their keys, and whatever does not fit is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from small_weights import State, as_radimagenet, as_torchvision, backbone_of, make_network
from torch import Tensor

from custom_transforms.refusal import RefusedError
from custom_transforms.slice_classifier import PARTS, SliceClassifier
from custom_transforms.weight_families import fit_weights, recognise_weights


def load(network: SliceClassifier, state: State) -> str:
    """Load what fits, and return the name of the family."""
    weights = recognise_weights(state, file="w.pt")
    network.load_state_dict(fit_weights(weights, network.state_dict(), file="w.pt"), strict=False)
    return weights.family


@pytest.mark.parametrize(
    ("family", "convert"),
    [
        ("radimagenet_pytorch", lambda state: as_radimagenet(as_torchvision(state))),
        (
            "radimagenet_pytorch",
            lambda state: (
                {f"module.{key}": it for key, it in as_radimagenet(as_torchvision(state)).items()}
                | {"module.linear.weight": torch.zeros(165, 32)}
            ),
        ),
        ("torchvision", as_torchvision),
        ("one_channel", lambda state: state),
        ("one_channel", lambda state: {key: it for key, it in state.items() if "num_batches" not in key}),
    ],
    ids=["radimagenet", "data-parallel with a head", "torchvision", "one channel", "without batch counts"],
)
def test_family_is_recognised_and_gives_the_same_features(family: str, convert: Callable[[State], State]) -> None:
    source, target = make_network(1), make_network(2)
    assert load(target, convert(backbone_of(source))) == family
    x = torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(target.activations(x, len(PARTS)), source.activations(x, len(PARTS)))
    assert torch.equal(target.fc[0].weight, make_network(2).fc[0].weight)


def test_summed_channels_are_those_of_a_grey_image() -> None:
    state = as_torchvision(backbone_of(make_network(1)))
    target = make_network(2)
    load(target, state)
    grey = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(3))
    expected = torch.nn.functional.conv2d(grey.expand(1, 3, 16, 16), state["conv1.weight"], stride=2, padding=3)
    torch.testing.assert_close(target.conv1(grey), expected)


def test_head_of_an_own_checkpoint_is_taken_only_as_a_whole() -> None:
    source, same, other = make_network(1), make_network(2), make_network(2, attention=True)
    load(same, source.state_dict())
    assert torch.equal(same.fc[3].weight, source.fc[3].weight)
    load(other, source.state_dict())
    assert torch.equal(other.fc[3].weight, make_network(2, attention=True).fc[3].weight)
    assert torch.equal(other.conv1.weight, source.conv1.weight)


def test_full_size_network_takes_weights_of_full_size() -> None:
    state = as_radimagenet(as_torchvision(backbone_of(SliceClassifier())))
    assert state["backbone.0.weight"].shape == (64, 3, 7, 7)
    network = SliceClassifier()
    load(network, state)
    assert torch.equal(network.layer4[2].conv3.weight, state["backbone.7.2.conv3.weight"])


def without(key: str) -> Callable[[State], State]:
    return lambda state: {name: it for name, it in state.items() if name != key}


def plus(key: str, tensor: Tensor) -> Callable[[State], State]:
    return lambda state: {**state, key: tensor}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (plus("layer1.0.conv1.bias", torch.zeros(4)), "keras_conversion: .*stride in the first 1x1 convolution"),
        (lambda state: as_radimagenet(plus("conv1.bias", torch.zeros(4))(state)), "keras_conversion"),
        (lambda _: {"conv2_block1_1_conv.weight": torch.zeros(4)}, "keras_conversion"),
        (plus("decoder.weight", torch.zeros(4)), "wrong_family: .*got 'decoder.weight' and 0 more"),
        (lambda state: {"features.norm0.weight": state["bn1.weight"]}, "wrong_family"),
        (lambda _: {}, "wrong_family: .*got none of them"),
        (plus("module.bn1.weight", torch.zeros(4)), "wrong_family: .*bn1.weight under two names"),
        (without("layer3.0.bn2.bias"), r"wrong_shape: .*layer3.0.bn2.bias of shape \(8,\), got absent"),
        (plus("layer1.1.conv1.weight", torch.zeros(4)), "wrong_shape: .*layer1.1.conv1.weight absent"),
        (plus("conv1.weight", torch.zeros(4, 2, 7, 7)), "wrong_shape: .*1 or 3 input channels"),
        (plus("conv1.weight", torch.zeros(4)), "wrong_shape: .*1 or 3 input channels"),
        (plus("bn1.weight", torch.full((4,), torch.nan)), "damaged_weights: .*finite numbers in bn1.weight"),
    ],
)
def test_whatever_does_not_fit_is_refused_and_changes_nothing(change: Callable[[State], State], reason: str) -> None:
    network = make_network(2)
    with pytest.raises(RefusedError, match=reason) as caught:
        load(network, change(backbone_of(make_network(1))))
    assert "\n" not in str(caught.value)
    after, before = network.state_dict(), make_network(2).state_dict()
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_weights_of_another_depth_are_refused() -> None:
    deeper = SliceClassifier(layers=(1, 1, 1, 2), widths=(4, 4, 8, 8))
    with pytest.raises(RefusedError, match=r"wrong_shape: .*expected layer4.1.bn1.bias of shape \(8,\), got absent"):
        load(deeper, backbone_of(make_network(1)))

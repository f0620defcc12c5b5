"""The slice classifier: its size, its names, and that a slice's logit is its own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from custom_transforms.slice_classifier import SliceClassifier

SMALL = {"layers": (1, 1, 1, 1), "widths": (4, 4, 8, 8)}


def make_classifier(**options: bool) -> SliceClassifier:
    """A small classifier whose batch norm does something: statistics as after training."""
    torch.manual_seed(88)
    network = SliceClassifier(**SMALL, **options)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.uniform_(-0.1, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    return network


def slices(number: int = 5, size: int = 64) -> Tensor:
    return torch.randn(number, 1, size, size, generator=torch.Generator().manual_seed(1))


def test_trainable_counts_of_the_curriculum() -> None:
    network = SliceClassifier()
    counts = {name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()}
    assert counts["fc"] == 1_049_601
    assert counts["fc"] + counts["layer4"] == 16_014_337
    assert counts["fc"] + counts["layer4"] + counts["layer3"] == 23_112_705
    assert sum(counts.values()) == 24_551_361


def test_names_are_those_of_torchvision_with_a_head_of_two_layers() -> None:
    names = SliceClassifier(dropout=0.4).state_dict().keys()
    assert {"conv1.weight", "bn1.running_var", "layer1.0.downsample.0.weight", "layer4.2.bn3.bias"} <= names
    assert {name for name in names if name.startswith("fc")} == {"fc.0.weight", "fc.0.bias", "fc.3.weight", "fc.3.bias"}
    assert len(names) == 318 + 4  # torchvision's ResNet-50 has 320, of which its own head has 2
    assert not [name for name in names if "conv" in name and name.endswith("bias")]


@pytest.mark.parametrize(("attention", "outputs"), [(False, 1), (True, 2)])
def test_output_is_a_logit_and_if_asked_for_an_attention_score(attention: bool, outputs: int) -> None:
    network = make_classifier(attention=attention).eval()
    assert network(slices()).shape == (5, outputs)
    assert network.evidence(slices()).shape == (5, 1 + outputs, 2, 2)


def test_slice_does_not_depend_on_its_neighbours_even_in_training() -> None:
    network = make_classifier().train()
    network.fc[2].p = 0.0  # dropout alone may differ
    whole, order = network(slices()), torch.tensor([3, 0, 4, 1, 2])
    assert whole.std() > 1e-3
    torch.testing.assert_close(network(slices()[order]), whole[order])
    torch.testing.assert_close(torch.cat([network(slices()[:2]), network(slices()[2:])]), whole)


def test_training_leaves_frozen_statistics_alone() -> None:
    network = make_classifier().train()
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    network(slices())
    assert all(torch.equal(buffer, before[name]) for name, buffer in network.named_buffers())
    assert network.training
    assert network.fc.training


def test_batch_norm_can_learn_where_it_is_asked_to() -> None:
    network = make_classifier(frozen_batch_norm=False).train()
    before = network.bn1.running_mean.clone()
    network(slices())
    assert not torch.equal(network.bn1.running_mean, before)


def test_evidence_is_the_head_at_each_position_beside_the_outputs_of_the_slice() -> None:
    network = make_classifier(attention=True).eval()
    x, features = slices(2, 96), None

    def keep(_module: object, _inputs: object, output: Tensor) -> None:
        nonlocal features
        features = output

    network.layer4.register_forward_hook(keep)
    evidence = network.evidence(x)
    assert features is not None
    for row in range(3):
        for column in range(3):
            torch.testing.assert_close(evidence[:, :1, row, column], network.fc(features[:, :, row, column]))
            torch.testing.assert_close(evidence[:, 1:, row, column], network(x))


def test_evidence_passes_the_backbone_once() -> None:
    network, calls = make_classifier().eval(), []
    network.conv1.register_forward_hook(lambda *_: calls.append(1))
    network.evidence(slices())
    assert calls == [1]


@pytest.mark.parametrize("attention", [False, True])
def test_torchscript_gives_the_same(attention: bool) -> None:
    network = make_classifier(attention=attention).eval()
    scripted = torch.jit.script(network)
    torch.testing.assert_close(scripted(slices()), network(slices()))
    torch.testing.assert_close(scripted.evidence(slices()), network.evidence(slices()))


def test_channels_last_gives_the_same() -> None:
    network = make_classifier().eval()
    expected = network.evidence(slices())
    network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(network.evidence(slices().to(memory_format=torch.channels_last)), expected)


def test_gradient_reaches_the_first_layer() -> None:
    network = make_classifier()
    network(slices()).sum().backward()
    assert network.conv1.weight.grad.abs().sum() > 0

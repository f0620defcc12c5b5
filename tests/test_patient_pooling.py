"""Pooling of slices: what padding, order, chunks and each way of pooling do."""

from __future__ import annotations

import pytest
import torch

from custom_transforms.autocast import CpuBfloat16Inferer
from custom_transforms.patient_pooling import (
    POOLINGS,
    EvidenceInferer,
    PatientPoolingInferer,
    pool_slices,
    scannable,
)
from custom_transforms.slice_classifier import SliceClassifier

LOGITS = torch.tensor([[1.0, -2.0, 4.0, 3.0], [0.5, -1.0, 99.0, 99.0]])[..., None]
MASK = torch.tensor([[True] * 4, [True, True, False, False]])  # the second patient has two slices


class MeanAndSize(torch.nn.Module):
    """A slice classifier that keeps how many slices it was given at a time."""

    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.outputs = outputs
        self.chunks: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.chunks.append(len(x))
        return x.mean(dim=(2, 3)).expand(-1, self.outputs)

    def evidence(self, x: torch.Tensor) -> torch.Tensor:
        self.chunks.append(len(x))
        return torch.cat([x[..., ::4, ::4], x.mean(dim=(2, 3), keepdim=True).expand(-1, -1, 2, 2)], dim=1)


@pytest.mark.parametrize(
    ("pooling", "expected"), [("max", [4.0, 0.5]), ("mean", [1.5, -0.25]), ("top_k_mean", [8 / 3, -0.25])]
)
def test_padding_never_counts(pooling: str, expected: list[float]) -> None:
    found = pool_slices(LOGITS, MASK, pooling=pooling, top_k=3)
    assert found.shape == (2, 1)
    assert found[:, 0].tolist() == pytest.approx(expected)


def test_attention_weighs_slices_by_the_softmax_of_their_scores() -> None:
    scores = torch.tensor([[0.0, 1.0, 2.0, 0.5], [1.0, 1.0, 9.0, 9.0]])[..., None]
    found = pool_slices(torch.cat([LOGITS, scores], dim=-1), MASK, pooling="attention")
    weights = torch.softmax(scores[0, :, 0], 0)
    assert found[0, 0] == pytest.approx(float((weights * LOGITS[0, :, 0]).sum()))
    assert found[1, 0] == pytest.approx(-0.25)  # equal scores of the two slices that count


@pytest.mark.parametrize("pooling", POOLINGS)
def test_bag_of_one_slice_is_that_slice(pooling: str) -> None:
    outputs = torch.full((1, 1, 2 if pooling == "attention" else 1), 0.7)
    assert float(pool_slices(outputs, torch.ones(1, 1, dtype=torch.bool), pooling=pooling)) == pytest.approx(0.7)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_order_of_slices_does_not_matter(pooling: str) -> None:
    outputs = torch.randn(1, 6, 2 if pooling == "attention" else 1, generator=torch.Generator().manual_seed(1))
    mask = torch.ones(1, 6, dtype=torch.bool)
    expected = pool_slices(outputs, mask, pooling=pooling)
    torch.testing.assert_close(pool_slices(outputs.flip(1), mask, pooling=pooling), expected)


@pytest.mark.parametrize("wrong", ["median", "attention"])
def test_wrong_pooling_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="pooling.*expected"):
        pool_slices(LOGITS, MASK, pooling=wrong)


def test_chunks_change_memory_and_not_the_result() -> None:
    bags = torch.randn(2, 5, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    mask = torch.tensor([[True] * 5, [True, True, False, False, False]])
    whole, small = MeanAndSize(), MeanAndSize()
    expected = PatientPoolingInferer(slices_per_chunk=None)(bags, whole, mask)
    torch.testing.assert_close(PatientPoolingInferer(slices_per_chunk=3)(bags, small, mask), expected)
    assert whole.chunks == [7]  # once, as data-parallel training needs, and without the padding
    assert small.chunks == [3, 3, 1]


def test_gradient_of_max_pooling_reaches_the_most_suspicious_slice_alone() -> None:
    bags = torch.zeros(1, 3, 1, 4, 4)
    bags[0, 1] = 1
    bags.requires_grad_()
    PatientPoolingInferer()(bags, MeanAndSize()).sum().backward()
    assert bags.grad is not None
    assert bags.grad.abs().sum(dim=(0, 2, 3, 4)).tolist() == [0, 1, 0]


def test_maps_carry_the_logits_of_the_pooled_result() -> None:
    bags = torch.randn(1, 5, 1, 8, 8, generator=torch.Generator().manual_seed(3))
    network = MeanAndSize()
    maps = EvidenceInferer(slices_per_chunk=2)(bags, network)
    assert maps.shape == (1, 5, 2, 2, 2)
    assert network.chunks == [2, 2, 1]
    torch.testing.assert_close(maps[..., 1, 0, 0].amax(1, keepdim=True), PatientPoolingInferer()(bags, network))


BAGS = torch.randn(2, 5, 1, 32, 32, generator=torch.Generator().manual_seed(4))
BAG_MASK = torch.tensor([[True] * 5, [True, True, False, False, False]])
STAGES = (["fc"], ["fc", "layer4"], ["fc", "layer4", "layer3"])


def classifier(learning: list[str], **options: bool) -> SliceClassifier:
    """A tiny network in training, of which some layers learn, with statistics as after training."""
    torch.manual_seed(5)
    network = SliceClassifier(layers=(1, 1, 1, 1), widths=(4, 4, 8, 8), **options)
    for name, buffer in network.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    for name, weight in network.named_parameters():
        weight.requires_grad_(name.partition(".")[0] in learning)
    return network.train()


def gradients(network: torch.nn.Module, logits: torch.Tensor) -> dict[str, torch.Tensor]:
    network.zero_grad()
    torch.nn.functional.binary_cross_entropy_with_logits(logits, torch.tensor([[1.0], [0.0]])).backward()
    return {name: weight.grad for name, weight in network.named_parameters() if weight.grad is not None}


def whole(network: SliceClassifier, pooling: str, bags: torch.Tensor = BAGS) -> torch.Tensor:
    """All slices with their gradients, in the same chunks."""
    torch.manual_seed(6)
    outputs = torch.cat([network(chunk) for chunk in bags[BAG_MASK].split(3)])
    padded = torch.zeros(2, 5, outputs.shape[1])
    padded[BAG_MASK] = outputs
    return pool_slices(padded, BAG_MASK, pooling=pooling, top_k=3)


def scanned(network: torch.nn.Module, pooling: str, bags: torch.Tensor = BAGS) -> torch.Tensor:
    torch.manual_seed(6)
    return PatientPoolingInferer(pooling, top_k=3, slices_per_chunk=3)(bags, network, BAG_MASK)


@pytest.mark.parametrize("learning", STAGES, ids=("head", "layer4", "layer3"))
@pytest.mark.parametrize("pooling", ["max", "top_k_mean"])
def test_gradient_of_the_slices_that_carry_is_that_of_the_whole_bag(pooling: str, learning: list[str]) -> None:
    network = classifier(learning)
    logits = whole(network, pooling)
    drawn_next = torch.rand(1)
    expected = gradients(network, logits)
    found_logits = scanned(network, pooling)
    assert torch.equal(torch.rand(1), drawn_next)  # the same random numbers were drawn
    torch.testing.assert_close(found_logits, logits, rtol=0, atol=1e-6)
    found = gradients(network, found_logits)
    assert found.keys() == expected.keys()
    assert {name.partition(".")[0] for name in found} == set(learning)
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() <= 1e-6 * max(1.0, gradient.norm()), name


def test_dropout_is_at_work_and_layers_are_left_as_they_were() -> None:
    network = classifier(["fc"])
    first, second = (PatientPoolingInferer()(BAGS, network, BAG_MASK) for _ in range(2))
    assert not torch.equal(first, second)
    assert all(part.training for part in network.fc)
    assert not [part for part in network.modules() if part._forward_hooks]


def test_equal_slices_have_the_gradient_of_one_of_them() -> None:
    network = classifier(["fc", "layer4"])
    network.fc[2].p = 0.0
    bags = BAGS[:, :1].expand(-1, 5, -1, -1, -1)
    expected, found = (gradients(network, run(network, "max", bags)) for run in (whole, scanned))
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-7)


def kept_bytes(bag: torch.Tensor) -> int:
    """What autograd keeps of a step, but for the network's own weights."""
    network, kept = classifier(["fc", "layer4", "layer3"]), {}
    weights = {weight.data_ptr() for weight in network.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.data_ptr()] = 0 if tensor.data_ptr() in weights else tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = PatientPoolingInferer(slices_per_chunk=4)(bag, network)
    del logits
    return sum(kept.values())


def test_what_is_kept_for_the_gradient_does_not_grow_with_the_bag() -> None:
    few, many = (kept_bytes(torch.randn(1, number, 1, 32, 32)) for number in (8, 64))
    assert many - few <= 64 * 8  # positions of slices; activations of one slice are a hundred times as much
    assert few > 10_000


@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_poolings_of_all_slices_give_a_gradient_to_all(pooling: str) -> None:
    network = classifier(["fc", "attention"], attention=pooling == "attention")
    expected, found = (gradients(network, run(network, pooling)) for run in (whole, scanned))
    for name, gradient in expected.items():
        assert torch.equal(found[name], gradient), name


def test_slices_that_influence_each_other_run_whole() -> None:
    network = classifier(["fc"], frozen_batch_norm=False)
    assert not scannable(network, BAGS)
    assert scannable(network.eval(), BAGS)
    assert not scannable(network.requires_grad_(False), BAGS)


def test_winner_found_in_bfloat16_has_its_gradient_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("custom_transforms.autocast.computes_bfloat16", lambda: True)
    network, bags = classifier(STAGES[2]), BAGS.clone()
    bags[:, 1] *= 4  # one slice stands out by more than rounding
    network.fc[2].p = 0.0
    expected = gradients(network, whole(network, "max", bags))
    found = gradients(network, PatientPoolingInferer(slices_per_chunk=3, scan_bfloat16=True)(bags, network, BAG_MASK))
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() <= 1e-6 * max(1.0, gradient.norm()), name


def test_all_in_bfloat16_still_gives_every_learning_weight_a_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("custom_transforms.autocast.computes_bfloat16", lambda: True)
    network = classifier(STAGES[2])
    found = gradients(network, CpuBfloat16Inferer(PatientPoolingInferer())(BAGS, network, BAG_MASK))
    assert {name for name, weight in network.named_parameters() if weight.requires_grad} == found.keys()

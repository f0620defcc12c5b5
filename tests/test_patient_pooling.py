"""Pooling of slices: what padding, order, chunks and each way of pooling do."""

from __future__ import annotations

import pytest
import torch

from custom_transforms.patient_pooling import POOLINGS, EvidenceInferer, PatientPoolingInferer, pool_slices

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

"""From slices to a patient: run a slice classifier over a bag and pool what it says of each slice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, cast

import torch
from monai.inferers import Inferer

POOLINGS = ("max", "mean", "top_k_mean", "attention")


def pool_slices(
    outputs: torch.Tensor, slice_mask: torch.Tensor, *, pooling: str = "max", top_k: int = 3
) -> torch.Tensor:
    """Pool the outputs of a patient's slices to the patient's logit.

    Args:
        outputs: of the classifier, `(B, K, 1)`: logits; for attention `(B, K, 2)`: logits and attention scores.
        slice_mask: `(B, K)` bool, False where a bag is padded.
        pooling: `max`, the most suspicious slice; `mean` over slices; `top_k_mean`, mean of the `top_k` highest;
            `attention`, mean weighed by the softmax of the scores (Ilse et al., Attention-based Deep Multiple
            Instance Learning, ICML 2018, with logits in the place of features).
        top_k: slices that `top_k_mean` takes, fewer where a bag is shorter.

    Returns:
        `(B, 1)` logits.

    Raises:
        ValueError: unknown pooling, or outputs without the scores that attention needs.
    """
    if pooling not in POOLINGS:
        raise ValueError(f"pooling: expected one of {', '.join(POOLINGS)}, got {pooling}")
    if outputs.shape[-1] != 1 + (pooling == "attention"):
        raise ValueError(f"pooling {pooling}: expected {1 + (pooling == 'attention')} outputs a slice, "
                         f"got {outputs.shape[-1]}")  # fmt: skip
    logits = outputs[..., 0]
    if pooling == "max":
        return logits.masked_fill(~slice_mask, -torch.inf).amax(dim=1, keepdim=True)
    if pooling == "attention":
        weights = outputs[..., 1].masked_fill(~slice_mask, -torch.inf).softmax(dim=1)
        return (weights * logits).sum(dim=1, keepdim=True)
    lengths = slice_mask.sum(dim=1, keepdim=True)
    if pooling == "top_k_mean":
        lengths = lengths.clamp(max=top_k)
        logits = logits.masked_fill(~slice_mask, -torch.inf).sort(dim=1, descending=True).values
        slice_mask = torch.arange(logits.shape[1], device=logits.device) < lengths
    return logits.masked_fill(~slice_mask, 0).sum(dim=1, keepdim=True) / lengths


class PatientPoolingInferer(Inferer):
    """Run a slice classifier over bags and pool to one logit a patient; the network knows nothing of patients.

    Args:
        pooling: see `pool_slices`.
        top_k: see `pool_slices`.
        slices_per_chunk: slices at a time; a few keep a CPU's caches warm and memory low. None runs all at once, as
            data-parallel training must, where the wrapped network may be called once a step.

    Raises:
        ValueError: `top_k` below 1; when called, what `pool_slices` refuses.
    """

    def __init__(self, pooling: str = "max", *, top_k: int = 3, slices_per_chunk: int | None = 8) -> None:
        super().__init__()
        if top_k < 1:
            raise ValueError(f"pooling: expected top_k of at least 1, got {top_k}")
        self.pooling = pooling
        self.top_k = top_k
        self.slices_per_chunk = slices_per_chunk

    def __call__(
        self,
        inputs: torch.Tensor,
        network: Callable[..., torch.Tensor],
        slice_mask: torch.Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> torch.Tensor:
        """Return logits `(B, 1)` of bags `(B, K, 1, H, W)`; without `slice_mask` `(B, K)` all slices count."""
        if slice_mask is None:
            slice_mask = torch.ones(inputs.shape[:2], dtype=torch.bool, device=inputs.device)
        # pooled in float32 also under autocast, as `EvidenceToResultd` does: else the two would differ
        outputs = _by_chunks(network, inputs[slice_mask], self.slices_per_chunk).float()
        padded = outputs.new_zeros(*slice_mask.shape, outputs.shape[-1])
        padded[slice_mask] = outputs
        return pool_slices(padded, slice_mask, pooling=self.pooling, top_k=self.top_k)


class EvidenceNetwork(Protocol):
    """A slice classifier that also says where in the slice it sees evidence."""

    def evidence(self, x: torch.Tensor) -> torch.Tensor:
        """Return `(N, 1 + C, h, w)` for slices `(N, 1, H, W)`: evidence, and the slice's C outputs everywhere."""
        ...


class EvidenceInferer(Inferer):
    """Run a slice classifier over one or more bags and return maps, from which all of a patient's result follows.

    Args:
        slices_per_chunk: slices at a time.
    """

    def __init__(self, slices_per_chunk: int = 8) -> None:
        super().__init__()
        self.slices_per_chunk = slices_per_chunk

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Return `(B, K, 1 + C, h, w)` for bags `(B, K, 1, H, W)`; see `EvidenceNetwork`."""
        network = getattr(network, "predictor", network)  # MONAI Deploy wraps TorchScript, and passes on calls alone
        maps = _by_chunks(cast(EvidenceNetwork, network).evidence, inputs.flatten(0, 1), self.slices_per_chunk)
        return maps.reshape(*inputs.shape[:2], *maps.shape[1:])


def _by_chunks(
    function: Callable[[torch.Tensor], torch.Tensor], slices: torch.Tensor, slices_per_chunk: int | None
) -> torch.Tensor:
    return torch.cat([function(chunk) for chunk in slices.split(slices_per_chunk or len(slices))])

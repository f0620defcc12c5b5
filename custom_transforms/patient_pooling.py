"""From slices to a patient: run a slice classifier over a bag and pool what it says of each slice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, cast

import torch
from monai.inferers import Inferer
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.parallel import DistributedDataParallel

from custom_transforms.autocast import cpu_bfloat16
from custom_transforms.best_model import plain
from custom_transforms.dropout_masks import DropoutMasks

POOLINGS = ("max", "mean", "top_k_mean", "attention")
SCANNED = ("max", "top_k_mean")  # in which few slices get a gradient


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

    Maximum and mean of the top k send a gradient to a few slices only. Where gradients are wanted, all slices are run
    without them, then the slices that carry the result again with them, under the dropout that they had: the gradient
    is that of the whole bag up to rounding, and memory does not grow with the bag. Of slices with equal logits the
    first carries. `mean`, `attention`, and networks in which slices influence each other (`scannable`) run whole.

    A data-parallel network is called once a step, as its ranks must.

    Args:
        pooling: see `pool_slices`.
        top_k: see `pool_slices`.
        slices_per_chunk: slices at a time; a few keep a CPU's caches warm and memory low. None runs all at once.
        scan_bfloat16: run all slices in bfloat16, where a CPU computes it; the gradient stays what it was. A slice can
            carry whose logit is below the highest by no more than bfloat16's error through the network.

    Raises:
        ValueError: `top_k` below 1; when called, what `pool_slices` refuses.
    """

    def __init__(
        self, pooling: str = "max", *, top_k: int = 3, slices_per_chunk: int | None = 8, scan_bfloat16: bool = False
    ) -> None:
        super().__init__()
        if top_k < 1:
            raise ValueError(f"pooling: expected top_k of at least 1, got {top_k}")
        self.pooling = pooling
        self.top_k = top_k
        self.slices_per_chunk = slices_per_chunk
        self.scan_bfloat16 = scan_bfloat16

    def __call__(
        self,
        inputs: torch.Tensor,
        network: Callable[..., torch.Tensor],
        slice_mask: torch.Tensor | None = None,
        passed: Sequence[int] = (),
        *args: Any,
        **kwargs: Any,
    ) -> torch.Tensor:
        """Return logits `(B, 1)` of bags `(B, K, 1, H, W)`; without `slice_mask` `(B, K)` all slices count.

        With `passed`, for each patient the same, bags hold activations `(B, K, …)`; see `SliceClassifier.forward`.
        """
        if slice_mask is None:
            slice_mask = torch.ones(inputs.shape[:2], dtype=torch.bool, device=inputs.device)
        more = {"passed": passed[0]} if passed else {}
        if self.pooling in SCANNED and isinstance(network, nn.Module) and scannable(network, inputs):
            outputs, slice_mask = self._carrying(inputs, network, slice_mask, more)
        else:
            at_once = isinstance(network, DistributedDataParallel)
            size = None if at_once else self.slices_per_chunk
            outputs = _unpacked(_by_chunks(partial(network, **more), inputs[slice_mask], size), slice_mask)
        # pooled in float32 also under autocast, as `EvidenceToResultd` does: else the two would differ
        return pool_slices(outputs.float(), slice_mask, pooling=self.pooling, top_k=self.top_k)

    def _carrying(
        self, inputs: torch.Tensor, network: nn.Module, slice_mask: torch.Tensor, more: Mapping[str, int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return outputs `(B, k, 1)` of the slices that carry the result, and which are no padding, `(B, k)`."""
        masks = DropoutMasks(network)
        with torch.no_grad(), masks.recorded(), cpu_bfloat16(self.scan_bfloat16, inputs):
            scanned = _by_chunks(partial(plain(network), **more), inputs[slice_mask], self.slices_per_chunk)
        torch.clear_autocast_cache()  # weights cast without a gradient get none later, with some of torch's versions
        logits = _unpacked(scanned.float(), slice_mask)[..., 0].masked_fill(~slice_mask, -torch.inf)
        count = 1 if self.pooling == "max" else self.top_k
        carrying = logits.sort(dim=1, descending=True, stable=True).indices[:, :count]
        numbers = slice_mask.flatten().cumsum(0).view_as(slice_mask).gather(1, carrying) - 1  # among those scanned
        with masks.replayed(numbers.flatten().clamp(min=0)):
            patients = torch.arange(len(inputs), device=inputs.device)[:, None]
            outputs = network(inputs[patients, carrying].flatten(0, 1), **more)
        return outputs.reshape(*carrying.shape, -1), slice_mask.gather(1, carrying)


def scannable(network: nn.Module, inputs: torch.Tensor) -> bool:
    """Tell whether a gradient is wanted, and each slice's output is its own, but for `nn.Dropout`."""
    wanted = inputs.requires_grad or any(weight.requires_grad for weight in network.parameters())
    mixing = (_BatchNorm, _DropoutNd)
    alone = not any(isinstance(part, mixing) and part.training and type(part) is not nn.Dropout
                    for part in network.modules())  # fmt: skip
    return torch.is_grad_enabled() and wanted and alone


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


def _unpacked(outputs: torch.Tensor, slice_mask: torch.Tensor) -> torch.Tensor:
    """Put outputs `(N, C)` of slices that are no padding where they belong, `(B, K, C)`."""
    padded = outputs.new_zeros(*slice_mask.shape, outputs.shape[-1])
    padded[slice_mask] = outputs
    return padded

"""Full-size networks whose outputs say something of phantoms, made in seconds.

All layers but the last keep their random start: batch norm takes its statistics from phantom slices, and the last layer
is fitted by least squares. That is no trained network: its decisions are closer to the threshold, so easier to upset.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from monai.bundle import ConfigParser
from torch import nn

from data_lists.phantom_ct import make_head
from data_lists.phantom_mri import make_patient

BUNDLES = Path(__file__).parents[2] / "bundles"
SLICES = 40
LESS = 0.1  # ridge, of the features' mean square; with less, large weights cancel and magnify rounding
Fitted = tuple[nn.Module, torch.Tensor, torch.Tensor]


def fit_classifier() -> Fitted:
    """Give the classifier, 40 slices `(40, 1, 256, 256)` of heads that it was not fitted to, and the head of each."""
    network = _network("ct_metastasis_classifier")
    seen, with_lesion, _ = _heads(range(1, 7))
    new, _, heads = _heads(range(7, 13))
    _calibrate(network, seen)
    _fit(network, network.fc[3], seen, with_lesion[:, None])  # type: ignore[index]
    return network, new[:SLICES], heads[:SLICES]


def fit_segmenter() -> Fitted:
    """Give the U-Net, 155 slices `(155, 4, 240, 240)` of a patient that it was not fitted to, and the tumour there."""
    network = _network("brats_attention_unet")
    seen, tumour = _patient(1, (240, 240, 12))
    _calibrate(network, seen)
    last = [part for part in network.modules() if isinstance(part, nn.Conv2d)][-1]
    _fit(network, last, seen, tumour)
    return network, *_patient(2, (240, 240, 155))


def _network(bundle: str) -> nn.Module:
    parser = ConfigParser()
    parser.read_config(str(BUNDLES / bundle / "configs" / "inference.json"))
    parser.update({"frozen_batch_norm": False})
    torch.manual_seed(88)
    network: nn.Module = parser.get_parsed_content("network_def")
    return network


def _heads(numbers: range) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Window and z-score every third slice with brain, as the bundle's steps do; tell of each its lesion and head."""
    slices, labels, heads = [], [], []
    for number in numbers:
        head = make_head(number)
        shown = np.where(head.brain, np.clip(head.hu / 80.0, 0, 1), 0).astype(np.float32)
        for one, brain, lesion in list(zip(shown, head.brain, head.lesion, strict=True))[::3]:
            if brain.sum() > 4000:
                slices.append(torch.from_numpy(np.where(brain, (one - one[brain].mean()) / one[brain].std(), 0))[None])
                labels.append(bool(lesion.any()))
                heads.append(number)
    return torch.stack(slices).float(), torch.tensor(labels), torch.tensor(heads)


def _patient(number: int, shape: tuple[int, int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    patient = make_patient(number, shape=shape)
    image = torch.from_numpy(patient.image.astype(np.float32)).permute(3, 0, 1, 2).contiguous()
    for channel in image.unbind(1):
        inside = channel[channel != 0]
        channel[channel != 0] = (inside - inside.mean()) / inside.std()
    return image, torch.from_numpy(patient.regions > 0).permute(2, 0, 1)[:, None]


@torch.no_grad()
def _calibrate(network: nn.Module, slices: torch.Tensor) -> None:
    """Let batch norm average over the slices."""
    network.train()
    norms = [part for part in network.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
    for chunk in slices.split(8):
        network(chunk)
    for norm in norms:
        norm.momentum = 0.1  # as the config builds it, by which an export knows its network
    network.eval()


@torch.no_grad()
def _fit(network: nn.Module, last: nn.Module, slices: torch.Tensor, wanted: torch.Tensor) -> None:
    """Fit the last layer by least squares to 1 where `wanted` and -1 elsewhere, both weighing the same."""
    features: list[torch.Tensor] = []
    hook = last.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0].flatten(2) if inputs[0].ndim > 2
                                                                            else inputs[0][..., None]))  # fmt: skip
    for chunk in slices.split(4):
        network(chunk)
    hook.remove()
    rows = torch.cat(features).transpose(1, 2).flatten(0, 1).double()
    rows = torch.cat([rows, torch.ones(len(rows), 1)], dim=1)
    positive = wanted.flatten()
    weights = torch.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum()).double()[:, None]
    square = rows.T @ (rows * weights)
    square += LESS * square.diagonal().mean() * torch.eye(len(square))
    solved = torch.linalg.solve(square, rows.T @ (weights * torch.where(positive, 1.0, -1.0).double()[:, None]))
    last.weight.copy_(solved[:-1].reshape(last.weight.shape))
    last.bias.copy_(solved[-1])  # type: ignore[operator]

"""One training step of the attention U-Net on four slices."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from functools import partial

import torch
from monai.inferers import SimpleInferer
from monai.networks.nets import AttentionUnet
from torch import Tensor, nn

from benchmarks.job import Job
from benchmarks.plain_training import plain_slice_step
from benchmarks.training_steps import Gradients, cosine, count_flops, distance, finish_step
from custom_transforms.autocast import CpuBfloat16Inferer
from custom_transforms.tumour_loss import SmallTumourLoss

BATCH, SIZE = 4, 240
NEAR, ALIKE = 5e-3, 0.99  # against float64 the plain step is 1e-3 off: rounding tips over rectifiers


def unet_jobs() -> Iterator[Job]:
    """In float32 and in bfloat16."""
    torch.manual_seed(0)
    start = AttentionUnet(2, 4, 1, channels=(32, 64, 128, 256, 512), strides=(2, 2, 2, 2), dropout=0.0)
    images, masks = batch()
    for lower in (False, True):
        plain = deepcopy(start)  # anew for each: its steps move it
        optimizer = torch.optim.AdamW(plain.parameters(), lr=3e-4, weight_decay=1e-4)
        precision = "bfloat16" if lower else "float32"
        near = f"gradients, as clipped, differ by up to {NEAR}: some times float32's own error"
        alike = f"cosine of the two gradients at least {ALIKE}: bfloat16 has 8 bits, the angle is what a step is led by"
        yield Job(
            name=f"U-Net training step, batch 4, {precision}",
            baseline=partial(plain_slice_step, plain, optimizer, images, masks),
            ours=SliceStep(start, images, masks, lower=lower),
            equal=(lambda expected, found: cosine(expected, found) >= ALIKE)
            if lower
            else (lambda expected, found: distance(expected, found) <= NEAR),
            tolerance=alike if lower else near,
            flops=count_flops(SliceStep(start, images, masks, lower=lower)),
            precision="bfloat16" if lower else "float32",
            runs=3,
            to_reach=1.8 if lower else None,
            describe=lambda expected, found: (
                f"difference {distance(expected, found):.1e}, cosine {cosine(expected, found):.5f}"
            ),
        )


class SliceStep:
    """A step by the bundle's own inferer, loss and optimizer."""

    def __init__(self, start: nn.Module, images: Tensor, masks: Tensor, *, lower: bool) -> None:
        self.network = deepcopy(start).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=3e-4, weight_decay=1e-4, fused=True)
        self.inferer = CpuBfloat16Inferer(SimpleInferer(), enabled=lower)
        self.loss = SmallTumourLoss()
        self.images, self.masks = images, masks

    def __call__(self) -> Gradients:
        """Segment, learn."""
        self.optimizer.zero_grad()
        self.loss(self.inferer(self.images, self.network), self.masks).backward()
        return finish_step(self.network, self.optimizer)


def batch() -> tuple[Tensor, Tensor]:
    """Four slices of noise in which a disc, of another size in each, is brighter in every modality."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(BATCH, 4, SIZE, SIZE, generator=generator)
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    radii = torch.tensor([0.0, 8.0, 20.0, 40.0])[:, None, None]
    masks = ((rows - 120) ** 2 + (columns - 100) ** 2 < radii**2).float()[:, None]
    return images + 2 * masks, masks

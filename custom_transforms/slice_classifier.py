"""ResNet-50 that gives each CT slice one logit, and a map of where in the slice it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from monai.networks.nets import ResNet
from torch import Tensor, nn

FEATURES = 512  # between the two linear layers of the head
ATTENTION_FEATURES = 128  # L in Ilse et al.
PARTS = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))  # what a slice passes before the head


class SliceClassifier(ResNet):
    """MONAI's ResNet with bottleneck blocks on single-channel slices, under torchvision's names of weights.

    With the defaults it is ResNet-50: 24,551,361 parameters, of which the head has 1,049,601.

    Args:
        dropout: probability of dropping a feature between the two linear layers of the head.
        attention: also score how much a slice is to count for its patient, for pooling by attention.
        frozen_batch_norm: normalise with the running statistics also in training, so that the logit of a slice does
            not depend on the slices that come with it. Without pretrained weights these are mean 0 and variance 1,
            so that nothing is normalised.
        layers: blocks of the four stages.
        widths: channels inside the blocks of the four stages; a stage gives four times as many.

    Reference:
        He et al., Deep Residual Learning for Image Recognition, CVPR 2016.
        Ilse et al., Attention-based Deep Multiple Instance Learning, ICML 2018, equation 8.
    """

    if TYPE_CHECKING:  # TorchScript stumbles over the annotation; MONAI's own head is one linear layer or none
        fc: nn.Sequential  # type: ignore[assignment]

    def __init__(
        self,
        dropout: float = 0.4,
        *,
        attention: bool = False,
        frozen_batch_norm: bool = True,
        layers: Sequence[int] = (3, 4, 6, 3),
        widths: Sequence[int] = (64, 128, 256, 512),
    ) -> None:
        super().__init__(
            "bottleneck",
            list(layers),
            list(widths),
            spatial_dims=2,
            n_input_channels=1,
            conv1_t_size=7,
            conv1_t_stride=2,
            feed_forward=False,
            bias_downsample=False,
        )
        self.fc = nn.Sequential(
            nn.Linear(self.in_planes, FEATURES), nn.ReLU(), nn.Dropout(dropout), nn.Linear(FEATURES, 1)
        )
        self.attention = (
            nn.Sequential(nn.Linear(FEATURES, ATTENTION_FEATURES), nn.Tanh(), nn.Linear(ATTENTION_FEATURES, 1))
            if attention
            else None
        )
        self.frozen_batch_norm = frozen_batch_norm
        self.train()  # a module starts in training mode without being told: the frozen layers must be

    def forward(self, x: Tensor, passed: int = 0) -> Tensor:
        """Classify slices.

        Args:
            x: slices `(N, 1, H, W)`, z-scored over the brain; or what `activations` made of them.
            passed: number of `PARTS` that they have passed by then.

        Returns:
            `(N, 1)` logits; with `attention` `(N, 2)`, logits and attention scores before the softmax.
        """
        if passed < 5:
            x = self.avgpool(self._pass(x, passed, 5)).flatten(1)
        return self._outputs(x)

    def activations(self, x: Tensor, parts: int) -> Tensor:
        """Let slices `(N, 1, H, W)` pass so many of `PARTS`: `(N, C, h, w)`, after all of them pooled, `(N, 2048)`."""
        x = self._pass(x, 0, parts)
        return self.avgpool(x).flatten(1) if parts == len(PARTS) else x

    def frozen_parts(self) -> int:
        """Count the first `PARTS` that do not change in training: their weights do not learn, nor do statistics."""
        learning = [any(weight.requires_grad for name in part for weight in self.get_submodule(name).parameters())
                    for part in PARTS]  # fmt: skip
        return [*learning, True].index(True) if self.frozen_batch_norm else 0

    @torch.jit.export
    def evidence(self, x: Tensor) -> Tensor:
        """Apply the head at every position of the last feature map, beside the slice's own outputs.

        Call it in eval mode: in training mode dropout is drawn for every position anew.

        Args:
            x: slices `(N, 1, H, W)`.

        Returns:
            `(N, 1 + K, h, w)`, h = H / 32 and w = W / 32 rounded up: channel 0 is the logit of each position,
            the K others are what `forward` gives, the same at all positions. Where a slice is positive, the logits
            of positions show which part of it is; their mean is not the logit of the slice, as the head is not linear.
        """
        features = self._pass(x, 0, 5)
        logits = self.fc(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        outputs = self._outputs(self.avgpool(features).flatten(1))[:, :, None, None]
        return torch.cat([logits, outputs.expand(-1, -1, features.shape[2], features.shape[3])], dim=1)

    def train(self, mode: bool = True) -> SliceClassifier:
        """Set training or eval mode; frozen batch norm stays in eval mode."""
        super().train(mode)
        if self.frozen_batch_norm:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def _pass(self, x: Tensor, first: int, last: int) -> Tensor:
        """Return what `PARTS` from `first` up to, and without, `last` make of x; all of them `(N, 2048, h, w)`."""
        if first <= 0 < last:
            x = self.maxpool(self.act(self.bn1(self.conv1(x))))
        if first <= 1 < last:
            x = self.layer1(x)
        if first <= 2 < last:
            x = self.layer2(x)
        if first <= 3 < last:
            x = self.layer3(x)
        if first <= 4 < last:
            x = self.layer4(x)
        return x

    def _outputs(self, features: Tensor) -> Tensor:
        hidden: Tensor = self.fc[1](self.fc[0](features))
        logit: Tensor = self.fc[3](self.fc[2](hidden))
        if self.attention is None:
            return logit
        return torch.cat([logit, self.attention(hidden)], dim=1)

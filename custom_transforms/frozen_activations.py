"""Compute what frozen layers make of each augmented copy once a stage, and read it from disk in every epoch of it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Events
from monai.engines import SupervisedTrainer
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset
from tqdm import tqdm

from custom_transforms.atomic_file import remove_leftovers
from custom_transforms.augmented_copies import ARRAYS, AugmentedCopies
from custom_transforms.best_model import plain
from custom_transforms.cache_estimate import require_room
from custom_transforms.prepared_folder import Arrays, discard, write_arrays
from custom_transforms.prepared_items import PreparedItems, preparing_loader
from custom_transforms.ranks import of_all_ranks
from custom_transforms.slice_classifier import PARTS, SliceClassifier


class FrozenActivations(PreparedItems):
    """Activations of every copy of every patient, after the first parts of a network.

    Args:
        copies: of the patients.
        network: whose first parts do not change.
        parts: how many these are.
        cache_dir: folder of the files, float32. Of a slice of 256x256 ResNet-50 gives 8 kB after all parts, 1 MB
            before layer4, 2 MB before layer3.
        slices_per_chunk: slices at a time.
    """

    ARRAYS = ARRAYS

    def __init__(
        self, copies: AugmentedCopies, network: SliceClassifier, parts: int, cache_dir: Path, *, slices_per_chunk: int
    ) -> None:
        items = [{**item, "copy": number} for item in copies.bags.data for number in range(copies.copies)]
        super().__init__(items, dict, cache_dir)
        self.images = _Images(copies)
        self.network = network
        self.parts = parts
        self.slices_per_chunk = slices_per_chunk
        self.sha256 = _sha256(weight for _, weight in _first(network, parts))

    def settings(self) -> object:
        """Give what makes copies, and the weights."""
        return [self.images.copies.work, self.parts, self.sha256]

    def source_bytes(self, index: int) -> int:
        """Tell the size of the slices that a copy holds, with which that of its activations goes."""
        bags = self.images.copies.bags
        image = bags.bag(index // self.images.copies.copies).image
        return image[: bags.slices_per_bag].nbytes

    def computed(self, index: int) -> Arrays:
        """Run a copy through the parts."""
        return self.to_arrays(self.images[index])

    def to_arrays(self, prepared: Any) -> Arrays:
        """Run `image` `(K, 1, H, W)` of an item through the parts."""
        device = next(self.network.parameters()).device
        chunks = prepared["image"].split(self.slices_per_chunk)
        with torch.no_grad():
            passed = [self.network.activations(chunk.to(device), self.parts).cpu() for chunk in chunks]
        return {"activations": torch.cat(passed).numpy()}

    def prepare(self, *, num_workers: int = 0, description: str = "preparing") -> dict[int, str]:
        """Compute what is missing of this rank's share, with the network in this process and images from workers.

        Returns:
            nothing, as every patient was prepared before.
        """
        share = range(idist.get_rank(), len(self), idist.get_world_size())
        for index in share:
            self.discard_if_damaged(index)
        missing = [index for index in share if not self.folder(index).is_dir()]
        images = preparing_loader(Subset(self.images, missing), num_workers)
        told = tqdm(images, desc=description, unit="copy", disable=idist.get_rank() > 0)
        for index, item in zip(missing, told, strict=True):
            write_arrays(self.to_arrays(item), self.folder(index))
        of_all_ranks(None)  # each waits for all
        return {}


class FrozenActivationsHandler:
    """When an epoch starts with other frozen layers, or other weights of them, compute their activations of all copies.

    Activations of earlier stages are removed then, and all of them when training ends. Several ranks need one folder.
    Attach after what freezes layers, as `CurriculumHandler`.

    Args:
        network: the network.
        copies: what the trainer draws from; it learns from here what was passed.
        folder: of this training alone; empty: nothing is kept, and the copies are made anew each time, with the same
            result.
        slices_per_chunk: slices at a time.
        num_workers: processes that augment.
    """

    def __init__(
        self,
        network: nn.Module,
        copies: AugmentedCopies,
        folder: str | Path,
        *,
        slices_per_chunk: int = 8,
        num_workers: int = 0,
    ) -> None:
        self.network = network
        self.copies = copies
        self.folder = Path(folder) if folder else None
        self.slices_per_chunk = slices_per_chunk
        self.num_workers = num_workers
        self.present: list[tuple[str, int]] | None = None  # weights and how often each was written

    def attach(self, engine: SupervisedTrainer) -> None:
        """Run when an epoch starts, and when training ends."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)
        engine.add_event_handler(Events.COMPLETED, self.remove)

    def __call__(self, engine: SupervisedTrainer) -> None:
        """Compute, if need be."""
        self.copies.epoch = engine.state.epoch
        network = plain(self.network)
        if self.folder is None or not isinstance(network, SliceClassifier):
            return
        parts = network.frozen_parts()
        present = [(name, weight._version) for name, weight in _first(network, parts)]
        if present == self.present:
            return
        self.present, self.copies.passed = present, parts
        if parts:
            self._compute(network, parts, self.folder)
        else:
            told = "no layer before %s is frozen: no activations are kept"
            logging.getLogger(__name__).warning(told, PARTS[0][0])

    def remove(self) -> None:
        """Remove all activations, on the first rank."""
        self.present = None  # a trainer that is started again needs them again
        if self.folder is not None and idist.get_rank() == 0:
            _discard_all(self.folder)
            with suppress(OSError):  # it holds something else, or was never made
                self.folder.rmdir()

    def _compute(self, network: SliceClassifier, parts: int, folder: Path) -> None:
        wanted = FrozenActivations(self.copies, network, parts, folder, slices_per_chunk=self.slices_per_chunk)
        self.copies.folders = [wanted.folder(index) for index in range(len(wanted))]
        if idist.get_rank() == 0:
            remove_leftovers(folder)
            _discard_all(folder, but=self.copies.folders)
        require_room([wanted])
        wanted.prepare(num_workers=self.num_workers, description=f"activations before {[*PARTS, ('fc',)][parts][0]}")


class _Images(Dataset[dict[str, Any]]):
    """Copies one after the other, as workers make them."""

    def __init__(self, copies: AugmentedCopies) -> None:
        self.copies = copies

    def __len__(self) -> int:
        return len(self.copies) * self.copies.copies

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.copies.copy(*divmod(index, self.copies.copies))


def _discard_all(folder: Path, but: Collection[Path] = ()) -> None:
    """Remove activations, and nothing else that lies there: somebody may name a folder that has other things in it."""
    for old in folder.glob("[0-9a-f]" * 32):
        if old not in but and (old / f"{ARRAYS[0]}.npy").is_file():
            discard(old)


def _first(network: SliceClassifier, parts: int) -> list[tuple[str, Tensor]]:
    """Give weights and statistics of the first parts, by name."""
    names = {name for part in PARTS[:parts] for name in part}
    return [
        (name, weight) for name, weight in network.state_dict(keep_vars=True).items() if name.split(".")[0] in names
    ]


def _sha256(weights: Iterable[Tensor]) -> str:
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()

"""What this machine has for the bundles, what it lacks, and the command that mends it.

Nothing beyond Python's own library is needed to import this: it must speak where the installation is broken.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from custom_transforms.resources import available_memory_bytes, free_disk_bytes, readable_size

PROJECT = "neuro-oncology-bundles"
OLDEST_PYTHON, NEWEST_PYTHON = (3, 10), (3, 13)
# The process that reads a study may take 4 GiB (`runs.limits`), and what works on it is given as much; a prepared
# patient of BraTS has seven volumes of 240x240x155, 0.1 GB, and a data set hundreds; a container's own 64 MB of shared
# memory hold no batch.
ENOUGH_MEMORY, ENOUGH_DISK, ENOUGH_SHARED = 8e9, 10e9, 1e9
EXTRAS = {
    "cv2": ("fast", "a CT's brain eight times faster"),
    "h5py": ("h5", "h5 slices"),
    "highdicom": ("dicom", "results in DICOM"),
    "huggingface_hub": ("hub", "weights from the hub"),
    "ray": ("ray", "clusters"),
}
SYNTAXES = {
    "JPEG lossless": "1.2.840.10008.1.2.4.70",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
    "HTJ2K": "1.2.840.10008.1.2.4.201",
    "RLE": "1.2.840.10008.1.2.5",
}


class Finding(NamedTuple):
    """One line of the report.

    Attributes:
        name: of what was looked at.
        found: what is there, in words.
        remedy: the command or advice that mends a lack; empty where nothing is lacking.
        needed: false where the bundles run without.
    """

    name: str
    found: str
    remedy: str = ""
    needed: bool = True


def examine(folder: Path) -> Iterator[Finding]:
    """Look at interpreter, packages, decoders, GPU, memory, disk and the right to write.

    Args:
        folder: where results will be written.
    """
    version = sys.version_info[:2]
    fits = OLDEST_PYTHON <= version <= NEWEST_PYTHON
    remedy = "" if fits else "make PYTHON=python3.12, with a Python of 3.10 to 3.13"
    yield Finding("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}", remedy)
    for name, look in ((PROJECT, _packages), ("compressed DICOM", _decoders), ("torch", _torch)):
        yield from _or_broken(name, look)
    yield from _extras()
    yield from _room(folder)


def _packages() -> Iterator[Finding]:
    """The project and what it requires, version by version."""
    try:
        required = [line for line in metadata.requires(PROJECT) or [] if "extra ==" not in line]
    except metadata.PackageNotFoundError:
        yield Finding(PROJECT, "not installed", "pip install .")
        return
    faults = [fault for line in required if (fault := _fault_of(line))]
    found = f"{metadata.version(PROJECT)} with {len(required)} packages"
    yield Finding(PROJECT, "; ".join([found, *faults]), "pip install --upgrade ." if faults else "")
    shown = ("monai", "torch", "numpy", "pydicom", "nibabel", "itk")
    yield Finding("versions", ", ".join(f"{name} {_version(name)}" for name in shown))


def _fault_of(line: str) -> str:
    """What is wrong with a required package; empty where nothing is."""
    from packaging.requirements import Requirement  # comes with matplotlib

    requirement = Requirement(line)
    version = _version(requirement.name)
    fits = version and requirement.specifier.contains(version.partition("+")[0], prereleases=True)
    return "" if fits else f"{line} wanted, {version or 'none'} found"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _or_broken(name: str, look: Callable[[], Iterator[Finding]]) -> list[Finding]:
    try:
        return list(look())
    except Exception as error:  # a broken installation can raise anything
        return [Finding(name, f"broken: {type(error).__name__}", "pip install .")]


def _decoders() -> Iterator[Finding]:
    from pydicom.uid import UID

    from custom_transforms.dicom.decoders import has_decoder

    lacking = [name for name, uid in SYNTAXES.items() if not has_decoder(UID(uid))]
    there = ", ".join(name for name in SYNTAXES if name not in lacking)
    found = f"{there or 'none'}{'; not ' + ', '.join(lacking) if lacking else ''}"
    yield Finding("compressed DICOM", found, "pip install '.[dicom]'" if lacking else "", needed=False)


def _torch() -> Iterator[Finding]:
    import torch

    yield Finding("processor", f"{os.cpu_count()} cores, torch uses {torch.get_num_threads()} threads")
    if torch.cuda.is_available():
        devices = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
        found = ", ".join(f"{device.name} {readable_size(device.total_memory)}" for device in devices)
        yield Finding("GPU", f"{found}, CUDA {torch.version.cuda}")
        return
    has_driver, build = Path("/proc/driver/nvidia").exists(), torch.version.cuda
    remedy = "pip install a build of torch for CUDA: https://pytorch.org" if has_driver and not build else ""
    yield Finding("GPU", "none; everything runs on the processor, only slower", remedy, needed=False)


def _extras() -> Iterator[Finding]:
    for module, (extra, use) in EXTRAS.items():
        there = importlib.util.find_spec(module) is not None
        remedy = "" if there else f"pip install '.[{extra}]'"
        yield Finding(use, "there" if there else "not there", remedy, needed=False)


def _room(folder: Path) -> Iterator[Finding]:
    memory = available_memory_bytes()
    little = memory is not None and memory < ENOUGH_MEMORY
    found = "unknown" if memory is None else f"{readable_size(memory)} free"
    yield Finding("memory", found, "smaller batches, --num_workers 0" if little else "", needed=False)
    temporary = Path(tempfile.gettempdir())
    for name, place in (("results", folder), ("temporary files", temporary)):
        free, may = free_disk_bytes(place), _can_write(place)
        remedy = f"write access to {place}" if not may else ("more room" if free < ENOUGH_DISK else "")
        found = f"{place}: {readable_size(free)} free{'' if may else ', not writable'}"
        yield Finding(name, found, remedy, needed=not may)
    shared = Path("/dev/shm")
    if shared.is_dir() and free_disk_bytes(shared) < ENOUGH_SHARED:
        found = f"{readable_size(free_disk_bytes(shared))} free"
        yield Finding("shared memory", found, "docker run --shm-size=8g, or --num_workers 0", needed=False)


def _can_write(folder: Path) -> bool:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    try:
        with tempfile.TemporaryFile(dir=there):
            return True
    except OSError:
        return False

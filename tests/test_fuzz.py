"""Damaged files of every kind are read or refused: no other error, no hang, no more memory than 2 GiB.

A decoder written in C may end the process that reads; that is survived, told as `killed_worker`, and may happen to one
mutant in `MUTANTS_A_DEATH` of the kinds that such a decoder reads, and to none of the others.
"""

from __future__ import annotations

import gzip
import io
import re
import shutil
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from conftest import ROOT
from ct_files import ct_dataset, enhanced_dataset, save, stored_slices, write_series
from mutants import mutant, with_odd_tags
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import FileDataset
from sizes import MUTANTS, SOAK
from small_cases import ENDINGS_2018, add_case
from small_cases import save as save_nifti

from custom_transforms.identifying import holds_identity
from custom_transforms.isolated_readers import read_ct_isolated, read_patient_isolated
from custom_transforms.refusal import RefusedError
from custom_transforms.runs import isolation
from custom_transforms.runs.limits import Limits
from custom_transforms.study_folders import find_studies

LIMITS = Limits(seconds=120)  # memory is measured, below what is allowed
MOST_BYTES = 2 << 30
MUTANTS_A_DEATH = 500
SYNTAXES = {
    "implicit": uid.ImplicitVRLittleEndian,
    "explicit": uid.ExplicitVRLittleEndian,
    "big endian": uid.ExplicitVRBigEndian,
    "deflated": uid.DeflatedExplicitVRLittleEndian,
    "rle": uid.RLELossless,
}
if int(pydicom.__version__.partition(".")[0]) >= 3:  # before, it writes neither
    SYNTAXES |= {"jpeg-ls": uid.JPEGLSLossless, "jpeg 2000": uid.JPEG2000Lossless}
STUDIES = ("series", "enhanced", "zip", "nifti", "nifti gz", "image", "mask")
REAL = ("1.2.4.50", "1.2.4.57", "1.2.4.70", "1.2.4.91")  # JPEG and lossy JPEG 2000, which nothing here can write
CODECS = ("jpeg-ls", "jpeg 2000", *REAL)
EACH = -(-MUTANTS // (len(SYNTAXES) + len(STUDIES)))
EACH_REAL = EACH // 4  # they are large, and come on top
SOURCES = [*(ROOT / "custom_transforms").glob("*.py"), *(ROOT / "custom_transforms").glob("*/*.py")]
REFUSALS = {code for file in SOURCES for code in re.findall(r'RefusedError\.of\(\s*"(\w+)"', file.read_text())}
REFUSALS |= {"several_series", "mixed_series", "surplus_pixels", "truncated_pixels", "killed_worker", "too_large"}
REFUSALS |= {"only_localizers", "only_derived_images", "only_captures", "only_other_objects"}

Read = Callable[[Path], NDArray[np.float32]]
Spoil = Callable[[bytes, np.random.Generator], bytes]


def read_scan(path: Path) -> NDArray[np.float32]:
    return read_ct_isolated(path, limits=LIMITS).hu


def read_case(folder: Path) -> NDArray[np.float32]:
    *image, label = (folder / f"A{ending}.nii.gz" for ending in ENDINGS_2018)
    return read_patient_isolated(image, label=label, codes={"oedema": 2}, limits=LIMITS)[0]


def by_tags(data: bytes, rng: np.random.Generator) -> bytes:
    """Spoil tags of a DICOM file, and write it again."""
    written = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with_odd_tags(pydicom.dcmread(io.BytesIO(data)), rng).save_as(written)
    return written.getvalue()


def inside_gzip(data: bytes, rng: np.random.Generator) -> bytes:
    """Spoil what a gzip file holds; the file itself is sound."""
    return gzip.compress(mutant(gzip.decompress(data), rng), 1, mtime=0)


def outcome(read: Read, path: Path) -> str:
    task = "brats" if read is read_case else "ct"
    assert [name for name, _ in find_studies(path, task)] == ["."]  # in this process, as the next, and raises nothing
    assert holds_identity("nobody", path) in (True, False)  # a spoilt name may be "obo"
    try:
        return "read" if np.isfinite(read(path)).all() else "not finite"
    except RefusedError as error:
        return error.reason_code if "files that can be read" not in str(error) else f"not foreseen: {error}"


def outcomes(
    path: Path, file: Path, ways: tuple[Spoil, ...], rng: np.random.Generator, count: int = EACH
) -> Counter[str]:
    """Spoil a file of a sound study in each way in turn, and count how reading the study ends."""
    read = read_case if file.parent.name == "A" else read_scan
    assert np.isfinite(read(path)).all()
    assert peak_bytes() > 0
    sound = file.read_bytes()
    counted: Counter[str] = Counter()
    for index in range(count):
        file.write_bytes(ways[index % len(ways)](sound, rng))
        counted[outcome(read, path)] += 1
        assert peak_bytes() < MOST_BYTES
    file.write_bytes(sound)
    return counted


def peak_bytes() -> int:
    """The most memory that the reading process has taken; 0 where there is none any more."""
    status = Path(f"/proc/{isolation.worker_pid()}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def check(
    kind: str, counted: Counter[str], caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    deaths = sum(record.name == isolation.__name__ for record in caplog.records)  # pydicom warns here too
    if SOAK:
        with capsys.disabled():
            print(f"\n{kind}: {sum(counted.values())} mutants, {deaths} deaths of a worker, {dict(counted)}")
    assert set(counted) <= {"read", *REFUSALS}
    assert counted["killed_worker"] <= deaths
    assert counted["killed_worker"] <= (1 + sum(counted.values()) // MUTANTS_A_DEATH if kind in CODECS else 0)


def seed(kind: str) -> np.random.Generator:
    return np.random.default_rng([88, *kind.encode()])


@pytest.mark.parametrize("kind", SYNTAXES)
def test_dicom(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "one.dcm"
    in_syntax(ct_dataset(smooth(), 0.0, 1), SYNTAXES[kind]).save_as(file)
    check(kind, outcomes(file, file, (mutant, by_tags), seed(kind)), caplog, capsys)


@pytest.mark.parametrize("syntax", REAL)
def test_real_dicom(
    syntax: str,
    real_scans: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (source,) = (real_scans / "ct_transfer_syntaxes").glob(f"*_1.2.840.10008.{syntax}.dcm")
    file = Path(shutil.copyfile(source, tmp_path / "one.dcm"))
    check(syntax, outcomes(file, file, (mutant, by_tags), seed(syntax), EACH_REAL), caplog, capsys)


@pytest.mark.parametrize("kind", STUDIES)
def test_studies(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    path, file, ways = make(kind, tmp_path)
    check(kind, outcomes(path, file, ways, seed(kind)), caplog, capsys)


def make(kind: str, folder: Path) -> tuple[Path, Path, tuple[Spoil, ...]]:
    """Write a sound study; give its path, the file of it to spoil, and the ways."""
    if kind == "enhanced":
        file = save(enhanced_dataset(stored_slices(5), 5.0 * np.arange(5)), folder / "one.dcm")
        return file, file, (mutant, by_tags)
    if kind in ("series", "zip"):
        series = write_series(folder / "study", stored_slices(4))
        if kind == "series":
            return series, series / "010.dcm", (mutant, by_tags)
        file = folder / "study.zip"
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for slice_ in sorted(series.iterdir()):
                archive.writestr(zipfile.ZipInfo(slice_.name), slice_.read_bytes())  # of 1980: equal in every run
        return file, file, (mutant,)
    if kind in ("image", "mask"):
        case = add_case(folder, "A", seed=1) / "A"
        return case, case / ("A_t1.nii.gz" if kind == "image" else "A_seg.nii.gz"), (mutant, inside_gzip)
    file = folder / ("one.nii.gz" if "gz" in kind else "one.nii")
    save_nifti(file, stored_slices(6))
    return file, file, (mutant, inside_gzip) if "gz" in kind else (mutant,)


def smooth() -> NDArray[np.int16]:
    """A small image as codecs like them."""
    x, y = np.mgrid[:32, :32]
    return np.asarray(20 * x + y * y - 1000, dtype=np.int16)


def in_syntax(image: FileDataset, syntax: uid.UID) -> FileDataset:
    """Turn an explicit little endian image into another transfer syntax."""
    if syntax.is_encapsulated:
        image.compress(syntax)
    elif not syntax.is_little_endian:
        image.PixelData = np.frombuffer(image.PixelData, "<i2").astype(">i2").tobytes()
    image.file_meta.TransferSyntaxUID = syntax
    encoding = {"is_implicit_VR": syntax.is_implicit_VR, "is_little_endian": syntax.is_little_endian}
    return FileDataset("", dict(image), file_meta=image.file_meta, preamble=image.preamble, **encoding)

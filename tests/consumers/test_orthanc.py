"""Orthanc holds head CTs, MONAI Label reads them from there over DICOMweb, and what it finds goes back as DICOM SEG."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
import pytest
import torch
from conftest import CT, ROOT, run_bundle
from pydicom import dcmread
from pydicom.dataset import Dataset
from served_bundles import Server, serve, write_bundles

from custom_transforms.dicom.find_slices import slices_of_series
from data_lists.phantom_ct import make_head
from data_lists.phantom_dicom import write_series

pytestmark = pytest.mark.consumer


class Place(NamedTuple):
    """Both programs, their words, and the bundle that is served."""

    store: str
    server: Server
    log: Path
    bundle: Path


def ask(url: str, body: bytes | None = None) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, body), timeout=60) as answer:
        return bytes(answer.read())


@contextmanager
def start_store(folder: Path) -> Iterator[str]:
    """Start Orthanc as `make orthanc` does, and end it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder.parent / "orthanc.txt").open("w+") as words:
        command = [ROOT / "scripts/orthanc.sh", folder, str(port)]
        process = subprocess.Popen(command, stdout=words, stderr=subprocess.STDOUT)
        try:
            while True:
                if process.poll() is not None:
                    pytest.fail((folder.parent / "orthanc.txt").read_text()[-500:])
                try:
                    ask(f"http://127.0.0.1:{port}/system")
                    break
                except OSError:
                    time.sleep(0.2)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            status = process.wait(60)
    assert status == 0


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("orthanc")
    bundle = write_bundles(folder / "bundles") / CT.name
    raise_outputs(bundle / "models/model.pt")
    cache = {"MONAI_LABEL_DICOMWEB_CACHE_PATH": str(folder / "cache")}
    log = folder / "monailabel.txt"
    with (
        start_store(folder / "store") as store,
        serve(f"{store}/dicom-web", folder / "bundles", log, **cache) as server,
    ):
        yield Place(store, server, log, bundle)


def raise_outputs(weights: Path) -> None:
    """Have random weights find something."""
    state = torch.load(weights)
    state["fc.3.bias"] += 2
    torch.save(state, weights)


def upload(store: str, files: list[Path]) -> list[Dataset]:
    for file in files:
        ask(f"{store}/instances", file.read_bytes())
    return [dcmread(file) for file in files]


def from_feet_to_head(images: list[Dataset]) -> list[Dataset]:
    by_uid = {str(image.SOPInstanceUID): image for image in images}
    return [by_uid[uid] for uid in slices_of_series(images, "series").uids]


def write_phantom(folder: Path, index: int) -> list[Path]:
    folder.mkdir()
    write_series(make_head(index, matrix=192), folder, name=f"TEST-{index:04d}")
    return sorted(folder.iterdir())


def store_region(place: Place, uid: str) -> tuple[float, Dataset]:
    """Let a user's command run, and give the probability and what is in the store since."""
    places = ["--server", place.server.address, "--dicomweb", f"{place.store}/dicom-web"]
    command = [sys.executable, ROOT / "scripts/store_region.py", uid, *places]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    said = json.loads(done.stdout)
    (series,) = json.loads(ask(f"{place.store}/tools/lookup", said["segmentation"].encode()))
    (instance,) = json.loads(ask(f"{place.store}/series/{series['ID']}/instances"))
    return said["patient_probability"], dcmread(io.BytesIO(ask(f"{place.store}/instances/{instance['ID']}/file")))


def check_against_local(place: Place, files: list[Path], folder: Path) -> None:
    """Probability and, slice by slice, the voxels in the store are those of local inference on the same files."""
    images = from_feet_to_head(upload(place.store, files))
    probability, segmentation = store_region(place, images[0].SeriesInstanceUID)
    options = {"bundle_root": place.bundle, "output_dir": folder, "dataset::data": [{"image": str(files[0].parent)}]}
    done = run_bundle("inference", "inference", bundle=place.bundle, **options)
    assert done.returncode == 0, done.stderr[-2000:]
    (record,), (mask,) = folder.glob("*[!y].json"), folder.glob("*_region.nii.gz")
    local = json.loads(record.read_text())["patient_probability"]
    assert probability == pytest.approx(local, abs=1e-5)  # other versions of numpy and scipy
    numbers = {image.SOPInstanceUID: number for number, image in enumerate(images)}
    voxels = np.zeros((len(images), images[0].Rows, images[0].Columns), bool)
    frames = segmentation.pixel_array.reshape(-1, *voxels.shape[1:])
    for frame, groups in zip(frames, segmentation.PerFrameFunctionalGroupsSequence, strict=True):
        number = numbers[groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID]
        voxels[number] = frame
        assert groups.PlanePositionSequence[0].ImagePositionPatient == images[number].ImagePositionPatient
    np.testing.assert_array_equal(voxels, np.asarray(nib.load(mask).dataobj).transpose(2, 1, 0) > 0)
    assert voxels.any()
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID"):
        assert segmentation[keyword].value == images[0][keyword].value


def test_phantom_with_tilt_and_uneven_slices_comes_back_as_local_inference_has_it(place: Place, tmp_path: Path) -> None:
    check_against_local(place, write_phantom(tmp_path / "head", 2), tmp_path / "local")


def test_real_head_comes_back_as_local_inference_has_it(place: Place, tmp_path: Path, real_scans: Path) -> None:
    files = sorted(path for path in (real_scans / "head_ct_ge").iterdir() if b"DICM" in path.read_bytes()[128:132])
    check_against_local(place, files, tmp_path / "local")


def test_series_that_lacks_a_slice_is_refused(place: Place, tmp_path: Path) -> None:
    files = write_phantom(tmp_path / "head", 7)
    middle = from_feet_to_head([dcmread(file) for file in files])[len(files) // 2]
    images = upload(place.store, [file for file in files if dcmread(file).SOPInstanceUID != middle.SOPInstanceUID])
    with pytest.raises(urllib.error.HTTPError, match="500"):
        place.server.infer(CT.name, images[0].SeriesInstanceUID, output="json")
    ends = time.monotonic() + 60  # it answers first and logs then
    while "missing_slice" not in place.log.read_text():
        assert time.monotonic() < ends
        time.sleep(0.5)


def test_store_answers_this_machine_alone(place: Place) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; tells by which address other machines know this one
        own = probe.getsockname()[0]
    with pytest.raises(OSError, match="401|refused"):  # Orthanc before 1.12.10 answers, but says nothing
        ask(place.store.replace("127.0.0.1", own) + "/dicom-web/studies")

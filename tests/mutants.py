"""Spoil the bytes of valid files, the same way for the same seed."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

Way = Callable[[bytearray, np.random.Generator], None]

LENGTHS = (0, 1, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
HEADER = 1024  # bytes, where most of what a parser decides by lies
NUMBERS = ("0", "-1", "1e-300", "1e300", "-1e300", "nan", "inf", "99999999999", "4294967295", "3.7", "", "x", "1\\2\\3")
WORDS = ("", "\0", "x" * 70, "1.2.840.10008.1.2.4.50", "MONOCHROME1", "RGB", "\\\\", "é")


def mutant(data: bytes, rng: np.random.Generator) -> bytes:
    """Spoil bytes in one to three ways."""
    spoilt = bytearray(data)
    for way in rng.choice(len(WAYS), size=rng.integers(1, 4)):
        if len(spoilt) > 16:
            WAYS[way](spoilt, rng)
    return bytes(spoilt)


def _place(data: bytearray, rng: np.random.Generator, room: int = 8) -> int:
    """Anywhere in half of the cases, else in the header."""
    end = max(len(data) - room, 1)
    return int(rng.integers(min(end, HEADER) if rng.random() < 0.5 else end))


def _block(data: bytearray, rng: np.random.Generator) -> slice:
    start = _place(data, rng)
    return slice(start, start + int(rng.integers(1, max(len(data) // 4, 2))))


def flip_bits(data: bytearray, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(1, 17)):
        data[_place(data, rng)] ^= 1 << int(rng.integers(8))


def cut(data: bytearray, rng: np.random.Generator) -> None:
    del data[_place(data, rng) :]


def remove_block(data: bytearray, rng: np.random.Generator) -> None:
    del data[_block(data, rng)]


def repeat_block(data: bytearray, rng: np.random.Generator) -> None:
    block = _block(data, rng)
    data[block.start : block.start] = data[block] * int(rng.integers(1, 4))


def swap_blocks(data: bytearray, rng: np.random.Generator) -> None:
    size = int(rng.integers(1, max(len(data) // 8, 2)))
    one, other = _place(data, rng, size), _place(data, rng, size)
    data[one : one + size], data[other : other + size] = data[other : other + size], data[one : one + size]


def set_length(data: bytearray, rng: np.random.Generator) -> None:
    width, order = int(rng.choice([2, 4, 8])), ("little", "big")[rng.integers(2)]
    number = LENGTHS[rng.integers(len(LENGTHS))] & ((1 << 8 * width) - 1)
    start = _place(data, rng) & ~1
    data[start : start + width] = number.to_bytes(width, order)  # type: ignore[arg-type]


def fill_block(data: bytearray, rng: np.random.Generator) -> None:
    start = _place(data, rng)
    size = min(int(rng.integers(1, 65)), len(data) - start)
    data[start : start + size] = rng.bytes(size) if rng.random() < 0.5 else bytes([int(rng.choice([0, 255]))]) * size


WAYS: tuple[Way, ...] = (flip_bits, cut, remove_block, repeat_block, swap_blocks, set_length, fill_block)


def with_odd_tags(image: Dataset, rng: np.random.Generator) -> Dataset:
    """Take tags away, at any depth, or give them values that they cannot have."""
    spoilt = copy.deepcopy(image)
    for _ in range(rng.integers(1, 4)):
        home = spoilt
        while len(home):
            element = home[list(home.keys())[rng.integers(len(home))]]
            if element.VR != "SQ" or rng.random() < 0.2 or not element.value:
                _spoil(home, element, rng)
                break
            home = element.value[rng.integers(len(element.value))]
    return spoilt


def _spoil(home: Dataset, element: DataElement, rng: np.random.Generator) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if rng.random() < 0.3:
            del home[element.tag]
        elif element.VR == "US":
            home.add(DataElement(element.tag, "US", [int(rng.choice([0, 1, 2, 7, 32, 4097, 65535]))]))
        elif element.VR in ("OW", "OB"):
            start, rest = element.value[:4], element.value[4:]  # pydicom looks at the start before it writes
            home.add(DataElement(element.tag, element.VR, start + mutant(rest, rng)))
        elif element.VR in ("DS", "IS"):
            home.add(DataElement(element.tag, "LO", NUMBERS[rng.integers(len(NUMBERS))]))
        else:
            home.add(DataElement(element.tag, "LO", WORDS[rng.integers(len(WORDS))]))

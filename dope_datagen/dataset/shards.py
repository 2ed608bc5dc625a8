"""Zarr v3 shards of byte strings: one row per image, zero-padded, compressed; written whole, read one row at a time.

Reading goes straight to the shard's index, since Zarr's general path costs a millisecond per array and image.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import zarr
from numcodecs.zstd import Zstd
from zarr.codecs import ZstdCodec

from dope_ros2.common.errors import UserError

SHARD = 256  # images in a file
MISSING = 2**64 - 1
CRC_BYTES = 4


def create(path: Path, rows: int, width: int) -> None:
    """Create an array (rows, width) uint8: an inner chunk is one row, a shard 256 rows.

    Zarr leaves out what equals the fill value, a whole shard too, so it is a value that no row is full of: zeros are
    the masks of images without a target.
    """
    zarr.create_array(
        str(path),
        shape=(rows, width),
        dtype="u1",
        chunks=(1, width),
        shards=(SHARD, width),
        compressors=ZstdCodec(level=1),
        fill_value=255,
    )


def chunk_file(path: Path, shard: int) -> Path:
    """The file of a shard."""
    return path / "c" / str(shard) / "0"


def write(path: Path, shard: int, rows: list[bytes], scratch: Path) -> Path:
    """Write one shard's rows into a copy of the array under `scratch`; returns the file to be renamed."""
    copy = scratch / path.name
    copy.mkdir(parents=True)
    shutil.copy(path / "zarr.json", copy)
    array = zarr.open_array(str(copy), mode="r+")
    width = array.shape[1]
    block = np.zeros((len(rows), width), np.uint8)
    for row, content in zip(block, rows, strict=True):
        if len(content) > width:
            raise UserError(
                f"{path}: {len(content)} bytes do not fit into its rows of {width}; put fewer objects in an image, "
                "or store it with a lower jpeg_quality"
            )
        row[: len(content)] = np.frombuffer(content, np.uint8)
    start = shard * SHARD
    array[start : start + len(rows)] = block
    return chunk_file(copy, shard)


def verify(path: Path, shard: int) -> None:
    """Let Zarr read the first row of a shard, which compares the checksum of the shard's index.

    Raises:
        OSError, ValueError, RuntimeError: the file is damaged.
    """
    zarr.open_array(str(path), mode="r")[shard * SHARD]


@dataclass
class Reader:
    """Rows of an array by number; safe to send to another process.

    Attributes:
        path: the array's folder.
    """

    path: Path
    _indices: dict[int, np.ndarray] = field(default_factory=dict)
    _files: dict[int, int] = field(default_factory=dict)

    def __getstate__(self) -> dict:
        return {"path": self.path, "_indices": {}, "_files": {}}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)

    def row(self, number: int) -> bytes:
        """The content of a row, with its padding.

        Raises:
            KeyError: the row's shard has not been written.
        """
        shard, place = divmod(number, SHARD)
        if shard not in self._files:
            self._open(shard)
        offset, length = (int(v) for v in self._indices[shard][place])
        if offset == MISSING:  # Zarr leaves out rows of nothing but zeros, such as the mask of an empty scene
            return bytes(self.width)
        return Zstd().decode(os.pread(self._files[shard], length, offset))

    @cached_property
    def width(self) -> int:
        """Bytes in a row."""
        return json.loads((self.path / "zarr.json").read_text())["shape"][1]

    def _open(self, shard: int) -> None:
        try:
            handle = os.open(chunk_file(self.path, shard), os.O_RDONLY)
        except FileNotFoundError as error:
            raise KeyError(shard * SHARD) from error
        size, length = os.fstat(handle).st_size, SHARD * 16
        index = os.pread(handle, length, size - length - CRC_BYTES)
        self._files[shard] = handle
        self._indices[shard] = np.frombuffer(index, "<u8").reshape(SHARD, 2)

    def __del__(self) -> None:
        for handle in self._files.values():
            os.close(handle)

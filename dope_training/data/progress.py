"""Where in the data a run is."""

from __future__ import annotations

from typing import NamedTuple


class DataPosition(NamedTuple):
    """How far a run is in its data: the epoch, from 0, and how many images of it have been trained on."""

    epoch: int = 0
    seen: int = 0

    def after(self, pictures: int, length: int) -> DataPosition:
        """The place so many images later, in epochs of `length` images."""
        epochs, seen = divmod(self.seen + pictures, length)
        return DataPosition(self.epoch + epochs, seen)

"""What belief and affinity maps mean.

Cell (i, j) of a map at stride s is centred at pixel (s j + (s - 1) / 2, s i + (s - 1) / 2).
"""

from __future__ import annotations

from dataclasses import dataclass

OFFSET_SCALE = 10.0  # cells; votes are divided by it so that the network's outputs are near one


@dataclass(frozen=True)
class MapSpec:
    """How maps are drawn.

    Attributes:
        stride: pixels per cell.
        sigma: standard deviation of a keypoint's Gaussian [cells].
        affinity: "unit", unit vectors from corner to centroid, or "offset", the whole vector in cells / OFFSET_SCALE.
        radius: affinities are drawn this far around a corner [cells].
    """

    stride: int = 8
    sigma: float = 1.0
    affinity: str = "offset"
    radius: float = 2.0

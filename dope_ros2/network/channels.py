"""How many channels and cells the maps of a network have."""

from __future__ import annotations

BELIEF_CHANNELS = 9
AFFINITY_CHANNELS = 16
SURFACE_CHANNELS = 4
STRIDE = 8
SIDE_MULTIPLE = 32  # the light network wants sides that are multiples of its coarsest stride

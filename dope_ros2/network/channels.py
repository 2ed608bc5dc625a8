"""How many channels and cells the maps of a network have."""

from __future__ import annotations

BELIEFS = 9
AFFINITIES = 16
SURFACE = 4
STRIDE = 8
MULTIPLE = 32  # the light network wants sides that are multiples of its coarsest stride

"""Live 6-DoF pose estimation of known objects: belief maps of cuboid keypoints, grouping, PnP."""

__version__ = "0.1.0"

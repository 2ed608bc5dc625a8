"""The nine keypoints of an object: the corners of its bounding box, then the box's centre.

Order and signs are those of the data that DOPE users have: corners 0 to 3 lie on the +z face,
4 to 7 behind them on the -z face, 8 is the centre. Axes are the mesh's.
"""

import numpy as np

SIGNS = np.array(
    [[1, -1, 1], [-1, -1, 1], [-1, 1, 1], [1, 1, 1], [1, -1, -1], [-1, -1, -1], [-1, 1, -1], [1, 1, -1], [0, 0, 0]],
    float,
)
CENTRE = 8
COUNT = 9
EDGES = ((0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6), (6, 7), (7, 4), (0, 4), (1, 5), (2, 6), (3, 7))


def keypoints(size: np.ndarray, centre: np.ndarray = (0.0, 0.0, 0.0)) -> np.ndarray:
    """Return the (9, 3) keypoints [m] in the object's frame of a box of edges `size` (3,) around `centre` (3,) [m]."""
    return np.asarray(centre) + SIGNS * np.asarray(size) / 2

"""The nine keypoints of an object: the corners of its bounding box, then the box's centre.

Order and signs are those of the data that DOPE users have: corners 0 to 3 lie on the +z face,
4 to 7 behind them on the -z face, 8 is the centre. Axes are the mesh's.
"""

import numpy as np

# The corners of each face, clockwise seen from outside.
CORNERS_OF_FACES = ((0, 1, 2, 3), (5, 4, 7, 6), (4, 0, 3, 7), (1, 5, 6, 2), (4, 5, 1, 0), (3, 2, 6, 7))


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


def visible_faces(corners: np.ndarray) -> list[tuple[int, ...]]:
    """Those of FACES that turn their outside to the camera, of a box's corners (8 or more, 3) in its frame."""
    return [face for face in CORNERS_OF_FACES if _faces_camera(corners[list(face)])]


def _faces_camera(corners: np.ndarray) -> bool:
    """Whether a face of four corners, clockwise seen from outside, turns its outside to the camera's centre."""
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    return bool(normal @ corners[0] > 0)

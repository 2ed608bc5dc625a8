"""Objects that look the same from several sides, with boxes off their origins, and all that looks the same of them."""

import numpy as np
from scipy.spatial.transform import Rotation

from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.objects.symmetry import about, group


def about_z(angle, point=(0.0, 0.0, 0.0)):
    """A turn about an axis along z through a point, as an entry of symmetries_discrete."""
    return tuple(about(np.array([0.0, 0, 1]), np.array(point), angle).ravel())


def axis(x, y, z, *offset):
    return {"axis": [x, y, z], "offset": list(offset)} if offset else {"axis": [x, y, z]}


MIDDLE = (0.02, -0.03, 0.05)
HALF_TURNS = tuple(tuple(about(direction, np.array(MIDDLE), np.pi).ravel()) for direction in np.eye(3))
THIRDS = tuple(about_z(k * 2 * np.pi / 3) for k in (1, 2))
PLAIN = ObjectModel(name="plain", class_id=1, size=(0.16, 0.11, 0.06), centre=MIDDLE)
BOX = ObjectModel(
    name="box",
    class_id=2,
    size=(0.16, 0.11, 0.06),
    centre=MIDDLE,
    symmetries_discrete=HALF_TURNS,
)
# Three equal sides: its bounding box is not around its axis, so that turns move the box's centre.
PRISM = ObjectModel(
    name="prism", class_id=3, size=(0.15, 0.173, 0.05), centre=(0.025, 0, 0), symmetries_discrete=THIRDS
)
BOLT = ObjectModel(
    name="bolt", class_id=4, size=(0.03, 0.03, 0.1), centre=MIDDLE, symmetries_continuous=(axis(0, 0, 2, *MIDDLE),)
)
LEANING = ObjectModel(
    name="leaning",
    class_id=5,
    size=(0.1, 0.1, 0.2),
    centre=(0.01, 0, 0),
    symmetries_continuous=(axis(1, 1, 3, 0.01, 0, 0),),
)
CAN = ObjectModel(
    name="can",
    class_id=6,
    size=(0.07, 0.07, 0.12),
    centre=MIDDLE,
    symmetries_discrete=HALF_TURNS[:1],
    symmetries_continuous=(axis(0, 0, 1, *MIDDLE),),
)
BALL = ObjectModel(
    name="ball",
    class_id=7,
    size=(0.1, 0.1, 0.1),
    centre=MIDDLE,
    symmetries_continuous=(axis(0, 0, 1, *MIDDLE), axis(1, 0, 0, *MIDDLE)),
)
TURNING = (BOLT, LEANING, CAN)
ALL = (PLAIN, BOX, PRISM, *TURNING, BALL)


def turned(pose, model, element, angle=0.0):
    """The pose after a discrete symmetry, by index, and a turn by an angle [rad] about the continuous one's axis."""
    discrete = group(model, 1)
    matrix = pose.matrix @ discrete[element % len(discrete)]
    for entry in model.symmetries_continuous:
        direction = np.array(entry["axis"]) / np.linalg.norm(entry["axis"])
        matrix = matrix @ about(direction, np.array(entry["offset"]), angle)
        angle = 0.7 * angle + 1
    return Pose.from_matrix(matrix)


def tilted(pose, model, angle, direction):
    """The pose turned by an angle [rad] about an axis across that of its symmetry, by index, through the box's centre.

    The axis is at right angles to the continuous symmetry's, or else to z.
    """
    entry = model.symmetries_continuous[0] if model.symmetries_continuous else axis(0, 0, 1)
    along = np.array(entry["axis"], float) / np.linalg.norm(entry["axis"])
    basis = Rotation.align_vectors([along], [[0, 0, 1]])[0].as_matrix()
    across = basis @ [np.cos(direction), np.sin(direction), 0]
    return Pose.from_matrix(pose.matrix @ about(across, np.array(model.centre), angle))

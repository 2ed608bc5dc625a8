"""Objects to ObjectInfoArray and back."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest

import numpy as np
from dope_msgs.msg import ObjectInfo, ObjectInfoArray
from geometry_msgs.msg import Point
from std_msgs.msg import Header

from dope_ros2.common.errors import UserError, one_line
from dope_ros2.geometry.pose import Pose
from dope_ros2.io.messages import read_transform
from dope_ros2.nodes.messages.geometry import point_to_msg, transform_to_msg, vector_to_msg
from dope_ros2.objects.object_model import UNITS, ObjectModel


def mesh_uri(model: ObjectModel) -> str:
    """package:// URI as it stands in objects.yaml, else file:// URI; empty when there is no such file."""
    try:
        path = model.mesh_path
    except UserError:
        return ""
    return model.mesh if model.mesh.startswith("package://") else path.resolve().as_uri()


def objects_to_msg(models: Iterable[ObjectModel], header: Header) -> ObjectInfoArray:
    """What is known about the objects, for the latched topic."""
    return ObjectInfoArray(header=header, objects=[_object(model) for model in models])


def _object(model: ObjectModel) -> ObjectInfo:
    msg = ObjectInfo(class_id=model.name, number=model.class_id, mesh_uri=mesh_uri(model))
    msg.size, msg.centre, msg.mesh_scale = vector_to_msg(model.size), point_to_msg(model.centre), UNITS[model.mesh_unit]
    msg.symmetries_discrete = [
        transform_to_msg(Pose.from_matrix(np.reshape(numbers, (4, 4)))) for numbers in model.symmetries_discrete
    ]
    msg.symmetry_axes = [vector_to_msg(entry["axis"]) for entry in model.symmetries_continuous]
    msg.symmetry_offsets = [point_to_msg(entry.get("offset", (0, 0, 0))) for entry in model.symmetries_continuous]
    return msg


def msg_to_models(msg: ObjectInfoArray) -> list[ObjectModel]:
    """The objects of the latched topic: names, boxes, meshes and symmetries.

    Raises:
        UserError: one of them cannot be.
    """
    return [_model(info) for info in msg.objects]


def _model(info: ObjectInfo) -> ObjectModel:
    units = {scale: unit for unit, scale in UNITS.items()}
    try:
        equal = [read_transform(transform).matrix for transform in info.symmetries_discrete]
    except ValueError as error:  # a quaternion of no length
        raise UserError(f"{info.class_id}: symmetries_discrete: {one_line(error)}") from error
    turning = zip_longest(info.symmetry_axes, info.symmetry_offsets[: len(info.symmetry_axes)], fillvalue=Point())
    return ObjectModel(
        name=info.class_id,
        class_id=info.number,
        size=(info.size.x, info.size.y, info.size.z),
        centre=(info.centre.x, info.centre.y, info.centre.z),
        mesh=info.mesh_uri or None,
        mesh_unit=units.get(info.mesh_scale, "m"),
        symmetries_discrete=tuple(tuple(matrix.ravel().tolist()) for matrix in equal),
        symmetries_continuous=tuple({"axis": [a.x, a.y, a.z], "offset": [o.x, o.y, o.z]} for a, o in turning),
    )

"""A scene of two cartons and other things."""

import numpy as np

from dope_datagen.scenes.scene import Body, Light, Material, Scene
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose

OFF_CENTRE = CameraModel(np.array([[140.0, 0, 62.3], [0, 140, 71.8], [0, 0, 1]]), 160, 120)


def body(mesh, pose, scale=1.0, name=None, **look):
    return Body(mesh, tuple(pose.rotation.ravel()), tuple(pose.translation), (scale,) * 3, Material(**look), name)


def scene(seed, camera=OFF_CENTRE, things=4):
    """Two cartons and other things, near enough to hide one another and to be cut by the frame."""
    rng = np.random.default_rng(seed)
    cartons = [body("object:carton", Pose.random(rng, (x, 0.02, 0.5)), name="carton") for x in (-0.1, 0.12)]
    kinds = ["cube", "can", "cup", "ball"]
    others = [
        body(kinds[k % 4], Pose.random(rng, rng.uniform((-0.2, -0.15, 0.35), (0.2, 0.15, 0.9))), 0.12, texture="none")
        for k in range(things)
    ]
    lights = (Light((0.3, -0.8, -0.52), (1.0, 0.9, 0.8), True),)
    return Scene(tuple(camera.K.ravel()), camera.width, camera.height, (*cartons, *others), lights=lights)

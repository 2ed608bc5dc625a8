import numpy as np

from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel

BOX = ObjectModel(name="box", class_id=1, size=(0.16, 0.11, 0.06))


def test_a_detection_that_no_keypoints_are_said_of_has_none_and_no_error():
    one, other = (Detection(BOX, 0.9, Pose.identity(), np.eye(6)) for _ in range(2))
    assert one.keypoints.shape == (9, 2)
    assert np.isnan(one.keypoints).all()
    assert np.isnan(one.reprojection_error)
    one.keypoints[:] = 0
    assert np.isnan(other.keypoints).all()

"""Recordings made without ROS: images go the node's way, and what its recorder would have kept is written."""

import cv2
import numpy as np

from dope_ros2.common.stage_timer import StageTimer
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.io.rosbag_writer import Message, types
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.pipeline.camera_pipeline import CameraPipeline
from dope_ros2.pipeline.frame import Frame
from dope_ros2.pipeline.recording import Answer, Recording, Topics, write

STORE = types()
TOPIC, INFO, DETECTIONS = "/left/image_rect", "/left/camera_info", "/dope/detections"
CAMERA = CameraModel.from_focal(60, 64, 48)
CARTON = ObjectModel(name="carton", class_id=1, size=(0.16, 0.11, 0.06), centre=(0.01, 0.0, 0.0))
SOUP = ObjectModel(name="soup", class_id=2, size=(0.07, 0.07, 0.10), symmetries_continuous=({"axis": [0, 0, 1]},))


class Shaky:
    """Two cartons and a can, each time elsewhere by what the first pixel says; the can not always."""

    models, can_follow, stages = (CARTON, SOUP), False, StageTimer()

    def __call__(self, image, camera, settings):
        rng = np.random.default_rng(image[0, 0].tolist())
        spread = np.diag([2e-3] * 3 + [0.02] * 3) ** 2
        places = [(CARTON, -0.2), (CARTON, 0.2), (SOUP, 0.0)][: 3 if image[0, 0, 0] % 4 else 2]
        poses = [Pose.from_rotvec([0.3, x, 0], [x, 0, 1]).plus(rng.multivariate_normal(np.zeros(6), spread))
                 for _, x in places]  # fmt: skip
        scores = rng.uniform(0.4, 1, len(places))
        found = zip(places, poses, scores, strict=True)
        return [Detection(m, float(s), pose, spread, np.full((9, 2), 5.0), 0.5)
                for (m, _), pose, s in found if s >= settings.min_score]  # fmt: skip


def pictures(count, begin=0):
    """(48, 64, 3) each of another colour."""
    return [np.full((48, 64, 3), (number, 7, 9), np.uint8) for number in range(begin, begin + count)]


def kind(name, **fields):
    package, _, short = name.partition("/")
    return STORE.types[f"{package}/msg/{short}"](**fields)


def header(time):
    when = kind("builtin_interfaces/Time", sec=time // 10**9, nanosec=time % 10**9)
    return kind("std_msgs/Header", stamp=when, frame_id="camera")


def image(rgb, time):
    data = cv2.imencode(".png", rgb[..., ::-1])[1].reshape(-1)
    return kind("sensor_msgs/CompressedImage", header=header(time), format="png", data=data)


def info(camera, time):
    P = np.column_stack([camera.K, np.zeros(3)])
    region = kind("sensor_msgs/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return kind(
        "sensor_msgs/CameraInfo", header=header(time), height=camera.height, width=camera.width, roi=region,
        distortion_model="plumb_bob", d=np.zeros(5), k=camera.K.reshape(-1), r=np.eye(3).reshape(-1), p=P.reshape(-1),
        binning_x=0, binning_y=0,
    )  # fmt: skip


def pose(value):
    point, quaternion = (dict(zip("xyzw", v, strict=False)) for v in (value.translation, value.quaternion))
    position, orientation = kind("geometry_msgs/Point", **point), kind("geometry_msgs/Quaternion", **quaternion)
    return kind("geometry_msgs/Pose", position=position, orientation=orientation)


def detections(found, time):
    def one(d):
        hypothesis = kind("vision_msgs/ObjectHypothesis", class_id=d.model.name, score=d.score)
        covariance = np.asarray(d.covariance, float).reshape(-1)
        where = kind("geometry_msgs/PoseWithCovariance", pose=pose(d.pose), covariance=covariance)
        result = kind("vision_msgs/ObjectHypothesisWithPose", hypothesis=hypothesis, pose=where)
        size = kind("geometry_msgs/Vector3", **dict(zip("xyz", d.model.size, strict=True)))
        box = kind("vision_msgs/BoundingBox3D", center=pose(d.pose), size=size)
        return kind("vision_msgs/Detection3D", header=header(time), results=[result], bbox=box, id=d.track)

    return kind("vision_msgs/Detection3DArray", header=header(time), detections=[one(d) for d in found])


def same(number, found):
    return found


def record(
    folder, estimator, shown, camera=CAMERA, lost=0, forget=(), period=0.0, change=same, weights=("", ""), engine=""
):
    """Write a recording and return its folder.

    shown: an image and a request each; lost: so many of them are too old to be written; forget: before these the
    tracks are forgotten; period: of searches [s]; change: lets another answer be written than was given; weights: path
    and checksum.
    """
    pipeline, messages, answers = CameraPipeline(estimator), [], []
    for n, (rgb, request) in enumerate(shown):
        time = 10**12 + n * 10**8
        if n in forget:
            pipeline.tracker.reset()
        frame = Frame.read(image(rgb, time), TOPIC, info(camera, time), INFO)
        result = pipeline.process(frame, request, period)
        if pipeline.survey_due(result.request, frame.stamp, period):
            pipeline.survey(frame, result.request)
        if n >= lost:
            told = detections(change(n, result.detections), time)
            new = [(TOPIC, image(rgb, time), time), (DETECTIONS, told, time + 10**7)]
            messages += [] if messages else [(INFO, info(camera, time), time - 1)]
            messages += new
            known = answers and n not in forget
            answers.append(Answer(TOPIC, time, None, time + 10**7, result.request, None if known else result.before))
    stored = (Message(t, m.__msgtype__, at, bytes(STORE.serialize_cdr(m, m.__msgtype__))) for t, m, at in messages)
    facts = Recording(*map(str, weights), list(estimator.models), {TOPIC: Topics(INFO)}, DETECTIONS, answers, engine)
    return write(folder, "dope", stored, facts, {"min_score": 0.3, "objects": [""]})

"""What a live node sees, sent to the viewer rerun: the image, the scene in space, latencies and diagnostics."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType

import cv2
import numpy as np

from dope_ros2.common.errors import UserError
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.meshes.mesh import Mesh
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.pipeline.diagnostics import Condition, Level
from dope_ros2.visualization import overlay
from dope_ros2.visualization.viewer import scene
from dope_ros2.visualization.viewer.blueprint import TIMELINE, blueprint
from dope_ros2.visualization.viewer.meshes import Meshes, Recording

WIDEST = 640  # of the images, columns
BACK = 1.0  # a stamp so much older than the last one begins a new recording [s]
FLUSH = 5.0  # longest wait for the viewer at the end [s]
RATED = 2.0  # seconds over which answers are counted
INITIAL_DISTANCE = 1.0  # of the objects, until some are seen [m]
PLANE = 0.4  # of this distance: where the image stands in space
FOUND_LINE_WIDTH, LOST_LINE_WIDTH = 1.5, 0.5  # half the width of edges in the image [points of the screen]
GREY = (150, 150, 150)
HALF = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])  # rerun's pixels have their centres at halves, ours do not
LEVELS = {Level.OK: "INFO", Level.WARN: "WARN", Level.ERROR: "ERROR"}


class LiveView:
    """Turns what a node says into entities of rerun; times are the images' stamps [s]."""

    def __init__(
        self, rr: ModuleType, open_recording: Callable[[], Recording], read_mesh: Callable[[ObjectModel], Mesh]
    ) -> None:
        """Begin; `open_recording` is asked again when stamps jump back, for another one or the same."""
        self._rr, self._open, self._read_mesh = rr, open_recording, read_mesh
        self._begin(open_recording())

    def _begin(self, recording: Recording) -> None:
        self._recording = recording
        self._recording.log("/", self._rr.ViewCoordinates.RDF, static=True)
        self._meshes = Meshes(self._rr, self._recording, self._read_mesh)
        self._trails, self._distance = scene.Trails(), None
        self._told: dict[str, tuple[Level, str]] = {}
        self._series: list[str] = []
        self._answers: deque[float] = deque()
        self._last = -np.inf  # newest stamp
        self._came: float | None = None  # when an image came with it, by our clock

    def close(self) -> None:
        """Send what is still to be sent.

        Raises:
            UserError: the viewer or the file does not take it.
        """
        self._meshes.close()
        try:
            self._recording.flush(timeout_sec=FLUSH)
        except RuntimeError as error:
            raise UserError(f"the end of the recording is lost: {str(error).splitlines()[0]}") from error
        self._recording.disconnect()

    def _at(self, stamp: float) -> Recording:
        """The recording, at a time."""
        if stamp < self._last - BACK:
            self._meshes.close()
            self._begin(self._open())
        self._last = max(stamp, self._last)
        self._recording.set_time(TIMELINE, timestamp=stamp)
        return self._recording

    def _at_image(self, stamp: float) -> Recording:
        newer, recording = stamp > self._last, self._at(stamp)
        if newer or self._came is None:
            self._came = time.monotonic()
        return recording

    def answered(self, stamp: float, latency: float) -> None:
        """An answer has come, so long after its image's stamp [s]."""
        recording, now = self._at_image(stamp), time.monotonic()
        self._answers.append(now)
        while self._answers[0] < now - RATED:
            self._answers.popleft()
        self._plot(recording, "latency/answer", 1e3 * latency, "stamp to arrival here", width=3)
        self._plot(recording, "rate/answers", len(self._answers) / RATED, "answers")

    def show(
        self, stamp: float, found: Sequence[Detection], picture: np.ndarray | None, camera: CameraModel | None
    ) -> None:
        """What was found in an image; `picture` (H, W, 3) and its camera are None where it did not come."""
        recording = self._at_image(stamp)
        if found and self._distance is None:
            self._distance = float(np.median([d.pose.translation[2] for d in found]))
            recording.send_blueprint(blueprint(self._rr, self._distance))
        if picture is not None:
            self._show_picture(recording, found, *scene.shrunk(picture, camera, WIDEST))
        self._show_scene(recording, found)
        self._meshes.place(found)
        text = self._rr.TextDocument(scene.table(found), media_type="text/markdown")
        recording.log("objects", text)

    def _show_picture(
        self, recording: Recording, found: Sequence[Detection], rgb: np.ndarray, camera: CameraModel
    ) -> None:
        rr, size = self._rr, (camera.width, camera.height)
        pinhole = rr.Pinhole(
            image_from_camera=camera.K + HALF,
            resolution=size,
            camera_xyz=rr.ViewCoordinates.RDF,
            image_plane_distance=PLANE * (self._distance or INITIAL_DISTANCE),
        )
        recording.log("camera", pinhole)
        # Half the size of RGB; JPEG is smaller still, but the browser decodes it late, and boxes run ahead of it.
        yuv = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420).tobytes()
        planes = rr.PixelFormat.Y_U_V12_LimitedRange
        recording.log("camera/image", rr.Image(bytes=yuv, width=size[0], height=size[1], pixel_format=planes))
        outlines = [scene.outline(camera, detection) for detection in found]
        drawn = zip(scene.names(found), found, outlines, strict=True)
        self._draw(recording, [(name, d, outline) for name, d, outline in drawn if outline], camera)

    def _draw(
        self, recording: Recording, drawn: list[tuple[str, Detection, scene.Outline]], camera: CameraModel
    ) -> None:
        """Cuboids, axes and labels, in the image."""
        colors = [scene.color(name) for name, _, _ in drawn]
        strips, inks, radii = [], [], []
        for (_, detection, (seen, hidden)), color in zip(drawn, colors, strict=True):
            axes = camera.project(scene.axes(detection))
            strips += [*hidden, *seen, *axes]
            inks += [GREY] * len(hidden) + [color] * len(seen) + list(overlay.AXES)
            radii += [-LOST_LINE_WIDTH] * len(hidden) + [-FOUND_LINE_WIDTH] * (
                len(seen) + 3
            )  # below 0: points of the screen
        recording.log("camera/boxes", self._rr.LineStrips2D([s + 0.5 for s in strips], colors=inks, radii=radii))
        labels = [f"{name} {detection.score:.2f}" for name, detection, _ in drawn]
        highest = [min(seen.reshape(-1, 2), key=lambda pixel: pixel[1]) + 0.5 for _, _, (seen, _) in drawn]
        recording.log(
            "camera/labels", self._rr.Points2D(highest, colors=colors, labels=labels, radii=-FOUND_LINE_WIDTH)
        )

    def _show_scene(self, recording: Recording, found: Sequence[Detection]) -> None:
        """Boxes, axes, uncertainties and tracks, in space."""
        rr, names = self._rr, scene.names(found)
        colors = list(map(scene.color, names))
        boxes = rr.Boxes3D(
            centers=_rows([scene.centre(d) for d in found], 3),
            half_sizes=_rows([np.array(d.model.size) / 2 for d in found], 3),
            quaternions=_rows([d.pose.quaternion for d in found], 4),
            colors=colors,
            labels=[f"{name} {d.score:.2f}" for name, d in zip(names, found, strict=True)],
        )
        recording.log("scene/boxes", boxes)
        axes = [line for d in found for line in scene.axes(d)]
        recording.log("scene/axes", rr.LineStrips3D(axes, colors=list(overlay.AXES) * len(found)))
        spreads = [scene.ellipsoid(d.covariance) for d in found]
        ellipsoids = rr.Ellipsoids3D(
            centers=_rows([d.pose.translation for d in found], 3),
            half_sizes=_rows([half for half, _ in spreads], 3),
            quaternions=_rows([turn for _, turn in spreads], 4),
            colors=colors,
        )
        recording.log("scene/uncertainty", ellipsoids)
        trails = self._trails(self._last, found)
        colors = list(map(scene.color, trails))
        strips = rr.LineStrips3D(
            list(trails.values()), colors=colors, labels=list(trails), show_labels=False, radii=-FOUND_LINE_WIDTH
        )
        recording.log("scene/tracks", strips)

    def diagnosed(self, now: float, conditions: Mapping[str, Condition]) -> None:
        """How the node fares: its figures, and its words when they are others than before.

        It is shown at the stamp that an image would have by now; at `now` [s] as long as none has come.
        """
        if self._came is None:
            self._at(now)
        else:  # not newer than the next image may be, wherever its clock goes
            self._recording.set_time(TIMELINE, timestamp=self._last + time.monotonic() - self._came)
        recording = self._recording
        while self._meshes.faults:
            recording.log("diagnostics", self._rr.TextLog(self._meshes.faults.pop(), level="WARN"))
        for name, condition in conditions.items():
            words = condition.level, re.sub(r"[\d.]+", "", condition.message)
            if self._told.get(name) != words:
                self._told[name] = words
                text = scene.told(name, condition.message)
                recording.log("diagnostics", self._rr.TextLog(text, level=LEVELS[condition.level]))
            for (stage, percentile), value in scene.figures(condition.values).items():
                self._plot(recording, f"latency/{percentile}/{stage}", value, stage.replace("_", " "))

    def _plot(self, recording: Recording, path: str, value: float, text: str, width: float = 1.5) -> None:
        if path not in self._series:
            self._series.append(path)
            color = scene.color(f"{path.split('/')[0]}_{len(self._series)}")
            recording.log(path, self._rr.SeriesLines(names=text, widths=width, colors=color), static=True)
        recording.log(path, self._rr.Scalars(value))


def _rows(values: list, columns: int) -> np.ndarray:
    return np.array(values, float).reshape(-1, columns)

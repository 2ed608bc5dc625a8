"""A pose checked against the photograph: the object is drawn there and moved until both lie on each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.refinement.drawing.appearance import Appearance
from dope_ros2.refinement.drawing.surface_view import Drawing, SurfaceView, Window, window_around
from dope_ros2.refinement.likeness import Likeness
from dope_ros2.refinement.residuals.normal_equations import Residuals
from dope_ros2.refinement.residuals.optical_flow import FlowResiduals
from dope_ros2.refinement.residuals.photometric import PhotometricResiduals
from dope_ros2.refinement.residuals.region_outline import OutlineResiduals

STEPS = 3  # of Gauss-Newton on one drawing
CONVERGED = 2e-4  # a turn below this ends them [rad]
LARGEST_TURN, LARGEST_MOVE = 0.3, 0.2  # of a step [rad, of the distance]
DAMPING = 1e-4  # of the diagonal
MIN_ELEMENTS = 60  # that are seen


@dataclass(frozen=True)
class RefinementStage:
    """One drawing, and what is compared.

    Attributes:
        side: of the window [px].
        fill: share of it that the object spans.
        flow: follow the optical flow, and nothing else.
        photometric: weight of an element of the surface, 1 if each spoke for itself.
        blur: of both images [px].
        surroundings: which brightness is normalised by, so wide [px].
        reach: of the lines across the outline [px].
        limit: an outline farther off is something else's [px].
        points: elements that are compared at most.
    """

    side: int
    fill: float
    flow: bool = False
    photometric: float = 0.25
    blur: float = 1.5
    surroundings: int = 13
    reach: int = 8
    limit: float = 8.0
    points: int = 1000


COARSE = (
    RefinementStage(80, 0.55, photometric=0.025),
    RefinementStage(96, 0.6, flow=True),
    RefinementStage(96, 0.6, photometric=0.05),
    RefinementStage(160, 0.7, flow=True),
)
FINE = (
    RefinementStage(136, 0.82, blur=1.2, surroundings=19, reach=6, limit=4.0),
    RefinementStage(136, 0.82, blur=0.8, surroundings=13, reach=5, limit=2.5),
    RefinementStage(136, 0.82, blur=0.7, surroundings=11, reach=4, limit=2.0),
)
COMPLETE, FOLLOWING = COARSE + FINE, (FINE[0], FINE[-1])


@dataclass(frozen=True, eq=False)
class Refinement:
    """A pose that was checked.

    Attributes:
        pose: T_camera_object.
        covariance: (6, 6) as of `Detection`, if noise is what it was taken for.
        likeness: of drawing and photograph there.
    """

    pose: Pose
    covariance: np.ndarray
    likeness: Likeness


def refine(
    image: np.ndarray,
    camera: CameraModel,
    appearance: Appearance,
    pose: Pose,
    stages: tuple[RefinementStage, ...] = COMPLETE,
) -> Refinement | None:
    """Move a pose until the object, drawn there, lies on the photograph.

    Args:
        image: (H, W, 3) uint8 RGB, rectified.
        camera: its camera.
        appearance: of the object.
        pose: T_camera_object to begin with, off by at most some 15 degrees and a tenth of the distance.
        stages: one after the other.

    Returns:
        None where too little of the object is in the image, or the pose runs away.
    """
    information = np.zeros((6, 6))
    for stage in stages:
        view = _look(image, camera, appearance, pose, stage)
        residuals = [] if view is None else _residuals(view, view.drawn(view.lit()), appearance, stage)
        if view is None or (not residuals and not stage.flow):
            return None
        pose, information = gauss_newton(pose, residuals, information)
        if not pose.apply(appearance.box.centre)[2] > 0:
            return None
    last = stages[-1]
    view = _look(image, camera, appearance, pose, last)
    if view is None or not information.any():
        return None
    drawing = view.drawn(view.lit())
    covariance = np.linalg.inv(damped(information))
    return Refinement(pose, covariance, Likeness.of(view.window, drawing, pose, appearance.outline))


def gauss_newton(pose: Pose, residuals: list[Residuals], information: np.ndarray) -> tuple[Pose, np.ndarray]:
    """The pose that explains residuals best, near the one that they were made at, and its information (6, 6).

    Without residuals both stay as they are.
    """
    for _ in range(STEPS if residuals else 0):
        equations = [each.at(pose) for each in residuals]
        information = sum(each.information for each in equations)
        step = np.linalg.solve(damped(information), sum(each.gradient for each in equations))
        distance = max(abs(float(pose.translation[2])), 1e-6)
        excess = max(np.abs(step[3:]).max() / LARGEST_TURN, np.linalg.norm(step[:3]) / (LARGEST_MOVE * distance), 1.0)
        pose = pose.plus(step / excess)
        if np.abs(step[3:]).max() < CONVERGED:
            break
    return pose, information


def damped(information: np.ndarray) -> np.ndarray:
    """The same, safe to be inverted."""
    return information + DAMPING * np.diag(np.diag(information)) + 1e-9 * np.eye(6)


def _look(
    image: np.ndarray, camera: CameraModel, appearance: Appearance, pose: Pose, stage: RefinementStage
) -> SurfaceView | None:
    window: Window | None = window_around(image, camera, pose.apply(appearance.corners), stage.side, stage.fill)
    view = None if window is None else SurfaceView.of(appearance, pose, window)
    return view if view is not None and len(view.seen) >= MIN_ELEMENTS else None


def _residuals(view: SurfaceView, drawing: Drawing, appearance: Appearance, stage: RefinementStage) -> list[Residuals]:
    """What a stage compares."""
    if stage.flow:
        found = [FlowResiduals.of(view, drawing, stage.points)]
    else:
        found = [
            OutlineResiduals.of(appearance.outline, view.pose, view.window, drawing, stage.reach, stage.limit),
            PhotometricResiduals.of(view, drawing, stage.blur, stage.surroundings, stage.points, stage.photometric),
        ]
    return [each for each in found if each is not None]

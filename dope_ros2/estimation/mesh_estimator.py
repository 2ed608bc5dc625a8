"""Poses of printed objects by their meshes alone: no network, no training, no objects.yaml."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dope_ros2.common.errors import UserError
from dope_ros2.estimation.pose_refiner import PoseRefiner
from dope_ros2.estimation.pose_search import suppress
from dope_ros2.estimation.settings import Settings
from dope_ros2.feature_matching import mesh_features
from dope_ros2.feature_matching.feature_search import FeatureSearch
from dope_ros2.feature_matching.print_features import PrintFeatures
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.meshes.mesh import Mesh
from dope_ros2.meshes.read_mesh import read_mesh
from dope_ros2.meshes.read_parts import MESH_SUFFIXES, read_parts
from dope_ros2.network.calibration import RefinedScoreModel
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.mesh_units import Verdict, judge, metres, name_from
from dope_ros2.objects.object_model import UNITS, ObjectModel
from dope_ros2.refinement.drawing import mesh_appearance
from dope_ros2.refinement.drawing.appearance import Appearance

MAX_TRIALS = 20  # hypotheses that are compared with an image, those with most inliers


class MeshEstimator:
    """Finds printed objects by their meshes; called as an `Estimator` is.

    Attributes:
        models: the objects.
        notes: a line about each: what it is taken for, and whether its print carries it.
    """

    def __init__(
        self,
        models: list[ObjectModel],
        appearances: dict[str, Appearance],
        features: dict[str, PrintFeatures],
        notes: list[str],
    ) -> None:
        """Of objects, what they look like, and their features, by their names."""
        self.models, self.notes = models, notes
        self._search = FeatureSearch(features)
        self._refiner = PoseRefiner(appearances, RefinedScoreModel())

    @classmethod
    def load(cls, meshes: list[Path]) -> MeshEstimator:
        """Read meshes, each an object named after its file; takes some seconds for each.

        Raises:
            UserError: one cannot be read, has no plausible size, or two have one name.
        """
        names = [name_from(path) for path in meshes]
        for path, name in zip(meshes, names, strict=True):
            if names.count(name) > 1:
                raise UserError(f"{path}: another mesh is named {name!r} too; rename one of the files")
        models, appearances, features, notes = [], {}, {}, []
        for path, name in zip(meshes, names, strict=True):
            mesh, unit = _in_metres(path)
            models.append(_model(path, mesh, unit, len(models) + 1))
            appearances[name] = mesh_appearance.of_mesh(mesh, path)
            features[name] = mesh_features.of_mesh(mesh, path)
            notes.append(_note(models[-1], unit, features[name]))
        return cls(models, appearances, features, notes)

    def __call__(self, image: np.ndarray, camera: CameraModel, settings: Settings | None = None) -> list[Detection]:
        """Estimate the poses of all instances of all objects.

        Args:
            image: (H, W, 3) uint8 RGB, rectified.
            camera: the image's camera, of the same size.
            settings: of which `min_score` and `objects` count; the defaults if None.

        Returns:
            Detections in the camera's optical frame, best first; scores are not calibrated.
        """
        settings = settings or Settings()
        models = {m.name: m for m in self.models if not settings.objects or m.name in settings.objects}
        hypotheses = self._search(image, camera, models)[:MAX_TRIALS]
        starts = [Detection(models[name], 1.0, pose, np.zeros((6, 6))) for name, pose, _ in hypotheses]
        found = suppress(self._refiner(image, camera, starts), camera)
        return [detection for detection in found if detection.score >= settings.min_score]


def _in_metres(path: Path) -> tuple[Mesh, Verdict]:
    """A mesh, and which unit its file is in, by the rules of `dope assets`."""
    if path.suffix.lower() not in MESH_SUFFIXES:
        raise UserError(f"{path}: the suffix {path.suffix!r} is not one of {', '.join(MESH_SUFFIXES)}")
    if not path.is_file():
        raise UserError(f"{path}: there is no such file")
    declared = read_parts(path, shape_only=True)[2]
    mesh = read_mesh(path)
    unit = judge(path, float(mesh.box.size.max()), declared)
    return mesh.scaled(unit.factor), unit


def _model(path: Path, mesh: Mesh, unit: Verdict, class_id: int) -> ObjectModel:
    size, centre = (tuple(map(float, each)) for each in (mesh.box.size, mesh.box.centre))
    if min(size) <= 0:
        raise UserError(f"{path}: the mesh is flat, {list(size)} m along x, y, z; an object has three edges above 0")
    model = ObjectModel(name=name_from(path), class_id=class_id, size=size, centre=centre, source=path)
    return replace(model, mesh=str(path.resolve()), mesh_unit=unit.name) if unit.name in UNITS else model


def _note(model: ObjectModel, unit: Verdict, features: PrintFeatures) -> str:
    edges = " x ".join(metres(edge) for edge in model.size)
    found = f"found again in {100 * features.found_again:.0f} % of its drawn views"
    carried = "its print carries it" if features.carried else "plain surfaces: train it with `dope learn`"
    return f"{model.name}: {edges} (unit {unit.name}); {found}: {carried}"

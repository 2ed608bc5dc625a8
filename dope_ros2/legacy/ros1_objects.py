"""The objects of DOPE's ROS 1 node in the terms of this package, and notes on what could not be taken over."""

from __future__ import annotations

import numpy as np

from dope_ros2.legacy import box_axes
from dope_ros2.legacy.ros1_config import BY_OBJECT, Ros1Config
from dope_ros2.objects.object_model import UNITS, ObjectModel

TURNED = "does not turn by right angles: poses stay those of the box, and the mesh, which has other axes, is left out"


class ImportedObjects:
    """The objects of a configuration.

    Attributes:
        objects: entries of objects.yaml by name.
        axes: for each object which axes of the weights' box are its own, see `box_axes`.
        notes: a line for each value that was changed or left out.
    """

    def __init__(self, config: Ros1Config) -> None:
        """Convert them.

        Raises:
            UserError: a value cannot be used.
        """
        self._config = config
        self.notes: list[str] = []
        self.axes: dict[str, str] = {}
        self.objects = {name: self._object(name) for name in config.by_object["dimensions"]}
        self._number()
        for name, entry in self.objects.items():
            ObjectModel.from_dict(name, entry, config.path)
        for key in BY_OBJECT:
            for name in config.by_object[key].keys() - self.objects.keys():
                self.notes.append(f"{key}: {name}: has no dimensions and is left out")

    def _object(self, name: str) -> dict[str, object]:
        """One entry; its class_id comes later."""
        config = self._config
        named = box_axes.named(config.turn(name))
        if named is None:
            self.notes.append(f"model_transforms: {name}: {TURNED}")
        self.axes[name] = named or box_axes.IDENTITY_AXES
        size = np.abs(box_axes.parse(self.axes[name]).T @ config.size(name))
        entry: dict[str, object] = {"class_id": 0, "size": [round(float(edge), 6) for edge in size]}
        if config.of("meshes", name) and named:
            entry |= self._mesh(name)
        if config.of("draw_colors", name) is not None:
            color = config.numbers("draw_colors", name, (3,))
            entry["color"] = [int(channel) for channel in np.clip(color, 0, 255)]
        return entry

    def _mesh(self, name: str) -> dict[str, object]:
        scale = 1.0 if self._config.of("mesh_scales", name) is None else self._config.numbers("mesh_scales", name, ())
        unit = next((unit for unit, metres in UNITS.items() if np.isclose(scale, metres, rtol=1e-3)), None)
        if unit is None:
            known = ", ".join(f"{metres:g} ({unit})" for unit, metres in UNITS.items())
            self.notes.append(f"mesh_scales: {name}: {scale:g} is not one of {known}; the mesh is left out")
            return {}
        path = self._config.file(self._config.of("meshes", name))
        if not path.is_file():
            self.notes.append(f"meshes: {name}: no file {path}; RViz shows the box alone until `mesh` names one")
        return {"mesh": str(path), "mesh_unit": unit}

    def _number(self) -> None:
        """Let each object keep its class_id, unless it is none or another's."""
        wanted = {name: self._config.of("class_ids", name) for name in self.objects}
        owners: dict[int, str] = {}
        for name, number in wanted.items():
            if isinstance(number, int) and number > 0:
                owners.setdefault(number, name)
        kept = {name: number for number, name in owners.items()}
        for name, entry in self.objects.items():
            if name not in kept:
                kept[name] = max(kept.values(), default=0) + 1
                owner = owners.get(wanted[name]) if isinstance(wanted[name], int) else None
                why = f"{wanted[name]} is {owner}'s" if owner else "no number above 0"
                self.notes.append(f"class_ids: {name}: {why}; it is {kept[name]} now")
            entry["class_id"] = kept[name]

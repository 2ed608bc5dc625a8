"""The files behind what `dope predict` is given: images, videos, bags, folders of them, BOP scenes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dope_ros2.common.errors import UserError
from dope_ros2.io.bop import IMAGE_SUFFIXES, BopFrame, read_scene, scenes
from dope_ros2.io.rosbag import Bag, is_bag
from dope_ros2.io.videos import VIDEO_SUFFIXES


@dataclass(frozen=True, eq=False)
class FoundSource:
    """A file to read.

    Attributes:
        name: relative path without suffix for what is written about it; no two sources share one.
        frame: camera and truth when the file belongs to a BOP scene.
    """

    path: Path
    name: str
    frame: BopFrame | None = None

    @property
    def is_video(self) -> bool:
        """Whether the file holds many images."""
        return self.path.suffix.lower() in VIDEO_SUFFIXES

    @property
    def is_bag(self) -> bool:
        """Whether it is a ROS 2 bag."""
        return is_bag(self.path)

    @property
    def knows_camera(self) -> bool:
        """Whether it says which camera its images were taken with."""
        return self.frame is not None or (self.is_bag and Bag(self.path).info_topic is not None)


def find_sources(inputs: Iterable[Path]) -> tuple[list[FoundSource], list[str]]:
    """List the files behind files and folders, and what is wrong with those that cannot be used, one line each."""
    sources: list[FoundSource] = []
    problems: list[str] = []
    for path in inputs:
        try:
            sources += _sources(path, problems)
        except UserError as error:
            problems.append(str(error))
    return _with_unique_names(sources), problems


def _sources(path: Path, problems: list[str]) -> list[FoundSource]:
    if path.is_file() or is_bag(path):
        return [FoundSource(path, path.stem)]
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder; give images, videos, bags, folders of them or BOP scenes")
    if folders := scenes(path):
        return [source for folder in folders for source in _scene(folder, problems)]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES + VIDEO_SUFFIXES)
    if not files:
        raise UserError(
            f"{path}: holds no images ({', '.join(IMAGE_SUFFIXES)}), videos ({', '.join(VIDEO_SUFFIXES)}) or BOP scenes"
        )
    return [FoundSource(file, file.stem) for file in files]


def _scene(folder: Path, problems: list[str]) -> list[FoundSource]:
    try:
        frames = read_scene(folder)
    except UserError as error:
        problems.append(str(error))
        return []
    return [FoundSource(frame.path, f"{folder.name}_{frame.im_id:06d}", frame) for frame in frames]


def _with_unique_names(sources: list[FoundSource]) -> list[FoundSource]:
    seen: dict[str, int] = {}
    unique = []
    for source in sources:
        seen[source.name] = count = seen.get(source.name, 0) + 1
        name = source.name if count == 1 else f"{source.name}-{count}"
        unique.append(FoundSource(source.path, name, source.frame))
    return unique

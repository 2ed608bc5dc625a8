"""Before the first step: is what is to be learned in the data, large enough, and labelled without contradiction?

A few hundred images are read and cut as training cuts them, so it takes seconds however large the stores are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dope_datagen.dataset.store import Sample, records
from dope_ros2.common.errors import UserError
from dope_ros2.objects.object_model import ObjectModel
from dope_training.checks.crop_sheets import save_sheets
from dope_training.checks.label_check import MAX_DISTANCE, camera_faults, label_faults, on_edges
from dope_training.config import TrainConfig
from dope_training.data.augmentation import Crop, augment
from dope_training.data.object_names import contradictions, missing, spelled
from dope_training.data.split import TrainingStore, held_out
from dope_training.data.store_reader import ResilientReader
from dope_training.objective.targets import MIN_TAUGHT_VISIBILITY

LOOKS = 400  # images that are looked at, of all stores together
FEWEST_LOOKS = 100  # of each store
SCARCE, RARE = 0.02, 0.10  # share of crops below which a class is refused, or warned of
CELLS, FEW_CELLS = 3, 5  # median length of an object on the maps below which it is refused, or warned of
MAX_WRONG_SHARE = 0.1  # share of labels that may be wrong before a store is refused
ON_EDGES, OUTLINES = 0.65, 30  # share of masks that lie on edges of their images; of so many, at least
FEW_PICTURES = 1000
QUANTILES = (0.1, 0.5, 0.9)


@dataclass(frozen=True, eq=False)
class ClassFigures:
    """How a class occurs in the crops that training would see; quantiles are those of `QUANTILES`.

    Attributes:
        name: of the recipe.
        share: of the crops that show it, as much as is learned from.
        count: instances shown.
        visibility: quantiles of the visible share.
        size: quantiles of the longer side of the projected cuboid in the crop [px].
        distance: quantiles of the distance from the camera [m].
    """

    name: str
    share: float
    count: int
    visibility: np.ndarray
    size: np.ndarray
    distance: np.ndarray


@dataclass
class Preflight:
    """What was found: figures by class, reasons not to train, and what to think about.

    Attributes:
        crop, stride: side of the crops, and pixels per cell of the maps.
        pictures: looked at.
        stores: their number.
    """

    crop: int
    stride: int
    stores: int
    pictures: int = 0
    classes: list[ClassFigures] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """The report as text."""
        if self.classes:
            yield f"preflight: {self.pictures} images of {self.stores} store(s), a crop of {self.crop} px from each"
            yield f"{'':16}  {'in crops':>8}   {'visible':^16}   {'size in crops [px]':^20}   {'distance [m]':^20}"
        for c in self.classes:
            visibility, size, distance = (_row(c.visibility, 2), _row(c.size, 0), _row(c.distance, 2))
            yield f"{c.name:16}  {c.share:>8.1%}   {visibility:^16}   {size:^20}   {distance:^20}"
        if self.classes:
            yield "three figures are those of the lowest tenth, the middle and the highest tenth"
        yield from (f"warning: {line}" for line in self.warnings)
        yield from (f"refused: {line}" for line in self.refusals)
        if not self.refusals:
            yield "preflight passed" + (f", with {len(self.warnings)} warning(s)" if self.warnings else "")


def ready(
    config: TrainConfig, sources: list[TrainingStore], models: list[ObjectModel], save: Path | None = None
) -> None:
    """Look at the data, print what is found, and write sheets of crops if wanted.

    Args:
        config: the recipe.
        sources: the stores.
        models: records of `config.objects`, in that order.
        save: folder of the sheets.

    Raises:
        UserError: training on it cannot work.
    """
    report = preflight(config, sources, models)
    print("\n".join(report.lines()), flush=True)
    if save is not None and report.classes:
        print("\n".join(save_sheets(config, [source.path for source in sources], models, save)), flush=True)
    if report.refusals:
        more = f" (and {len(report.refusals) - 1} more above)" if len(report.refusals) > 1 else ""
        raise UserError(report.refusals[0] + more)


def preflight(config: TrainConfig, sources: list[TrainingStore], models: list[ObjectModel]) -> Preflight:
    """Look at the data as training would see it; the arguments are those of `ready`."""
    report = Preflight(config.crop, config.map_spec.stride, len(sources))
    paths = [source.path for source in sources]
    known = {model.name: model for model in models}
    for path in paths:
        report.refusals += contradictions(path, known, str(models[0].source))
        report.warnings += _spellings(path, config.objects) + list(_symmetries(path, known))
    report.refusals += missing(paths, config.objects, {name for path in paths for name in records(path)})
    if report.refusals:
        return report
    surveys = [_Survey(source, config, max(FEWEST_LOOKS, LOOKS // len(sources))) for source in sources]
    for survey in surveys:
        report.pictures += survey.pictures
        refusals, warnings = survey.verdict()
        report.refusals += refusals
        report.warnings += warnings
    found = set.union(*(survey.labelled for survey in surveys))
    report.refusals += missing(paths, config.objects, found)
    if not report.refusals:
        report.classes = [_figures(index, name, surveys) for index, name in enumerate(config.objects)]
        for figures in report.classes:
            _judge(figures, report)
    if (total := sum(survey.trained for survey in surveys)) < FEW_PICTURES:
        report.warnings.append(f"{total} images are enough to try the training out; weights that work need thousands")
    return report


class _Survey:
    """What some images of a store show."""

    def __init__(self, source: TrainingStore, config: TrainConfig, looks: int) -> None:
        self.path, indices = source.path, held_out(source.path, config.validation_share)[0]
        self._reading, self._models = ResilientReader(source.path), records(source.path)
        names = spelled(self._models, config.objects)
        self._classes = {there: config.objects.index(name) for there, name in names.items()}
        focus = config.focus_of(names)
        self.trained, self.weight = len(indices), source.weight * len(indices)
        self.labelled: set[str] = set()
        self.rows: list[tuple[float, ...]] = []  # class, crop, visibility, size [px], distance [m]
        self.pictures = self.labels = 0
        self._faults: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._on_edges: list[bool] = []
        for index in np.unique(np.linspace(0, len(indices) - 1, looks).astype(int)):
            rng = np.random.default_rng([config.seed, int(index)])
            if (sample := self._reading(indices[index])) is not None:
                crop = augment(rng, sample, config.crop, focus, config.zoomed_crops)
                self._add(sample, crop, self._reading.store.number(indices[index]))

    def _add(self, sample: Sample, crop: Crop, number: int) -> None:
        self.labelled |= {label.name for label in sample.objects}
        for fault in label_faults(sample, self._models):
            self._note("labels", f"image {number}: {fault}")
        if (lies := on_edges(sample)) is not None:
            self._on_edges.append(lies)
        for fault in list(camera_faults(sample.camera))[:1]:
            self._note("cameras", f"image {number}: {fault}")
        for name, label, keypoints, visibility in zip(
            crop.names, sample.objects, crop.keypoints, crop.visibility, strict=True
        ):
            if name in self._classes and visibility >= MIN_TAUGHT_VISIBILITY:
                size, distance = np.ptp(keypoints, axis=0).max(), np.linalg.norm(label.pose.translation)
                self.rows.append((self._classes[name], self.pictures, visibility, size, distance))
        self.labels += len(sample.objects)
        self.pictures += 1

    def _note(self, what: str, example: str) -> None:
        self._faults[what] += 1
        self._examples.setdefault(what, example)

    def verdict(self) -> tuple[list[str], list[str]]:
        """Reasons to refuse the store, and warnings."""
        warnings = [line] if (line := self._reading.summary()) else []
        refusals: list[str] = []
        for what, count in self._faults.items():
            total = self.labels if what == "labels" else self.pictures
            line = f"{self.path}: {count} of {total} {what} are wrong; the first: {self._examples[what]}"
            (refusals if what == "labels" and count > MAX_WRONG_SHARE * total else warnings).append(line)
        if len(self._on_edges) >= OUTLINES and (share := float(np.mean(self._on_edges))) < ON_EDGES:
            refusals.append(
                f"{self.path}: the outlines of only {share:.0%} of its masks lie on edges of the images (by chance "
                "it would be half): these labels seem to be those of other images, or resized, cropped or mirrored"
            )
        if self.rows and (far := float(np.median([row[4] for row in self.rows]))) > MAX_DISTANCE:
            warnings.append(f"{self.path}: objects are {far:.0f} m away in the middle; are these metres?")
        return refusals, warnings


def _spellings(path: Path, names: list[str]) -> list[str]:
    pairs = spelled(records(path), names).items()
    return [f"{path}: {there!r} is taken for {name!r}; only the case differs" for there, name in pairs if there != name]


def _symmetries(path: Path, models: Mapping[str, ObjectModel]) -> Iterator[str]:
    own = records(path)
    for there, name in spelled(own, models).items():
        for key in ("symmetries_discrete", "symmetries_continuous"):
            if len(getattr(own[there], key)) != len(getattr(models[name], key)):
                yield f"{path}: {name} has other {key} there than in {models[name].source}; labels follow those there"


def _figures(index: int, name: str, surveys: list[_Survey]) -> ClassFigures:
    """Figures of one class over all stores, each as heavy as in an epoch."""
    shares, weights = [], [survey.weight for survey in surveys]
    for survey in surveys:
        shares.append(len({row[1] for row in survey.rows if row[0] == index}) / max(1, survey.pictures))
    rows = np.array([row[2:] for survey in surveys for row in survey.rows if row[0] == index]).reshape(-1, 3)
    quantiles = np.quantile(rows, QUANTILES, axis=0).T if len(rows) else np.full((3, len(QUANTILES)), np.nan)
    return ClassFigures(name, float(np.average(shares, weights=weights)), len(rows), *quantiles)


def _judge(figures: ClassFigures, report: Preflight) -> None:
    """Add what speaks against a class to the report."""
    name, share = figures.name, figures.share
    if share < RARE:
        line = (
            f"{name}: only {share:.1%} of the crops show it, fewer than {SCARCE if share < SCARCE else RARE:.0%}; "
            "a network that says nothing would be right nearly always: make data with more of it, or give a store "
            "that has it more weight (--data STORE=5)"
        )
        (report.refusals if share < SCARCE else report.warnings).append(line)
    length, stride = figures.size[1], report.stride
    if length < FEW_CELLS * stride:
        least = CELLS if length < CELLS * stride else FEW_CELLS
        line = (
            f"{name}: half of the time it is shorter than {length:.0f} px in the crops, less than {least} cells of "
            f"{stride} px ({least * stride} px), too small to tell its corners apart: make larger crops (`crop`), or "
            "data from nearer by"
        )
        (report.refusals if length < CELLS * stride else report.warnings).append(line)


def _row(values: np.ndarray, digits: int) -> str:
    return "  ".join(f"{value:.{digits}f}" for value in values)

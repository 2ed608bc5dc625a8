"""`dope train --self-test`: can this network learn these labels at all? It learns 32 images by heart, in minutes.

What cannot be learned by heart cannot be learned from 20,000 images either. The images are looked at through
windows that move and grow a little, so that the poses have to follow what is seen; the poses are then read from the
maps and compared with the labels through windows that were not trained on.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Collection, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import torch

from dope_datagen.dataset.store import Dataset, Sample
from dope_ros2.estimation.estimator import Estimator
from dope_ros2.estimation.settings import Settings
from dope_ros2.evaluation.matching import MIN_VISIBILITY, LabelledPose, match
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.image_warp import warp
from dope_ros2.network.metadata import Metadata, TrainedObject
from dope_ros2.objects.object_model import ObjectModel
from dope_training.checks.data_check import preflight
from dope_training.config import TrainConfig
from dope_training.data.augmentation import Crop
from dope_training.data.crops import Encoder, stack
from dope_training.data.split import TrainingStore, held_out
from dope_training.data.store_reader import readable
from dope_training.objective.crop_batch import CropBatch
from dope_training.objective.training_module import BeliefModule

IMAGE_COUNT = 32
LARGEST_CROP = 128  # [px]; larger ones take longer and prove no more
BATCH_SIZE = 16
MAX_STEPS, MAX_MINUTES = 600, 6.0  # the test ends with the first of them
FIRST_LOOK, LOOK_EVERY = 100, 50  # steps
LEARNING_RATE, CLIP = 1.5e-3, 5.0
MIN_FOUND_SHARE = 0.8  # share of the objects found
SPAN = (0.4, 0.75)  # of the crop, of the object that a window is around
FALLEN = 0.5  # of its first value; a loss above it has not learned anything


@dataclass(frozen=True)
class Outcome:
    """What the self-test found.

    Attributes:
        passed: the share found is `MIN_FOUND_SHARE`.
        found, asked: objects within 10 % of their distance and 20 degrees, of all that are visible enough.
        steps, seconds: that the training took.
        first, last: the loss at the start and at the end.
        cause: of a failure, in words; empty when it passed.
    """

    passed: bool
    found: int
    asked: int
    steps: int
    seconds: float
    first: float
    last: float
    cause: str = ""

    def line(self) -> str:
        """The verdict in words."""
        if not self.steps:
            return f"self-test: FAIL before the first step: {self.cause}"
        figures = (
            f"{self.found} of {self.asked} objects found in {IMAGE_COUNT} images after {self.steps} steps "
            f"({self.seconds:.0f} s), loss {self.first:.2f} -> {self.last:.2f}"
        )
        if self.passed:
            return f"self-test: PASS: {figures}; network, labels and decoding fit together"
        return f"self-test: FAIL: {figures}; likely cause: {self.cause}"


def self_test(config: TrainConfig, sources: list[TrainingStore], models: list[ObjectModel]) -> Outcome:
    """Learn 32 images by heart and see whether their poses come out.

    Args:
        config: the recipe; its network, objects and maps are tested.
        sources: stores to take images from; none: a few are rendered.
        models: records of `config.objects`, in that order.

    Raises:
        UserError: the stores lack an object or cannot be read, or nothing can be rendered here.
    """
    if sources:
        return _on_stores(config, sources, models)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rendered"
        _render(path, config.objects)
        return _on_stores(config, [TrainingStore(path)], models)


def _render(path: Path, objects: list[str]) -> None:
    """Render an easy store: one or two large objects in each image, nothing else."""
    from dope_datagen.generation.generate import generate
    from dope_datagen.scenes.config import parse_config

    entry = {
        "objects": dict.fromkeys(objects, 1), "width": 320, "height": 240, "focal": [300, 300], "size_px": [80, 140],
        "modes": {"float": 1}, "nb_frames": 1, "nb_objects": [1, 2], "nb_distractors": [0, 0], "variety": 4,
        "pybullet_meshes": False,
    }  # fmt: skip
    generate(parse_config(entry, "self-test"), path, 2 * IMAGE_COUNT)


def _on_stores(config: TrainConfig, sources: list[TrainingStore], models: list[ObjectModel]) -> Outcome:
    report = preflight(config, sources, models)
    print("\n".join(report.lines()), flush=True)
    if report.refusals:
        return Outcome(False, 0, 0, 0, 0.0, np.nan, np.nan, report.refusals[0])
    learner = Learner(config, models)
    for source in sources:
        learner.add(source.path, -(-IMAGE_COUNT // len(sources)))
    return learner.run()


class Learner:
    """A network that learns a few images by heart."""

    def __init__(self, config: TrainConfig, models: list[ObjectModel]) -> None:
        torch.manual_seed(config.seed)
        torch.set_flush_denormal(True)
        self._config, self._models = config, models
        self._size = min(config.crop, LARGEST_CROP)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._module = BeliefModule(config).to(self._device)
        self._pictures: list[tuple[Encoder, Sample]] = []

    def add(self, path: Path, wanted: int) -> None:
        """Take images of a store in which a trained object is well visible; its names become those of the recipe."""
        store, indices = Dataset.open(path), held_out(path, self._config.validation_share)[0]
        encoder, before = Encoder(store, self._config.objects), len(self._pictures)
        for sample in readable(store, np.random.default_rng(self._config.seed).permutation(indices)):
            if any(label.name in encoder.names and label.visibility >= MIN_VISIBILITY for label in sample.objects):
                self._pictures.append((encoder, sample))
            if len(self._pictures) - before == wanted:
                break

    def run(self) -> Outcome:
        """Learn until the poses come out, or the steps or the time are used up."""
        since, losses, found, asked = time.monotonic(), [], 0, 0
        for loss in self._steps():
            losses.append(loss)
            steps, seconds = len(losses), time.monotonic() - since
            over = steps == MAX_STEPS or seconds > 60 * MAX_MINUTES or not np.isfinite(loss)
            if over or (steps >= FIRST_LOOK and steps % LOOK_EVERY == 0):
                found, asked = self._look() if np.isfinite(loss) else (0, 0)
                print(f"self-test: step {steps}: loss {loss:.2f}, {found} of {asked} objects found", flush=True)
            if over or (asked and found >= MIN_FOUND_SHARE * asked):
                break
        first, last = losses[0], float(np.mean(losses[-10:]))
        passed = bool(asked and found >= MIN_FOUND_SHARE * asked)
        outcome = Outcome(passed, found, asked, len(losses), time.monotonic() - since, first, last)
        return outcome if passed else replace(outcome, cause=_cause(outcome, self._config))

    def _steps(self) -> Iterator[float]:
        """Train for ever; yields the loss of each step."""
        optimiser = torch.optim.AdamW(self._module.parameters(), lr=LEARNING_RATE)
        for step in count():
            rng = np.random.default_rng([self._config.seed, step])
            chosen = rng.choice(len(self._pictures), BATCH_SIZE)
            crops = [self._encoded(rng, *self._pictures[index]) for index in chosen]
            loss = self._module.train()(stack(crops).to(self._device))["loss"]
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self._module.parameters(), CLIP)
            optimiser.step()
            yield float(loss.detach())

    def _encoded(self, rng: np.random.Generator, encoder: Encoder, sample: Sample) -> CropBatch:
        return encoder(sample, window(rng, sample, encoder.names, self._size)[0])

    def _look(self) -> tuple[int, int]:
        """How many objects the network finds, and how many there are, in windows that it was not trained on."""
        config, models = self._config, {model.name: model for model in self._models}
        trained = tuple(TrainedObject(name=m.name, size=m.size, centre=m.centre) for m in self._models)
        stride = config.map_spec.stride
        metadata = Metadata(
            architecture=config.architecture, objects=trained, stride=stride, origin=(stride - 1) / 2,
            sigma=config.sigma, affinity=config.affinity, input_height=0,
        )  # fmt: skip
        estimator = Estimator.of_network(deepcopy(self._module.network), metadata, self._models, self._device)
        found = asked = 0
        for number, (encoder, sample) in enumerate(self._pictures):
            rng = np.random.default_rng([config.seed, MAX_STEPS, number])
            crop, camera = window(rng, sample, encoder.names, self._size)
            detected = [LabelledPose.of_detection(d) for d in estimator(crop.image, camera, Settings())]
            shown = [(encoder.names.get(name), k) for k, name in enumerate(crop.names)]
            truths = [
                LabelledPose(models[name], crop.visibility[k], sample.objects[k].pose)
                for name, k in shown
                if name in models
            ]
            pairs = [pair for pair in match(truths, detected) if truths[pair.truth].score >= MIN_VISIBILITY]
            found, asked = found + sum(pair.found for pair in pairs), asked + len(pairs)
        return found, asked


def window(rng: np.random.Generator, sample: Sample, names: Collection[str], size: int) -> tuple[Crop, CameraModel]:
    """Cut a window of `size` px around a well visible object of `names`, upright, unaltered; and its camera."""
    candidates = [label for label in sample.objects if label.name in names and label.visibility >= MIN_VISIBILITY]
    label = candidates[rng.integers(len(candidates))]
    scale = size * rng.uniform(*SPAN) / np.ptp(label.keypoints, axis=0).max()
    shift = (size - 1) / 2 + rng.uniform(-0.1, 0.1, 2) * size - scale * label.keypoints.mean(0)
    A = np.column_stack([scale * np.eye(2), shift])
    mask = cv2.warpAffine(sample.mask, A, (size, size), flags=cv2.INTER_NEAREST)
    objects = sample.objects
    pixels = np.bincount(mask.ravel(), minlength=len(objects) + 1)[1 : len(objects) + 1]
    alone = np.array([label.px_all for label in objects]) * scale**2
    keypoints = np.array([label.keypoints for label in objects]) * scale + shift
    image = warp(sample.rgb, A, size, (0, 0, 0))
    crop = Crop(image, [label.name for label in objects], keypoints, pixels / np.maximum(alone, 1), mask, A)
    return crop, CameraModel(np.vstack([A, [0, 0, 1]]) @ sample.camera.K, size, size)


def _cause(outcome: Outcome, config: TrainConfig) -> str:
    """Why it failed, as far as the figures tell."""
    if not np.isfinite(outcome.last):
        return "the loss is not a number; look for NaN in the labels with `dope check`"
    if outcome.steps < FIRST_LOOK:
        return (
            f"only {outcome.steps} steps of {config.architecture} in {MAX_MINUTES:g} minutes; this machine is too "
            "slow for it: use a GPU, or test with dope-lite"
        )
    if outcome.last > FALLEN * outcome.first:
        return (
            "the loss hardly falls, so what is to be learned cannot be seen in the images: labels of other images, "
            "or images without the objects; look at the sheets of --save"
        )
    return (
        "the maps are learned and the poses do not follow: labels of other images, a symmetric object without its "
        "symmetries in objects.yaml, or objects that are too small or too hidden; look at the sheets of --save"
    )

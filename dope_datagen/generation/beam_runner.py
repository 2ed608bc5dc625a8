"""Shards shared out by Apache Beam, with any of its runners: in processes of this machine, or on many machines.

A mistake of the user's, such as a full disk, does not leave a worker as an exception, which every runner retries, wraps
and logs in its own way: it becomes a metric, and the process that met it leaves its other shards undone.
"""

from __future__ import annotations

import argparse
import os
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import NoReturn

import apache_beam
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.portable_runner import PortableRunner

from dope_datagen.generation.job import Job, Runner
from dope_datagen.generation.process_pool import cores, use_one_core
from dope_ros2.common.errors import UserError

NAMESPACE, PICTURES, MISTAKES = "dope", "pictures", "mistakes"  # of the metrics
OFFLINE = "--allow_unsafe_triggers"  # else DirectRunner first fetches a program, Prism; here nothing is triggered

_thread = ThreadPoolExecutor(1)  # an OpenGL context belongs to the thread that made it, and Beam calls from several
_process: _Process | None = None  # used in that thread only


def runner(options: Sequence[str], workers: int = 0) -> Runner:
    """What shares shards out as Beam's own options say.

    Args:
        options: of Beam and of the runner they name; without any, processes of this machine do it.
        workers: how many of those, one per core if 0.

    Raises:
        UserError: Beam or the runner does not know one of the options, or refuses it.
    """
    if options and workers:
        raise UserError("--workers is not for a runner with options of its own, such as -- --direct_num_workers=2")
    return partial(_run, _pipeline(options or _of_this_machine(workers or cores())))


def _of_this_machine(workers: int) -> list[str]:
    processes = ["--direct_running_mode=multi_processing", f"--direct_num_workers={workers}"]
    return ["--runner=DirectRunner", *processes, "--default_sdk_harness_log_level=ERROR"]


def _pipeline(options: Sequence[str]) -> apache_beam.Pipeline:
    """An empty pipeline with these options, all of them understood."""
    name = _parser().parse_known_args(options)[0].runner or "DirectRunner"
    try:
        pipeline = apache_beam.Pipeline(name, PipelineOptions([*options, OFFLINE]))
    except (ValueError, ImportError, AttributeError) as error:
        _refuse(str(error))
    unknown = _parser().parse_known_args(options)[1]  # again: the runner's module may have brought some
    if unknown and not isinstance(pipeline.runner, PortableRunner):  # whose server may know more; else Beam warns
        raise UserError(f"Apache Beam has no option {unknown[0]} for {name}; `--runner beam -- --help` lists them all")
    return pipeline


def _parser() -> argparse.ArgumentParser:
    """Beam's own parser of all options."""
    found: list[argparse.ArgumentParser] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=found.append)
    found[0].prog, found[0].error = "dope generate ... --runner beam --", _refuse
    return found[0]


def _refuse(message: str) -> NoReturn:
    raise UserError(f"Apache Beam: {' '.join(message.split())}")


def _run(pipeline: apache_beam.Pipeline, job: Job, todo: list[int]) -> Iterator[int]:
    """Do shards, however long it takes; yields the number of images once, at the end."""
    if not todo:
        return
    job = _absolute(job)
    shards = pipeline | "shards" >> apache_beam.Create(todo) | "spread" >> apache_beam.Reshuffle()
    shards | "do" >> apache_beam.ParDo(Shards(job))
    try:
        result = pipeline.run()
        result.wait_until_finish()
    except RuntimeError as error:
        if "KeyboardInterrupt" in str(error):  # Beam wraps that too
            raise KeyboardInterrupt from error
        raise
    metrics = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))
    if mistakes := sorted(text for found in metrics["string_sets"] for text in found.result):
        raise UserError(mistakes[0])
    if missing := job.missing(todo):
        raise UserError(
            f"{job.out}: Apache Beam has ended, but shard {missing[0]} is not there ({len(missing)} of {len(todo)} "
            "are missing); see its workers' logs, and give an --out that every worker and this machine share"
        )
    yield sum(found.result for found in metrics["counters"])


def _absolute(job: Job) -> Job:
    """The same with whole paths: a worker has another working folder."""
    scenes = job.order.scenes and Path(os.path.abspath(job.order.scenes))
    return replace(job, out=Path(os.path.abspath(job.out)), order=replace(job.order, scenes=scenes))


class Shards(apache_beam.DoFn):
    """Does shards, and counts their images and the user's mistakes."""

    def __init__(self, job: Job) -> None:
        self._job, self._name = job, uuid.uuid4().hex

    def process(self, shard: int) -> None:
        """Do one shard, unless it is done; in one thread, whatever thread this is."""
        try:
            Metrics.counter(NAMESPACE, PICTURES).inc(_thread.submit(_shard, self._name, self._job, shard).result())
        except UserError as error:
            Metrics.string_set(NAMESPACE, MISTAKES).add(str(error))


class _Process:
    """What this process does for the pipeline `name`: shard after shard, until the first mistake."""

    def __init__(self, name: str, job: Job) -> None:
        self.name, self._job, self._ended = name, job, False

    @cached_property
    def _do(self) -> Callable[[int], int]:
        use_one_core()
        return self._job.begin(threads=1)

    def shard(self, shard: int) -> int:
        """Returns the number of images that were made."""
        if self._ended or not self._job.missing([shard]):  # a runner may give a shard twice
            return 0
        try:
            if not self._job.out.is_dir():
                raise UserError(
                    f"{self._job.out}: no such folder for the worker {socket.gethostname()}; "
                    "give an --out that every worker and this machine share"
                )
            return self._do(shard)
        except UserError:
            self._ended = True
            raise


def _shard(name: str, job: Job, shard: int) -> int:
    global _process
    if _process is None or _process.name != name:
        _process = _Process(name, job)
    return _process.shard(shard)

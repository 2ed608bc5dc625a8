"""`dope check`: read every finished shard of a dataset, say what is wrong and what is in it, and mend it if asked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from dope_datagen.dataset import shard_state
from dope_datagen.dataset.shards import SHARD
from dope_datagen.dataset.store import records
from dope_datagen.generation.process_pool import cores, map_unordered
from dope_datagen.inspection.shard_reader import DataFault, LabelStatistics, ShardReport, inspect_shard, store_faults
from dope_datagen.inspection.statistics import draw, survey
from dope_ros2.common import files
from dope_ros2.common.command_runner import command
from dope_ros2.common.errors import UserError
from dope_ros2.objects.object_model import use_objects

FAULTY = 1  # exit status
AGAIN = "`dope check --repair` renders them again, --mark lets `dope generate` do it"
SHOWN = 4  # faults of a shard that are printed; the JSON has all


@dataclass
class CheckReport:
    """What a dataset contains and what is wrong with it.

    Attributes:
        path: the store; images: images that it has when it is complete.
        shards: what was found in each finished shard.
        faults: those that concern the whole store.
    """

    path: Path
    images: int
    shards: dict[int, ShardReport] = field(default_factory=dict)
    faults: list[DataFault] = field(default_factory=list)

    @property
    def bad(self) -> list[int]:
        """Numbers of the shards with faults."""
        return sorted(number for number, report in self.shards.items() if report.faults)

    @property
    def missing(self) -> list[int]:
        """Numbers of the shards that have not been rendered yet, or are to be rendered again."""
        return sorted(set(range(-(-self.images // SHARD))) - set(shard_state.finished(self.path)))

    @property
    def all_faults(self) -> list[DataFault]:
        """Those of the store, then those of the shards."""
        return self.faults + [fault for number in sorted(self.shards) for fault in self.shards[number].faults]

    @property
    def seen(self) -> list[LabelStatistics]:
        """All labels that could be read."""
        return [seen for number in sorted(self.shards) for seen in self.shards[number].seen]

    @property
    def crowd(self) -> list[int]:
        """How many objects each image has."""
        return [count for number in sorted(self.shards) for count in self.shards[number].crowd]


def check(path: Path, shards: Sequence[int], workers: int, tolerance: float) -> CheckReport:
    """Read and check shards of a store, in several processes; changes nothing.

    Args:
        path: the store.
        shards: which.
        workers: processes.
        tolerance: how far a stored corner may lie from the projection of its pose [px].

    Raises:
        UserError: this is no store.
    """
    report = CheckReport(path, shard_state.attributes(path)["images"], faults=list(store_faults(path)))
    records(path)  # a mistake in them shows here, not in a process
    for one in tqdm(_inspected(path, shards, workers, tolerance), total=len(shards), unit="shard", disable=None):
        report.shards[one.shard] = one
    return report


def _inspected(path: Path, shards: Sequence[int], workers: int, tolerance: float) -> Iterator[ShardReport]:
    if workers <= 1 or len(shards) <= 1:
        return (inspect_shard(path, shard, tolerance) for shard in shards)
    return map_unordered(inspect_shard, [(path, shard, tolerance) for shard in shards], workers)


def repair(report: CheckReport, shards: Sequence[int], workers: int, tolerance: float) -> None:
    """Render shards of a dataset again, with its own seed and configuration, and check them again.

    Raises:
        UserError: it was not rendered by `dope generate`, or with other objects.
    """
    from dope_datagen.generation.generate import generate
    from dope_datagen.generation.local_runner import with_processes
    from dope_datagen.scenes.config import parse_config

    path, about = report.path, shard_state.attributes(report.path)
    try:
        config = parse_config(about["config"], f"{path}: config in zarr.json")
    except UserError as error:
        raise UserError(f"{error}; only what `dope generate` has rendered can be rendered again") from error
    mark(path, shards)
    generate(config, path, about["images"], about["seed"], shards, runner=with_processes(workers))
    for shard in shards:
        report.shards.pop(shard, None)
    again = sorted(set(shards) & set(shard_state.finished(path)))
    report.shards.update(check(path, again, workers, tolerance).shards)


def mark(path: Path, shards: Sequence[int]) -> None:
    """Let shards count as not rendered, so that `dope generate` and `--repair` render them again."""
    for shard in sorted(set(shards) & set(shard_state.finished(path))):
        shard_state.unfinish(path, shard)


def lines(report: CheckReport) -> Iterator[str]:
    """The report as text."""
    shards, content = len(report.shards), survey(report.seen, report.crowd)
    yield f"{report.path}: {len(report.crowd)} images read, in {shards} shard(s) of up to {SHARD}"
    for name, counts in content["classes"].items():
        yield f"  {name:20} {counts['instances']:8} instances, {counts['hidden']} of them hidden"
    if report.missing and shard_state.converted(report.path):
        yield f"left out: {_ranges(report.missing)}; to have them back, {shard_state.CONVERT_AGAIN}"
    elif report.missing:
        yield f"not rendered: {_ranges(report.missing)}; `dope generate` with the same arguments does it"
    yield f"faults: {len(report.all_faults) or 'none'}" + (f", in shards {_ranges(report.bad)}" if report.bad else "")
    yield from (f"  {fault}" for fault in report.faults)
    for number in report.bad:
        found = report.shards[number].faults
        yield from (f"  {fault}" for fault in found[:SHOWN])
        if len(found) > SHOWN:
            yield f"  shard {number}: and {len(found) - SHOWN} more"


def write(report: CheckReport, out: Path) -> None:
    """Write report.json and report.png into a folder.

    Raises:
        UserError: they cannot be written.
    """
    content = {
        "schema": "dope-check/1",
        "pictures": len(report.crowd),
        "shards": {"checked": sorted(report.shards), "faulty": report.bad, "not_rendered": report.missing},
        "faults": [asdict(fault) for fault in report.all_faults],
        **survey(report.seen, report.crowd),
    }
    title = f"{report.path.name}: {len(report.crowd)} images, {len(report.seen)} objects"
    files.write_json(out / "report.json", content)
    with files.replacing(out / "report.png") as picture:
        draw(content, title, picture)


def _ranges(numbers: Sequence[int]) -> str:
    """Numbers in order as text: "0, 3-7"."""
    there = set(numbers)
    starts = [n for n in numbers if n - 1 not in there]
    ends = [n for n in numbers if n + 1 not in there]
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True))


@command("dope check")
def main(
    data: Annotated[Path, typer.Argument(help="a dataset of `dope generate`")],
    out: Annotated[Path | None, typer.Option(help="folder of report.json and report.png; default: DATA-check")] = None,
    mark_bad: Annotated[
        bool, typer.Option("--mark", help="mark faulty shards, so that readers leave them out")
    ] = False,
    mend: Annotated[bool, typer.Option("--repair", help="render faulty and marked shards again")] = False,
    workers: Annotated[int, typer.Option(help="processes; 0: one per core")] = 0,
    tolerance: Annotated[float, typer.Option(min=0, help="largest allowed error of a stored corner [px]")] = 0.1,
    models: Annotated[Path | None, typer.Option(help="with --repair: folder that meshes are relative to")] = None,
    objects_file: Annotated[Path | None, typer.Option(help="with --repair: the objects.yaml it was made with")] = None,
) -> int:
    """Verify a dataset; the exit status is 0 when it is sound, also after a repair, and 1 when it has faults."""
    use_objects(objects_file, models)
    data = Path(os.path.abspath(data))
    foreign, shards = shard_state.converted(data), shard_state.finished(data)
    if mend and foreign:
        raise UserError(
            f"{data}: was made by `dope convert`, so --repair cannot render it again; {shard_state.CONVERT_AGAIN}, or "
            "leave its faulty shards out with --mark"
        )
    if not shards and not (mend and shard_state.marked(data)):
        raise UserError(f"{data}: no finished shard in this dataset; {shard_state.remedy(data)}")
    report = check(data, shards, workers or cores(), tolerance)
    bad = report.bad
    if mend and (again := sorted({*bad, *shard_state.marked(data)})):
        print(f"rendering again: shards {_ranges(again)}")
        repair(report, again, workers or cores(), tolerance)
    elif mark_bad:
        mark(data, bad)
    print("\n".join(lines(report)))
    if bad and not (mark_bad or mend):
        print(f"--mark leaves them out; to have them back, {shard_state.CONVERT_AGAIN}" if foreign else AGAIN)
    target = out or data.with_name(f"{data.name}-check")
    write(report, target)
    print(f"report: {target / 'report.json'}, {target / 'report.png'}")
    return FAULTY if report.all_faults else 0

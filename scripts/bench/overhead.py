"""What evalrunner costs and gains, against one process of plain `langsmith.aevaluate`.

    python scripts/bench/overhead.py [--reps 5] [--only a,b,c,d] [--json FILE]        (make bench-overhead)

a  CPU-bound target of 20 ms, 2 workers on 2 cores          goal: rate >= 1.8 x
b  sleeping async target of 100 ms, same total concurrency  goal: wall <= 1.05 x ideal + 2 s
c  no-op target and one evaluator, 1 worker                 goal: rate >= 1.0 x
d  from the command to the first executing example, 8 workers        goal: <= 2.5 s

Baseline and evalrunner alternate, each with a fresh backend process and a fresh store; medians are compared. A pair
that was disturbed by other processes of the machine is measured again; its ratio is printed.
`rate` is the steady one: items / (last end - first start), by the targets' and evaluators' own clocks, so that
nobody's start-up counts. `wall` is the whole command, from the start of its process to its end: the baseline's
includes `flush()`, without which it has delivered nothing, ours the confirmation and the receipt.
The baseline's target is async even where it computes: `aevaluate` takes nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts.bench import common

#: What the baseline may use in case c; the best of them is its figure. 0 means one by one.
SETTINGS = ("0", "1", "8")
START_WORKERS = 8
#: Part of the machine that others may take while a pair is measured.
QUIET = 0.05


@dataclass
class Sample:
    """One measurement; CPU in ms per item, by role; `others` is the part of the machine that others took."""

    rate: float
    wall: float
    first: float
    tail: float
    others: float
    returned: float | None = None
    delivered: float | None = None
    cpu: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """What is measured."""

    n: int
    target: str
    evaluator: str | None = None


def plain(case: Case, concurrency: str) -> Sample:
    """Measure one process of `aevaluate`."""
    extra = [case.evaluator] if case.evaluator else []
    return measure(case, common.script("baseline.py", common.DATASET, case.target, concurrency, *extra))


def ours(case: Case, workers: int, concurrency: int) -> Sample:
    """Measure evalrunner."""
    options = ["--workers", str(workers), "--max-concurrency", str(concurrency)]
    return measure(
        case,
        common.evalrunner(
            "run", "--dataset", common.DATASET, *options, target=case.target, evaluator=case.evaluator
        ),
    )


def measure(case: Case, command: list[str]) -> Sample:
    """Run a command against a backend of its own."""
    with common.backend() as server:
        common.push(server.client(), case.n)
        before = server.cpu()
        run = common.watch(command, env=server.environment(), cwd=server.folder)
        marks = common.read_marks(server.log_folder())
        cpu = {**run.cpu, "backend": server.cpu() - before}
        if run.code or len(marks.ends) != case.n:
            raise RuntimeError(
                f"exit code {run.code}, {len(marks.ends)} of {case.n} executed:\n{run.out[-3000:]}"
            )
    began = min(marks.starts)
    facts = common.told(run.out) if "BENCH " in run.out else {}
    cpu["aevaluate" if facts else "supervisor"] = cpu.pop("command")
    return Sample(
        rate=case.n / marks.span,
        wall=run.wall,
        first=began - run.began,
        tail=run.ended - max(marks.ends),
        others=max(0.0, run.busy - sum(cpu.values())) / run.wall / common.cores(),
        returned=facts["returned"] - began if facts else None,
        delivered=facts["delivered"] - began if facts else None,
        cpu={role: 1000 * seconds / case.n for role, seconds in cpu.items()},
    )


def alternate(
    options: argparse.Namespace, first: Callable[[], Sample], second: Callable[[], Sample]
) -> tuple[list[Sample], list[Sample]]:
    """Measure A, B, A, B, ... so that both meet the same neighbours; leave out pairs that met too many.

    One process of two cores is not hurt by a neighbour on the other; two workers are. So a pair counts if
    others took less than QUIET of the machine in both; at most --tries times as many pairs are measured.
    """
    reps = options.reps
    pairs: list[tuple[Sample, Sample]] = []
    while len(pairs) < options.tries * reps and sum(map(quiet, pairs)) < reps:
        pairs.append((first(), second()))
    taken = [pair for pair in pairs if quiet(pair)]
    if len(taken) < reps:
        common.say(
            f"  only {len(taken)} of {len(pairs)} pairs were undisturbed: the quietest {reps} are taken"
        )
        taken = sorted(pairs, key=lambda pair: max(pair[0].others, pair[1].others))[:reps]
    elif len(taken) < len(pairs):
        left = [f"{b.rate / a.rate:.2f}" for a, b in pairs if not quiet((a, b))]
        common.say(f"  {len(left)} disturbed pairs left out; their ratios of rates: {' '.join(left)}")
    return [a for a, _ in taken], [b for _, b in taken]


def quiet(pair: tuple[Sample, Sample]) -> bool:
    """Say whether a pair was measured with the machine to itself."""
    return max(sample.others for sample in pair) < QUIET


def med(samples: list[Sample], what: Callable[[Sample], float]) -> float:
    """Return the median of one figure."""
    return median(what(sample) for sample in samples)


def show(name: str, samples: list[Sample]) -> None:
    """Print every sample of one side, and its medians."""
    print(f"  {name}")
    print(f"    rate/s     {common.listed([s.rate for s in samples])}   median {med(samples, rate):.1f}")
    print(f"    wall s     {common.listed([s.wall for s in samples], 2)}   median {med(samples, wall):.2f}")
    print(f"    others %   {common.listed([100 * s.others for s in samples], 0)}   of the machine, meanwhile")
    first, tail = med(samples, lambda s: s.first), med(samples, lambda s: s.tail)
    print(f"    start to first item {first:.2f} s, last item to end {tail:.2f} s")
    if samples[0].returned is not None:
        returned, delivered = (
            med(samples, lambda s: s.returned or 0.0),
            med(samples, lambda s: s.delivered or 0.0),
        )
        common.say(f"    aevaluate returned after {returned:.2f} s, delivered after {delivered:.2f} s")
    roles = sorted({role for sample in samples for role in sample.cpu})
    told = ", ".join(f"{role} {med(samples, lambda s, r=role: s.cpu.get(r, 0.0)):.2f}" for role in roles)  # type: ignore[misc]
    common.say(f"    CPU ms per item, start-up included: {told}")


def rate(sample: Sample) -> float:
    """Return the steady rate."""
    return sample.rate


def wall(sample: Sample) -> float:
    """Return the wall time of the whole command."""
    return sample.wall


def verdict(text: str, holds: bool) -> None:
    """Print a goal and whether it was met."""
    common.say(f"  {'HOLDS' if holds else 'DOES NOT HOLD'}: {text}")
    print(flush=True)


def case_a(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the CPU-bound target."""
    n = options.cpu_n
    common.say(f"(a) CPU-bound target of 20 ms, N = {n}; baseline one by one, evalrunner 2 workers x 1")
    base, mine = alternate(options, lambda: plain(Case(n, "acpu"), "0"), lambda: ours(Case(n, "cpu"), 2, 1))
    show("aevaluate, 1 process", base)
    show("evalrunner, 2 workers", mine)
    ratio = med(mine, rate) / med(base, rate)
    whole = med(base, wall) / med(mine, wall)
    verdict(f"rate {ratio:.2f} x the baseline's, goal 1.8 x (whole command {whole:.2f} x)", ratio >= 1.8)
    return facts(base, mine, ratio=ratio, goal=1.8)


def case_b(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the sleeping target."""
    n, workers, each = options.sleep_n, 4, 4
    ideal = 0.1 * -(-n // (workers * each))
    common.say(f"(b) async target that sleeps 100 ms, N = {n}; 16 at once: ideal {ideal:.1f} s")
    case = Case(n, "sleep")
    base, mine = alternate(
        options, lambda: plain(case, str(workers * each)), lambda: ours(case, workers, each)
    )
    show("aevaluate, 1 process x 16", base)
    show("evalrunner, 4 workers x 4", mine)
    got, limit = med(mine, wall), 1.05 * ideal + 2
    verdict(f"wall {got:.2f} s, goal 1.05 x ideal + 2 s = {limit:.2f} s", got <= limit)
    return facts(base, mine, ideal=ideal, limit=limit)


def case_c(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the no-op target with one evaluator."""
    case = Case(options.noop_n, "noop", "exact")
    common.say(f"(c) no-op target and one evaluator, N = {case.n}; 1 worker")
    tried = {setting: plain(case, setting).rate for setting in SETTINGS}
    best = max(tried, key=lambda setting: tried[setting])
    told = ", ".join(f"{setting}: {value:.0f}/s" for setting, value in tried.items())
    common.say(f"  the baseline's max_concurrency, one try each: {told}; taken: {best}")
    each = max(1, int(best))
    base, mine = alternate(options, lambda: plain(case, best), lambda: ours(case, 1, each))
    show(f"aevaluate, 1 process, max_concurrency {best}", base)
    show(f"evalrunner, 1 worker, --max-concurrency {each}", mine)
    ratio = med(mine, rate) / med(base, rate)
    whole = med(base, wall) / med(mine, wall)
    verdict(f"rate {ratio:.2f} x the baseline's, goal 1.0 x (whole command {whole:.2f} x)", ratio >= 1.0)
    return facts(base, mine, ratio=ratio, goal=1.0, tried=tried)


def case_d(options: argparse.Namespace) -> dict[str, Any]:
    """Measure the time to the first executing example."""
    common.say(f"(d) command to first executing example, {START_WORKERS} workers, {options.start_n} examples")
    service = [start_on_service(options.start_n) for _ in range(options.reps)]
    local = [start_on_embedded(options.start_n) for _ in range(options.reps)]
    for name, samples in (
        ("evalrunner --workers 8 --experiment NAME, on a service", service),
        ("evalrunner run --workers 8 --dataset NAME, embedded backend", local),
    ):
        print(f"  {name}")
        firsts, lasts = [first for first, _ in samples], [last for _, last in samples]
        print(f"    first example  s {common.listed(firsts, 2)}   median {median(firsts):.2f}")
        print(f"    last worker's  s {common.listed(lasts, 2)}   median {median(lasts):.2f}")
    worst = max(median(first for first, _ in samples) for samples in (service, local))
    verdict(f"{worst:.2f} s, the slower of the two; goal 2.5 s", worst <= 2.5)
    return {"service": service, "embedded": local, "goal": 2.5}


def start_on_service(n: int) -> tuple[float, float]:
    """Complete an experiment that exists, on a backend that runs already."""
    with common.backend() as server:
        client = server.client()
        common.push(client, n)
        dataset = client.read_dataset(dataset_name=common.DATASET)
        client.create_project("bench-start", reference_dataset_id=dataset.id)
        command = common.evalrunner(
            "--workers", str(START_WORKERS), "--experiment", "bench-start", target="sleep"
        )
        return first_marks(command, server.environment(), server.folder)


def start_on_embedded(n: int) -> tuple[float, float]:
    """Make an experiment on the embedded backend, which is started by the command itself."""
    with common.scratch() as folder:
        lines = [json.dumps({"inputs": {"x": x}, "outputs": {"answer": x}}) for x in range(n)]
        (folder / "dataset.jsonl").write_text("\n".join(lines) + "\n")
        env = common.neutral_environment(BENCH_LOG=str(folder / "log"))
        os.mkdir(folder / "log")
        push = common.evalrunner("dataset", "push", "dataset.jsonl", "--name", common.DATASET, "--local")
        common.must(common.watch(push, env=env, cwd=folder))
        run = common.evalrunner(
            "run", "--dataset", common.DATASET, "--workers", str(START_WORKERS), "--local", target="sleep"
        )
        return first_marks(run, env, folder)


def first_marks(command: list[str], env: dict[str, str], folder: Path) -> tuple[float, float]:
    """Return the seconds from the start of a command to its first worker's first item, and to its last's."""
    run = common.must(common.watch(command, env=env, cwd=folder))
    firsts = sorted(min(common.read_marks_of(path).starts) for path in (folder / "log").glob("*.log"))
    return firsts[0] - run.began, firsts[-1] - run.began


def facts(base: list[Sample], mine: list[Sample], **more: Any) -> dict[str, Any]:
    """Return a case's samples for --json."""
    return {"baseline": [asdict(s) for s in base], "evalrunner": [asdict(s) for s in mine], **more}


CASES = {"a": case_a, "b": case_b, "c": case_c, "d": case_d}


def main() -> int:
    """Measure what was asked for and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="a,b,c,d", help="cases, with commas")
    parser.add_argument("--reps", type=int, default=5, help="alternating repetitions")
    parser.add_argument("--tries", type=int, default=3, help="times --reps, to find undisturbed ones")
    parser.add_argument("--cpu-n", type=int, default=400, help="items of case a")
    parser.add_argument("--sleep-n", type=int, default=800, help="items of case b")
    parser.add_argument("--noop-n", type=int, default=4000, help="items of case c")
    parser.add_argument("--start-n", type=int, default=64, help="items of case d")
    parser.add_argument("--json", type=Path, help="write every sample to this file")
    options = parser.parse_args()
    common.print_machine()
    print(f"{options.reps} alternating repetitions, a fresh backend and store for each\n", flush=True)
    document: dict[str, Any] = {"machine": common.machine(), "reps": options.reps}
    for name in options.only.split(","):
        document[name] = CASES[name](options)
    common.write_json(options.json, document)
    return 0


if __name__ == "__main__":
    sys.exit(main())

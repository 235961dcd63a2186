"""Lose runs in every way that is known, with the real SDK in real processes, and see what is said of it.

    python scripts/chaos/causes.py [--seeds 10] [--first-seed 1] [--cases CAUSE,...] [--pairs N]
                                   [--healthy] [--keep FOLDER] [--smoke]

Each case makes an experiment on the local backend and has a part of it done wrongly; what is missing, pending, hidden
or without scores is then told independently, from what the processes wrote down and from what the SDK reads. Then
`evalrunner doctor` is asked, once from outside and once with what the processes left (`verify`, where there is no
`doctor`: symptoms and ids, and no causes). Wanted, for every cause: its symptom is found, with exactly the ids; the
cause is in the list, and the list no wider than its class; from inside it is named, except where it leaves nothing
behind. Of healthy experiments nothing is said.

Exit code 1 if any of this is not so.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from scripts.chaos.cause_cases import Case, by_name, can, play  # noqa: E402 - after the path is set
from scripts.chaos.cause_healthy import KINDS  # noqa: E402 - likewise
from scripts.chaos.cause_score import Command, Outcome, Score, findings  # noqa: E402 - likewise
from scripts.chaos.cause_stage import NotProvoked, Stage  # noqa: E402 - likewise
from scripts.chaos.cause_table import Trial, short, table  # noqa: E402 - likewise
from scripts.chaos.cause_truth import Judge, Truth, by_cause, see  # noqa: E402 - likewise
from tests.support.rig import Backend, TimedOut, backend_in  # noqa: E402 - likewise

#: How often a case is tried in which nothing went wrong by chance.
TRIES = 4
SMOKE = ["refused", "error-ignored", "feedback-lost"]
SOUND = ["decoy-tracing-off", "some-scored"]


class Programme:
    """Plays cases, asks, and keeps what came of it."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.folder, self.options = folder, options
        self.command = Command.found(folder)
        self.trials: list[Trial] = []

    def healthy(self, backend: Backend, name: str, seed: int) -> Trial:
        """Play a healthy kind; whatever is said of it is wrong."""
        stage = Stage(backend, random.Random(f"{name}:{seed}"), self.folder / f"{len(self.trials)}-{name}")
        trial = Trial(name, seed)
        try:
            KINDS[name](stage)
        except NotProvoked as error:
            trial.refused = str(error)
            return trial
        finally:
            stage.close()
        if truth := Judge(stage, see(stage)).truth():
            trial.refused = f"it is not healthy: {', '.join(truth)}"
            return trial
        for inside in (False, True) if self.causes else (False,):
            document = self.command.ask(stage, inside=inside)
            trial.asked["inside" if inside else "outside"] = document
            trial.refused = trial.refused or str(document.get("refused", ""))
            trial.differences += sorted({f"{one.code}: said" for one in findings(document)})
        return trial

    def trial(self, backend: Backend, cases: Sequence[Case], seed: int) -> Trial:
        """Play cases in one experiment until something has gone wrong, and look at it."""
        name = "+".join(case.cause.value for case in cases)
        for attempt in range(TRIES):
            rng = random.Random(f"{name}:{seed}:{attempt}")
            stage = Stage(backend, rng, self.folder / f"{len(self.trials)}-{name}-{attempt}")
            trial = Trial(name, seed)
            try:
                play(stage, cases)
                self._look(stage, cases, trial)
            except (NotProvoked, TimedOut):
                trial.outcomes = [Outcome(case.cause) for case in cases]
            finally:
                stage.close()
            if all(one.provoked for one in trial.outcomes):
                break
        return trial

    def _look(self, stage: Stage, cases: Sequence[Case], trial: Trial) -> None:
        seen = see(stage)
        truth = Judge(stage, seen).truth()
        if not _provoked(truth, cases):
            raise NotProvoked
        recent = any(case.recent for case in cases)
        outside = self.command.ask(stage, inside=False, recent=recent)
        inside = self.command.ask(stage, inside=True, recent=recent) if self.causes else outside
        truth = {code: ids for code, ids in truth.items() if self.command.knows(code)}
        score = Score(truth, findings(outside), findings(inside), traced=bool(seen.judged))
        trial.asked = {"outside": outside, "inside": inside}
        trial.refused = str(outside.get("refused", ""))
        trial.differences = list(score.differences())
        for case in cases:
            outcome = score.outcome(case.cause, case.symptoms, case.within, causes=self.causes)
            outcome.exact = not trial.differences
            trial.outcomes.append(outcome)

    @property
    def causes(self) -> bool:
        """Whether the command knows causes."""
        return self.command.name == "doctor"

    def keep(self, trial: Trial) -> None:
        """Take a trial in, and say what is wrong with it."""
        self.trials.append(trial)
        for fault in trial.faults:
            print(f"  {trial.name} seed {trial.seed}: {fault}", flush=True)
        if trial.faults and self.options.keep:
            path = Path(self.options.keep) / f"{trial.seed}-{len(self.trials)}-{trial.name}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(trial.asked, indent=1))


def _provoked(truth: Truth, cases: Sequence[Case]) -> bool:
    found = by_cause(truth)
    return all(set(case.symptoms) & found.get(case.cause, {}).keys() for case in cases)


def main() -> int:
    """Run the programme; return 0 if all is as it should be."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="causes-") as name:
        folder = Path(name)
        programme = Programme(options, folder)
        began = time.monotonic()
        with contextlib.suppress(KeyboardInterrupt):  # what has been asked so far is told
            for seed in range(options.first_seed, options.first_seed + options.seeds):
                place = folder / str(seed)
                place.mkdir()
                with backend_in(place) as backend:
                    _play(programme, backend, seed)
        print(f"asked: evalrunner {programme.command.name}; {time.monotonic() - began:.0f} s")
        for line in table(programme.trials, causes=programme.causes):
            print(line)
        wrong = short(programme.trials, causes=programme.causes)
    print("; ".join(wrong) if wrong else "HOLDS")
    return 1 if wrong else 0


def _play(programme: Programme, backend: Backend, seed: int) -> None:
    """Play what is asked for: pairs of causes, or each alone."""
    knows = programme.command.knows
    if programme.options.healthy:
        for name in programme.options.cases or KINDS:
            programme.keep(programme.healthy(backend, name, seed))
        return
    chosen = [case for case in by_name(programme.options.cases) if can(case)]
    chosen = [case for case in chosen if any(map(knows, case.symptoms))]
    together = [[case] for case in chosen]
    if programme.options.pairs:
        rng = random.Random(seed)
        paired = [case for case in chosen if case.paired]
        together = [rng.sample(paired, 2) for _ in range(programme.options.pairs)]
    for cases in together:
        programme.keep(programme.trial(backend, cases, seed))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--cases", type=lambda text: text.split(","), default=[], help="only these causes")
    parser.add_argument(
        "--pairs",
        type=int,
        default=0,
        help="two causes in one experiment: so many for each seed, and none alone",
    )
    parser.add_argument("--healthy", action="store_true", help="healthy experiments, and nothing else")
    parser.add_argument("--keep", default="", help="folder for the documents of cases that fall short")
    parser.add_argument("--smoke", action="store_true", help="a handful of cases")
    options = parser.parse_args()
    if options.smoke:
        options.seeds, options.cases = 1, SOUND if options.healthy else SMOKE
    return options


if __name__ == "__main__":
    sys.exit(main())

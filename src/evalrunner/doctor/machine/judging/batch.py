"""A batch system's job: what it has given, in one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from evalrunner.doctor.machine.check import Check, Status

#: What says that there is a job, and the system's name.
_JOBS = {"SLURM_JOB_ID": "Slurm", "PBS_JOBID": "PBS", "LSB_JOBID": "LSF", "JOB_ID": "Grid Engine"}
_SLURM = (
    ("SLURM_JOB_NUM_NODES", "nodes"),
    ("SLURM_NTASKS", "tasks"),
    ("SLURM_CPUS_PER_TASK", "CPUs per task"),
    ("SLURM_CPUS_ON_NODE", "CPUs on this node"),
    ("SLURM_MEM_PER_NODE", "MB of memory per node"),
    ("SLURM_MEM_PER_CPU", "MB of memory per CPU"),
    ("SLURM_GPUS_ON_NODE", "GPUs on this node"),
)


def judge(environ: Mapping[str, str]) -> Iterator[Check]:
    """Yield a line if there is a job."""
    name = next(
        (one for one in _JOBS if environ.get(one) and (one != "JOB_ID" or "SGE_ROOT" in environ)), None
    )
    if name is None:
        return
    job = f"{_JOBS[name]} job {environ[name]}"
    if name != "SLURM_JOB_ID":
        yield Check("job", Status.OK, job)
        return
    given = [f"{environ[one]} {words}" for one, words in _SLURM if environ.get(one, "1") != "1"]
    seen = ", ".join([job, *given])
    if _number(environ, "SLURM_STEP_NUM_TASKS") > 1:
        yield Check(
            "job",
            Status.WARNING,
            f"{seen}: this command was started {environ['SLURM_STEP_NUM_TASKS']} times (srun), and one is enough",
            "start it once (srun --ntasks=1), or without srun; --workers makes the processes",
        )
    elif _number(environ, "SLURM_JOB_NUM_NODES") > 1:
        yield Check(
            "job",
            Status.NOTE,
            f"{seen}: a run uses the node that it is started on, and no other",
            "start one run per node over parts of the dataset (--split), each with its own --run-dir",
        )
    else:
        yield Check("job", Status.OK, seen)


def _number(environ: Mapping[str, str], name: str) -> int:
    text = environ.get(name, "")
    return int(text) if text.isdigit() else 0

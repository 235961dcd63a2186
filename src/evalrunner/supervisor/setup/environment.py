"""What each worker finds in its environment: who it is, which GPUs, how many threads, where LangSmith is."""

from __future__ import annotations

import os
from pathlib import Path

from evalrunner.config import Endpoint, RunConfig
from evalrunner.errors import UsageError

#: Thread pools of numeric libraries; each would otherwise start as many threads as there are cores.
THREADS = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS", "RAYON_NUM_THREADS",
)  # fmt: skip


def worker_environment(config: RunConfig, endpoint: Endpoint, slot: int, workers: int) -> dict[str, str]:
    """Return what is set in the worker of a slot; what the user has set himself is left alone.

    Raises:
        UsageError: there are fewer GPUs than the workers want.
    """
    env = {
        "EVALRUNNER_WORKER_ID": str(slot),
        "EVALRUNNER_WORKERS": str(workers),
        # A client that the target makes for itself goes where ours goes.
        "LANGSMITH_ENDPOINT": endpoint.url,
        "LANGSMITH_API_KEY": endpoint.key,
        **({"LANGSMITH_WORKSPACE_ID": endpoint.workspace} if endpoint.workspace else {}),
        **{name: os.environ[name] for name in ("NO_PROXY", "no_proxy") if name in os.environ},
    }
    threads = str(max(1, len(os.sched_getaffinity(0)) // workers))
    env.update({name: threads for name in THREADS if name not in os.environ})
    if config.gpus_per_worker:
        env["CUDA_VISIBLE_DEVICES"] = ",".join(_gpus(config.gpus_per_worker, slot, workers))
    env.update(config.env)
    return env


def _gpus(each: int, slot: int, workers: int) -> list[str]:
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        devices = [part.strip() for part in named.split(",") if part.strip()]
    else:
        devices = [str(number) for number, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]
    if len(devices) < each * workers:
        raise UsageError(
            f"{workers} workers with {each} GPU(s) each need {each * workers}, and {len(devices)} "
            f"{'is' if len(devices) == 1 else 'are'} visible here: lower --workers or --gpus-per-worker"
        )
    return devices[slot * each : (slot + 1) * each]

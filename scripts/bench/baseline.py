"""One process of plain `langsmith.aevaluate`, as its documentation shows it; started by overhead.py.

    python scripts/bench/baseline.py DATASET TARGET MAX_CONCURRENCY [EVALUATOR]

Prints, as JSON, when it returned, when everything was delivered (`flush()`), and the CPU seconds it took.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from langsmith import Client, aevaluate

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts.bench import workload


async def evaluate(client: Client, dataset: str, target: str, concurrency: str, *evaluators: str) -> Any:
    """Evaluate the whole dataset."""
    return await aevaluate(
        getattr(workload, target),
        data=dataset,
        evaluators=[getattr(workload, name) for name in evaluators],
        max_concurrency=None if concurrency == "none" else int(concurrency),
        client=client,
    )


def main() -> int:
    """Evaluate, deliver, report."""
    client = Client()
    results = asyncio.run(evaluate(client, *sys.argv[1:]))
    returned = time.time()
    client.flush()
    delivered = time.time()
    facts = {
        "experiment": results.experiment_name,
        "returned": returned,
        "delivered": delivered,
        "cpu": time.process_time(),
    }
    print(f"\nBENCH {json.dumps(facts)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

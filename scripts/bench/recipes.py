"""The recipes that evalrunner is compared with, as people run them; started by loss.py.

    python scripts/bench/recipes.py article|shard EXPERIMENT DATASET WORKERS

article  every example by itself: `aevaluate([example], blocking=False)`, consume the generator, then
         `Client().tracing_queue.join()`, sleep 2 s, acknowledge
shard    every worker evaluates its share with one `aevaluate`, returns, and acknowledges the share

Both fork their workers with `multiprocessing`, at once, before anything of LangSmith is used: a parent that has
used a client loses everything of its forked children, and that is not what is compared here. Acknowledged
numbers go to the file `acknowledged` of their process in BENCH_LOG.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import Any

from langsmith import Client, aevaluate

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from scripts.bench import workload


def number_of(example: Any) -> int:
    """Return an example's number."""
    return int(example.inputs["x"])


def acknowledge(numbers: list[int]) -> None:
    """Tell the batch system that these are done."""
    with (Path(os.environ["BENCH_LOG"]) / f"{os.getpid()}.acknowledged").open("a") as file:
        file.writelines(f"{number}\n" for number in numbers)


async def evaluate(client: Client, experiment: str, examples: list[Any], *, blocking: bool) -> None:
    """Evaluate some examples into the shared experiment, and consume every row."""
    evaluator: Any = workload.exact
    results = await aevaluate(
        workload.nested,
        data=examples,
        evaluators=[evaluator],
        experiment=experiment,
        client=client,
        blocking=blocking,
        disable_evaluator_tracing=True,
    )
    async for _ in results:
        pass


def article(client: Client, experiment: str, examples: list[Any]) -> None:
    """Do as the article says."""
    for example in examples:
        asyncio.run(evaluate(client, experiment, [example], blocking=False))
        queue = Client().tracing_queue
        assert queue is not None
        queue.join()
        time.sleep(2)
        acknowledge([number_of(example)])


def shard(client: Client, experiment: str, examples: list[Any]) -> None:
    """Evaluate the whole share at once."""
    asyncio.run(evaluate(client, experiment, examples, blocking=True))
    acknowledge([number_of(example) for example in examples])


def work(recipe: str, experiment: str, dataset: str, number: int, workers: int) -> None:
    """Live a worker's life."""
    client = Client()
    examples = sorted(client.list_examples(dataset_name=dataset), key=number_of)
    {"article": article, "shard": shard}[recipe](client, experiment, examples[number::workers])


def main() -> int:
    """Fork the workers, wait for them, say how they ended."""
    recipe, experiment, dataset, workers = sys.argv[1:]
    fork = multiprocessing.get_context("fork")
    processes = [
        fork.Process(target=work, args=(recipe, experiment, dataset, number, int(workers)))
        for number in range(int(workers))
    ]
    for process in processes:
        process.start()
    print(f"WORKERS {json.dumps([process.pid for process in processes])}", flush=True)
    for process in processes:
        process.join()
    codes = [process.exitcode for process in processes]
    print(f"BENCH {json.dumps({'codes': codes})}", flush=True)
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())

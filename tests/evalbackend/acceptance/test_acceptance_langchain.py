"""Traces of LangChain's own tracer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langchain_core.tracers import LangChainTracer

from tests.evalbackend.acceptance.world import QUIET, World, name

pytestmark = QUIET


class Shelf(BaseRetriever):
    """A retriever with one document."""

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun
    ) -> list[Document]:
        return [Document(f"about {query}")]


@tool
def shout(text: str) -> str:
    """Say it loudly."""
    return f"{text}!"


def chain() -> Any:
    prompt = ChatPromptTemplate.from_messages([("system", "be short"), ("human", "{q}")])
    parallel = RunnableParallel(
        answer=prompt | FakeListChatModel(responses=["yes"]), found=RunnableLambda(lambda x: x["q"]) | Shelf()
    )
    return parallel | RunnableLambda(lambda x: shout.invoke(x["answer"].content)).with_config(run_name="loud")


def test_the_tracer_of_langchain(world: World) -> None:
    project = name("chain")
    tracer = LangChainTracer(project_name=project, client=world.client, tags=["lc"])
    config = {"callbacks": [tracer], "metadata": {"thread_id": "t1"}, "run_name": "whole"}
    made = chain()
    if world.axes.one_of("sync", "async") == "sync":
        assert made.invoke({"q": "tea"}, config) == "yes!"
    else:
        assert asyncio.run(made.ainvoke({"q": "tea"}, config)) == "yes!"
    tracer.wait_for_futures()
    expected = {"whole", "ChatPromptTemplate", "FakeListChatModel", "Shelf", "loud", "shout"}
    runs = {run.name: run for run in world.landed(project, 10)}
    assert expected <= set(runs)
    types = {run.name: run.run_type for run in runs.values()}
    assert (types["FakeListChatModel"], types["Shelf"], types["shout"]) == ("llm", "retriever", "tool")
    assert [run.name for run in runs.values() if run.parent_run_id is None] == ["whole"]
    assert (runs["whole"].inputs, runs["whole"].outputs) == ({"q": "tea"}, {"output": "yes!"})
    assert all(run.metadata["thread_id"] == "t1" and "lc" in run.tags for run in runs.values())
    said = world.run(runs["FakeListChatModel"])
    assert (said.outputs or {})["generations"][0][0]["text"] == "yes"
    assert said.inputs["messages"][0][1]["kwargs"]["content"] == "tea"
    assert (runs["Shelf"].outputs or {})["documents"][0]["page_content"] == "about tea"


def test_a_failing_chain(sample: World) -> None:
    project = name("chain")
    tracer = LangChainTracer(project_name=project, client=sample.client)

    def fail(_: Any) -> None:
        raise KeyError("lost")

    with pytest.raises(KeyError):
        (RunnableLambda(lambda x: x) | RunnableLambda(fail)).invoke(1, {"callbacks": [tracer]})
    tracer.wait_for_futures()
    runs = {run.name: run for run in sample.landed(project, 3)}
    assert {run.name: run.status for run in runs.values()} == {
        "RunnableSequence": "error", "RunnableLambda": "success", "fail": "error",
    }  # fmt: skip
    assert "KeyError('lost')" in (runs["RunnableSequence"].error or "")

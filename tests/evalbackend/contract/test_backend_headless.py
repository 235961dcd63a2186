"""Runs of which only the end arrived, or nothing but runs below them: no query lists them, the pages show them."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
import requests

from evalbackend.store.migrate import MIGRATIONS, SCHEMA_VERSION
from evalbackend.web.door import sign_in_path
from evalbackend.web.listing import PAGE
from evalbackend.web.tree import MOST
from tests.support.backend import TOKEN, Backend, body, patch, post, run_id, running

STAMP = "20260102T030405000006Z"
START, END = "2026-01-02T03:04:05.000006+00:00", "2026-01-02T03:04:06.000006+00:00"
ONLY_END = "Only the end of this run arrived; its beginning was lost, or is still on its way."
NOTHING = "Nothing of this run arrived, neither its beginning nor its end; runs below it did."


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    with running(tmp_path / "store.db") as found:
        yield found


@pytest.fixture
def visitor(backend: Backend) -> Iterator[requests.Session]:
    with signed_in(backend) as session:
        yield session


def signed_in(backend: Backend) -> requests.Session:
    session = requests.Session()
    assert session.get(backend.url + sign_in_path(TOKEN), timeout=60).status_code == 200
    return session


def send(backend: Backend, *parts: bytes) -> None:
    assert backend.multipart(body(*parts)).status_code == 202


def place(*runs: str) -> str:
    return ".".join(STAMP + run for run in runs)


def child(*runs: str, start: str = START) -> bytes:
    """The create of the last of some runs, each below the one before it."""
    told = {"trace_id": runs[0], "parent_run_id": runs[-2], "dotted_order": place(*runs), "name": "step"}
    return post(runs[-1], "p", start_time=start, **told)


def end(run: str, *above: str, start: str = START, **more: object) -> bytes:
    """The end of a run as the SDK sends it: it tells all but the inputs, and its start too."""
    told = (
        {"trace_id": above[0], "parent_run_id": above[-1], "dotted_order": place(*above, run)}
        if above
        else {}
    )
    kept = {"session_name": "p", "name": "target", "run_type": "chain", "start_time": start, "end_time": END}
    return patch(run, outputs={"a": "half told"}, **{**kept, **told, **more})


def shown(visitor: requests.Session, backend: Backend, path: str, status: int = 200) -> str:
    answer = visitor.get(f"{backend.url}/ui/{path}", timeout=60)
    assert answer.status_code == status, answer.text
    return str(answer.text)


def tree(page: str) -> list[tuple[int, str | None, str]]:
    """Return what a page of a run shows of its trace: depth, link, and what is said of each run that is not whole."""
    rows = re.findall(
        r'<li><a class="d(\d+)"(?: href="/ui/runs/([0-9a-f-]+)#run")?(.*?)</a></li>', page, re.S
    )
    words = [re.findall(r'class="tag \w+">([^<]+)<', rest) for _, _, rest in rows]
    return [
        (int(depth), run or None, " ".join(said)) for (depth, run, _), said in zip(rows, words, strict=True)
    ]


def project(backend: Backend) -> str:
    return str(backend.call("GET", "/sessions?name=p").json()[0]["id"])


def test_no_query_lists_a_run_without_a_beginning(backend: Backend) -> None:
    root, lost, alone = run_id(), run_id(), run_id()
    send(backend, post(root, "p", end_time=END), end(lost, root), end(alone))
    session = project(backend)
    read = backend.call("GET", f"/runs/{root}").json()
    assert read["child_run_ids"] == []
    for run in (lost, alone):
        assert backend.call("GET", f"/runs/{run}").status_code == 404
    for query in ({"trace": root}, {"session": [session]}, {"id": [root, lost, alone]}, {"parent_run": root}):
        found = backend.call("POST", "/runs/query", json=query).json()["runs"]
        assert [run["id"] for run in found] == ([] if "parent_run" in query else [root]), query
    assert backend.call("GET", f"/sessions/{session}?include_stats=true").json()["run_count"] == 1
    assert backend.truth("p")["counts"]["patch_only"] == 2


def test_a_root_run_of_which_only_the_end_arrived_is_shown_with_its_trace(
    backend: Backend, visitor: requests.Session
) -> None:
    root, kid, half = run_id(), run_id(), run_id()
    send(backend, end(root), child(root, kid), end(half, root, start=END, error="it broke"))
    page = shown(visitor, backend, f"runs/{root}")
    assert ONLY_END in page
    assert "half told" in page
    assert "a run's beginning tells them" in page
    assert tree(page) == [(0, root, "end only"), (1, kid, ""), (1, half, "end only error")]
    assert "This trace is not whole" in page
    below = shown(visitor, backend, f"runs/{kid}")
    assert tree(below) == tree(page)
    assert ONLY_END not in below
    assert "half told" in shown(visitor, backend, f"runs/{root}/outputs")
    send(backend, post(root, "p", inputs={"q": "late"}), post(half, "p", trace_id=root, parent_run_id=root))
    page = shown(visitor, backend, f"runs/{root}")
    assert (ONLY_END in page, "late" in page, "not whole" in page) == (False, True, False)


def test_a_run_of_which_nothing_arrived_has_its_place_above_those_below_it(
    backend: Backend, visitor: requests.Session
) -> None:
    root, middle, parent, kid, other = (run_id() for _ in range(5))
    send(backend, child(root, middle, parent, kid), child(root, other, start=END))
    page = shown(visitor, backend, f"runs/{kid}")
    gone = "not here"
    assert tree(page) == [
        (0, root, gone), (1, None, gone), (2, parent, gone), (3, kid, ""), (1, other, ""),
    ]  # fmt: skip
    for run in (root, parent):
        page = shown(visitor, backend, f"runs/{run}")
        assert NOTHING in page
        assert len(tree(page)) == 5
    far, between, deep = run_id(), run_id(), run_id()
    send(backend, child(far, between, deep))
    assert NOTHING in shown(visitor, backend, f"runs/{far}")
    shown(visitor, backend, f"runs/{run_id()}", 404)
    shown(visitor, backend, f"runs/{root}/outputs", 404)


def test_an_update_that_tells_nothing_but_itself_has_a_page(
    backend: Backend, visitor: requests.Session
) -> None:
    run = run_id()
    assert backend.call("PATCH", f"/runs/{run}", json={"outputs": {"a": 1}}).status_code == 202
    assert "arrived; its beginning was lost" in shown(visitor, backend, f"runs/{run}")


def test_runs_that_are_above_each_other_in_a_circle_are_shown(
    backend: Backend, visitor: requests.Session
) -> None:
    root, one, two = run_id(), run_id(), run_id()
    circle = [
        post(run, "p", trace_id=root, parent_run_id=above, dotted_order=place(root, above, run))
        for run, above in ((one, two), (two, one))
    ]
    send(backend, post(root, "p"), *circle)
    assert {run for _, run, _ in tree(shown(visitor, backend, f"runs/{root}"))} == {root, one, two}


def test_what_is_only_beyond_the_shown_runs_is_not_called_lost(
    backend: Backend, visitor: requests.Session
) -> None:
    root, late, kid = run_id(), run_id(), run_id()
    many = [child(root, run_id()) for _ in range(MOST)]
    send(backend, post(root, "p"), *many, child(root, late, start=END))
    send(backend, child(root, late, kid, start="2026-01-02T03:04:04.000006+00:00"))
    page = shown(visitor, backend, f"runs/{root}")
    assert f"The first {MOST:,} of {MOST + 3:,} runs are shown" in page
    assert "not here" not in page


def test_a_project_lists_traces_without_a_beginning_at_their_time(
    backend: Backend, visitor: requests.Session
) -> None:
    def at(number: int, seconds: int = 0) -> str:
        return f"2026-01-02T03:{number:02}:{seconds:02}.000000+00:00"

    roots = [run_id() for _ in range(PAGE + 5)]
    send(backend, *(post(root, "p", start_time=at(number)) for number, root in enumerate(roots)))
    half, headless, early = run_id(), run_id(), run_id()
    send(backend, end(half, start=at(10, 30)), child(headless, run_id(), start=at(20, 30)))
    send(backend, child(headless, run_id(), start=at(20, 40)))
    send(
        backend, end(early, start=at(4, 30))
    )  # between the last of the first page and the first of the second
    pages = [shown(visitor, backend, f"projects/{project(backend)}?page={number}") for number in (1, 2, 3)]
    listed = [re.findall(r'class="row" href="/ui/runs/([0-9a-f-]+)"', page) for page in pages]
    latest = [*reversed(roots[5:])]
    latest.insert(latest.index(roots[20]), headless)
    latest.insert(latest.index(roots[10]), half)
    assert listed == [[*latest, early], [*reversed(roots[:5])], []]
    assert "2 runs below it" in pages[0]
    assert f"1–{PAGE} of {PAGE + 5}" in pages[0]


def test_a_project_of_nothing_but_ends_is_listed(backend: Backend, visitor: requests.Session) -> None:
    run = run_id()
    send(backend, end(run))
    assert f"/ui/projects/{project(backend)}" in shown(visitor, backend, "")
    assert f"/ui/runs/{run}" in shown(visitor, backend, f"projects/{project(backend)}")


def test_the_page_of_an_example_shows_the_end_that_arrived(
    backend: Backend, visitor: requests.Session
) -> None:
    dataset = backend.call("POST", "/datasets", json={"name": "d"}).json()["id"]
    made = {"dataset_id": dataset, "inputs": {"q": 1}, "outputs": {}}
    example = backend.call("POST", "/examples", json=made).json()["id"]
    run = run_id()
    send(backend, end(run, reference_example_id=example))
    page = shown(visitor, backend, f"examples/{example}")
    assert f"/ui/runs/{run}" in page
    assert ">end only<" in page


def test_a_store_of_before_names_the_ends_that_it_holds(tmp_path: Path) -> None:
    path, run, session = tmp_path / "store.db", run_id(), run_id()
    old = sqlite3.connect(path)
    for script in ["schema.sql", *(MIGRATIONS[version] for version in range(1, 14))]:
        old.executescript(resources.files("evalbackend.store").joinpath(script).read_text(encoding="utf-8"))
    old.execute("INSERT INTO meta VALUES ('tenant_id', ?), ('url_secret', '00')", (run_id(),))
    old.execute(
        "INSERT INTO datasets VALUES ('d', 'd', NULL, 'kv', NULL, NULL, NULL, NULL, ?, ?)", (START, START)
    )
    fields = (session, START)
    old.execute(
        "INSERT INTO sessions (id, name, start_time, reference_dataset_id) VALUES (?, 'e', ?, 'd')", fields
    )
    old.execute(
        "INSERT INTO runs (id, patch_n, session_id, trace_id, start_time, end_time) VALUES (?, 1, ?, ?, ?, ?)",
        (run, session, run, START, END),
    )
    old.execute("PRAGMA user_version = 14")
    old.commit()
    old.close()
    with running(path) as backend, signed_in(backend) as visitor:
        assert f"/ui/runs/{run}" in shown(visitor, backend, f"experiments/{session}/holes?kind=headless")
    left = sqlite3.connect(path)
    assert left.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    left.close()

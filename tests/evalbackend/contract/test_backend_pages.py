"""The pages over HTTP: who gets in, what the verdict says, which holes are named, what hostile text becomes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import requests

from evalbackend.web.door import sign_in_path
from tests.support.backend import (
    TOKEN,
    Backend,
    body,
    part,
    patch,
    post,
    run_id,
    running,
)

# Parameters must be the same in every process that collects them: an id that nothing has.
NOBODYS = "0c0ffee0-0000-4000-8000-000000000001"
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e'\""


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    with running(tmp_path / "store.db") as found:
        yield found


@pytest.fixture
def visitor(backend: Backend) -> Iterator[requests.Session]:
    with requests.Session() as session:
        assert session.get(backend.url + sign_in_path(TOKEN), timeout=60).status_code == 200
        yield session


class Made:
    """A dataset of three examples and an experiment over them, twice."""

    def __init__(self, backend: Backend, started: datetime | None = None) -> None:
        self.backend = backend
        self.dataset = backend.call("POST", "/datasets", json={"name": "d" + HOSTILE}).json()["id"]
        made = [self.example({"q": f"{HOSTILE} {number}"}) for number in range(3)]
        self.examples = [example["id"] for example in made]
        metadata = {"dataset_version": max(example["modified_at"] for example in made), "num_repetitions": 2}
        fields = {
            "name": "e" + HOSTILE,
            "reference_dataset_id": self.dataset,
            "extra": {"metadata": metadata},
            "start_time": started.isoformat() if started else None,
        }
        self.session = backend.call("POST", "/sessions", json=fields).json()["id"]

    def example(self, inputs: dict[str, Any]) -> dict[str, Any]:
        fields = {"dataset_id": self.dataset, "inputs": inputs, "outputs": {"a": HOSTILE}}
        return dict(self.backend.call("POST", "/examples", json=fields).json())

    def run(self, example: str | None, **fields: Any) -> str:
        run = run_id()
        fields = {"session_id": self.session, "reference_example_id": example, "outputs": {"a": 1}, **fields}
        made = body(post(run, "unused", **fields))
        assert self.backend.multipart(made).status_code == 202
        return str(run)

    def end(self, example: str | None) -> str:
        """Send the end of a run as the SDK does: it tells all but the inputs, and its start too."""
        run = run_id()
        told = {
            "session_id": self.session, "name": "target", "run_type": "chain", "reference_example_id": example,
            "start_time": "2026-01-02T03:04:05.000006+00:00", "end_time": "2026-01-02T03:04:06.000006+00:00",
        }  # fmt: skip
        sent = body(patch(run, outputs={"a": "half told"}, **told))
        assert self.backend.multipart(sent).status_code == 202
        return str(run)

    def all_runs(self) -> list[str]:
        return [self.run(example) for example in self.examples for _ in range(2)]

    def page(self, visitor: requests.Session, rest: str = "") -> str:
        answer = visitor.get(f"{self.backend.url}/ui/experiments/{self.session}{rest}", timeout=60)
        assert answer.status_code == 200
        return str(answer.text)


def test_the_link_signs_in_and_the_code_leaves_the_address(backend: Backend) -> None:
    answer = requests.get(backend.url + sign_in_path(TOKEN), allow_redirects=False, timeout=60)
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert sign_in_path(TOKEN).partition("=")[2] not in cookie
    assert TOKEN not in sign_in_path(TOKEN)


def test_the_token_signs_in_and_leads_on(backend: Backend) -> None:
    with requests.Session() as session:
        form = {"token": TOKEN, "next": "/ui/compare?a=1"}
        answer = session.post(f"{backend.url}/login", data=form, allow_redirects=False, timeout=60)
        assert (answer.status_code, answer.headers["location"]) == (303, "/ui/compare?a=1")
        form["next"] = "https://example.org/"
        answer = session.post(f"{backend.url}/login", data=form, allow_redirects=False, timeout=60)
        assert answer.headers["location"] == "/ui/"
        assert session.get(f"{backend.url}/ui/", timeout=60).status_code == 200
        assert session.post(f"{backend.url}/logout", timeout=60).status_code == 200
        assert session.get(f"{backend.url}/ui/", timeout=60).status_code == 401


@pytest.mark.parametrize("path", ["/ui/", f"/ui/experiments/{NOBODYS}", "/ui/nothing"])
def test_without_cookie_there_is_only_the_sign_in(backend: Backend, path: str) -> None:
    answer = requests.get(backend.url + path, timeout=60)
    assert answer.status_code == 401
    assert 'name="token"' in answer.text
    key = requests.get(backend.url + path, headers={"x-api-key": TOKEN}, timeout=60)
    assert key.status_code == 401


def test_a_link_of_the_sdk_leads_to_its_page_by_way_of_the_sign_in(backend: Backend) -> None:
    made = Made(backend)
    for rest, page in (
        (f"datasets/{made.dataset}", f"/ui/datasets/{made.dataset}"),
        (
            f"datasets/{made.dataset}/compare?selectedSessions={made.session}",
            f"/ui/experiments/{made.session}",
        ),
        (f"projects/p/{made.session}", f"/ui/experiments/{made.session}"),
    ):
        with requests.Session() as visitor:
            asked = visitor.get(f"{backend.url}/o/tenant/{rest}", timeout=60)
            assert (asked.status_code, 'name="token"' in asked.text) == (200, True)
            found = re.search(r'name="next" value="([^"]+)"', asked.text)
            assert found is not None
            form = {"token": TOKEN, "next": found[1].replace("&amp;", "&")}
            landed = visitor.post(f"{backend.url}/login", data=form, timeout=60)
            assert (landed.status_code, landed.url) == (200, backend.url + page)
            again = visitor.get(f"{backend.url}/o/tenant/{rest}", timeout=60)
            assert again.url == backend.url + page
            assert visitor.get(asked.url, timeout=60).url == backend.url + page
    code = f"{backend.url}{sign_in_path(TOKEN)}&next=//evil.example/"
    assert requests.get(code, allow_redirects=False, timeout=60).headers["location"] == "/ui/"


def test_wrong_codes_tokens_and_cookies(backend: Backend, visitor: requests.Session) -> None:
    assert requests.get(f"{backend.url}/login?code=no", timeout=60).status_code == 401
    assert requests.post(f"{backend.url}/login", data={"token": "no"}, timeout=60).status_code == 401
    assert requests.post(f"{backend.url}/login", data={"token": "x" * 9999}, timeout=60).status_code == 413
    name, value = next(iter(visitor.cookies.items()))
    deadline, _, signature = value.partition(".")
    for forged in (f"{int(deadline) + 1}.{signature}", f"{deadline}.", "", "x.y", f"0.{signature}"):
        answer = requests.get(f"{backend.url}/ui/", cookies={name: forged}, timeout=60)
        assert answer.status_code == 401
    assert visitor.get(f"{backend.url}/datasets", timeout=60).status_code == 401  # the API wants its key


def test_a_link_from_another_site_asks_once_more_by_itself(backend: Backend) -> None:
    answer = requests.get(f"{backend.url}/ui/", headers={"sec-fetch-site": "cross-site"}, timeout=60)
    assert 'http-equiv="refresh" content="0"' in answer.text


def test_headers_of_every_page(backend: Backend, visitor: requests.Session) -> None:
    for path in ("/ui/", "/login", "/ui/static/style.css", "/ui/static/page.js", "/ui/nothing"):
        headers = visitor.get(backend.url + path, timeout=60).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert headers["x-content-type-options"] == "nosniff"


def test_a_complete_experiment(backend: Backend, visitor: requests.Session) -> None:
    made = Made(backend)
    made.all_runs()
    page = made.page(visitor)
    assert "All 6 items are visible; nothing was lost." in page
    assert 'id="holes"' not in page


@pytest.mark.parametrize("goes_on", [True, False])
def test_every_kind_of_hole_is_a_row(backend: Backend, visitor: requests.Session, goes_on: bool) -> None:
    made = Made(backend, datetime.now(timezone.utc) - timedelta(hours=0 if goes_on else 1))
    first, second, third = made.examples
    duplicate = [made.run(first) for _ in range(3)][-1]
    pending = made.run(second, end_time=None, outputs=None)
    hidden = made.run(made.example({"q": "late"})["id"])
    unlinked = made.run(None)
    headless = made.end(third)
    page = made.page(visitor)
    rest = "to come" if goes_on else "missing or pending"
    assert f"2 of 6 items are visible; 4 are {rest}. 4 further runs do not count." in page
    chips = re.findall(r'class="row"><b>(\d+)</b> (\w+)', page)
    kinds = {"hidden": 1, "duplicate": 1, "unlinked": 1, "headless": 1}
    if not goes_on:  # what is to come is no hole yet
        kinds |= {"missing": 3, "pending": 1}
    assert {kind: int(count) for count, kind in chips} == kinds
    rows = {
        kind: made.page(visitor, f"/holes?kind={kind}")
        for kind in ("missing", "pending", "hidden", "duplicate", "unlinked", "headless")
    }
    assert f"/ui/examples/{third}" in rows["missing"]
    assert "0 of 2 runs arrived, and the end of 1" in rows["missing"]
    assert f"/ui/runs/{pending}" in rows["pending"]
    assert f"/ui/runs/{hidden}" in rows["hidden"]
    assert "added after the experiment" in rows["hidden"]
    assert f"/ui/runs/{unlinked}" in rows["unlinked"]
    assert "the run names no example" in rows["unlinked"]
    assert f"/ui/runs/{headless}" in rows["headless"]
    assert f"/ui/examples/{third}" in rows["headless"]
    assert len(re.findall(r"/ui/runs/", rows["duplicate"])) == 1
    assert duplicate  # which of three equal runs is one too many, only their times say


def test_an_example_that_was_deleted_since_stays_in_the_plan(
    backend: Backend, visitor: requests.Session
) -> None:
    made = Made(backend)
    made.all_runs()
    assert backend.call("DELETE", f"/examples/{made.examples[0]}").status_code == 200
    page = made.page(visitor)
    assert "All 6 items are visible" in page
    assert "deleted since" in page


def test_filters_search_and_nonsense(backend: Backend, visitor: requests.Session) -> None:
    made = Made(backend)
    made.run(made.examples[0], error="boom <b>", outputs=None)
    made.run(made.examples[1], outputs={"a": "needle"})

    def rows(rest: str) -> set[str]:
        table = made.page(visitor, rest).partition('id="rows"')[2]
        return set(re.findall(r'class="row id" href="/ui/examples/([0-9a-f-]{36})', table))

    assert rows("") == set(made.examples)
    assert rows("?show=failed") == {made.examples[0]}
    assert rows("?show=holes") == set(made.examples)
    assert rows("?q=needle") == {made.examples[1]}
    assert rows("?q=boom") == {made.examples[0]}
    assert rows("?q=%25") == set()
    assert rows("?show=slow&sort=slow") == {made.examples[0], made.examples[1]}
    assert rows("?show=low&sort=low&key=none") == set()
    assert rows("?page=99") == set()
    assert rows("?show=';--&sort=x&page=-1&key='") == set(made.examples)


def test_hostile_text_stays_text_everywhere(backend: Backend, visitor: requests.Session) -> None:
    made = Made(backend)
    long = "L" * 1_000_000
    run = made.run(
        made.examples[0], name="n" + HOSTILE, outputs={HOSTILE: HOSTILE, "long": long}, error=HOSTILE
    )
    score = {"run_id": run, "key": "k" + HOSTILE, "score": 0.5, "comment": HOSTILE}
    assert backend.call("POST", "/feedback", json=score).status_code == 200
    file = part(f"attachment.{run}.{'f'}", b"<html>", "text/html")
    assert backend.multipart(body(file)).status_code in (202, 409)
    paths = [
        "/ui/", f"/ui/datasets/{made.dataset}", f"/ui/experiments/{made.session}", f"/ui/runs/{run}",
        f"/ui/examples/{made.examples[0]}", f"/ui/compare?a={made.session}&b={made.session}&show=all",
        f"/ui/experiments/{made.session}/holes", f"/ui/runs/{run}/error", f"/ui/runs/{run}/outputs",
    ]  # fmt: skip
    for path in paths:
        answer = visitor.get(backend.url + path, timeout=60)
        assert answer.status_code == 200, path
        assert "<script>alert" not in answer.text
        assert not set(answer.text) & {"\x1b", "\u202e"}
        assert (len(answer.text) > 10**6) == path.endswith("/outputs")
    assert "show all" in visitor.get(f"{backend.url}/ui/runs/{run}", timeout=60).text


def test_a_trace_is_a_tree(backend: Backend, visitor: requests.Session) -> None:
    root, child, orphan, lost = run_id(), run_id(), run_id(), run_id()
    kids = [
        post(child, "p", trace_id=root, parent_run_id=root, name="child"),
        post(orphan, "p", trace_id=root, parent_run_id=lost, name="orphan", end_time=None),
    ]
    assert backend.multipart(body(post(root, "p", name="root"), *kids)).status_code == 202
    page = visitor.get(f"{backend.url}/ui/runs/{child}", timeout=60).text
    depths = re.findall(r'class="d(\d+)" href="/ui/runs/([0-9a-f-]+)#run"', page)
    assert {run: int(depth) for depth, run in depths} == {root: 0, child: 1, lost: 0, orphan: 1}
    assert "3 runs" in page


def test_a_dataset_s_page_plans_by_the_rule_of_the_experiment_s_own(
    backend: Backend, visitor: requests.Session
) -> None:
    made = Made(backend, datetime.now(timezone.utc) - timedelta(hours=1))

    def cells(**change: Any) -> tuple[list[str], bool]:
        if change:
            backend.call("PATCH", f"/sessions/{made.session}", json=change)
        page = visitor.get(f"{backend.url}/ui/datasets/{made.dataset}", timeout=60).text
        found = 'class="num off"' in page
        assert ("Incomplete" in made.page(visitor)) == found
        return re.findall(
            r'<td data-label="(?:planned|visible|root runs)" class="num[^"]*">([^<]+)<', page
        ), found

    assert cells() == (["6", "0", "0"], True)
    made.all_runs()
    assert cells() == (["6", "6", "6"], False)
    assert cells(num_examples=1) == (["6", "6", "6"], False)  # more was run than its maker had said
    assert cells(num_examples=4) == (["8", "6", "6"], True)
    assert cells(num_examples=3) == (["6", "6", "6"], False)
    made.run(made.examples[0])  # one more than planned, and one of no example: neither is a hole
    made.run(None)
    assert cells() == (["6", "6", "8"], False)


def test_where_more_have_runs_than_an_experiment_was_made_for_all_are_planned(
    backend: Backend, visitor: requests.Session
) -> None:
    made = Made(backend, datetime.now(timezone.utc) - timedelta(hours=1))
    backend.call("PATCH", f"/sessions/{made.session}", json={"num_examples": 1})

    def planned() -> tuple[str, int]:
        address = f"/sessions/{made.session}?include_stats=true"
        progress = backend.call("GET", address).json()["experiment_progress"]
        (shown,) = re.findall(r"<b>([^<]+)</b> planned", made.page(visitor))
        return shown, progress["expected_run_count"]

    made.run(made.examples[1])
    assert planned() == ("2", 2)
    made.run(made.examples[2])  # somebody has gone on with it
    assert planned() == ("6", 6)


def test_a_comparison_begins_with_the_key_that_both_share(
    backend: Backend, visitor: requests.Session
) -> None:
    made = Made(backend)
    session = made.session
    fields = {"name": "other", "reference_dataset_id": made.dataset}
    other = backend.call("POST", "/sessions", json=fields).json()["id"]
    mine, theirs = made.run(made.examples[0]), made.run(made.examples[0], session_id=other)
    for run, key in ((mine, "a-mine"), (mine, "shared"), (theirs, "b-theirs"), (theirs, "shared")):
        backend.call("POST", "/feedback", json={"run_id": run, "key": key, "score": 1})
    address = f"{backend.url}/ui/compare?a={session}&b={other}"

    def shown(rest: str = "") -> list[str]:
        return re.findall(r"by <b>([^<]+)</b>", str(visitor.get(address + rest, timeout=60).text))

    assert shown() == ["shared"]
    assert shown("&key=a-mine") == ["a-mine"]


def test_addresses_that_the_sdk_prints_lead_to_pages(backend: Backend, visitor: requests.Session) -> None:
    made = Made(backend)
    address = f"{backend.url}/o/tenant/datasets/{made.dataset}/compare?selectedSessions={made.session}"
    assert visitor.get(address, timeout=60).url == f"{backend.url}/ui/experiments/{made.session}"
    run = made.run(made.examples[0])
    address = f"{backend.url}/o/tenant/projects/p/{made.session}/r/{run}?poll=true"
    assert visitor.get(address, timeout=60).url == f"{backend.url}/ui/runs/{run}"


@pytest.mark.parametrize(
    "path",
    ["/ui/datasets/x", f"/ui/runs/{NOBODYS}", f"/ui/experiments/{NOBODYS}", "/ui/compare?a=1", "/ui/none",
     f"/ui/examples/{NOBODYS}", f"/ui/runs/{NOBODYS}/password", f"/ui/projects/{NOBODYS}"],
)  # fmt: skip
def test_what_is_not_there(backend: Backend, visitor: requests.Session, path: str) -> None:
    answer = visitor.get(backend.url + path, timeout=60)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")


def test_rows_are_the_keys_that_evaluators_gave(backend: Backend, visitor: requests.Session) -> None:
    made = Made(backend)
    runs = made.all_runs()
    failed = {"extra": {"error": True}, "comment": "RuntimeError('judge quota exceeded')", "error": True}
    backend.call("POST", "/feedback", json={"run_id": runs[0], "key": "judge_guess", **failed})
    for run in runs[1:]:
        backend.call("POST", "/feedback", json={"run_id": run, "key": "answer_quality", "score": 1})
    assert "judge_guess" in made.page(visitor), "of another tool's experiment nobody knows better"
    facts = {"evaluators": {"judge": ["answer_quality"]}, "evaluator_keys": ["answer_quality"]}
    extra = {"metadata": {"num_repetitions": 2, "evalrunner": facts}}
    assert backend.call("PATCH", f"/sessions/{made.session}", json={"extra": extra}).status_code == 200
    page = made.page(visitor)
    assert "answer_quality" in page
    assert "judge_guess" not in page
    told = visitor.get(f"{backend.url}/ui/runs/{runs[0]}", timeout=60)
    assert "judge quota exceeded" in told.text


def test_evaluators_that_failed_are_in_the_verdict_with_what_they_raised(
    backend: Backend, visitor: requests.Session
) -> None:
    made = Made(backend)
    runs = made.all_runs()
    assert "nothing was lost" in made.page(visitor)
    raised = {"comment": "RuntimeError('judge <quota> exceeded')", "error": True}
    for run in runs[:4]:
        backend.call("POST", "/feedback", json={"run_id": run, "key": "quality", **raised})
    silent = backend.call(
        "POST", "/feedback", json={"run_id": runs[5], "key": "quality", "extra": {"error": True}}
    )
    page = made.page(visitor)
    assert "All 6 items are visible. Evaluators failed on 5 items." in page
    assert "nothing was lost" not in page
    assert "RuntimeError(&#39;judge &lt;quota&gt; exceeded&#39;)" in page
    assert re.search(r"<td[^>]*>4</td><td[^>]*><bdi>quality</bdi>", page)
    assert "an error without a text" in page
    # The record of an error goes when its item has been scored.
    assert backend.call("DELETE", f"/feedback/{silent.json()['id']}").status_code in (200, 204)
    assert "Evaluators failed on 4 items." in made.page(visitor)

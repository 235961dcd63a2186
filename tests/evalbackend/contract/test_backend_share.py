"""A shared run is read without a key, in both generations; nothing else is."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from langsmith import Client

from tests.support.backend import Backend, body, post, run_id, running

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated.*")
START = "2026-01-02T03:04:05.000006+00:00"


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running(tmp_path_factory.mktemp("share") / "backend.db") as served:
        yield served


def traced(backend: Backend) -> tuple[str, str, str]:
    """(root, child, a run of another trace), just written."""
    root, child, other = run_id(), run_id(), run_id()
    stamp = "20260102T030405000006Z"
    below = {"trace_id": root, "parent_run_id": root, "dotted_order": f"{stamp}{root}.{stamp}{child}"}
    runs = (post(root, "s", inputs={"q": 1}), post(child, "s", **below), post(other, "s"))
    assert backend.multipart(body(*runs)).status_code == 202
    return root, child, other


def keyless(backend: Backend, method: str, path: str, **options: Any) -> requests.Response:
    return requests.request(method, backend.url + path, timeout=60, **options)


def test_a_trace_is_shared_in_v2(backend: Backend) -> None:
    root, child, other = traced(backend)
    with backend.client() as client:
        api: Any = client._get_langsmith_api_sync()
        session = str(client.read_project(project_name="s").id)
        token = api.runs.share.create(child, session_id=session, trace_id=root).share_token
        assert api.runs.share.create(root, session_id=session, trace_id=root).share_token == token
        run = api.runs.retrieve_v2(root, project_id=session, selects=["SHARE_URL"])
        assert run.share_url == f"{backend.url}/public/{token}/r"
        assert api.runs.retrieve_v2(other, project_id=session, selects=["SHARE_URL"]).share_url is None
        public = api.public.runs
        items = public.query(token, selects=["ID", "RUN_TYPE"]).items
        assert {(item.id, item.run_type) for item in items} == {(root, "CHAIN"), (child, "CHAIN")}
        one = public.retrieve(child, share_token=token, selects=["ID", "IS_ROOT"], start_time=START)
        assert (one.id, one.is_root) == (child, False)
        path = f"/api/v2/public/{token}/run"
        assert keyless(backend, "GET", f"{path}/{child}").json() == {"id": child}
        assert keyless(backend, "GET", f"{path}/{other}").status_code == 404
        assert keyless(backend, "GET", f"{path}/{child}?start_time=2026-01-01").status_code == 404
        assert keyless(backend, "POST", f"/api/v2/public/{token}/runs/query", json={}).status_code == 200
        assert api.runs.share.delete(root, session_id=session) is None
        assert api.runs.share.delete(root, session_id=session) is None
        assert keyless(backend, "POST", f"/api/v2/public/{token}/runs/query", json={}).status_code == 404


def test_what_cannot_be_shared(backend: Backend) -> None:
    root, _, other = traced(backend)
    token = str(uuid.uuid4())
    share = {"run_id": root, "share_token": token}
    assert backend.call("PUT", f"/runs/{run_id()}/share", json=share).status_code == 404
    assert backend.call("PUT", f"/runs/{root}/share", json=share).json()["share_token"] == token
    assert backend.call("PUT", f"/runs/{other}/share", json=share).status_code == 409
    asked = {"trace_id": root, "session_id": run_id()}
    assert backend.call("POST", f"/api/v2/runs/{root}/share", json=asked).status_code == 404
    assert keyless(backend, "GET", f"/public/{uuid.uuid4()}/run").status_code == 404
    assert keyless(backend, "GET", "/public/nonsense/run").status_code == 404


def test_a_link_ends_with_its_run(backend: Backend) -> None:
    root, _, _ = traced(backend)
    with backend.client() as client:
        token = _token(client, root)
        session = str(client.read_project(project_name="s").id)
        gone = {"session_id": session, "trace_ids": [root]}
        assert backend.call("POST", "/runs/delete", json=gone).status_code == 202
        assert keyless(backend, "GET", f"/public/{token}/run").status_code == 404
        assert not client.run_is_shared(root)


def _token(client: Client, run: str) -> str:
    return str(client.share_run(run).split("/")[-2])

"""Shared runs, read without a key, in both generations."""

from __future__ import annotations

from typing import Any

import pytest
from langsmith import RunTree
from langsmith import utils as ls_utils

from tests.evalbackend.acceptance.world import QUIET, World, name
from tests.support.backend import body, post, run_id

pytestmark = QUIET


def test_a_run_is_shared(sample: World) -> None:
    client, project, other = sample.client, name("shared"), run_id()
    assert sample.backend.multipart(body(post(other, name("private")))).status_code == 202
    root = RunTree(name="root", inputs={"q": 1}, ls_client=client, project_name=project)
    child = root.create_child("child", "tool")
    for run in (root, child):
        run.post()
        run.end(outputs={"a": 2})
        run.patch()
    runs = {run.name: run for run in sample.landed(project, 2)}
    session, ids = runs["root"].session_id, {str(root.id), str(child.id)}
    assert not client.run_is_shared(root.id)
    link = client.share_run(root.id)
    assert client.run_is_shared(root.id)
    assert client.read_run_shared_link(root.id) == link
    token = link.split("/")[-2]
    with sample.backend.client(api_url=client.api_url, api_key="nobody") as stranger:
        assert stranger.read_shared_run(token).inputs == {"q": 1}
        assert str(stranger.read_shared_run(token, run_id=child.id).id) == str(child.id)
        assert {str(run.id) for run in stranger.list_shared_runs(token)} == ids
        with pytest.raises(ls_utils.LangSmithNotFoundError):
            stranger.read_shared_run(token, run_id=other)
        with pytest.raises(ls_utils.LangSmithAuthError):
            stranger.request_with_retries("GET", f"/runs/{root.id}")
        public: Any = stranger._get_langsmith_api_sync().public.runs
        assert {run.id for run in public.query(token, selects=["ID"]).items} == ids
        api = sample.api.runs
        assert api.share.create(str(root.id), session_id=session, trace_id=str(root.id)).share_token == token
        assert token in api.retrieve_v2(str(root.id), project_id=session, selects=["SHARE_URL"]).share_url
        client.unshare_run(root.id)
        assert not client.run_is_shared(root.id)
        with pytest.raises(ls_utils.LangSmithNotFoundError):
            stranger.read_shared_run(token)

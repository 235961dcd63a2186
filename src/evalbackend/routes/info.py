"""GET /info: the switchboard by which the SDK decides how to send."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from evalbackend.http.operation import Operation
from evalbackend.http.state import answer, state

# All six keys of batch_ingest_config are needed: with some of them, the SDK's sending thread dies and
# no run is ever sent. The version decides that feedback rides with the runs, and that nothing warns.
INFO = {
    "version": "0.18.20",
    "license_expiration_time": None,
    "batch_ingest_config": {
        "use_multipart_endpoint": True,
        "size_limit": 100,
        "size_limit_bytes": 20_971_520,
        "scale_up_nthreads_limit": 16,
        "scale_up_qsize_trigger": 1000,
        "scale_down_nempty_trigger": 4,
    },
}


async def _info(request: Request) -> Response:
    return answer({**INFO, "instance_flags": state(request).flags})


routes = [
    Operation("GET /info", _info, "What this server can do", reads=True, public=True),
]

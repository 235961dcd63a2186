"""The sender's transport against a real server: deadlines, proxies, keys, and what is said of a failure."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Any

import pytest
import requests

from evalrunner.delivery.sending.deadline import Adapter
from evalrunner.delivery.sending.transport import HttpTransport, is_loopback
from evalrunner.delivery.spool.record import closing
from evalrunner.errors import ServiceError, TransportError
from tests.support.desk import (
    BOUNDARY,
    KEY,
    Open,
    Reply,
    Service,
)


def test_a_request_lasts_no_longer_than_what_is_left_of_the_deadline(
    service: Service, open_desk: Open
) -> None:
    service.rules.append(lambda _: Reply(trickle="head"))
    desk = open_desk(deadline=1, timeout=600)

    desk.send([desk.record(1), desk.record(2)])

    assert set(desk.refused) == {1, 2}
    assert desk.refused[1].startswith("not delivered within 1 s: no answer (127.0.0.1: no answer within 1 s)")


def test_a_server_that_drips_its_header_is_left_in_time_and_sent_to_again(
    service: Service, open_desk: Open
) -> None:
    drip = Reply(trickle="head")
    service.script.extend([drip, Reply(), drip])  # on a new connection, and on one that has served before
    desk = open_desk(timeout=2)
    desk.send([desk.record(1)])
    desk.send([desk.record(2)])

    assert len(service.requests) == 4
    # Its time begins before the service sees the request, so that theirs is no measure of it; what is said is.
    assert [note for note in desk.notes if note] == [
        "no answer (127.0.0.1: no answer within 2 s); sending again in 1 s"
    ] * 2
    assert desk.accepted == [1, 2]


@pytest.mark.parametrize(("status", "trickle"), [(202, "text"), (400, "text")])
def test_a_status_stands_though_its_text_never_ends(service: Service, status: int, trickle: str) -> None:
    service.script.append(Reply(status, trickle=trickle))
    transport = HttpTransport(service.url, KEY, timeout=2)

    answer = transport.post_multipart(closing(BOUNDARY), BOUNDARY, compress=False)

    assert answer.status == status
    assert set(answer.text) <= {"x"}


def test_a_text_is_capped_and_the_key_taken_out_of_it(service: Service) -> None:
    service.script.append(Reply(400, text=f"<{KEY}>" + "y" * 5000))
    transport = HttpTransport(service.url, KEY)

    answer = transport.post_multipart(closing(BOUNDARY), BOUNDARY, compress=True)

    assert answer.text.startswith("<***>yy")
    assert len(answer.text) <= 1024


def test_a_redirect_is_not_followed(service: Service, open_desk: Open) -> None:
    elsewhere = Service()
    try:
        service.script.append(Reply(307, {"Location": f"{elsewhere.url}/runs/multipart"}))
        desk = open_desk()
        desk.send([desk.record(1)])
        assert elsewhere.requests == []
    finally:
        elsewhere.close()
    assert desk.refused[1].startswith("server answers 307")


def test_loopback_never_goes_through_a_proxy(
    service: Service, open_desk: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    desk = open_desk()
    desk.send([desk.record(1)])

    assert desk.accepted == [1]


def test_another_host_goes_through_the_proxy_that_the_environment_names_and_netrc_is_not_read(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine langsmith.test login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", service.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    transport = HttpTransport("http://langsmith.test/api/", KEY, workspace="w-1")

    assert transport.post_multipart(closing(BOUNDARY), BOUNDARY, compress=False).status == 202
    assert service.requests[0].path == "http://langsmith.test/api/runs/multipart"
    assert service.requests[0].headers["X-Tenant-Id"] == "w-1"
    assert "Authorization" not in service.requests[0].headers


def test_what_cannot_be_sent_says_why_in_few_words(service: Service) -> None:
    service.rules.append(lambda _: Reply(cut=True))
    tls = HttpTransport(service.url.replace("http:", "https:"), KEY, timeout=5)
    cut = HttpTransport(service.url.replace("http://", "http://user:hunter2@"), KEY, timeout=5)
    nowhere = HttpTransport("http://nowhere.invalid", KEY, timeout=5)

    for transport, words in ((tls, "TLS failed"), (cut, "127.0.0.1: "), (nowhere, "nowhere.invalid: ")):
        with pytest.raises(TransportError, match=words) as caught:
            transport.post_multipart(closing(BOUNDARY), BOUNDARY, compress=False)
        assert "hunter2" not in str(caught.value)
        assert len(str(caught.value)) < 100


@pytest.mark.parametrize("url", ["", "localhost:1984", "ftp://host", "http://", "file:///etc/passwd"])
def test_an_endpoint_that_is_none_is_refused_before_anything_runs(url: str) -> None:
    with pytest.raises(ServiceError):
        HttpTransport(url, KEY)


@pytest.mark.parametrize("key", ["a\nb", "a\r\nX: y", " lsv2", "schlüssel", "\x7f"])
def test_a_key_that_fits_no_header_is_refused_without_being_quoted(key: str) -> None:
    with pytest.raises(ServiceError) as caught:
        HttpTransport("http://localhost", key)
    assert key not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("x.localhost", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("10.0.0.1", False),
        ("localhost.example.com", False),
        ("127.0.0.1.nip.io", False),
    ],
)
def test_what_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_a_connection_outside_an_exchange_is_guarded_by_nobody(service: Service) -> None:
    answers: list[int] = []

    def ask() -> None:
        session = requests.Session()
        session.mount("http://", Adapter())
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        answers.append(session.post(service.url, closing(BOUNDARY), headers=headers, timeout=60).status_code)

    thread = threading.Thread(target=ask)  # a thread that has never sent with a deadline
    thread.start()
    thread.join(60)
    assert answers == [202]


def test_what_this_process_cannot_do_says_nothing_of_what_was_to_be_sent(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target has blocked sockets, as test suites do: another process may be able to send it."""
    transport = HttpTransport(service.url, KEY)

    class Blocked(socket.socket):
        def __init__(self, *_: Any, **__: Any) -> None:
            raise RuntimeError(f"the network is blocked for {KEY}")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "socket", Blocked)
        with pytest.raises(TransportError, match="this process cannot send") as told:
            transport.post_multipart(closing(BOUNDARY), BOUNDARY, compress=False, limit=60)
    assert KEY not in str(told.value)
    assert transport.post_multipart(closing(BOUNDARY), BOUNDARY, compress=False, limit=60).status == 202

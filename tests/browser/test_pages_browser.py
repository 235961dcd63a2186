"""The pages in a real browser: clicked through, by mouse and by keyboard, wide, on a phone, in the dark.

They need Playwright and Debian's chromium (or the one that EVALRUNNER_CHROMIUM names).
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from evalbackend.web.door import sign_in_path
from tests.support.backend import TOKEN, Backend, body, eventually, patch, post, run_id, running

CHROMIUM = os.environ.get("EVALRUNNER_CHROMIUM") or shutil.which("chromium")
try:
    from playwright.sync_api import sync_playwright  # type: ignore[import-not-found, unused-ignore]
except ImportError:
    CHROMIUM = None

if CHROMIUM is None:
    pytest.skip(
        "the browser tests are left out: they need `pip install playwright` and `apt-get install chromium`",
        allow_module_level=True,
    )

ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>\x1b[31m\u202e"
NOW = datetime.now(timezone.utc) - timedelta(hours=1)


@dataclass
class World:
    """A server with a dataset and two experiments, the second with holes."""

    backend: Backend
    dataset: str = ""
    examples: list[str] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    failed: str = ""

    def make(self) -> None:
        made = self.backend.call("POST", "/datasets", json={"name": "orders " + HOSTILE}).json()
        self.dataset = made["id"]
        rows = [
            self.backend.call("POST", "/examples", json=self._example(number)).json() for number in range(60)
        ]
        self.examples = [row["id"] for row in rows]
        metadata = {"dataset_version": max(row["modified_at"] for row in rows)}
        for name in ("before", "after"):
            fields = {"name": name, "reference_dataset_id": self.dataset, "extra": {"metadata": metadata}}
            fields["start_time"] = NOW.isoformat()
            self.sessions.append(self.backend.call("POST", "/sessions", json=fields).json()["id"])
        for number, example in enumerate(self.examples):
            self.run(0, example, number, 1.0)
            if number not in (3, 4):
                self.run(1, example, number, float(number % 4 > 0))
        self.failed = self.run(
            1, None, 0, None, error="Traceback\n" + HOSTILE, outputs={"o": "A" * 1_000_000}
        )

    def _example(self, number: int) -> dict[str, Any]:
        text = HOSTILE if number == 0 else f"question {number}"
        return {"dataset_id": self.dataset, "inputs": {"q": text}, "outputs": {"a": number}}

    def run(self, session: int, example: str | None, number: int, mark: float | None, **more: Any) -> str:
        root, child = str(uuid.uuid4()), str(uuid.uuid4())
        times = [(NOW + timedelta(milliseconds=10 * number * step)).isoformat() for step in (0, 1, 2)]
        same = {"session_id": self.sessions[session], "start_time": times[0], "end_time": times[2]}
        fields = {**same, "reference_example_id": example, "outputs": {"a": number}, **more}
        kid = {**same, "start_time": times[1], "trace_id": root, "parent_run_id": root, "name": "step"}
        sent = body(post(root, "-", **fields), post(child, "-", **kid))
        assert self.backend.multipart(sent).status_code == 202
        if mark is not None:
            score = {"run_id": root, "key": "right", "score": mark, "session_id": self.sessions[session]}
            assert self.backend.call("POST", "/feedback", json=score).status_code == 200
        return root


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("store") / "store.db") as backend:
        made = World(backend)
        made.make()
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield opened
        opened.close()


@dataclass
class Visit:
    """A tab that is signed in, and what went wrong in it."""

    page: Any
    world: World
    folder: Path
    wrong: list[str] = field(default_factory=list)

    def go(self, path: str) -> None:
        self.page.goto(self.world.backend.url + path)

    def follow(self, link: str) -> None:
        """Click what leads to another page, and wait until that is there."""
        with self.page.expect_navigation():
            self.page.click(link)

    def shot(self, name: str) -> None:
        file = self.folder / f"{name}.png"
        self.page.screenshot(path=str(file))
        assert file.stat().st_size > 5000

    def heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(message.text)

    def asked(self, request: Any) -> None:
        if not request.url.startswith(self.world.backend.url):
            self.wrong.append(f"a request to {request.url}")


@pytest.fixture
def visit(world: World, browser: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Visit]:
    options = getattr(request, "param", {"viewport": {"width": 1280, "height": 900}})
    context = browser.new_context(**options)
    made = Visit(context.new_page(), world, tmp_path)
    made.page.set_default_timeout(60_000)  # for a machine that is busy with something else
    made.page.on("console", made.heard)
    made.page.on("pageerror", lambda error: made.wrong.append(str(error)))
    made.page.on("dialog", lambda dialog: made.wrong.append(f"a dialog: {dialog.message}"))
    made.page.on("request", made.asked)
    made.go(sign_in_path(TOKEN))
    yield made
    context.close()
    assert made.wrong == []


def test_the_code_is_gone_from_the_address(visit: Visit) -> None:
    assert visit.page.url == f"{visit.world.backend.url}/ui/"
    visit.follow("text=Sign out")
    assert visit.page.title() == "Sign in · evalrunner"
    visit.page.fill("#token", TOKEN)
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_url("**/ui/")


def test_clicking_through_all_of_it(visit: Visit) -> None:
    page = visit.page
    visit.shot("datasets")
    visit.follow("a.row")
    visit.shot("dataset")
    visit.follow("table a.row >> text=after")
    assert "58 of 60 items are visible; 2 are missing or pending." in page.inner_text(".verdict")
    assert page.locator(".holes .group a").all_inner_texts() == ["2 missing", "1 unlinked"]
    assert "evalrunner --experiment" in page.inner_text(".holes .group code")
    assert page.locator("svg.plot").count() == 2
    visit.shot("experiment")
    visit.follow(".holes .group a >> text=missing")
    assert page.locator("tbody tr").count() == 2
    page.go_back()
    visit.follow("a.chip >> text=low score")
    assert page.locator("#rows tbody tr").count() == 14
    assert page.inner_text(".chip[aria-current]") == "14 low score"
    visit.follow("th a >> text=latency")
    assert page.get_attribute("#rows th[aria-sort]", "aria-sort") == "descending"
    assert page.locator("#rows tbody tr").count() == 14
    visit.follow("#rows a.row >> nth=0")
    assert "Runs in this experiment" in page.inner_text("main")
    visit.follow("tbody a.row >> nth=0")
    assert page.locator(".tree li").count() == 2
    visit.follow(".tree li >> nth=1")
    assert page.inner_text("h1").startswith("step")
    visit.shot("run")


def test_pages_of_rows(visit: Visit) -> None:
    visit.go(f"/ui/experiments/{visit.world.sessions[0]}")
    assert "1–50 of 60" in visit.page.inner_text("#rows")
    visit.follow("#rows a[rel=next]")
    assert "51–60 of 60" in visit.page.inner_text("#rows")


def test_side_by_side(visit: Visit) -> None:
    visit.go(f"/ui/datasets/{visit.world.dataset}")
    before, after = visit.world.sessions
    visit.page.check(f"input[name=a][value='{before}']")
    visit.page.check(f"input[name=b][value='{after}']")
    visit.follow("text=Compare the two")
    assert visit.page.inner_text("h1") == "14 worse, 0 better, 44 the same"
    told = visit.page.inner_text("table >> nth=0 >> tbody tr >> nth=0")
    assert "58 of" in told, f"means over the examples of both: {told}"
    visit.follow("a.chip >> text=in one only")
    assert visit.page.locator("table >> nth=1 >> tbody tr").count() == 2
    visit.shot("compare")


def test_hostile_text_is_text(visit: Visit) -> None:
    for path in (
        "/ui/", f"/ui/datasets/{visit.world.dataset}", f"/ui/experiments/{visit.world.sessions[1]}",
        f"/ui/examples/{visit.world.examples[0]}", f"/ui/runs/{visit.world.failed}",
    ):  # fmt: skip
        visit.go(path)
        text = visit.page.inner_text("main")
        assert "<script>document.title" in text
        assert "⟨U+001B⟩" in text
        assert "\u202e" not in text
        assert visit.page.title() != "owned"
        assert visit.page.locator("main img").count() == 0
    assert len(visit.page.content()) < 200_000
    visit.follow("text=show all")
    assert visit.page.locator("pre.all").inner_text().count("A") >= 1_000_000


def test_by_keyboard_alone(visit: Visit) -> None:
    page = visit.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("j")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url("**/ui/datasets/*")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.type("question 17")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=question*")
    assert page.locator("table >> nth=1 >> tbody tr").count() == 1


# What has the focus, and where on the screen it is. A page scrolls by whole pixels and is laid out in parts of one:
# what keeps its place may be off by less than one.
_HELD = "[document.activeElement.href, document.activeElement.getBoundingClientRect().top]"
_PIXEL = 1.0


@pytest.fixture
def live(visit: Visit) -> Iterator[str]:
    """An experiment that has just begun, the last of the world's; gone when the test is over."""
    metadata = {"num_repetitions": 1, "dataset_version": datetime.now(timezone.utc).isoformat()}
    fields = {"name": "live", "reference_dataset_id": visit.world.dataset, "extra": {"metadata": metadata}}
    fields["start_time"] = datetime.now(timezone.utc).isoformat()
    session = visit.world.backend.call("POST", "/sessions", json=fields).json()["id"]
    visit.world.sessions.append(session)
    yield session
    visit.world.sessions.remove(session)
    assert visit.world.backend.call("DELETE", f"/sessions/{session}").status_code == 200


def test_an_answer_that_comes_after_a_pause_changes_nothing(visit: Visit, live: str) -> None:
    address = f"/ui/experiments/{live}"
    visit.go(address)
    page, held = visit.page, list[Any]()
    page.route(f"**{address}", lambda route: route.continue_() if held else held.append(route))
    eventually(lambda: page.evaluate("1") and held, bool, 60)  # Playwright is told of it while it is asked
    visit.world.run(2, visit.world.examples[0], 1, 1.0)
    page.click("text=Pause")
    with page.expect_response(f"**{address}") as answered:
        held[0].continue_()
    answered.value.finished()
    # A question that is answered later: whatever the first answer was to do is done.
    later = page.evaluate("fetch(location.href + '?later').then((answer) => answer.text())")
    assert "1 of 60" in later
    assert "0 of 60" in page.inner_text(".verdict")
    assert page.inner_text("#updates") == "Updates paused Resume"
    page.click("text=Resume")
    page.wait_for_selector(".verdict >> text=1 of 60")


def test_a_run_that_goes_on_is_shown_live(visit: Visit, live: str) -> None:
    visit.go(f"/ui/experiments/{live}")
    assert "Running. 0 of 60" in visit.page.inner_text(".verdict")
    page = visit.page
    assert page.inner_text("#updates span") == "Live"
    assert "60 to come" in page.inner_text(".books")
    assert page.locator(".holes, .off, .tag.missing").count() == 0, "what is to come is no hole"
    page.focus("#rows a.row >> nth=20")
    held, at = page.evaluate(_HELD)
    assert 0 < at < 900
    visit.world.run(2, visit.world.examples[0], 1, 1.0)
    page.wait_for_selector(".verdict >> text=1 of 60")
    still, now = page.evaluate(_HELD)
    assert still == held
    assert abs(now - at) <= _PIXEL
    assert "1 of 60" in page.inner_text("#announced")
    page.click("text=Pause")
    assert page.inner_text("#updates") == "Updates paused Resume"
    for number, example in enumerate(visit.world.examples[1:], 1):
        visit.world.run(2, example, number, 1.0)
    assert "1 of 60" in page.inner_text(".verdict")
    page.click("text=Resume")
    page.wait_for_selector(".verdict >> text=All 60 items are visible")
    assert page.inner_text("#announced").startswith("Complete.")
    page.wait_for_selector("#updates", state="hidden")
    assert page.evaluate("document.querySelector('[data-live]')") is None


_SMALL = {"viewport": {"width": 390, "height": 844}}


@pytest.mark.parametrize(
    "visit", [_SMALL, {"color_scheme": "dark"}, {**_SMALL, "color_scheme": "dark"}], indirect=True
)
def test_on_a_phone_and_in_the_dark(visit: Visit) -> None:
    before, after = visit.world.sessions[:2]
    for path in (
        "/ui/", f"/ui/datasets/{visit.world.dataset}", f"/ui/experiments/{after}",
        f"/ui/runs/{visit.world.failed}", f"/ui/compare?a={before}&b={after}",
    ):  # fmt: skip
        visit.go(path)
        visit.shot(path.split("/")[2].partition("?")[0] or "home")
        wide, room = visit.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= room
        ground = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        lightness = sum(map(int, re.findall(r"\d+", ground)[:3]))
        assert (lightness < 150) == _dark(visit)


@pytest.mark.parametrize("visit", [{}, _SMALL, {"color_scheme": "dark"}], indirect=True)
def test_a_trace_of_which_the_root_and_another_run_were_lost(visit: Visit) -> None:
    root, between, left = (str(uuid.uuid4()) for _ in range(3))
    stamp = "20260102T030405000006Z"
    order = ".".join(stamp + run for run in (root, between, left))
    told = {"trace_id": root, "parent_run_id": between, "dotted_order": order, "name": "step"}
    end = patch(
        run_id(), session_name=f"lost {root}", name="agent", run_type="chain", start_time=NOW.isoformat()
    )
    assert visit.world.backend.multipart(body(post(left, f"lost {root}", **told), end)).status_code == 202
    page = visit.page
    visit.go("/ui/")
    visit.follow(f"a.row >> text=lost {root}")
    assert page.locator("tbody .tag").all_inner_texts() == ["end only", "not here"]
    visit.shot("project")
    visit.follow(f"a.row >> text={root[:8]}")
    assert "Nothing of this run arrived" in page.inner_text(".verdict")
    assert page.locator(".tree .tag").all_inner_texts() == ["not here", "not here"]
    visit.shot("run")
    visit.follow(".tree li >> nth=2")
    assert page.inner_text("h1").startswith("step")
    wide, room = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= room
    visit.go(f"/ui/runs/{between}")
    assert page.locator(".tree a[aria-current]").inner_text().startswith(between[:8])


def _dark(visit: Visit) -> bool:
    return bool(visit.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches"))

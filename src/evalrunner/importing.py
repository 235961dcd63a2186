"""While a worker loads the user's code, nothing may evaluate: every worker would do it once more.

A script that evaluates at module level, as quickstarts do, runs whole in each process that imports it: three
workers, three further experiments. What would evaluate asks here first (`worker/code/refusal.py` for the SDK's
functions, `api.run` for ours), and is refused with the place in the user's file.
"""

from __future__ import annotations

import contextlib
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from evalrunner.errors import TargetError

#: Frames of these are not the user's: the standard library, our own package.
_NOBODYS = (sysconfig.get_paths()["stdlib"], str(Path(__file__).parent), "<frozen ")
#: Nor are these, as long as there is a better one.
_INSTALLED = (sysconfig.get_paths()["purelib"], sysconfig.get_paths()["platlib"])
#: What has been refused so far, or None while evaluations are allowed. One worker, one loading.
_refused: list[TargetError] | None = None


@contextlib.contextmanager
def nothing_evaluates() -> Iterator[None]:
    """Refuse every evaluation in here, in every thread of the process.

    Raises:
        TargetError: something tried, even if the user's code has swallowed the refusal.
    """
    global _refused  # noqa: PLW0603 - one process, one loading
    _refused = []
    try:
        yield
    finally:
        seen, _refused = _refused, None
        if seen:
            raise seen[0] from None


def refuse(what: str) -> None:
    """Say no if the user's code is being loaded.

    Args:
        what: the function that was called, as the user knows it.

    Raises:
        TargetError: it is; the message names the file, the line, and the guard to add.
    """
    if _refused is not None:
        error = TargetError(_sentence(what))
        _refused.append(error)
        raise error
    if _child_imports_script():
        raise TargetError(_sentence(what, who="every process of the pool"))


def _child_imports_script() -> bool:
    """Whether this is a process of somebody's pool that imports the script which made the pool, to be like it."""
    for package in ("multiprocessing", "multiprocess"):
        module = sys.modules.get(f"{package}.process")
        # Private, and what multiprocessing itself looks at before it refuses a script without the guard.
        if module is not None and getattr(module.current_process(), "_inheriting", False):
            return True
    return False


def _sentence(what: str, who: str = "every worker") -> str:
    frames = _users_frames()
    called = frames[0] if frames else None
    module = next((frame for frame in frames if frame.f_code.co_name == "<module>"), None)
    if module is None:
        where = f"{_place(called)}: " if called else ""
        return (
            f"{where}{what}() is called while a worker sets up the target, so {who} would run that "
            "evaluation: move it out of what is loaded"
        )
    through = f" (by way of {_place(called)})" if called is not None and called is not module else ""
    return (
        f"{_place(module)}: {what}() is called when the file is imported{through}, so {who} would run "
        'that evaluation: put it under if __name__ == "__main__":'
    )


def _place(frame: FrameType) -> str:
    return f"{frame.f_code.co_filename}, line {frame.f_lineno}"


def _users_frames() -> list[FrameType]:
    """Return the stack's frames of the user's own code, innermost first; else those of installed packages."""
    frames: list[FrameType] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    # The outermost of a process that was started with `-c`, as workers are, belong to whoever started it.
    while frames and _file(frames[-1]) == "<string>":
        frames.pop()
    installed = [one for one in frames if _is(one, _INSTALLED) and "langsmith" not in Path(_file(one)).parts]
    own = [one for one in frames if not _is(one, (*_NOBODYS, *_INSTALLED))]
    return own or installed


def _is(frame: FrameType, places: tuple[str, ...]) -> bool:
    return _file(frame).startswith(places)


def _file(frame: FrameType) -> str:
    return frame.f_code.co_filename

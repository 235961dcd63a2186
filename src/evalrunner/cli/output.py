"""The only printer.

What a command was asked for goes to stdout, everything said on the way to stderr. With `--json` stdout holds
exactly one JSON document. Whatever came from data (names, errors of a target, a server's words) passes
`clean` first: nobody's data may move the cursor, rename the terminal or reverse a line.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from evalrunner.cli.streams import lose, silence

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

#: Whole escape sequences (OSC up to its end, CSI, other two-byte ones), so that nothing of them is left.
_ESCAPES = re.compile(
    r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
)
#: C0 but tab and newline, DEL, C1, bidi marks, embeddings, overrides and isolates, lone surrogates.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def clean(text: str) -> str:
    """Return `text` without anything that a terminal would obey; tabs and newlines stay."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


def one_line(text: str) -> str:
    """Return `text` cleaned and on one line."""
    return " ".join(clean(text).split())


def shown(path: Path) -> str:
    """Return a path as it is read most easily: relative, if it is below the current folder."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


class Output:
    """Where a command's words go."""

    def __init__(self, *, json: bool = False, quiet: bool = False) -> None:
        """Print for people, or (`json`) for programmes; `quiet` leaves the verdict and the errors."""
        self.json = json
        self.quiet = quiet

    def note(self, text: str) -> None:
        """Say something on the way, on stderr; not with `--quiet`."""
        if not self.quiet:
            _write(sys.stderr, clean(text) + "\n")

    def error(self, text: str, code: int) -> None:
        """Say what went wrong: one sentence on stderr, and the JSON document if one was asked for."""
        _write(sys.stderr, f"error: {one_line(text)}\n")
        if self.json:
            self.document({"error": one_line(text), "exit_code": int(code)})

    def line(self, text: str) -> None:
        """Print a line of the result; with `--json` it is on stderr, beside the document."""
        _write(sys.stderr if self.json else sys.stdout, clean(text) + "\n")

    def detail(self, text: str) -> None:
        """Print a line of the result that `--quiet` leaves out."""
        if not self.quiet:
            self.line(text)

    def show(self, renderable: RenderableType) -> None:
        """Print something that rich can draw, as a result."""
        if not self.quiet:
            self._console().print(_Cleaned(renderable), crop=False)

    def table(self, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
        """Print a table of plain cells: aligned on a terminal, complete cells in a pipe."""
        from rich.table import Table  # noqa: PLC0415 - rich costs 40 ms that most commands do not need
        from rich.text import Text  # noqa: PLC0415

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(one_line(cell)) for cell in row))
        self.show(table)

    def document(self, value: Any) -> None:
        """Print the one JSON document."""
        import orjson  # noqa: PLC0415

        text = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=str)
        _write(sys.stdout, text.decode() + "\n")

    def _console(self) -> Console:
        from rich.console import Console  # noqa: PLC0415

        stream = sys.stderr if self.json else sys.stdout
        # In a pipe nobody sees the right margin: a width that breaks nothing lets grep find whole names.
        width = None if stream.isatty() else 10_000
        return Console(
            file=cast(TextIO, _Stream(stream)),
            width=width,
            no_color=None if colour(stream) else True,
            force_terminal=None if colour(stream) else False,
            highlight=False,
            markup=False,
        )


def colour(stream: TextIO) -> bool:
    """Tell whether colours may be used on `stream`."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class _Cleaned:
    """Draws something, and cleans every piece of text that comes out of the drawing."""

    def __init__(self, renderable: RenderableType) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        from rich.segment import Segment  # noqa: PLC0415

        for segment in console.render(self._renderable, options):
            if not segment.control:
                yield Segment(clean(segment.text), segment.style)


class _Stream:
    """A stream for rich whose reader may have gone away."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = stream.encoding

    def write(self, text: str) -> int:
        _write(self._stream, text)
        return len(text)

    def flush(self) -> None:
        """Nothing is held back here."""

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


def _write(stream: TextIO, text: str) -> None:
    """Write and flush; a closed pipe (`| head`) silences the stream and leaves the exit code alone.

    So does whatever else keeps it from being written, a full disk say; but of stdout that is an error.
    """
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        silence(stream)
    except OSError as error:
        if lose(stream, error):
            _write(sys.stderr, f"error: stdout cannot be written: {error.strerror}\n")
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()

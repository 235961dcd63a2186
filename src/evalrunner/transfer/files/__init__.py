"""What is in a file of recorded traces: bytes, elements, runs.

`Inputs` opens files and yields their `Element`s; `read_run` makes a `RecordedRun` of one, or raises `BrokenRun`.
"""

from evalrunner.transfer.files.broken import BrokenRun
from evalrunner.transfer.files.element import Element
from evalrunner.transfer.files.inputs import Inputs
from evalrunner.transfer.files.runs import RecordedRun, read_run
from evalrunner.transfer.files.times import read_moment

__all__ = ["BrokenRun", "Element", "Inputs", "RecordedRun", "read_moment", "read_run"]

"""What is in a file of recorded traces: bytes, elements, runs.

`Inputs` opens files and yields their `Element`s; `read_run` makes a `RecordedRun` of one, or raises `BrokenRun`.
"""

from evalrunner.upload.files.broken import BrokenRun
from evalrunner.upload.files.element import Element
from evalrunner.upload.files.inputs import Inputs
from evalrunner.upload.files.runs import RecordedRun, read_run
from evalrunner.upload.files.times import read_moment

__all__ = ["BrokenRun", "Element", "Inputs", "RecordedRun", "read_moment", "read_run"]

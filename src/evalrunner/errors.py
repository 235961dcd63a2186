"""The errors of evalrunner, and whose fault each one is.

    EvalrunnerError
    ├── UsageError            what was asked for cannot be done; nothing was executed
    │   ├── ConfigError       a configuration file or option, with file, line and key
    │   ├── TargetError       the target or an evaluator cannot be loaded or pickled
    │   ├── DataError         a dataset file has malformed rows
    │   ├── ExperimentBusy    another command runs the experiment
    │   └── ServiceError      endpoint unreachable, key refused, unknown experiment or dataset
    ├── RunFolderError        another experiment's, unwritable, full
    ├── RunBroken             the run had to end in the middle; what it had produced is safe
    ├── IllegalTransition     a state machine was asked for a move it does not have (our fault)
    ├── SpoolError            the spool cannot be written or read
    └── TransportError        a request got no answer; the sender sends it again

Every message is one sentence that says what is wrong and what to do about it.
"""

from __future__ import annotations


class EvalrunnerError(Exception):
    """The root: catch this one to catch everything that evalrunner raises on purpose."""


class UsageError(EvalrunnerError):
    """What was asked for cannot be done; nothing has been executed."""


class ConfigError(UsageError):
    """A configuration file or an option is wrong."""


class TargetError(UsageError):
    """The target or an evaluator cannot be found, loaded, called or pickled."""


class DataError(UsageError):
    """A dataset file has rows that cannot be used; none of it was pushed."""


class ServiceError(UsageError):
    """The LangSmith endpoint cannot be reached, refuses the key, or does not know the name."""


class ExperimentBusy(UsageError):
    """Another command runs this experiment at the moment; nothing has been executed by this one."""


class RunFolderError(UsageError):
    """The run's folder belongs to another experiment, cannot be written, or its disk is full."""


class RunBroken(EvalrunnerError):
    """The run had to end in the middle (its disk is full, say); what it had produced is safe, and it goes on."""


class IllegalTransition(EvalrunnerError):
    """A state machine was asked for a move that its table does not have; nothing has changed."""


class SpoolError(EvalrunnerError):
    """The spool cannot be written, or what it holds cannot be read."""


class TransportError(EvalrunnerError):
    """No answer came. The service may have taken the request nevertheless."""


def text_of(error: BaseException) -> str:
    """Return what an exception says of itself (its `repr`), or its type alone where even that raises."""
    try:
        return repr(error)
    except BaseException as why:
        return f"{type(error).__name__} (its text cannot be had: {type(why).__name__})"

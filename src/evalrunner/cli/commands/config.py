"""`evalrunner config`: every option, its value, and where it came from."""

from __future__ import annotations

import os
import re
from typing import Any

from evalrunner.cli.output import Output
from evalrunner.cli.settings.gather import Settings, gather
from evalrunner.cli.settings.options import OPTIONS, takes_options
from evalrunner.exit_codes import ExitCode

_SECRET = re.compile(r"key|token|secret|passw|credential", re.IGNORECASE)


def command(**flags: Any) -> ExitCode:
    """Show the value of every option and where it came from; takes the options of run."""
    output = Output(json=bool(flags.pop("json")), quiet=False)
    for key in ("plan", "quiet"):
        flags.pop(key)
    settings = gather(flags)
    service = _service(settings)
    if output.json:
        output.document({"options": _options(settings), "langsmith": service, "project": _project(settings)})
        return ExitCode.COMPLETE
    rows = [
        (name, one["means"] or _shown(one["value"]), one["source"])
        for name, one in _options(settings).items()
    ]
    output.table(("option", "value", "from"), rows)
    output.line("")
    for title, facts in (("langsmith", service), ("project", _project(settings))):
        output.table((title, "value"), [(name, _shown(value)) for name, value in facts.items()])
        output.line("")
    return ExitCode.COMPLETE


takes_options(command)


def _options(settings: Settings) -> dict[str, dict[str, Any]]:
    shown = {}
    for option in OPTIONS:
        if option.in_files:
            setting = settings.values[option.key]
            value = _open(option.key, setting.value)
            if option.key in ("store", "run_dir") and setting.folder != settings.folder:
                value = value and str(settings.path(option.key))  # a relative one would be read from here
            shown[option.name] = {"value": value, "source": setting.source}
            # What no value means is said in words: "all", "no limit".
            shown[option.name]["means"] = option.shown if setting.value in (None, ()) else None
    return shown


def _project(settings: Settings) -> dict[str, Any]:
    """Say where the store and the runs are, and why there."""
    return {
        "folder": str(settings.home),
        "because of": str(settings.file) if settings.file else "no configuration file here or above",
        "runs in": str(settings.home / ".evalrunner" / "runs"),
    }


def _open(key: str, value: Any) -> Any:
    """Return what may be shown: of a worker's environment, no value whose name sounds secret."""
    if key != "env":
        return value
    return {name: "***" if _SECRET.search(name) else text for name, text in value.items()}


def _service(settings: Settings) -> dict[str, Any]:
    """Say which LangSmith would be used; of the key only whether there is one."""
    from evalrunner.connect.endpoint import configured  # noqa: PLC0415

    source = configured()
    names = ("LANGSMITH_API_KEY", "LANGCHAIN_API_KEY")
    key = next((name for name in names if os.environ.get(name, "").strip()), None)
    url = os.environ.get("LANGSMITH_ENDPOINT") or os.environ.get("LANGCHAIN_ENDPOINT")
    local = not source or settings["local"]
    return {
        "used": "the local backend" if local else "LangSmith",
        "configured by": source or "nothing",
        "endpoint": re.sub(r"//[^/@]*@", "//***@", url) if url else "not set",
        "API key": f"set ({key})" if key else "not set",
    }


def _shown(value: Any) -> str:
    if value is None or value in ((), {}):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (tuple, list)):
        return ", ".join(value)
    if isinstance(value, dict):
        return ", ".join(f"{key}={one}" for key, one in value.items())
    return f"{value:g}" if isinstance(value, float) else str(value)

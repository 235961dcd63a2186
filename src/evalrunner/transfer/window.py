"""How old a run may be for a service to take it."""

from __future__ import annotations

from datetime import timedelta

#: Services refuse runs that began longer ago (measured from the moment of their arrival).
WINDOW = timedelta(hours=24)
#: What an upload may take until its last run arrives.
RESERVE = timedelta(hours=1)

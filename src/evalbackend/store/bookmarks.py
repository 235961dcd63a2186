"""Where the pages of a listing ended, so that the next page need not count its way from the beginning.

Clients ask for page after page by offset (the API knows nothing else), and an OFFSET reads everything before it: a
hundred thousand examples took fifty million rows. Whoever asks on from where a page ended is answered from there.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable

Key = tuple[str, str]
_MOST = 512


class Bookmarks:
    """Remembers (listing, offset) -> the sort key of the row before it, as long as the listing stands still.

    A listing is named by everything that decides about its rows and their order; `stand` changes with them.
    Used by many threads.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Hashable, int], tuple[Hashable, Key]] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, listing: Hashable, offset: int, stand: Hashable, last: Key) -> None:
        """Remember that the row before `offset` has this key."""
        with self._lock:
            self._kept[listing, offset] = stand, last
            self._kept.move_to_end((listing, offset))
            if len(self._kept) > _MOST:
                self._kept.popitem(last=False)

    def find(self, listing: Hashable, offset: int, stand: Hashable) -> Key | None:
        """Return the key of the row before `offset`, or None if that is not known, or not any more."""
        with self._lock:
            found = self._kept.get((listing, offset))
        return found[1] if found is not None and found[0] == stand else None

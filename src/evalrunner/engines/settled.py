"""Imported by the forkserver when everything else is: what is there by now stays, so nobody need look at it again.

The collector of every worker would otherwise walk through some 200,000 objects of the imported libraries, and write
to each, which also takes the pages from those that the workers share (https://docs.python.org/3/library/gc.html,
`gc.freeze`). The user's objects come later, and are collected as ever.
"""

from __future__ import annotations

import gc

gc.freeze()
gc.enable()

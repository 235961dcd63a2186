"""A script that nobody meant to be imported."""

import sys

target = None
sys.exit("usage: broken_import_exits.py FILE")

"""Mending an experiment without paying for its target again, as far as that can be had."""

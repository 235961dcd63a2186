"""Is this machine fit for a run: looked at, judged, told; nothing is changed."""

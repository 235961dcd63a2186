"""What is in a file of recorded traces: bytes, elements, runs."""

"""A project or an experiment into a file that `evalrunner upload` reads."""

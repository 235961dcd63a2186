"""Run LangSmith evaluations in many processes, into one experiment, and prove that nothing was lost."""

__version__ = "0.1.0"

"""Asking a LangSmith for runs, feedback and files: again and again, in either generation, values as their bytes."""

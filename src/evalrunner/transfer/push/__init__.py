"""An experiment of one LangSmith copied to another."""

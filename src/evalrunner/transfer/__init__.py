"""Runs from one place to another: files into projects, projects into files, experiments from store to store."""

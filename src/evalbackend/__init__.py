"""A local LangSmith-compatible server over one SQLite file.

The unmodified LangSmith SDK talks to it over HTTP. It is the embedded default when no service is
configured, and the real server of the tests. It shares no code with the delivery side that it judges.
"""

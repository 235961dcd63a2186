"""What the server remembers: one SQLite file, one write thread, readers beside it.

Functions of this package take a connection and know nothing of HTTP, except that they raise
`HttpError` when the answer must be a 4xx.
"""

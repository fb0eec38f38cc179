"""Engines and units of work: the one room that knows which database it is.

SQLite now (one directory), PostgreSQL later: what differs between the two (pragmas, bulk inserts, look-ups by key,
triggers) lives here and nowhere else.
"""

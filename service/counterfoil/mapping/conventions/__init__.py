"""The conventions as data, one module each: rows, no code. `mapping.tables` puts them together and orders them.

Adding a spelling adds a row; old spellings stay for ever, since logs are read again for years.
"""

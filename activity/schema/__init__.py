"""The database's shape: what it is, what it should be, how an embedded one gets there.

Imports no model: it works on whatever apps are installed.
"""

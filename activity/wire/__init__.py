"""What crosses a process boundary: pydantic models and key names.

Imports neither Django nor redis, so that an instance, a reader or a test can use it alone.
"""

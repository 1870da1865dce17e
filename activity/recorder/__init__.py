"""Follows every exchange: entries into the archive, deaths written down once, people told."""

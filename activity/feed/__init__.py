"""The live feed of one web process: a reader per watched exchange, one look at all statuses, any number of viewers."""

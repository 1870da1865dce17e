"""Redis, and the only importer of it: clients, ownership scripts, streams. Imports no Django."""

"""Shapes and backends: where windows lie, padding, and what differs between backends. No layer lives here."""

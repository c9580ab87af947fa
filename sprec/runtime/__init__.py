"""Stage store, records, random streams and tracking."""

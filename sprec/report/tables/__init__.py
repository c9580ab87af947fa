"""Tables from run records, in every format."""

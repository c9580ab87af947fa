"""Tables from run records: `python -m sprec.report`."""

"""What a stage costs: FLOPs, bytes and seconds, before it is run."""

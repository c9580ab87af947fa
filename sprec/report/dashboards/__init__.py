"""W&B workspaces, reports and sweeps."""

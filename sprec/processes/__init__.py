"""Process groups, forked jobs and signals."""

"""One experiment: configuration, build, session, plan, and the reload of a finished run."""

"""The laboratory: a local cloud, rehearsals with real processes, their reports, and the command line."""

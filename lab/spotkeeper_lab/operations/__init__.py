"""What people on call do to real fleets: look, pause, resume, redrive. The commands are a thin layer above it."""

"""Questions to a deployed stack: whether it does what it was deployed for. They change nothing."""

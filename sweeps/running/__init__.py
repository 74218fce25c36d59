"""When trials run: the schedule over an engine, and what is shown meanwhile."""

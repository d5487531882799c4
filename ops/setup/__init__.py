"""Set-up, start and stop of an arena on one machine. Standard library only: it runs before anything is installed."""

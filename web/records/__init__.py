"""The records worker: the one writer of what became of battles, and of the leaderboard."""

"""From votes to a leaderboard. Runs in the records worker; the web process only reads what it stored."""

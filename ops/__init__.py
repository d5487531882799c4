"""How the arena is set up, run, tested and measured. Runs from the checkout and is never installed."""

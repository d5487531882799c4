"""What operators may do: hand out keys, command workers, take models and votes out, and read who did what."""

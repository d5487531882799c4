"""What the arena does, without HTTP: draw a pair, admit, start, watch, cancel, vote, reveal."""

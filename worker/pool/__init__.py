"""More models than memory: when to switch (plan), whom to evict (plan), doing it (pool)."""

"""The arena on AWS: one tagged GPU host, found or launched, installed by ``./ops/up --production``, removed whole."""

"""Acknowledging messages whose connection is gone. Both Celery apps of the arena install this.

kombu ties an acknowledgement to the connection that brought the message. When Redis restarts, it tries to give back
what is being worked on over a connection that is closed already, fails with an AttributeError that Celery does not
expect, and the whole worker ends: minutes of loading models, for a blink of the broker. Here nothing is given back by
itself, so that what is still worked on is not handed out a second time; and a message is acknowledged over whatever
connection there is. Where there is none it stays where Redis keeps it: the reconciler sends again what is nowhere else,
and a copy that comes late is refused by its battle's log.
"""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)

TIMEOUT_S = 2.0


def install(redis_url: str) -> None:
    """For this process. Imports kombu."""
    from kombu.transport import redis as transport
    from redis import Redis
    from redis.exceptions import RedisError

    broken = (*transport.get_redis_error_classes().connection_errors, AttributeError)

    class LastingQoS(transport.QoS):  # type: ignore[misc]
        """Never fails, and never gives back by itself."""

        restore_at_shutdown = False

        def ack(self, delivery_tag: Any) -> None:
            try:
                super().ack(delivery_tag)
            except broken:
                self._acknowledge_anew(delivery_tag)

        def reject(self, delivery_tag: Any, requeue: bool = False) -> None:
            try:
                super().reject(delivery_tag, requeue)
            except broken as error:
                log.warning("a message is not given back: %s", type(error).__name__)

        def _acknowledge_anew(self, delivery_tag: Any) -> None:
            timeouts = {"socket_timeout": TIMEOUT_S, "socket_connect_timeout": TIMEOUT_S}
            try:
                with Redis.from_url(redis_url, **timeouts) as client, client.pipeline() as pipe:
                    pipe.zrem(self.unacked_index_key, delivery_tag)
                    pipe.hdel(self.unacked_key, delivery_tag)
                    pipe.execute()
            except RedisError as error:
                log.warning("a message stays unacknowledged: %s", type(error).__name__)

    transport.Channel.QoS = LastingQoS

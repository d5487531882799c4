# web, records and migrations, without vLLM. From the checkout: docker build -f ops/containers/web.Dockerfile -t llm-arena/web .
FROM python:3.11.14-bookworm AS build
WORKDIR /opt/llm-arena/app
COPY ops/__init__.py ops/
COPY ops/containers ops/containers
COPY ops/install ops/install
COPY ops/setup ops/setup
COPY ops/locks ops/locks
COPY pyproject.toml .
# Alone in its layer: it is made anew only when a lock changes.
RUN ["python", "-m", "ops.containers.build", "packages", "/opt/llm-arena/venv", "base"]
COPY . .
RUN ["/opt/llm-arena/venv/bin/python", "-m", "ops.containers.build", "pages"]
RUN ["python", "-m", "ops.containers.build", "app", "web", "/opt/llm-arena/image"]
RUN ["python", "-m", "ops.containers.build", "slim", "/opt/llm-arena/venv"]

FROM python:3.11.14-slim-bookworm
# hadolint ignore=DL3064
ENV PATH=/opt/llm-arena/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/llm-arena/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LANG=C.UTF-8 \
    HOME=/var/lib/llm-arena \
    ARENA_DATA_DIR=/var/lib/llm-arena \
    ARENA_BIND=0.0.0.0:5000 \
    ARENA_PRIVATE_HOST=0.0.0.0 \
    ARENA_PRIVATE_PORT=8000 \
    ARENA_LOG_FORMAT=json
COPY --from=build /opt/llm-arena/venv /opt/llm-arena/venv
COPY --from=build /opt/llm-arena/image /opt/llm-arena/app
RUN ["sh", "/opt/llm-arena/app/ops/containers/account.sh", "/"]
WORKDIR /opt/llm-arena/app
USER 10001:10001
# 5000: people, through a proxy that ends TLS. 8000: /metrics and loaded models, for inside only.
EXPOSE 5000 8000
HEALTHCHECK --interval=15s --timeout=6s --start-period=60s --retries=3 \
    CMD ["python", "-m", "ops.containers.health", "http://127.0.0.1:5000/health"]
ENTRYPOINT ["python", "-m", "ops.gate", "--redis", "--"]
CMD ["python", "-m", "gunicorn", "-c", "ops/gunicorn.conf.py", "web:create_app()"]

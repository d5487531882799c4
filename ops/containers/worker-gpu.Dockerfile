# The model worker with vLLM for CUDA; the host brings the driver and NVIDIA's container toolkit. From the checkout: docker build -f ops/containers/worker-gpu.Dockerfile -t llm-arena/worker-gpu .
FROM python:3.11.14-bookworm AS build
WORKDIR /opt/llm-arena/app
COPY ops/__init__.py ops/
COPY ops/containers ops/containers
COPY ops/install ops/install
COPY ops/setup ops/setup
COPY ops/locks ops/locks
COPY pyproject.toml .
# Alone in its layer: gigabytes that are made anew only when a lock changes.
RUN ["python", "-m", "ops.containers.build", "packages", "/opt/llm-arena/venv", "base", "gpu"]
RUN ["python", "-m", "ops.containers.build", "slim", "/opt/llm-arena/venv"]
COPY . .
RUN ["python", "-m", "ops.containers.build", "app", "worker", "/opt/llm-arena/image"]

FROM python:3.11.14-slim-bookworm
ENV PATH=/opt/llm-arena/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/opt/llm-arena/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    LANG=C.UTF-8 \
    HOME=/var/lib/llm-arena \
    XDG_CACHE_HOME=/var/lib/llm-arena/cache \
    ARENA_MODELS_DIR=/opt/models \
    ARENA_CATALOG=ops/catalogs/t4.toml \
    ARENA_METRICS_ADDRESS=0.0.0.0:9200 \
    ARENA_DRAIN_S=60 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    ARENA_LOG_FORMAT=json
COPY ops/containers/system.sh ops/containers/account.sh /opt/llm-arena/
RUN ["sh", "/opt/llm-arena/system.sh", "/", "gcc", "libc6-dev"]
RUN ["sh", "/opt/llm-arena/account.sh", "/"]
COPY --from=build /opt/llm-arena/venv /opt/llm-arena/venv
COPY --from=build /opt/llm-arena/image /opt/llm-arena/app
WORKDIR /opt/llm-arena/app
USER 10001:10001
# Metrics, which name models: for inside only.
EXPOSE 9200
# Engines may take minutes to load; whether it takes battles yet is another question, see ops/k8s/base/worker.yaml.
HEALTHCHECK --interval=15s --timeout=6s --start-period=120s --retries=4 \
    CMD ["python", "-m", "ops.containers.health", "http://127.0.0.1:9200/metrics"]
ENTRYPOINT ["python", "-m", "ops.gate", "--redis", "--"]
CMD ["python", "-m", "celery", "--quiet", "-A", "worker", "worker", "-P", "threads", "-c", "128", "-Q", "battles", "-n", "arena@%h", "--without-gossip", "--without-mingle", "--loglevel", "INFO"]

# syntax=docker/dockerfile:1
# One image for every process; the command says which. Built from the hash locks.
FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements.lock requirements-dev.lock ./
RUN python -m venv /opt/rendercast && /opt/rendercast/bin/pip install --require-hashes -r requirements.lock
RUN python -m venv /opt/build && /opt/build/bin/pip install --require-hashes -r requirements-dev.lock
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY brokers brokers
COPY tracing tracing
COPY streams streams
COPY connectors connectors
COPY rendercast rendercast
RUN /opt/build/bin/pip wheel --no-build-isolation --no-deps --wheel-dir /tmp/wheel . \
    && /opt/rendercast/bin/pip install --no-deps /tmp/wheel/*.whl

FROM python:3.12-slim
COPY --from=build /opt/rendercast /opt/rendercast
RUN useradd --uid 10001 --create-home rendercast && install -d -o rendercast /var/lib/rendercast
USER 10001
WORKDIR /var/lib/rendercast
ENV PATH=/opt/rendercast/bin:$PATH PYTHONUNBUFFERED=1 RENDERCAST_MONITORING__HOST=0.0.0.0
EXPOSE 8080 9464
ENTRYPOINT ["rendercast"]
CMD ["--help"]

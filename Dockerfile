# syntax=docker/dockerfile:1
# One image for every process; the command says which. Built from the hash lock.
FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/rendercast
WORKDIR /src
COPY requirements.lock ./
RUN /opt/rendercast/bin/pip install --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY streams streams
COPY connectors connectors
COPY rendercast rendercast
RUN /opt/rendercast/bin/pip install --no-build-isolation --no-deps .

FROM python:3.12-slim
COPY --from=build /opt/rendercast /opt/rendercast
RUN useradd --uid 10001 --create-home rendercast && install -d -o rendercast /var/lib/rendercast
USER 10001
WORKDIR /var/lib/rendercast
ENV PATH=/opt/rendercast/bin:$PATH PYTHONUNBUFFERED=1 RENDERCAST_MONITORING__HOST=0.0.0.0
EXPOSE 8080 9464
ENTRYPOINT ["rendercast"]
CMD ["--help"]

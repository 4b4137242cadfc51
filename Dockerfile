# One image for every process: api (the default command), relay, worker and `tocsin db upgrade`.
# A digest pins the base's bytes too: --build-arg PYTHON=docker.io/library/python:3.11.14-slim-bookworm@sha256:...
ARG PYTHON=docker.io/library/python:3.11.14-slim-bookworm

FROM ${PYTHON} AS build
WORKDIR /build
# Its own file, so that the runtime carries neither pip nor setuptools.
COPY requirements/build.txt requirements/image.txt requirements/
RUN python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes --requirement requirements/build.txt \
 && python -m venv --without-pip /opt/tocsin \
 && python -m pip --python /opt/tocsin/bin/python install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes --requirement requirements/image.txt
# Last, because it changes most: the layers above are kept until a dependency changes.
COPY pyproject.toml README.md LICENSE ./
COPY migrations migrations
COPY workers workers
COPY app app
RUN python -m pip wheel --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir dist . \
 && python -m pip --python /opt/tocsin/bin/python install --no-cache-dir --disable-pip-version-check --no-deps --no-index dist/tocsin-*.whl

FROM ${PYTHON}
RUN groupadd --system --gid 10001 tocsin \
 && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tocsin
COPY --from=build /opt/tocsin /opt/tocsin
# Nothing is written: the root file system may be read-only, with a small /tmp.
ENV PATH=/opt/tocsin/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TOCSIN_TELEMETRY__METRICS_HOST=0.0.0.0
WORKDIR /srv/tocsin
USER 10001:10001
EXPOSE 8080 2525 9101 9102 9103 9104
# No access log: a url_secret source carries its secret in the query string. Connections outlive those of a proxy in front.
CMD ["python", "-m", "uvicorn", "app.main:create_app", "--factory", "--host", "0.0.0.0", "--port", "8080", "--no-proxy-headers", "--no-access-log", "--timeout-keep-alive", "75", "--timeout-graceful-shutdown", "25"]

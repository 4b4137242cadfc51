# One image for every process: api (the default command), relay and worker (see docs/how-to/run-on-real-servers.md).
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/tocsin
COPY requirements/base.txt requirements/
RUN /opt/tocsin/bin/pip install --no-cache-dir --require-hashes -r requirements/base.txt

FROM python:3.11-slim-bookworm
RUN groupadd --system --gid 10001 tocsin && useradd --system --uid 10001 --gid 10001 --no-create-home tocsin
COPY --from=build /opt/tocsin /opt/tocsin
WORKDIR /srv/tocsin
COPY alembic.ini ./
COPY migrations migrations
COPY app app
COPY workers workers
ENV PATH=/opt/tocsin/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TOCSIN_TELEMETRY__METRICS_HOST=0.0.0.0
USER 10001:10001
EXPOSE 8080 9101
# No access log: a url_secret source carries its secret in the query string.
CMD ["python", "-m", "uvicorn", "app.main:create_app", "--factory", "--host", "0.0.0.0", "--port", "8080", "--no-access-log"]

# One image for every process: api (the default command), relay, worker, mail listener and `tocsin db upgrade`; and with
# `--target backup` the same with PostgreSQL's client programs, for `tocsin backup` and `tocsin restore`.
# A digest pins a base's bytes too: --build-arg PYTHON=docker.io/library/python:3.11.14-slim-bookworm@sha256:...
ARG PYTHON=docker.io/library/python:3.11.14-slim-bookworm
# The client programs' own image: of the server's major version or a newer one, and of the Debian release of PYTHON.
ARG POSTGRESQL=docker.io/library/postgres:17.5-bookworm

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

# The programs with the libraries that they name, but for the C library's own: those go with the image's loader. Each program
# is started by a script, so that Python never meets these libraries.
FROM ${POSTGRESQL} AS postgresql
RUN from=/usr/lib/postgresql/$PG_MAJOR/bin to=/opt/postgresql \
 && mkdir -p "$to/bin" "$to/lib" "$to/programs" \
 && cp "$from/pg_dump" "$from/pg_restore" "$from/psql" "$to/programs" \
 && ldd "$from/pg_dump" "$from/pg_restore" "$from/psql" | awk '$3 ~ "^/" {print $3}' | sort -u \
  | grep -Ev '/lib(c|m|dl|rt|pthread|resolv)[.]so' | xargs cp --dereference --target-directory="$to/lib" \
 && for name in pg_dump pg_restore psql; do printf '#!/bin/sh\nLD_LIBRARY_PATH=%s/lib exec %s/programs/%s "$@"\n' "$to" "$to" "$name" > "$to/bin/$name"; done \
 && chmod 0755 "$to/bin/pg_dump" "$to/bin/pg_restore" "$to/bin/psql"

FROM ${PYTHON} AS installed
RUN groupadd --system --gid 10001 tocsin \
 && useradd --system --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tocsin
COPY --from=build /opt/tocsin /opt/tocsin
# Nothing is written: the root file system may be read-only, with a small /tmp.
ENV PATH=/opt/tocsin/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TOCSIN_TELEMETRY__METRICS_HOST=0.0.0.0
WORKDIR /srv/tocsin

FROM installed AS backup
COPY --from=postgresql /opt/postgresql /opt/postgresql
ENV PATH=/opt/postgresql/bin:$PATH
# A library that is missing ends the build and not the first backup. A fresh volume takes the folder's owner and mode.
RUN pg_dump --version && pg_restore --version && psql --version \
 && mkdir --mode=0700 /backups && chown 10001:10001 /backups
USER 10001:10001
CMD ["tocsin", "backup", "--to", "/backups"]

# The last one is what is built where no target is named.
FROM installed AS runtime
USER 10001:10001
EXPOSE 8080 2525 9101 9102 9103 9104
# No access log: a url_secret source carries its secret in the query string. Connections outlive those of a proxy in front.
CMD ["python", "-m", "uvicorn", "app.main:create_app", "--factory", "--host", "0.0.0.0", "--port", "8080", "--no-proxy-headers", "--no-access-log", "--timeout-keep-alive", "75", "--timeout-graceful-shutdown", "25"]

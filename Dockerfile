# Gatebook as an image: `docker build --tag gatebook .`, from a checkout.
# docs/how-to/run-in-a-container.md says how to run it; tests/packaging looks after this file.

# A tag that moves on to what is mended in Python and in Debian: `docker build --pull` takes it. Who
# wants the same bytes each time puts a digest behind it. Debian, since every locked version has a
# wheel for it; slim, since nothing is compiled. It stands here once, for both stages: what one
# compiles the other must be able to run.
FROM python:3.13-slim-trixie AS python

# What is needed to build stays in a stage of its own, and out of the image.
FROM python AS build

# Relative paths of this stage.
WORKDIR /build

# pip: no copy of what it fetched, since the stage is thrown away; no question about newer releases
# of itself; no warning about root, who is nobody else's here.
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

# At the place where it will be, as its scripts name it; without pip, which a service doesn't need.
RUN python -m venv --without-pip /opt/gatebook

# The locks come before the source: a change of the source fetches nothing anew.
COPY requirements.lock ./

# The locked versions, PostgreSQL's driver among them: nothing that they don't name, nothing whose
# hash is another, and nothing that would run code of its own to be built.
RUN python -m pip --python /opt/gatebook install \
    --no-deps --require-hashes --only-binary=:all: --requirement requirements.lock

# It has the build backend, among the tools of the tests.
COPY tests/requirements.lock tests/

# The backend and what it needs, each an entry from the start of a line to the next: these alone, as
# all of them would take minutes.
RUN awk '/^[^ ]/ { it = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/ } it' \
    tests/requirements.lock >backend.lock \
    && python -m pip install \
    --no-deps --require-hashes --only-binary=:all: --requirement backend.lock

# What the wheel is made of; .dockerignore lets nothing else through.
COPY pyproject.toml README.md LICENSE CHANGELOG.md CONTRIBUTING.md ./
COPY clients/python/README.md clients/python/
COPY clients/javascript/README.md clients/javascript/
COPY app/ app/
COPY domain/ domain/
COPY projections/ projections/
COPY docs/ docs/

# By the backend itself: a front end would fetch another one, without hashes. What the wheel needs
# is in place already.
RUN python -m hatchling build --target wheel \
    && python -m pip --python /opt/gatebook install --no-deps --no-index dist/gatebook-*.whl

# The image: Python, the environment, a place for data.
FROM python

# The base image has its library uncompiled, and a container that can't write would compile it at
# each start, each command and each health check: 0.3 s of a processor instead of 0.06.
RUN python -c "import compileall, os; compileall.compile_dir(os.path.dirname(os.__file__), quiet=1)"

# Root's, so that the service can't change its own program.
COPY --from=build /opt/gatebook /opt/gatebook

# A new volume takes owner and mode from here.
RUN install --directory --owner=10001 --group=10001 --mode=0700 /data

# The environment's Python and `gatebook` before the system's.
ENV PATH=/opt/gatebook/bin:$PATH

# All is compiled, and what runs can't write there.
ENV PYTHONDONTWRITEBYTECODE=1

# Nothing is imported from the working directory, which is the one place that the service writes to.
ENV PYTHONSAFEPATH=1

# A crash in compiled code says on the log where; it shows no values.
ENV PYTHONFAULTHANDLER=1

# Of the container, else no port could be published. On an address that others reach Gatebook starts
# only with GATEBOOK_ISSUER and a master key, and there is no default for these.
ENV GATEBOOK_HOST=0.0.0.0

# The database is `gatebook.db` here, by Gatebook's own default. GATEBOOK_DATABASE_URL isn't set:
# beside it the file that names a PostgreSQL database, GATEBOOK_DATABASE_URL_FILE, would be refused.
WORKDIR /data

# A database never lies in a container's own layer, which goes with the container.
VOLUME /data

# Numbers: an orchestrator can tell that it isn't root without knowing the image's users. High ones,
# that are nobody's on most hosts; they have no entry in /etc/passwd, and need none.
USER 10001:10001

# Gatebook's default; it speaks HTTP, and a proxy in front of it TLS.
EXPOSE 8000

# Whether the process answers, and not whether it is ready: who acts on this replaces the container,
# and when the database is away that would only add to the trouble, as Gatebook recovers by itself.
# A load balancer asks /readyz. By Python, since there is no curl; isolated, so that nothing in
# /data is imported; by http.client, since urllib would ask a proxy that HTTP_PROXY names. Every
# second at first, so that who waits for it isn't kept waiting.
HEALTHCHECK --interval=30s --timeout=5s --retries=3 --start-period=30s --start-interval=1s \
    CMD ["python", "-I", "-c", "import http.client, os, sys; \
        port = int(os.environ.get('GATEBOOK_PORT', '8000')); \
        service = http.client.HTTPConnection('127.0.0.1', port, timeout=4); \
        service.request('GET', '/healthz'); \
        sys.exit(service.getresponse().status != 200)"]

# On this it answers what it was asked, and ends with 0 within 10 s. Docker kills after 10 unless
# told otherwise: `docker run --stop-timeout 15`.
STOPSIGNAL SIGTERM

# Without a shell, which would keep the signal to itself. `docker run gatebook users list` is any
# other command.
ENTRYPOINT ["gatebook"]
CMD ["serve"]

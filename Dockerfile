# Image of the controller and the command line: docker build -t gitsnap .
# The container runs under any uid and with a read-only root file system. /collection holds the archives; /tmp must be
# writable. pip checks the dependencies against the hashes in requirements/image.txt. For a reproducible build, pin the base
# image by its digest as well: docker build --build-arg BASE=python@sha256:… -t gitsnap .
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /source
COPY requirements/image.txt requirements/image.txt
RUN python -m venv /opt/gitsnap \
    && /opt/gitsnap/bin/pip install --no-cache-dir --require-hashes -r requirements/image.txt
COPY pyproject.toml README.md LICENSE ./
COPY gitsnap gitsnap
RUN /opt/gitsnap/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM ${BASE}
# git maintains and pushes archives and uses ssh for a push. libnss-wrapper provides a passwd entry for any uid.
RUN apt-get update \
    && apt-get install --no-install-recommends --yes git openssh-client libnss-wrapper \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/gitsnap /opt/gitsnap
COPY scripts/container-entrypoint /usr/local/bin/container-entrypoint
ENV PATH=/opt/gitsnap/bin:$PATH GITSNAP_STORAGE=/collection HOME=/tmp PYTHONDONTWRITEBYTECODE=1
# A passwd entry for the uid of the manifests, because `kubectl exec … gitsnap push` bypasses the entrypoint, which
# provides an entry for any other uid.
RUN mkdir /collection && chmod 1777 /collection \
    && echo 'gitsnap:x:65532:65532:gitsnap:/tmp:/sbin/nologin' >> /etc/passwd && echo 'gitsnap:x:65532:' >> /etc/group
VOLUME /collection
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["container-entrypoint"]
CMD ["controller", "--listen=:8080"]

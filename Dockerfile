# The controller and the command line: docker build -t gitsnap .
# Runs under any uid, with a read-only root file system; /collection holds the archives, /tmp must be writable.
# Dependencies are those of requirements/image.txt, by hash. For a build that can be repeated name the base by digest as
# well: docker build --build-arg BASE=python@sha256:… -t gitsnap .
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
# git pushes and maintains archives, ssh carries a push; libnss-wrapper gives ssh a user where the uid has none.
RUN apt-get update \
    && apt-get install --no-install-recommends --yes git openssh-client libnss-wrapper \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/gitsnap /opt/gitsnap
COPY scripts/container-entrypoint /usr/local/bin/container-entrypoint
ENV PATH=/opt/gitsnap/bin:$PATH GITSNAP_STORAGE=/collection HOME=/tmp PYTHONDONTWRITEBYTECODE=1
# The uid of the manifests has an entry, so that `kubectl exec … gitsnap push` works; the entrypoint gives others one.
RUN mkdir /collection && chmod 1777 /collection \
    && echo 'gitsnap:x:65532:65532:gitsnap:/tmp:/sbin/nologin' >> /etc/passwd && echo 'gitsnap:x:65532:' >> /etc/group
VOLUME /collection
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["container-entrypoint"]
CMD ["controller", "--listen=:8080"]

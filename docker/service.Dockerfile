# The service on CPUs: `earmark serve`, with the starter model and the demo sounds in it.
#
#   docker build -f docker/service.Dockerfile --build-arg TORCH_INDEX=ADDRESS -t earmark-service:0.1.0 .
#
# ADDRESS is the index of PyTorch's CPU builds, as its start page gives it. Without it pip may take
# the build for CUDA, gigabytes larger: then this build stops and says so.

ARG PYTHON_IMAGE=python:3.11.16-slim-bookworm

# What we depend on: changes with pyproject.toml and constraints.txt alone.
FROM ${PYTHON_IMAGE} AS packages
ARG TORCH_INDEX=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY pyproject.toml constraints.txt docker/requirements.py ./
RUN python3 -m venv --without-pip /opt/earmark \
    && python3 requirements.py mcp milvus traces > requirements.txt \
    && python3 -m pip --python /opt/earmark/bin/python install \
        ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -c constraints.txt -r requirements.txt \
    && /opt/earmark/bin/python -c "import torch; cuda = torch.version.cuda; \
assert not cuda, f'torch is the build for CUDA {cuda}: give --build-arg TORCH_INDEX=…'" \
    && rm -rf /opt/earmark/lib/python3*/site-packages/torch/include \
        /opt/earmark/lib/python3*/site-packages/torch/test \
    && find /opt/earmark/lib/python3*/site-packages/torch/bin -type f \
        ! -name torch_shm_manager -delete \
    && find /opt/earmark -type d -name tests -prune -exec rm -r {} +

# Ourselves, in the same place.
FROM ${PYTHON_IMAGE} AS earmark
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY . .
RUN python3 -m venv --without-pip /opt/earmark \
    && python3 -m pip --python /opt/earmark/bin/python install --no-deps .

FROM ${PYTHON_IMAGE}
ARG REVISION=
LABEL org.opencontainers.image.title="earmark-service" \
      org.opencontainers.image.description="Finds sounds with words: the page and the HTTP API" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT"
# Debian keeps one version of a package at a time: a pin would break the build at its next update.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 earmark \
    && useradd --uid 10001 --gid earmark --no-create-home --home-dir /library earmark \
    && install -d -o earmark -g earmark /library
COPY --from=packages /opt/earmark /opt/earmark
COPY --from=earmark /opt/earmark /opt/earmark
COPY LICENSE index/demo/ATTRIBUTION.md model/starter/README.md /usr/share/licenses/earmark/
COPY model/wordnet/LICENSE /usr/share/licenses/earmark/WordNet
COPY docker/earmark-health /usr/local/bin/
ENV PATH=/opt/earmark/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/library \
    XDG_DATA_HOME=/library \
    NUMBA_CACHE_DIR=/tmp \
    EARMARK_HOST=0.0.0.0 \
    EARMARK_PORT=8000
USER 10001:10001
WORKDIR /library
VOLUME /library
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 CMD ["earmark-health"]
ENTRYPOINT ["tini", "--", "earmark"]
CMD ["serve"]

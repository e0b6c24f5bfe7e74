# The service with its model on a GPU: `earmark serve` with EARMARK_DEVICE=cuda.
#
#   docker build -f docker/service-gpu.Dockerfile -t earmark-service-gpu:0.1.0 .
#
# torch brings its own CUDA libraries; the base brings what lets an older driver run them, and
# says which driver it needs.

ARG CUDA_IMAGE=nvidia/cuda:13.0.2-base-ubuntu24.04

# What we depend on: changes with pyproject.toml and constraints.txt alone.
FROM ${CUDA_IMAGE} AS packages
# The CUDA that torch must be built for; empty: any, or none.
ARG CUDA=13
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# The distribution keeps one version of a package at a time: a pin would break the next build.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY pyproject.toml constraints.txt docker/requirements.py ./
RUN python3 -m venv --without-pip /opt/earmark \
    && python3 requirements.py mcp milvus traces > requirements.txt \
    && python3 -m pip --python /opt/earmark/bin/python install -c constraints.txt -r requirements.txt \
    && /opt/earmark/bin/python -c "import torch; cuda = torch.version.cuda or ''; \
assert cuda.startswith('${CUDA}'), f'torch is built for CUDA {cuda or None}, expected ${CUDA}'" \
    && rm -rf /opt/earmark/lib/python3*/site-packages/torch/include \
        /opt/earmark/lib/python3*/site-packages/torch/test \
    && find /opt/earmark/lib/python3*/site-packages/torch/bin -type f \
        ! -name torch_shm_manager -delete \
    && find /opt/earmark -type d -name tests -prune -exec rm -r {} +

# Ourselves, in the same place.
FROM packages AS earmark
WORKDIR /source
COPY . .
RUN rm -r /opt/earmark \
    && python3 -m venv --without-pip /opt/earmark \
    && python3 -m pip --python /opt/earmark/bin/python install --no-deps .

FROM ${CUDA_IMAGE}
ARG REVISION=
LABEL org.opencontainers.image.title="earmark-service-gpu" \
      org.opencontainers.image.description="Finds sounds with words: the page and the HTTP API, on a GPU" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT"
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 tini \
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
    EARMARK_DEVICE=cuda \
    EARMARK_HOST=0.0.0.0 \
    EARMARK_PORT=8000
USER 10001:10001
WORKDIR /library
VOLUME /library
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 CMD ["earmark-health"]
ENTRYPOINT ["tini", "--", "earmark"]
CMD ["serve"]

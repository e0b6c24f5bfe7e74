# Training on GPUs: `earmark train` on all of a node's, by torchrun; see docker/earmark-train.
#
#   docker build -f docker/training.Dockerfile -t earmark-training:0.1.0 .
#   docker run --rm --gpus all --shm-size 8g -v SOUNDS:/data:ro -v RUNS:/runs earmark-training:0.1.0 \
#       --preset starter --data /data/manifest.csv --out /runs/first --resume

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
    && python3 requirements.py research > requirements.txt \
    && python3 -m pip --python /opt/earmark/bin/python install -c constraints.txt -r requirements.txt \
    && /opt/earmark/bin/python -c "import torch; cuda = torch.version.cuda or ''; \
assert cuda.startswith('${CUDA}'), f'torch is built for CUDA {cuda or None}, expected ${CUDA}'"

# Ourselves, in the same place.
FROM packages AS earmark
WORKDIR /source
COPY . .
RUN rm -r /opt/earmark \
    && python3 -m venv --without-pip /opt/earmark \
    && python3 -m pip --python /opt/earmark/bin/python install --no-deps .

FROM ${CUDA_IMAGE}
ARG REVISION=
LABEL org.opencontainers.image.title="earmark-training" \
      org.opencontainers.image.description="Trains aligned audio and tag encoders on the GPUs of a node" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="MIT"
# The compiler is for `--compile`: torch writes kernels and has them compiled.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev python3 python3-dev tini \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 earmark \
    && useradd --uid 10001 --gid earmark --no-create-home --home-dir /runs earmark \
    && install -d -o earmark -g earmark /runs /data
COPY --from=packages /opt/earmark /opt/earmark
COPY --from=earmark /opt/earmark /opt/earmark
COPY LICENSE index/demo/ATTRIBUTION.md model/starter/README.md /usr/share/licenses/earmark/
COPY model/wordnet/LICENSE /usr/share/licenses/earmark/WordNet
COPY docker/earmark-train /usr/local/bin/
ENV PATH=/opt/earmark/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    NUMBA_CACHE_DIR=/tmp
USER 10001:10001
WORKDIR /runs
VOLUME /runs
# Asked to stop, it saves and ends; `--resume` goes on.
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--", "earmark-train"]
CMD ["--help"]

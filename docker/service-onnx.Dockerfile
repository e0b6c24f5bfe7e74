# The service on CPUs without torch: `earmark serve` from an ONNX export of the starter model, which
# is made here and stands in the model's place.
#
#   docker build -f docker/service-onnx.Dockerfile --build-arg TORCH_INDEX=ADDRESS \
#       -t earmark-service-onnx:0.1.0 .
#
# ADDRESS is the index of PyTorch's CPU builds, as its start page gives it: exporting needs torch.

ARG PYTHON_IMAGE=python:3.11.16-slim-bookworm

# What we depend on: changes with pyproject.toml and constraints.txt alone. What is left out trains.
FROM ${PYTHON_IMAGE} AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY pyproject.toml constraints.txt docker/requirements.py ./
RUN python3 -m venv --without-pip /opt/earmark \
    && python3 requirements.py mcp milvus onnx traces \
        --without iterative-stratification librosa torch > requirements.txt \
    && python3 -m pip --python /opt/earmark/bin/python install -c constraints.txt -r requirements.txt \
    && find /opt/earmark -type d -name tests -prune -exec rm -r {} +

# The export.
FROM ${PYTHON_IMAGE} AS export
ARG TORCH_INDEX=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY pyproject.toml constraints.txt docker/requirements.py ./
RUN python3 requirements.py onnx-export > requirements.txt \
    && python3 -m pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} \
        -c constraints.txt -r requirements.txt \
    && python3 -c "import torch; cuda = torch.version.cuda; \
assert not cuda, f'torch is the build for CUDA {cuda}: give --build-arg TORCH_INDEX=…'"
COPY . .
RUN python3 -m pip install --no-deps . && earmark export onnx --out /export

# Ourselves, in the same place as what we depend on.
FROM ${PYTHON_IMAGE} AS earmark
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
COPY . .
COPY --from=export /export /export
RUN python3 -m venv --without-pip /opt/earmark \
    && python3 -m pip --python /opt/earmark/bin/python install --no-deps . \
    && starter=$(/opt/earmark/bin/python -c \
        "from earmark.model.model_files import starter_model; print(starter_model())") \
    && rm "$starter/model.safetensors" \
    && cp /export/* "$starter"

FROM ${PYTHON_IMAGE}
ARG REVISION=
LABEL org.opencontainers.image.title="earmark-service-onnx" \
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
    EARMARK_RUNTIME=onnx \
    EARMARK_HOST=0.0.0.0 \
    EARMARK_PORT=8000
USER 10001:10001
WORKDIR /library
VOLUME /library
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=3 CMD ["earmark-health"]
ENTRYPOINT ["tini", "--", "earmark"]
CMD ["serve"]

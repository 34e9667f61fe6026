# Four images, each a target:
#   filter    the module alone, as /plugin.wasm
#   edge      Envoy with the module and envoy.yaml
#   store     the reference count store with the demo's rows
#   explorer  edge with an API explorer at /explorer/, not for production
# `docker compose up` builds edge and store; `docker build --target filter -t backup-sharing-count .` builds the first.
# Only what every builder knows, with or without BuildKit: hence no cache mounts. To edit and retry, use `cargo demo`.

# The images to start from; each may be replaced with --build-arg, or by a variable of that name with docker compose.
# Debian with rustup, gcc and libc6-dev:
ARG RUST_IMAGE=rust:1.95.0-slim-bookworm
# Anything with /usr/local/bin/envoy (and bash, which docker-compose.yml asks for health with):
ARG ENVOY_IMAGE=envoyproxy/envoy:v1.40.0
# Has the glibc of RUST_IMAGE, or a newer one (and bash, as above):
ARG STORE_BASE_IMAGE=debian:bookworm-slim
# Has Python with pip; of it nothing is in an image:
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

# All members, since Cargo reads every manifest of a workspace; without what no compiler reads, so that a change to it compiles nothing.
FROM ${RUST_IMAGE} AS sources
COPY . /src
RUN rm -r /src/demo /src/envoy.yaml

FROM ${RUST_IMAGE} AS build
WORKDIR /src
# The version and the wasm target, from the file that every other build reads; apart from the sources, so that it is kept.
COPY rust-toolchain.toml ./
RUN rustup toolchain install --no-self-update
COPY --from=sources /src .
RUN cargo build --locked --release --package count-store
# No git here: --build-arg REVISION="$(git rev-parse HEAD)", or a variable of that name with docker compose, makes it known to the
# module, which is then the one of RELEASING.md.
ARG REVISION
RUN cargo run --locked --package xtask -- dist ${REVISION:+--revision "$REVISION"}

FROM scratch AS filter
COPY --from=build /src/target/dist/backup_sharing_count.wasm /plugin.wasm

FROM ${STORE_BASE_IMAGE} AS store
COPY --from=build /src/target/release/count-store /usr/local/bin/
# --chown, here and below: readable even if the checkout is not readable for others.
COPY --chown=65532:65532 demo/sharings.csv /usr/local/share/count-store/
# A number, so that Kubernetes can see it is not root; no user of Debian or Ubuntu has it.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/count-store"]
CMD ["--help"]

FROM ${ENVOY_IMAGE} AS edge
COPY --from=filter /plugin.wasm /etc/envoy/plugin.wasm
COPY --chown=65532:65532 envoy.yaml /etc/envoy/envoy.yaml
USER 65532:65532
# Not the image's own entry point, which wants to begin as root and needs a shell.
ENTRYPOINT ["/usr/local/bin/envoy"]
# A container holds one Envoy, so no other takes over from it; at info it begins with a page of extension names.
CMD ["--config-path", "/etc/envoy/envoy.yaml", "--disable-hot-restart", "--log-level", "warning"]

FROM ${PYTHON_IMAGE} AS swagger-ui
COPY demo/explorer openapi.yaml envoy.yaml /explorer/
WORKDIR /explorer
RUN python3 -m pip install --require-hashes --no-deps --only-binary=:all: --target /packages -r requirements.txt && \
    mv /packages/flask_swagger_ui/dist/swagger-ui.css /packages/flask_swagger_ui/dist/swagger-ui-bundle.js . && \
    sed -f envoy.sed envoy.yaml > with-explorer.yaml && chmod -R a+rX .

FROM edge AS explorer
COPY --from=swagger-ui /explorer /etc/envoy/explorer
CMD ["--config-path", "/etc/envoy/explorer/with-explorer.yaml", "--disable-hot-restart", "--log-level", "warning"]

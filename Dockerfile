# The image contains one static binary, one CA bundle, and the licenses of what is in them.
#
#   docker build -t irsa-sidecar:dev .
#   docker buildx build --platform linux/amd64,linux/arm64 -t REGISTRY/irsa-sidecar:TAG --push .
#
# The same sources, arguments and Go version produce the same files on any machine. To pin the
# base image too: --build-arg GO_VERSION=1.26.8@sha256:…

ARG GO_VERSION=1.26.8
FROM --platform=$BUILDPLATFORM golang:${GO_VERSION} AS build
ARG TARGETARCH
WORKDIR /src
# Modules change rarely: keep their layer.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
ARG REVISION=unknown
RUN VERSION=$VERSION REVISION=$REVISION release/build sidecar "$TARGETARCH" /out

FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="irsa-sidecar"
LABEL org.opencontainers.image.description="Serves AWS credentials in a pod to programs with an old AWS SDK"
LABEL org.opencontainers.image.licenses="Apache-2.0"
LABEL org.opencontainers.image.version="${VERSION}"
LABEL org.opencontainers.image.revision="${REVISION}"
COPY --from=build /out /
# A dedicated id: in a pod with a shared process namespace, processes of one user can
# read each other's environment, and many images use 65532.
USER 9911:9911
ENTRYPOINT ["/sidecar"]

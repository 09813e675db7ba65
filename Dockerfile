# The image contains one static binary and one CA bundle, nothing else.
#
#   docker build -t irsa-sidecar:dev .
#   docker buildx build --platform linux/amd64,linux/arm64 -t REGISTRY/irsa-sidecar:TAG --push .
#
# The same commit and Go version produce the same binary on any machine.

ARG GO_VERSION=1.26.8
FROM --platform=$BUILDPLATFORM golang:${GO_VERSION} AS build
ARG TARGETOS
ARG TARGETARCH
WORKDIR /src
# Modules change rarely: keep their layer.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# With .git in the context and git in the base image, the binary records its commit.
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH GOFLAGS=-buildvcs=auto \
    go build -trimpath -ldflags="-s -w" -o /sidecar ./cmd/sidecar
# Not readable: the kernel then keeps other processes of the same user from inspecting
# this one, from its first instruction on.
RUN chmod 0111 /sidecar

FROM scratch
# Not in /etc/ssl/certs: Go reads the first bundle that it finds and also every file
# in that directory, and would parse this one twice.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/cert.pem
COPY --from=build /sidecar /sidecar
# A dedicated id: in a pod with a shared process namespace, processes of one user can
# read each other's environment, and many images use 65532.
USER 9911:9911
ENTRYPOINT ["/sidecar"]

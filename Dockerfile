# The image holds one static binary and one CA bundle, and nothing else.
#
#   docker build -t irsa-sidecar:dev .
#   docker buildx build --platform linux/amd64,linux/arm64 -t REGISTRY/irsa-sidecar:TAG --push .
#
# The same commit and Go version make the same binary, on whatever machine.

ARG GO_VERSION=1.26.8
FROM --platform=$BUILDPLATFORM golang:${GO_VERSION} AS build
ARG TARGETOS
ARG TARGETARCH
WORKDIR /src
# The modules change rarely: their layer is kept.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# With .git in the context and git in the base, the binary knows its commit.
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH GOFLAGS=-buildvcs=auto \
    go build -trimpath -ldflags="-s -w" -o /sidecar ./cmd/sidecar
# Not readable: the kernel lets no other process of its user look into one whose file
# that may not read, from its first moment on.
RUN chmod 0111 /sidecar

FROM scratch
# Not in /etc/ssl/certs: Go reads every file of that directory besides the first
# bundle that it finds, and would parse this one twice.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/cert.pem
COPY --from=build /sidecar /sidecar
# An id of our own: processes of one user can read each other's environment
# where a pod shares its process namespace, and many images use 65532.
USER 9911:9911
ENTRYPOINT ["/sidecar"]

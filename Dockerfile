# The image of the daemon: one static program, the certificates it needs to
# check others by, and a user without rights.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /cdcd ./cmd/cdcd \
 && mkdir -p /empty/var/lib/cdcd && chown -R 65532:65532 /empty/var/lib/cdcd

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /cdcd /cdcd
# Checkpoints and the control socket; keep it on a volume.
COPY --from=build --chown=65532:65532 /empty/var/lib/cdcd /var/lib/cdcd
WORKDIR /var/lib/cdcd
USER 65532:65532
ENTRYPOINT ["/cdcd"]
CMD ["help"]

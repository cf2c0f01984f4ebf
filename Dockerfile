# A peer in a container: its data in /data, what it shares in /share.
#
#   docker build -t gannet .
#   docker run -d --name gannet -p 7411:7411/udp -p 7411:7411 \
#       -v gannet-data:/data -v ~/Music:/share:ro gannet
#   docker exec gannet gannet status
#
# What is shared must be readable for user 7411. The page and the API answer on
# loopback, which is the container's own: `--network host` in place of `-p` makes
# the link of `docker exec gannet gannet open --print` work on this machine.
FROM docker.io/library/rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN cargo build --locked --release --package gannet --bin gannet

FROM docker.io/library/debian:bookworm-slim
RUN useradd --system --uid 7411 --create-home gannet \
    && install -d -o gannet -g gannet -m 700 /data && install -d /share
COPY --from=build /source/target/release/gannet /usr/bin/gannet
USER gannet
ENV GANNET_DATA_DIR=/data GANNET_LOG=info
VOLUME ["/data"]
EXPOSE 7411/udp 7411/tcp
HEALTHCHECK --interval=30s --timeout=5s CMD ["gannet", "status"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["gannet"]
CMD ["up", "/share", "--listen", "0.0.0.0:7411"]

#!/bin/bash
# Builds bin/replicator against the operating system's OpenSSL, curl, zstd, lz4 and zlib,
# so that its security updates reach the program. The librdkafka that comes with the
# client library holds copies of its own, which no system can patch.
#
# Where the system has no librdkafka of the version that the client library needs, it is
# built here, from the source in its maker's npm package, into dist/librdkafka. Needs gcc,
# make, pkg-config, npm and, on Debian: libssl-dev libcurl4-openssl-dev libzstd-dev
# liblz4-dev zlib1g-dev.
set -euo pipefail
cd "$(dirname "$0")/.."

need=2.11.1                                    # what confluent-kafka-go in go.mod asks for
source=@confluentinc/kafka-javascript@1.5.0    # holds it
prefix=$PWD/dist/librdkafka

for tool in gcc make pkg-config; do
  command -v "$tool" >/dev/null || { echo "error: $tool is missing"; exit 1; }
done
if ! pkg-config --atleast-version=$need rdkafka; then
  export PKG_CONFIG_PATH=$prefix/lib/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
  if ! pkg-config --atleast-version=$need rdkafka; then
    for library in libssl libcurl libzstd liblz4 zlib; do
      pkg-config --exists "$library" || { echo "error: the headers of $library are missing; see the top of $0"; exit 1; }
    done
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    (cd "$work" && npm pack --silent "$source" >/dev/null && tar xzf ./*.tgz package/deps/librdkafka)
    cd "$work/package/deps/librdkafka"
    ./configure --prefix="$prefix" --enable-ssl --enable-curl --enable-zstd --enable-lz4-ext --disable-gssapi \
      --disable-c11threads >/dev/null
    make -s -j"$(nproc)" -C src >/dev/null
    make -s -C src install >/dev/null
    cd - >/dev/null
  fi
fi
export CGO_ENABLED=1 CGO_LDFLAGS="${CGO_LDFLAGS:-} -Wl,-rpath,$(pkg-config --variable=libdir rdkafka)"
go build -trimpath -tags dynamic -o bin/replicator-dynamic ./cmd/replicator
go test -count=1 -tags dynamic ./internal/demo ./pkg/replicate/sink ./pkg/replicate/source
bin/replicator-dynamic version
ldd bin/replicator-dynamic | grep -E 'rdkafka|libssl|libcrypto|libcurl|libzstd' || {
  # They are librdkafka's, which is found at run time.
  ldd "$(pkg-config --variable=libdir rdkafka)/librdkafka.so.1" | grep -E 'libssl|libcrypto|libcurl|libzstd'
}

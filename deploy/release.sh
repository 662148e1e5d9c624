#!/bin/bash
# Makes a release of VERSION in dist/release: for linux on amd64 and arm64 a tarball, a deb, an rpm and an SBOM
# (CycloneDX), the Helm chart, and the SHA256SUMS of all. The same commit, compilers and VERSION make the same bytes.
#
# The client library brings librdkafka as a static library for both, so that the other architecture takes nothing but
# a C compiler and its glibc: gcc-aarch64-linux-gnu and libc6-dev-arm64-cross on Debian.
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:?usage: deploy/release.sh VERSION, such as 1.2.3}

export CGO_ENABLED=1 GOOS=linux TZ=UTC LC_ALL=C.UTF-8
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
out=$PWD/dist/release stage=$PWD/dist/release/stage
rm -rf "$out"
mkdir -p "$stage"/{amd64,arm64,man,completions}

here=$(go env GOHOSTARCH)
for arch in amd64 arm64; do
  compiler=gcc
  if [ $arch != "$here" ]; then
    case $arch in amd64) compiler=x86_64-linux-gnu-gcc ;; arm64) compiler=aarch64-linux-gnu-gcc ;; esac
    command -v $compiler >/dev/null || { echo "error: $compiler is missing; see the top of $0"; exit 1; }
  fi
  echo "linux/$arch"
  GOARCH=$arch CC=$compiler go build -trimpath -buildvcs=auto -o "$stage/$arch/replicator" \
    -ldflags="-s -w -X replicator/cmd/replicator/files.release=$version" ./cmd/replicator
done
for shell in bash zsh fish; do "$stage/$here/replicator" completion $shell >"$stage/completions/$shell"; done
go run ./deploy/notices >"$stage/NOTICES"
go test -count=1 -run '^TestManualPages$' ./cmd/replicator -man "$stage/man" >/dev/null
gzip -n9 "$stage"/man/*
go -C deploy/packaging run ./release -root "$PWD" -version "$version"
rm -rf "$stage"
ls -l "$out"

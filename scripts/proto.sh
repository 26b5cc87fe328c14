#!/usr/bin/env bash
# Generates the Go code of the inference protocol again, with pinned generators:
# protoc from the Python package grpcio-tools, its plug-ins from the Go proxy.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/.tools
if [ ! -x "$tools/protoc/bin/python" ]; then
  "${PY:-python3}" -m venv "$tools/protoc"
  "$tools/protoc/bin/python" -m pip install --quiet --disable-pip-version-check grpcio-tools==1.76.0 'setuptools<81'
fi
GOBIN=$tools/bin go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.11
GOBIN=$tools/bin go install google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.5.1
cd internal/compat/inference/oip
PATH=$tools/bin:$PATH "$tools/protoc/bin/python" -m grpc_tools.protoc -I. --go_out=. --go_opt=paths=source_relative \
  --go-grpc_out=. --go-grpc_opt=paths=source_relative oip.proto

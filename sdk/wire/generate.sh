#!/bin/sh
# Writes the generated code of capsule.proto again. It needs protoc 3.21.12 (Debian's
# protobuf-compiler); the two generators are tools of go.mod.
set -eu
cd "$(dirname "$0")/../.."
protoc \
	--plugin=protoc-gen-go="$(go tool -n protoc-gen-go)" \
	--plugin=protoc-gen-go-grpc="$(go tool -n protoc-gen-go-grpc)" \
	--go_out=. --go_opt=module=github.com/capstan-video/capstan \
	--go-grpc_out=. --go-grpc_opt=module=github.com/capstan-video/capstan \
	sdk/wire/capsule.proto

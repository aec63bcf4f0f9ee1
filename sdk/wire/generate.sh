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

# The Python SDK has its copy of the messages; under their own name, so that no other package's
# capsule.proto meets them in one process.
python="sdk/python/capstan/_wire"
protoc --python_out="$python" --pyi_out="$python" sdk/wire/capsule.proto
for f in capsule_pb2.py capsule_pb2.pyi; do
	sed 's/sdk\.wire\.capsule_pb2/capstan._wire.capsule_pb2/' "$python/sdk/wire/$f" >"$python/$f"
done
rm -r "$python/sdk"

#!/usr/bin/env bash
# Write the Python stubs beside the .proto files; with --check, fail where the committed ones differ.
set -euo pipefail
cd "$(dirname "$0")"
target=.
if [ "${1:-}" = "--check" ]; then
  target=$(mktemp -d)
  trap 'rm -rf "$target"' EXIT
fi
python -m grpc_tools.protoc --proto_path=. --python_out="$target" --mypy_out="quiet:$target" \
  miwake/inspection/v1/*.proto miwake/inference/*.proto
python -m grpc_tools.protoc --proto_path=. --grpc_python_out="$target" --mypy_grpc_out="quiet:$target" \
  miwake/inspection/v1/*_service.proto miwake/inference/*_service.proto
[ "$target" = . ] && exit 0
status=0
while IFS= read -r file; do
  cmp -s "$target/$file" "$file" || { echo "stub differs from its .proto: proto/$file (run: make proto)" >&2; status=1; }
done < <(cd "$target" && find . -name '*_pb2*.py*' | sed 's|^\./||')
exit $status

#!/usr/bin/env bash
# Gives @tensorflow/tfjs-node a native binding without its own installer, which downloads libtensorflow 2.9 from a host
# that many networks block. Takes libtensorflow and its C headers from the TensorFlow wheel (pip) and the N-API headers
# from npm, compiles the two files of the addon, and leaves the result inside the installed package, where tfjs-node
# looks for it. Run it again after every `npm ci`. Linux and macOS wheels differ: this script knows Linux.
#
# usage: packages/backend-tfjs/scripts/build-native.sh [path/to/tensorflow.whl]
set -euo pipefail

fail() { echo "build-native: $*" >&2; exit 1; }
for tool in node npm python3 c++; do command -v "$tool" > /dev/null || fail "needs $tool on the PATH"; done
[ "$(uname -s)" = Linux ] || fail "builds on Linux only; on $(uname -s) use npm rebuild @tensorflow/tfjs-node"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
package=$(cd "$here" && node -p 'path.dirname(require.resolve("@tensorflow/tfjs-node/package.json"))' 2> /dev/null) ||
  fail "@tensorflow/tfjs-node is not installed; run npm install first"
# node-pre-gyp names the binding's folder after the N-API version that the running Node shares with the package.
binding=$(cd "$package" && node -p 'require("@mapbox/node-pre-gyp").find(path.resolve("package.json"))')
napi=$(basename "$(dirname "$binding")" | sed 's/^napi-v//')

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

wheel=${1:-}
if [ -z "$wheel" ]; then
  echo "build-native: fetching the TensorFlow wheel (270 MB)"
  python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$scratch" tensorflow-cpu
  wheel=$(ls "$scratch"/*.whl)
fi
[ -f "$wheel" ] || fail "no wheel at $wheel"

echo "build-native: unpacking $(basename "$wheel")"
python3 - "$wheel" "$scratch" << 'PYTHON'
import sys, zipfile

wheel, into = sys.argv[1:]
wanted = ("tensorflow/libtensorflow_cc.so.", "tensorflow/libtensorflow_framework.so.", "tensorflow/include/tensorflow/c/",
          "tensorflow/include/tensorflow/core/platform/", "tensorflow/include/tsl/", "tensorflow/include/xla/tsl/")
with zipfile.ZipFile(wheel) as archive:
    archive.extractall(into, [name for name in archive.namelist() if name.startswith(wanted)])
PYTHON
[ -f "$scratch/tensorflow/libtensorflow_cc.so.2" ] || fail "$wheel holds no libtensorflow_cc.so.2; is it a TensorFlow 2 wheel?"
(cd "$scratch" && npm pack --silent node-api-headers > /dev/null && tar xzf node-api-headers-*.tgz)

echo "build-native: compiling the addon for N-API $napi"
mkdir -p "$package/deps/lib" "$(dirname "$binding")"
mv -f "$scratch"/tensorflow/libtensorflow_*.so.2 "$package/deps/lib/"
c++ -O2 -std=c++17 -shared -fPIC -w -DNAPI_VERSION="$napi" -DBUILDING_NODE_EXTENSION -DNODE_GYP_MODULE_NAME=tfjs_binding \
  -I "$scratch/package/include" -I "$scratch/tensorflow/include" \
  "$package/binding/tfjs_backend.cc" "$package/binding/tfjs_binding.cc" -o "$scratch/tfjs_binding.node" \
  -L "$package/deps/lib" -l:libtensorflow_cc.so.2 -l:libtensorflow_framework.so.2 '-Wl,-rpath,$ORIGIN/../../deps/lib'
mv -f "$scratch/tfjs_binding.node" "$binding"

TF_CPP_MIN_LOG_LEVEL=2 node -e 'process.dlopen({ exports: {} }, process.argv[1])' "$binding" || fail "the addon was built but does not load"
echo "build-native: done, $binding"

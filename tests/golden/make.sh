#!/usr/bin/env bash
# Makes the golden files of a new format version: `tests/golden/make.sh v3`. Files of released versions stay as they are.
# Those of v2 are v1's ciphertexts in messages, specs and bundles of version 2, so that they have v1's keys and predictions.
set -euo pipefail
cd "$(dirname "$0")/../.."
cipherfn() { cargo run --quiet --release --package cipherfn-cli -- "$@"; }
out=tests/golden/${1:?give the version, such as v3}
mkdir "$out"
while read -r name model; do
    rows=$(mktemp)
    head -4 "tests/libraries/$model/test.csv" >"$rows"
    cipherfn compile "tests/libraries/$model/model.onnx" --calibration "tests/libraries/$model/train.csv" --target target --name "$name" --profile compact -o "$out/$name.cfn"
    cipherfn specs "$out/$name.cfn" -o "$out/$name.specs.json"
    cipherfn keygen "$out/$name.specs.json" -o "$out"
    cipherfn encrypt "$out/$name.specs.json" --keys "$out" --input "$rows" -o "$out/$name.cfq"
    cipherfn evaluate "$out/$name.cfn" --evaluation-key "$out/expansion.cfk" --input "$out/$name.cfq" -o "$out/$name.cfr"
    cipherfn decrypt "$out/$name.specs.json" --keys "$out" --input "$out/$name.cfr" -o "$out/$name.predictions.csv"
    rm "$rows"
done <<'MODELS'
tree dt_bc
linear logreg_bc
MODELS
chmod 0644 "$out"/*.*

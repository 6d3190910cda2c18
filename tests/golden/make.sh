#!/usr/bin/env bash
# Makes the golden files of the current format version anew: `tests/golden/make.sh`. Only for a new version: files of released versions stay as they are.
set -euo pipefail
cd "$(dirname "$0")/../.."
cipherfn() { cargo run --quiet --release --package cipherfn-cli -- "$@"; }
out=tests/golden/v1
mkdir -p "$out"
find "$out" -maxdepth 1 -type f -delete # http/ is written by hand
while read -r name model; do
    rows=$(mktemp)
    head -4 "tests/libraries/$model/test.csv" >"$rows"
    cipherfn compile "tests/libraries/$model/model.onnx" --calibration "tests/libraries/$model/train.csv" --target target --name "$name" --profile compact -o "$out/$name.cfn"
    cipherfn specs "$out/$name.cfn" -o "$out/$name.specs.json"
    cipherfn keygen "$out/$name.specs.json" -o "$out"
    cipherfn encrypt "$out/$name.specs.json" --keys "$out" --input "$rows" -o "$out/$name.cfq"
    cipherfn evaluate "$out/$name.cfn" --evaluation-key "$out/evaluation.cfk" --input "$out/$name.cfq" -o "$out/$name.cfr"
    cipherfn decrypt "$out/$name.specs.json" --keys "$out" --input "$out/$name.cfr" -o "$out/$name.predictions.csv"
    rm "$rows"
done <<'MODELS'
tree dt_bc
linear logreg_bc
MODELS
chmod 0644 "$out"/*.*

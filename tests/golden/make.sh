#!/usr/bin/env bash
# Makes the golden files of a new format version: `tests/golden/make.sh v3`. Files of released versions stay as they are.
# Those of v2 are v1's ciphertexts in messages, specs and bundles of version 2, so that they have v1's keys and predictions;
# those of the wide set have keys of version 2. `batch` is five rows of `dt_bc` compiled with `--profile wide`, in one query;
# its evaluation key is not kept. v3 has v2's specs of the tree with decimals, and a bundle of look-ups with empty specs, by hand; `network` is `mlp_bc`
# under v2's keys of the wide set, without its bundle of 800 KB; `frame` is three rows under the same keys, and a plan's answer;
# `relations` has the specs of `tests/networks/prices.onnx` with its training rows;
# `linear.public` is three rows of `logreg_bc` (compact, `--precision 10`) under a public key of v1's secret key;
# `sums` is two owners' rows, added, under `public.cfu`, which is of those keys, too;
# `prices` and the grants were made by other implementations of their formats.
set -euo pipefail
cd "$(dirname "$0")/../.."
cipherfn() { cargo run --quiet --release --package cipherfn-cli -- "$@"; }
out=tests/golden/${1:?give the version, such as v3}
mkdir "$out"
while read -r name model profile; do
    keys=$out/$profile
    rows=$(mktemp)
    head -4 "tests/libraries/$model/test.csv" >"$rows"
    cipherfn compile "tests/libraries/$model/model.onnx" --calibration "tests/libraries/$model/train.csv" --target target --name "$name" --profile "$profile" -o "$out/$name.cfn"
    cipherfn specs "$out/$name.cfn" -o "$out/$name.specs.json"
    # All parts of the key, whatever the model needs.
    sed 's/"key_parts":\["expansion"\]/"key_parts":["expansion","inverse"]/' "$out/$name.specs.json" >"$rows.specs"
    cipherfn keygen "$([ "$profile" = wide ] && echo "$rows.specs" || echo "$out/$name.specs.json")" -o "$keys"
    cipherfn encrypt "$out/$name.specs.json" --keys "$keys" --input "$rows" -o "$out/$name.cfq"
    cipherfn evaluate "$out/$name.cfn" --evaluation-key "$keys/expansion.cfk" --input "$out/$name.cfq" -o "$out/$name.cfr"
    cipherfn decrypt "$out/$name.specs.json" --keys "$keys" --input "$out/$name.cfr" -o "$out/$name.predictions.csv"
    rm "$rows" "$rows.specs" "$keys"/.gitignore "$keys"/.lock
done <<'MODELS'
tree dt_bc compact
linear logreg_bc compact
wide dt_bc wide
MODELS
chmod 0644 "$out"/*.* "$out"/*/*.cfk

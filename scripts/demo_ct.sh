#!/usr/bin/env bash
# Train, evaluate and run ct_metastasis_classifier: on phantoms, or on the labelled heads in the folder that is given.
# Each command is printed before it runs, so that it can be copied.
# usage: scripts/demo_ct.sh [DATASET_DIR]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
fail() { echo "demo_ct: $1" >&2; exit 2; }

if [ $# -eq 0 ]; then
  out=build/demo_ct dataset=build/demo_ct/phantoms note="Synthetic: phantoms, not patients."
  rm -rf "${root:?}/$out"
else
  dataset=$(cd "$1" 2>/dev/null && pwd) || fail "expected a folder of labelled heads, got $1"
  out=build/demo_ct_$(basename "$dataset") note=""
  [ ! -e "$root/$out/models" ] || fail "$out holds the results of an earlier run; move it away first"
fi
cd "$root"
mkdir -p "$out"

say() { printf '\n$ python'; printf ' %q' "$@"; echo; python "$@"; }
bundle() {  # run id, configs, options
  local id=$1 files; files=$(printf "'bundles/ct_metastasis_classifier/configs/%s.json'," $2); shift 2
  say -m monai.bundle run "$id" --config_file "[${files%,}]" --bundle_root bundles/ct_metastasis_classifier \
    --dataset_dir "$dataset" --data_list "$out/data_list.json" --models_dir "$out/models" "$@"
}

[ $# -gt 0 ] || say scripts/make_phantom.py ct "$dataset" --patients 60
say scripts/build_data_lists.py "$dataset" --task ct --output "$out/data_list.json"
bundle preparing "train from_scratch prepare" --output_dir "$out/eval" --cache_dir "$out/prepared"
bundle training "train from_scratch" --output_dir "$out/eval" --cache_dir "$out/prepared"
bundle evaluating "train from_scratch evaluate" --output_dir "$out/eval_validation" --cache_dir "$out/prepared" --fold validation --note "$note"
say scripts/calibrate.py "$out/eval_validation" --output "$out/models/operating_point.json" --calibration platt
bundle evaluating "train from_scratch evaluate" --output_dir "$out/eval" --cache_dir "$out/prepared" --note "$note"
bundle inference "inference from_scratch" --output_dir "$out/predictions" --dicom_output True || [ $? -eq 2 ]  # 2: some were refused; the table says which
say scripts/show_results.py "$out"

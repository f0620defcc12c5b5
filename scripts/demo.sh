#!/usr/bin/env bash
# Train, evaluate and run brats_attention_unet: on phantoms, or on the labelled cases in the folder that is given.
# Each command is printed before it runs, so that it can be copied.
# Without a folder ct_metastasis_classifier follows; a folder with CTs in it goes to scripts/demo_ct.sh.
# usage: scripts/demo.sh [DATASET_DIR]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
fail() { echo "demo: $1" >&2; exit 2; }
if [ $# -gt 0 ] && { [ -d "$1/CTs" ] || head -qn 1 "$1"/*.csv 2>/dev/null | grep -q PatientID; }; then
  exec "$root/scripts/demo_ct.sh" "$1"
fi

if [ $# -eq 0 ]; then
  out=build/demo dataset=build/demo/phantoms fractions=(0.66 0.12 0.22) slice_size="[80,80]"
  note="Synthetic: phantoms, not patients."
  rm -rf "${root:?}/$out"
else
  dataset=$(cd "$1" 2>/dev/null && pwd) || fail "expected a folder of labelled cases, got $1"
  out=build/demo_$(basename "$dataset") fractions=(0.7 0.15 0.15) slice_size="[240,240]" note=""
  [ ! -e "$root/$out/models" ] || fail "$out holds the results of an earlier run; move it away first"
fi
cd "$root"
mkdir -p "$out"

say() { printf '\n$ python'; printf ' %q' "$@"; echo; python "$@"; }
bundle() {  # run id, configs, options
  local id=$1 files; files=$(printf "'bundles/brats_attention_unet/configs/%s.json'," $2); shift 2
  say -m monai.bundle run "$id" --config_file "[${files%,}]" --bundle_root bundles/brats_attention_unet \
    --dataset_dir "$dataset" --data_list "$out/data_list.json" --models_dir "$out/models" "$@"
}

[ $# -gt 0 ] || say scripts/make_phantom.py mri "$dataset" --patients 36 --shape 128 128 48
say scripts/estimate_time.py "$dataset" --fractions "${fractions[@]}" --slice-size "$slice_size"
say scripts/build_data_lists.py "$dataset" --output "$out/data_list.json" --fractions "${fractions[@]}"
say scripts/explore_data_set.py "$dataset" --data-list "$out/data_list.json" --output "$out/explore"
bundle training "train regions demo" --slice_size "$slice_size" --output_dir "$out/eval" --cache_dir "$out/prepared"
bundle evaluating "train regions demo evaluate" --output_dir "$out/eval" --note "$note"
bundle inference "inference regions demo" --output_dir "$out/masks" || [ $? -eq 2 ]  # 2: some were refused; the table says which
say scripts/show_results.py "$out"
[ $# -gt 0 ] || exec scripts/demo_ct.sh

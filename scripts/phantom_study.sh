#!/usr/bin/env bash
# What the CT classifier learns on phantoms, and what augmentation by class gives away. Synthetic; under an hour on two cores.
# usage: scripts/phantom_study.sh [OUT_DIR]
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-build/phantom_study}
[ ! -e "$out" ] || { echo "phantom_study: $out exists; move it away first" >&2; exit 2; }
mkdir -p "$out"
note="Synthetic: phantoms, not patients."

say() { printf '\n$ python'; printf ' %q' "$@"; echo; python "$@"; }
bundle() {  # run id, configs, name of the data, name of the run, options
  local id=$1 files data=$3 run=$4; files=$(printf "'bundles/ct_metastasis_classifier/configs/%s.json'," $2); shift 4
  say -m monai.bundle run "$id" --config_file "[${files%,}]" --bundle_root bundles/ct_metastasis_classifier \
    --dataset_dir "$out/$data" --cache_dir "$out/$data/prepared" --models_dir "$out/$run/models" \
    --output_dir "$out/$run/eval" --cpu_bfloat16 True --image_size 96 --widths "[32,64,128,256]" "$@"
}
make_data() {  # name of the data, shares of the folds, options of make_phantom.py
  local data=$1 shares=$2; shift 2
  OMP_NUM_THREADS=1 say scripts/make_phantom.py ct "$out/$data" "$@"
  say scripts/build_data_lists.py "$out/$data" --fractions $shares
}
slab=(--steps::check_head::_disabled_ True --patients_per_batch 8)  # five slices are not enough of a head

# 1. Weights to begin with, from scratch, on slabs of five slices of which most show the lesion: the mean is their logit.
make_data slabs "0.9 0.1 0" --patients 700 --slab 5 --seed 7
bundle training "train from_scratch" slabs start "${slab[@]}" --pooling mean --max_epochs 12

# 2. The curriculum, from these weights, on whole heads with one label a patient; measured on heads not seen before.
make_data heads "0.6 0.1 0.3" --patients 400
bundle training train heads curriculum --pretrained file --pretrained_file "$out/start/models/model.pt" --max_epochs 16 --slices_per_bag 20
bundle evaluating "train evaluate" heads curriculum --note "$note"
say scripts/compare_with_blob.py "$out/heads" --evaluation "$out/curriculum/eval" --cache-dir "$out/heads/prepared" \
  --image-size 96

# 3. What the filters alone give away: no lesions, labels by chance, and the AUC on the augmented training slabs.
make_data free "0.8 0.2 0" --patients 160 --slab 5 --seed 9 --lesion-free
for by_class in True False; do
  bundle training "train from_scratch training_auc" free "by_class_$by_class" "${slab[@]}" --pooling mean --max_epochs 12 \
    --class_conditional $by_class
done
say scripts/show_study.py "$out"

#!/usr/bin/env bash
# After make demo: what samples, an ensemble, abstention and deletion add to the reports of its networks. Synthetic.
# usage: scripts/report_full.sh
set -euo pipefail
cd "$(dirname "$0")/.."
fail() { echo "report_full: $1" >&2; exit 2; }
ct=build/demo_ct mri=build/demo note="Synthetic: phantoms, not patients."
[ -f $ct/models/operating_point.json ] && [ -f $mri/models/model.pt ] || fail "expected the networks of make demo, got none"

say() { printf '\n$ python'; printf ' %q' "$@"; echo; python "$@"; }
bundle() {  # bundle, folder of the demo, run id, configs, options
  local name=$1 out=$2 id=$3 files; files=$(printf "'bundles/$name/configs/%s.json'," $4); shift 4
  say -m monai.bundle run "$id" --config_file "[${files%,}]" --bundle_root "bundles/$name" \
    --dataset_dir "$out/phantoms" --data_list "$out/data_list.json" --models_dir "$out/models" "$@"
}
classifier() { bundle ct_metastasis_classifier $ct "$@"; }
segmenter() { bundle brats_attention_unet $mri "$@"; }
prepared=(--cache_dir "$ct/prepared")

# 1. What lies outside of the training, and where the network looked: both join the report that is there.
classifier fitting "train from_scratch outside" "${prepared[@]}"
classifier evaluating "train from_scratch evaluate" "${prepared[@]}" --output_dir $ct/eval --note "$note"
classifier explaining "train from_scratch evaluate explain" "${prepared[@]}" --output_dir $ct/eval --note "$note"

# 2. Samples: twenty thinned networks, then two trainings. Each gets a threshold of its own on the validation patients.
sampled() {  # name of the samples, options
  local kind=$1 point=$ct/models/operating_point_$1.json; shift
  classifier evaluating "train from_scratch evaluate uncertainty" "${prepared[@]}" --output_dir "$ct/validation_$kind" \
    --fold validation --operating_point "$point" --note "$note" "$@"
  say scripts/calibrate.py "$ct/validation_$kind" --output "$point"
  classifier evaluating "train from_scratch evaluate uncertainty" "${prepared[@]}" --output_dir "$ct/eval_$kind" \
    --operating_point "$point" --note "$note" "$@"
  say scripts/report.py "$ct/eval_$kind" --compare $ct/eval
}
sampled dropout --uncertainty dropout
classifier training "train from_scratch" "${prepared[@]}" --output_dir $ct/second --models_dir $ct/second --seed 7
sampled ensemble --uncertainty ensemble --checkpoints "['$ct/models/model.pt','$ct/second/model.pt']"

# 3. Abstention: heads with noise of 20 HU, as of another scanner, and MRI that is given as CT.
mkdir -p $ct/strange
cp $mri/phantoms/Phantom_00[12]/*_flair.nii.gz $ct/strange
python - $ct/phantoms/CTs $ct/strange <<'PYTHON'
import sys
from pathlib import Path
import nibabel as nib
import numpy as np
from custom_transforms.ct_study import read_ct
for study in sorted(Path(sys.argv[1]).iterdir())[:6]:
    scan = read_ct(study)
    noisy = scan.hu + np.random.default_rng(88).normal(0, 20, scan.hu.shape)
    image = nib.Nifti1Image(noisy.transpose(2, 1, 0).astype(np.int16), scan.affine)
    nib.save(image, Path(sys.argv[2]) / f"{study.name}_noisy.nii.gz")
PYTHON
say scripts/predict.py --bundle ct_metastasis_classifier --overlay from_scratch --input $ct/strange --output $ct/strange_out \
  --models_dir $ct/models || [ $? -eq 2 ]  # 2: some were refused; the table says which
cat $ct/strange_out/predictions.csv

# 4. The segmenter: the same, and maps of how sure it is.
segmenter fitting "train regions demo outside" --slice_size "[80,80]" --cache_dir $mri/prepared
segmenter inference "inference regions demo uncertainty" --output_dir $mri/maps --uncertainty flips

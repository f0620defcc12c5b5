#!/usr/bin/env bash
# Serve both bundles with MONAI Label's own monaibundle app, on 127.0.0.1 alone; `make monailabel` calls this.
# usage: scripts/monailabel.sh [STUDIES [OPTION...]]
#   STUDIES  folder of .nii.gz studies, where labels are kept too, or the http address of a DICOMweb server;
#            without it, phantoms are made
#   OPTION   of `monailabel start_server`
# environment: BUNDLES, folder of the bundles; PORT, 8000; settings of MONAI Label, which are named MONAI_LABEL_...
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
fail() { echo "monailabel: $1" >&2; exit 2; }
names=(ct_metastasis_classifier brats_attention_unet)
home=$root/build/monailabel port=${PORT:-8000}
bundles=$(cd "${BUNDLES:-$root/bundles}" && pwd) || fail "expected a folder of bundles in BUNDLES"
studies=${1:-$home/phantoms}
[ $# -eq 0 ] || shift

served=()
for name in "${names[@]}"; do
  if [ -e "$bundles/$name/models/model.pt" ]; then served+=("$name"); else
    echo "monailabel: $name is left out: it has no $bundles/$name/models/model.pt; train it, as README says, then start this again" >&2
  fi
done
[ ${#served[@]} -gt 0 ] || fail "nothing to serve"
list=$(IFS=,; echo "${served[*]}")
mkdir -p "$home"

make_phantoms() {  # in a folder that appears whole
  local room=$home/.unfinished_phantoms
  rm -rf "$room"
  python "$root/scripts/make_phantom.py" ct "$room/ct" --patients 4 --format nifti
  python "$root/scripts/make_phantom.py" mri "$room/mri" --patients 4
  python "$root/scripts/stack_modalities.py" "$room/mri" --output "$room/studies"
  mv "$room"/ct/CTs/*.nii.gz "$room/studies"
  mv "$room/studies" "$home/phantoms"
  rm -rf "$room"
}
[ $# -gt 0 ] || [ "$studies" != "$home/phantoms" ] || [ -d "$studies" ] || make_phantoms
[[ $studies == http*://* ]] || [ -d "$studies" ] || fail "expected a folder or the address of a DICOMweb server, got $studies"

app=$home/app_$port  # a copy of the app, made anew at each start; what must stay is in STUDIES and in BUNDLES
rm -rf "$app"
cp -R "$(python -c 'import sys; print(sys.prefix)')/monailabel/sample-apps/monaibundle" "$app"
mkdir "$app/model"
for name in "${served[@]}"; do ln -s "$bundles/$name" "$app/model/$name"; done

export MONAI_LABEL_AUTO_UPDATE_SCORING=${MONAI_LABEL_AUTO_UPDATE_SCORING:-false}  # else every start scores all studies
export MONAI_LABEL_SESSION_PATH=${MONAI_LABEL_SESSION_PATH:-$home/sessions}  # of studies that a viewer sends
# A DICOM series is read as it is: the copy as NIfTI that MONAI Label would make closes the gap of a missing slice unsaid
export MONAI_LABEL_DICOMWEB_CONVERT_TO_NIFTI=false
export MONAI_LABEL_DICOMWEB_CACHE_PATH=${MONAI_LABEL_DICOMWEB_CACHE_PATH:-$home/dicomweb}
export MONAI_LABEL_DICOMWEB_CACHE_EXPIRY=${MONAI_LABEL_DICOMWEB_CACHE_EXPIRY:-10}  # seconds until new series are seen
echo "monailabel: http://127.0.0.1:$port serves $list; studies and labels in $studies; Ctrl-C ends it"
exec python -m monailabel.main start_server --app "$app" --studies "$studies" --host 127.0.0.1 --port "$port" --verbose WARNING --log_level warning \
  --conf models "$list" --conf epistemic_model "$list" --conf zoo_source local --conf sam2 false "$@"

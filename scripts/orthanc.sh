#!/usr/bin/env bash
# Orthanc, a store of DICOM images, with DICOMweb, for programs on this machine alone; runs until Ctrl-C.
# usage: scripts/orthanc.sh [FOLDER] [PORT]
set -euo pipefail
umask 077  # the store holds what it is given, names of patients too
cd "$(dirname "$0")/.."
folder=${1:-build/orthanc} port=${2:-8042}
plugin=/usr/share/orthanc/plugins/libOrthancDicomWeb.so
PATH=$PATH:/usr/sbin
[ -x "$(command -v Orthanc)" ] && [ -e "$plugin" ] || {
  echo "orthanc: not installed; do: sudo apt-get install --no-install-recommends orthanc orthanc-dicomweb" >&2; exit 2; }
if (: < "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then
  echo "orthanc: port $port is taken (by Debian's own service? sudo systemctl disable --now orthanc)" >&2; exit 2
fi
mkdir -p "$folder"
# Orthanc before 1.12.10 knows no HttpBindAddresses: it then answers other machines with 401 and nothing else.
cat > "$folder/orthanc.json" << END
{
  "StorageDirectory": "store", "IndexDirectory": "store",
  "HttpPort": $port, "HttpBindAddresses": ["127.0.0.1"], "RemoteAccessAllowed": false, "AuthenticationEnabled": false,
  "DicomServerEnabled": false, "WebDavEnabled": false,
  "Plugins": ["$plugin"], "DicomWeb": {"Enable": true, "Root": "/dicom-web/"}
}
END
echo "Orthanc: http://127.0.0.1:$port, DICOMweb: http://127.0.0.1:$port/dicom-web, files: $folder"
exec Orthanc "$folder/orthanc.json"

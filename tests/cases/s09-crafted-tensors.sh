#!/bin/bash
# s09. Model files that are made to cost minutes or gigabytes: `diff` ends soon, says what it did not compare, and shows the rest.
set -u; A=b1s09; P=${PORT:-41092}
. "$(dirname "$0")/lib/own.bash"
"$(dirname "$(command -v "$D")")/python" -c 'import numpy, onnx, safetensors' 2>/dev/null || { echo "needs deployctl[tensors]"; exit 77; }
cat > server.py <<'E'
from http.server import *
class H(BaseHTTPRequestHandler):
    def do_GET(s): s.send_response(200); s.end_headers(); s.wfile.write(b"ok")
ThreadingHTTPServer(("", 8080), H).serve_forever()
E
printf 'FROM %s\nCOPY server.py /app/\nCMD ["python3","-u","/app/server.py"]\n' "$BASE" > Dockerfile
toml; printf '[model]\npath = "m"\n' >> deploy.toml; mkdir m
make() { python3 - "$1" <<'E'
import struct, sys, zipfile
last = bytes([int(sys.argv[1])])
def npy(shape, content):
    head = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({shape},)}}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + content
def field(number, content):
    size, length = len(content), b""
    while size > 127:
        length += bytes([size & 127 | 128]); size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content
open("m/good.npy", "wb").write(npy(3, b"\1\2" + last))
with zipfile.ZipFile("m/bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive, archive.open("w.npy", "w", force_zip64=True) as out:
    out.write(npy(2**30, last))
    for part in range(2**6):
        out.write(bytes(2**24 - (part == 0)))
head = b'{"w":{"dtype":"F32","shape":[0],"data_offsets":[0,0],"x":[' + b"[]," * 5_000_000 + b"[]]}}" + b" " * last[0]
open("m/lists.safetensors", "wb").write(struct.pack("<Q", len(head)) + head)
with open("m/header.safetensors", "wb") as file:
    file.write(struct.pack("<Q", 90_000_000)); file.truncate(90_000_008); file.seek(-1, 2); file.write(last)
open("m/fields.onnx", "wb").write(field(7, field(5, b"\x10\x01" * 8_000_000 + b"\x08" + last)))
E
}
make 1; $D release v1 -q || bad "release v1: $?"
make 7; $D release v2 -q || bad "release v2: $?"
s=$(date +%s)
used=$(python3 -c 'import resource, subprocess, sys
code = subprocess.run(sys.argv[2:], stdout=open(sys.argv[1], "w"), stderr=subprocess.STDOUT).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)' "$W/diff.txt" "$D" diff v1 v2 --time-limit 4s)
t=$(($(date +%s) - s))
[ "${SHOW:-}" ] && { cat "$W/diff.txt"; echo "exit code and MiB: $used; $t s"; }
[ "${used% *}" = 0 ] || bad "diff: exit ${used% *}: $(tail -3 "$W/diff.txt")"
[ "$t" -le 40 ] || bad "diff --time-limit 4s took $t s"
[ "${used#* }" -le 700 ] || bad "diff took ${used#* } MiB"
grep -q 'good  uint8\[3\], largest change 6' "$W/diff.txt" || bad "good.npy is not compared: $(grep -A2 good.npy "$W/diff.txt")"
for file in header.safetensors lists.safetensors; do
  grep -A1 "tensors of model/$file:" "$W/diff.txt" | grep -q 'not compared: .* limit' || bad "nothing about the limit of $file"
done
for file in bomb.npz fields.onnx lists.safetensors header.safetensors good.npy; do grep -q "~ model/$file" "$W/diff.txt" || bad "$file is not listed"; done
ok "$t s, ${used#* } MiB"

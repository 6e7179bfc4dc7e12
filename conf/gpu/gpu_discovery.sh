#!/bin/sh
# The GPUs of this node, for Spark: spark.worker.resource.gpu.discoveryScript (standalone) or
# spark.executor.resource.gpu.discoveryScript (YARN, Kubernetes). Prints {"name":"gpu","addresses":["GPU-…","GPU-…"]}.
#
# Addresses are UUIDs, since a number means one GPU to nvidia-smi and may mean another to CUDA. A GPU in MIG mode is
# announced by its MIG devices; one in MIG mode without any is no use to CUDA and is left out.
# spark.*.resource.gpu.amount counts what is printed here.

set -u

fail() {
    echo "gpu_discovery: $1" >&2
    exit 1
}

command -v nvidia-smi >/dev/null 2>&1 || fail "there is no nvidia-smi on the PATH ($PATH)"

listed=$(nvidia-smi -L 2>&1) || fail "nvidia-smi -L failed: $listed"
modes=$(nvidia-smi --query-gpu=uuid,mig.mode.current --format=csv,noheader 2>/dev/null) || modes=""

# GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5b1f…)
#   MIG 3g.20gb     Device  0: (UUID: MIG-9d1f…)
addresses=$(
    printf '%s\n' "$listed" | MODES=$modes awk '
        BEGIN {
            count = split(ENVIRON["MODES"], lines, "\n")
            for (i = 1; i <= count; i++) {
                split(lines[i], fields, ", *")
                if (fields[2] ~ /^Enabled/) partitioned[fields[1]] = 1
            }
        }
        !/UUID: / { next }
        {
            uuid = $0
            sub(/.*UUID: */, "", uuid)
            sub(/\).*/, "", uuid)
            if (uuid ~ /^MIG-/ || !(uuid in partitioned)) {
                printf "%s\"%s\"", separator, uuid
                separator = ","
            }
        }
    '
) || fail "awk failed"

[ -n "$addresses" ] || fail "nvidia-smi -L names no GPU that CUDA could use: $listed"
printf '{"name":"gpu","addresses":[%s]}\n' "$addresses"

#!/bin/bash
# deploy/terraform, by OpenTofu: its layout, and what its expressions make of
# the policies, which needs no provider and no account.  What a plan would ask
# of AWS is not tried.  Output is TAP.
#
#	test/deploy/tofu.sh TOFU
set -eu
cd "$(dirname "$0")/../.."

tofu=$1
tap=tofu
. test/deploy/tap.sh

# Variables and locals alone, with the policies as outputs: nothing of a provider.
mkdir -p "$work/deploy/terraform"
cp -a deploy/aws "$work/deploy"
cp deploy/terraform/variables.tf "$work/deploy/terraform"
{
	sed -n '/^locals {/,/^}/p' deploy/terraform/main.tf
	echo 'output "policy" { value = local.policy }'
} >"$work/deploy/terraform/main.tf"
in_copy() { "$tofu" -chdir="$work/deploy/terraform" "$@"; }

# applied BUCKET PREFIX [VARIABLE=VALUE...]: the outputs of somebody.
applied()
{
	local v flags=()
	for v in bucket="$1" prefix="$2" region=us-west-2 assume_role_policy='{}' "${@:3}"; do
		flags+=(-var "$v")
	done
	in_copy apply -no-color -auto-approve "${flags[@]}" &&
		in_copy output -json >"$work/json"
}

# theirs BUCKET PREFIX [KEY]: each policy is as the example with these names,
# put in by somebody who reads JSON.
theirs()
{
	python3 - "$work/json" "$@" <<'PY'
import json, sys
_, path, bucket, prefix, *key = sys.argv
def named(x):
    if isinstance(x, dict):
        return {k: named(v) for k, v in x.items()}
    if isinstance(x, list):
        return [named(v) for v in x]
    if x.startswith("arn:aws:s3:::my-bucket/shop/"):
        return f"arn:aws:s3:::{bucket}/{prefix}/" + x.split("/", 2)[2]
    if x.startswith("arn:aws:s3:::my-bucket"):
        return f"arn:aws:s3:::{bucket}" + x[len("arn:aws:s3:::my-bucket"):]
    if x.startswith("arn:aws:kms:"):
        return key[0]
    return {"shop/*": f"{prefix}/*",
            "s3.eu-central-1.amazonaws.com": "s3.us-west-2.amazonaws.com"}.get(x, x)
out = json.load(open(path))["policy"]["value"]
bad = [] if sorted(out) == ["bucket", "check", "merge", "run"] else [sorted(out)]
for name, text in out.items():
    file = "bucket-policy" if name == "bucket" else "iam-" + name + ("-kms" if key else "")
    if json.loads(text) != named(json.load(open(f"deploy/aws/{file}.json"))):
        bad.append(text)
print(*bad, sep="\n")
sys.exit(bool(bad))
PY
}

ok "layout" "$tofu" fmt -check -diff -recursive deploy/terraform
ok "variables and locals are read" in_copy init -no-color -input=false
ok "and valid" in_copy validate -no-color
ok "policies" applied lake-1 a/b
ok "with the user's names" theirs lake-1 a/b
ok "others are seen" not theirs lake-1 a
ok "names like the example's" applied my-bucket-2 my/shop
ok "are put in once" theirs my-bucket-2 my/shop
key=arn:aws:kms:us-west-2:444455556666:alias/my-bucket/shop/x
ok "policies with a key" applied lake-1 shop kms_key_arn="$key"
ok "with the user's names and key" theirs lake-1 shop "$key"
ok "another key is seen" not theirs lake-1 shop "$key/other"
echo "1..$n"

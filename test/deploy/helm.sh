#!/bin/bash
# The Helm chart, linted and rendered, and what it renders judged like the plain
# manifests.  Output is TAP.
#
#	test/deploy/helm.sh HELM
set -eu
cd "$(dirname "$0")/../.."

helm=$1
work=$(mktemp -d "${TMPDIR:-/var/tmp}/cdc_s3_helm.XXXXXX")
trap 'rm -rf "$work"' EXIT
n=0
ok()
{
	local name=$1
	n=$((n + 1))
	shift
	if "$@" >"$work/out" 2>&1; then
		echo "ok $n - chart: $name"
	else
		sed 's/^/# /' "$work/out"
		echo "not ok $n - chart: $name"
	fi
}
rendered()
{
	"$helm" template shop deploy/helm/cdc-s3 --namespace cdc "$@" >"$work/all.yaml"
	"$(sh test/deps-deploy.sh --path)" test/deploy/manifests.py "$work/settings" \
		test/data/cnpg-cluster.schema.json "$work/all.yaml" >"$work/found"
	cat "$work/found"
	[ "$(wc -l <"$work/found")" = 1 ]
}
has() { grep -q "$@" "$work/all.yaml"; }
lacks() { ! grep -q "$@" "$work/all.yaml"; }

uploader/cdc-s3 help --markdown >"$work/settings"
ok "lint" "$helm" lint --strict deploy/helm/cdc-s3
ok "with its own values" rendered
ok "it merges" has '^kind: CronJob'
ok "nobody needs the Prometheus operator" lacks '^kind: PodMonitor'
ok "with other values" rendered --set merge.enabled=false --set podMonitor.enabled=true \
	--set serviceAccount.annotations.role=arn --set image.tag=2 \
	--set networkPolicy.enabled=false --set 'tolerations[0].key=a' \
	--set 'tolerations[0].operator=Exists'
ok "without a merge" lacks '^kind: CronJob'
ok "with a PodMonitor" has '^kind: PodMonitor'
ok "another image" has 'image: "cdc-s3:2"'
ok "it is told alive" has 'path: /livez'
ok "and ready" has 'path: /readyz'
ok "it wants a token where no policy protects it" has 'CDC_S3_HTTP_INSECURE, value: "off"'
ok "without a policy" lacks '^kind: NetworkPolicy'
ok "beside a database" rendered --set run.readinessProbe=false
ok "it is told alive" has 'path: /livez'
ok "and never not ready" lacks 'path: /readyz'
ok "where a policy protects it it wants no token" has 'CDC_S3_HTTP_INSECURE, value: "on"'
echo "1..$n"

#!/bin/bash
# The Helm chart, linted and rendered, and what it renders judged like the plain
# manifests.  Output is TAP.
#
#	test/deploy/helm.sh HELM
set -eu
cd "$(dirname "$0")/../.."

helm=$1
tap=chart
. test/deploy/tap.sh
rendered()
{
	"$helm" template shop deploy/helm/cdc-s3 --namespace cdc "$@" >"$work/all.yaml"
	"$(sh test/deps-deploy.sh --path)" test/deploy/manifests.py "$work/settings" \
		test/data/cnpg-cluster.schema.json "$work/all.yaml" >"$work/found"
	cat "$work/found"
	[ "$(wc -l <"$work/found")" = 1 ]
}
# The kinds of the plain manifests, but for the Secret, which is the user's.
same_kinds()
{
	local plain
	plain=$(sed -n 's/^kind: //p' deploy/kubernetes/cdc-s3.yaml | grep -v '^Secret$' | sort)
	[ "$(sed -n 's/^kind: //p' "$work/all.yaml" | sort)" = "$plain" ]
}
# Each of the chart's values, with another one than it has.
others='image.repository=x image.tag=x image.pullPolicy=Always imagePullSecrets[0].name=x
config=x existingSecret=x serviceAccount.create=false serviceAccount.name=x
serviceAccount.annotations.x=x terminationGracePeriodSeconds=99 run.readinessProbe=false
run.resources.limits.memory=1Gi merge.enabled=false merge.schedule=@daily
merge.resources.limits.memory=1Gi networkPolicy.enabled=false networkPolicy.postgresPort=1
networkPolicy.storePort=1 podMonitor.enabled=true nodeSelector.x=x tolerations[0].key=x
affinity.nodeAffinity.x=x'
# Each does something, and none was forgotten above.
no_value_is_dead()
{
	local v key dead=0
	"$helm" template shop deploy/helm/cdc-s3 >"$work/own.yaml"
	for v in $others; do
		"$helm" template shop deploy/helm/cdc-s3 --set "$v" >"$work/one.yaml"
		! cmp -s "$work/own.yaml" "$work/one.yaml" || {
			echo "without effect: $v"
			dead=1
		}
	done
	while read -r key; do
		grep -qE "(^|[[:space:]])$key([.=[]|$)" <<<"$others" || {
			echo "not tried: $key"
			dead=1
		}
	done < <(values_of deploy/helm/cdc-s3/values.yaml)
	return "$dead"
}
# The names of values: "key" where it stands alone, else "key.below".
values_of()
{
	sed -E 's/#.*//; /^ *$/d' "$1" | awk '
		/^[a-zA-Z]+:/ { top = $1; sub(/:.*/, "", top); text = 0 }
		/^[a-zA-Z]+: *[^ ]/ { print top; text = $2 == "|" }
		/^  [a-zA-Z]+:/ && !text { key = $1; sub(/:.*/, "", key); print top "." key }'
}
has() { grep -q "$@" "$work/all.yaml"; }
lacks() { ! grep -q "$@" "$work/all.yaml"; }

uploader/cdc-s3 help --markdown >"$work/settings"
ok "lint" "$helm" lint --strict deploy/helm/cdc-s3
ok "with its own values" rendered
ok "of the kinds that the plain manifests have" same_kinds
ok "it merges" has '^kind: CronJob'
ok "nobody needs the Prometheus operator" lacks '^kind: PodMonitor'
ok "with other values" rendered --set merge.enabled=false --set podMonitor.enabled=true \
	--set serviceAccount.annotations.role=arn --set image.tag=2 \
	--set serviceAccount.name=other --set 'imagePullSecrets[0].name=a' \
	--set nodeSelector.a=b --set existingSecret=other \
	--set 'affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].key=a' \
	--set 'affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].operator=Exists' \
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
ok "each value has an effect" no_value_is_dead
cp -a deploy/helm/cdc-s3 "$work/wrong"
echo '{{ .Values.image.nothing.at.all }}' >>"$work/wrong/templates/run.yaml"
ok "lint sees what is wrong" not "$helm" lint --strict "$work/wrong"
echo "1..$n"

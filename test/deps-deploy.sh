#!/bin/sh
# Brings what judges the files of deploy/ into the cache folder, never into the
# tree, and prints its path: "judges" without arguments, a Python environment
# with the schemas of Kubernetes, a parser of Terraform's language, and one of
# SPDX; "helm" and "tofu", which are built from Go modules, or "all".  Does
# nothing where it is there already.  Needs the network the first time, what
# "test/deps.sh test" installs, and no root.
#
#	test/deps-deploy.sh [all | name ...]
#	test/deps-deploy.sh --path [name]	where it lies, or would lie
set -eu
. "$(dirname "$0")/deps-common.sh"

kubernetes_validate=1.37.0
python_hcl2=8.1.4
pyyaml=6.0.4
spdx_tools=0.8.5
helm=v3.22.0
tofu=v1.12.6

judges=$cache/deploy-$kubernetes_validate-$python_hcl2-$pyyaml-$spdx_tools

path_of()
{
	case $1 in
	judges) echo "$judges/python" ;;
	helm) echo "$cache/bin/helm-$helm" ;;
	tofu) echo "$cache/bin/tofu-$tofu" ;;
	*)
		echo "test/deps-deploy.sh: unknown name \"$1\"" >&2
		return 2
		;;
	esac
}

case ${1:-judges} in
--path)
	path_of "${2:-judges}"
	exit
	;;
--install)
	path=$(path_of "$2")
	case $2 in
	judges)
		python_environment "$judges" "kubernetes-validate==$kubernetes_validate" \
			"python-hcl2==$python_hcl2" "pyyaml==$pyyaml" "spdx-tools==$spdx_tools"
		;;
	helm) go_program "$path" "helm.sh/helm/v3/cmd/helm@$helm" ;;
	tofu) go_program "$path" "github.com/opentofu/opentofu/cmd/tofu@$tofu" ;;
	esac
	exit
	;;
all) names="judges helm tofu" ;;
*) names=${*:-judges} ;;
esac

code=0
for name in $names; do
	path=$(path_of "$name")
	if bring "$name" "$path" "$name (some minutes for helm and tofu)"; then
		echo "$path"
	else
		code=1
	fi
done
exit "$code"

#!/bin/sh
# Brings what judges the files of deploy/ into the cache folder, never into the
# tree: a Python environment with the schemas of Kubernetes, a parser of
# Terraform's language, and one of SPDX.  Prints the path of its python.  Does nothing where it
# is there already.  Needs the network the first time, what "test/deps.sh
# test" installs, and no root.
#
#	test/deps-deploy.sh
#	test/deps-deploy.sh --path	where python lies, or would lie
set -eu

kubernetes_validate=1.37.0
python_hcl2=8.1.4
pyyaml=6.0.4
spdx_tools=0.8.5

cache=${XDG_CACHE_HOME:-$HOME/.cache}/cdc_s3
folder=$cache/deploy-$kubernetes_validate-$python_hcl2-$pyyaml-$spdx_tools

case ${1:-} in
--path)
	echo "$folder/python"
	exit
	;;
# This file calls itself so, since "set -e" holds in a process of its own.
--install)
	[ ! -e "$folder/python" ] || exit 0 # another run brought it meanwhile
	rm -rf "$folder"
	python3 -m venv "$folder"
	set -- install -q "kubernetes-validate==$kubernetes_validate" \
		"python-hcl2==$python_hcl2" "pyyaml==$pyyaml" "spdx-tools==$spdx_tools"
	"$folder/bin/pip" "$@" || "$folder/bin/pip" "$@" # registries have bad moments
	# What says that it is whole comes last.
	printf '#!/bin/sh\nexec "%s" "$@"\n' "$folder/bin/python3" >"$folder/wrapper"
	chmod +x "$folder/wrapper"
	mv "$folder/wrapper" "$folder/python"
	exit 0
	;;
esac

if [ ! -e "$folder/python" ]; then
	mkdir -p "$cache"
	log=$cache/deploy.log
	echo "bringing schemas of Kubernetes into $cache" >&2
	if ! flock "$cache/deploy.lock" sh "$0" --install >"$log" 2>&1 </dev/null; then
		tail -n 20 "$log" >&2
		echo "could not bring what judges deploy/; see $log" >&2
		exit 1
	fi
fi
echo "$folder/python"

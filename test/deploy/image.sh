#!/bin/bash
# Builds the images of deploy/container/ without a daemon and without a
# registry: on a Debian by debootstrap, with buildah in a chroot.  Then
# test/deploy/image.pl starts what was built.
#
#	test/deploy/image.sh
#
# Asks for root.
set -eu
cd "$(dirname "$0")/../.."

release=bookworm
. test/chroot.sh

# In the name spaces: buildah mounts, and what it mounts ends with us.
if [ "${1:-}" = --inside ]; then
	work=$2
	build()
	{
		buildah --storage-driver vfs --root "$work/store" --runroot "$work/run" "$@"
	}
	from_base=$(build from scratch)
	build add -q "$from_base" "$work/base.tar" /
	build commit -q --rm "$from_base" localhost/debian >/dev/null
	rm "$work/base.tar"
	settings=()
	while IFS= read -r setting; do
		settings+=(--env "$setting")
	done < <(client_environment)
	one()
	{
		local name=$1 log=build/deploy/image-$1.log
		shift
		if build bud -q --isolation chroot --format docker "${settings[@]}" \
			--build-arg BASE=localhost/debian --build-arg SERVER=localhost/debian \
			-t "localhost/$name" "$@" . >"$log" 2>&1; then
			echo "ok - image $name is built"
		else
			tail -n 30 "$log" | sed 's/^/# /'
			echo "not ok - image $name is built"
			exit 1
		fi
	}
	one cdc-s3 -f deploy/container/Containerfile
	one cdc-s3-extension -f deploy/container/Containerfile.extension \
		--build-arg PG_MAJOR=15
	for name in cdc-s3 cdc-s3-extension; do
		build inspect --type image "localhost/$name" >"$work/$name.json"
		container=$(build from --pull-never "localhost/$name")
		ln -s "$(build mount "$container")" "$work/$name"
	done
	CDCS3_TEST_IMAGES=$work prove -v --timer --merge -I test/lib test/deploy/image.pl
	exit
fi

work=$(mktemp -d "${TMPDIR:-/var/tmp}/cdc_s3_image.XXXXXX")
trap 'remove_root "$work"' EXIT
trap 'exit 143' INT TERM HUP
chmod 755 "$work"

base_root "$work/base" >"build/deploy/base-$release.log" 2>&1 || {
	tail -n 20 "build/deploy/base-$release.log"
	echo "not ok 1 - a Debian"
	exit 1
}
tar -C "$work/base" -cf "$work/base.tar" .
rm -rf "$work/base"
isolated bash "$0" --inside "$work"

#!/bin/bash
# The Debian packages for the servers that later releases of Debian have:
# built in a chroot of the release, installed in another one, the quick start
# with them, and purged: "make test-deb-suites".
#
#	test/deploy/suites.sh [RELEASE:MAJOR ...]	(trixie:17 forky:18)
#
# Asks for root.  Packages lie in build/deb-RELEASE, logs in build/deploy; the
# last line is "N passed, N failed".
set -eu
cd "$(dirname "$0")/../.."
. test/chroot.sh

# In the name spaces.
if [ "${1:-}" = --inside ]; then
	root=$2
	mount_all "$root"
	in_root "$root" /work "sh test/deps.sh deb && bash test/deploy/build-deb.sh"
	exit
fi

# build_packages RELEASE MAJOR: into build/deb-RELEASE.
build_packages()
{
	local release=$1 major=$2 code=0 root
	root=$(mktemp -d "${TMPDIR:-/var/tmp}/cdc_s3_suite.XXXXXX")
	chmod 755 "$root"
	rm -rf "build/deb-$release"
	mkdir "build/deb-$release"
	base_root "$root" || code=$?
	if [ "$code" = 0 ]; then
		# build-deb.sh asks git what belongs to the project.
		git clone -q --no-hardlinks . "$root/work"
		isolated bash "$0" --inside "$root" && cp "$root"/work/build/deb/*.deb \
			"build/deb-$release" || code=$?
	fi
	remove_root "$root"
	[ "$code" = 0 ] || return "$code"
	echo "ok 1 - $release: packages are built"
	[ -e "$(echo "build/deb-$release/postgresql-$major-cdc-s3_"*.deb)" ] || return 1
	echo "ok 2 - $release: one of them is for PostgreSQL $major"
}

if [ "${1:-}" = --build ]; then
	build_packages "${2%:*}" "${2#*:}"
	exit
fi

if [ "$(id -u)" != 0 ]; then
	echo "$0 needs root: it makes chroots" >&2
	exit 1
fi
[ $# -gt 0 ] || set -- trixie:17 forky:18
suites=("$@")
wanted=()
logs=build/deploy
mkdir -p "$logs"
# shellcheck source=test/stages.sh
. test/stages.sh
[ -z "$(git status --porcelain)" ] ||
	echo "what is not committed here is not built"
for suite in "${suites[@]}"; do
	release=${suite%:*}
	stage "build-$release" bash "$0" --build "$suite"
	compgen -G "build/deb-$release/*.deb" >/dev/null || continue
	stage "package-$release" bash test/deploy/package.sh \
		"build/deb-$release" "$release" "${suite#*:}"
done
sum

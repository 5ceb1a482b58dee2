#!/bin/bash
# Builds a PostgreSQL server from a distribution's source package into the
# cache, unless it is there, and prints the path of its pg_config.
#
#	test/build-pg.sh MAJOR [VARIANT]
#
# MAJOR is 16, 17 or 18.  Without a VARIANT the server has assertions; with
# "noassert" it has none, and with "valgrind" it has them and tells valgrind
# about its memory contexts.
#
# What it needs test/deps.sh installs, where it may.  JOBS says how many
# compilers run at once.
set -eu
cd "$(dirname "$0")/.."

major=${1:-}
variant=${2:-assert}
deps=server
case $major in
	16 | 17 | 18) ;;
	*) major= ;;
esac
options=(--enable-cassert)
flags=
case $variant in
	assert) ;;
	noassert) options=() ;;
	valgrind)
		flags=-DUSE_VALGRIND
		deps="server valgrind"
		;;
	*) major= ;;
esac
if [ -z "$major" ]; then
	echo "usage: $0 16|17|18 [noassert|valgrind]" >&2
	exit 2
fi

cache=${XDG_CACHE_HOME:-$HOME/.cache}/cdc_s3
name=pg$major
[ "$variant" = assert ] || name=$name-$variant
prefix=$cache/$name
pg_config=$prefix/bin/pg_config
if [ -e "$prefix/complete" ]; then
	echo "$pg_config"
	exit 0
fi

# shellcheck disable=SC2086
sh test/deps.sh $deps >&2

mkdir -p "$cache"
exec 9>"$cache/$name.lock"
flock 9 # another build may be at it
if [ -e "$prefix/complete" ]; then
	echo "$pg_config"
	exit 0
fi
echo "building PostgreSQL $major ($variant) in $cache (some minutes)" >&2

work=$(mktemp -d "$cache/build$major.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir "$work/source"
. test/debian-source.sh

# Below another make PostgreSQL's own would take its headers for made.
unset MAKELEVEL MAKEFLAGS MFLAGS

# from_debian RELEASE VERSION SHA256: the newest source package of a release.
# A mirror may list one that it does not have (any more, or yet); then that
# version, which is known here.
from_debian()
{
	debian_lists "$work" "$1" &&
		apt-get -q "${apt_options[@]}" source --download-only \
			"postgresql-$major" && return
	rm -f postgresql-*
	curl -fsS --retry 3 -O \
		"$(debian_mirror)/pool/main/p/postgresql-$major/postgresql-${major}_$2.orig.tar.bz2"
	echo "$3  postgresql-${major}_$2.orig.tar.bz2" | sha256sum -c
}

# No release of Debian has 16: Ubuntu's has, and its tarball is upstream's.  An
# update there takes it from the mirrors; the second place keeps all.
from_ubuntu()
{
	curl -fsS --retry 3 -O \
		"${UBUNTU_MIRROR:-http://archive.ubuntu.com/ubuntu}/pool/main/p/postgresql-16/$1" ||
		curl -fsSL --retry 3 -O \
			"https://launchpad.net/ubuntu/+archive/primary/+files/$1"
	echo "$2  $1" | sha256sum -c
}

{
	cd "$work/source"
	case $major in
		16) from_ubuntu postgresql-16_16.15.orig.tar.gz \
			4f200ca23dfb120ff9838f13ce06014aad1d3c432d16ee9f93ab2000c0eeef7b ;;
		17) from_debian trixie 17.11 \
			dd27f2b3c59e73ed14aa3324901242bf69a032a6347805f274e6260322d42979 ;;
		18) from_debian forky 18.6 \
			555610c24d53e4316da5b7d3fc25c279d96856d5e0e23ee308c328c5fa881d9f ;;
	esac
	tar xf postgresql-"$major"_*.orig.tar.*
	cd postgresql-"$major"*/
	./configure --prefix="$prefix" "${options[@]}" --enable-debug \
		--without-icu --without-readline --with-lz4 --with-zstd \
		CFLAGS="-O1 -g" CPPFLAGS="$flags"
	nice -n 19 make -s -j"${JOBS:-$(nproc)}"
	make -s install
	for dir in contrib/test_decoding contrib/hstore contrib/citext \
		src/test/regress src/test/isolation; do
		nice -n 19 make -s -C "$dir" -j"${JOBS:-$(nproc)}"
		make -s -C "$dir" install
	done
	touch "$prefix/complete"
} >"$cache/$name.log" 2>&1 9>&- || {
	tail -n 20 "$cache/$name.log" >&2
	echo "PostgreSQL $major was not built; see $cache/$name.log" >&2
	exit 1
}
echo "$pg_config"

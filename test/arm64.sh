#!/bin/bash
# linux/arm64 without such a machine: sidecar and unit tests (golden frames
# among them) built by Debian's cross compiler in a chroot, and run by qemu's
# user mode; the plugin compiled and linked with warnings as errors, and not
# run: "make test-arm64".
#
#	test/arm64.sh
#
# Asks for root.  Logs lie in build/arm64; the last line is "N passed, N failed".
set -eu
cd "$(dirname "$0")/.."

# shellcheck disable=SC2034 # chroot.sh reads it
release=bookworm
major=15
gnu=aarch64-linux-gnu
. test/chroot.sh

# In the chroot.
prepare()
{
	local libraries=(libc6 libcmocka-dev libcurl4-openssl-dev libjansson-dev
		libmicrohttpd-dev libpq-dev libsnappy-dev libssl-dev libzstd-dev zlib1g-dev)
	dpkg --add-architecture arm64
	apt-get update -q
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
		gcc-$gnu make pkg-config qemu-user-static tzdata ca-certificates openssl \
		"${libraries[@]/%/:arm64}"
	# Of the server only its headers, which differ by architecture.
	(cd /tmp && apt-get download -q "postgresql-server-dev-$major:arm64" &&
		dpkg-deb -x postgresql-server-dev-"$major"_*.deb /server)
	# A program of arm64 is started by what runs it.
	printf '#!/bin/sh\nexec qemu-aarch64-static "$@"\n' >/usr/local/bin/run-arm64
	chmod +x /usr/local/bin/run-arm64
}

compile_plugin()
{
	local server=/server/usr/include/postgresql/$major/server source objects=()
	mkdir -p build/arm64
	for source in plugin/*.c; do
		objects+=("build/arm64/$(basename "$source" .c).o")
		$gnu-gcc -O2 -Wall -Werror -fPIC -fvisibility=hidden -D_GNU_SOURCE \
			-Iplugin -I"$server" -c -o "${objects[-1]}" "$source"
	done
	$gnu-gcc -shared -o build/arm64/cdc_s3.so "${objects[@]}"
	$gnu-nm -D --defined-only build/arm64/cdc_s3.so | grep -q _PG_output_plugin_init
	is_arm64 build/arm64/cdc_s3.so
}

is_arm64() { $gnu-readelf -h "$1" | grep -q 'Machine: *AArch64'; }

build_sidecar()
{
	make -s -C uploader -j"$(nproc)"
	is_arm64 uploader/cdc-s3
	run-arm64 uploader/cdc-s3 version
}

# part NAME OPTION: a process of its own, where "set -e" holds.
part()
{
	if bash "$0" "$2" 2>&1; then
		echo "ok - arm64: $1"
	else
		echo "not ok - arm64: $1"
	fi
}

tests()
{
	export CC=$gnu-gcc AR=$gnu-ar PKG_CONFIG_PATH=/usr/lib/$gnu/pkgconfig WERROR=1
	export LAUNCH=run-arm64 UNIT_TIMEOUT=1800
	part "the plugin compiles" --plugin
	part "the sidecar is built, and runs" --sidecar
	bash test/unit/run.sh
}

case ${1:-} in
--prepare) prepare ;;
--plugin) compile_plugin ;;
--sidecar) build_sidecar ;;
--tests) tests ;;
# In the name spaces.
--inside)
	mount_all "$2"
	in_root "$2" /work "bash test/arm64.sh --prepare" >build/arm64/prepare.log 2>&1
	in_root "$2" /work "bash test/arm64.sh --tests"
	;;
--all)
	git clone -q --no-hardlinks . "$2/work"
	isolated bash "$0" --inside "$2"
	;;
"")
	if [ "$(id -u)" != 0 ]; then
		echo "$0 needs root: it makes a chroot" >&2
		exit 1
	fi
	sh test/deps.sh fresh
	wanted=()
	logs=build/arm64
	mkdir -p "$logs"
	# shellcheck source=test/stages.sh
	. test/stages.sh
	[ -z "$(git status --porcelain)" ] ||
		echo "what is not committed here is not tested"
	root=$(mktemp -d "${TMPDIR:-/var/tmp}/cdc_s3_arm64.XXXXXX")
	trap 'remove_root "$root"' EXIT
	trap 'exit 143' INT TERM HUP
	chmod 755 "$root"
	base_root "$root" >"$logs/base.log" 2>&1
	stage arm64 bash "$0" --all "$root"
	sum
	;;
esac

#!/bin/sh
# Installs what the given purposes need, with Debian's package manager.
#
#   test/deps.sh build|demo|test|bench|server|valgrind|s3|fresh|deb|deploy ...
#
# "server" is what test/build-pg.sh builds a PostgreSQL server with, "s3" what
# test/deps-s3.sh needs for the server that it brings when not told otherwise.
#
# Does nothing, and quickly, when all is there.  Without root (or a sudo that
# asks no password) and with something missing it stops with one line that
# names the packages.
set -eu

PG_CONFIG=${PG_CONFIG:-pg_config}

# Do headers and server programs exist for this pg_config?
have_server()
{
	command -v "$PG_CONFIG" >/dev/null 2>&1 &&
		[ -e "$("$PG_CONFIG" --pgxs)" ] &&
		[ -e "$("$PG_CONFIG" --includedir-server)/postgres.h" ] &&
		[ -x "$("$PG_CONFIG" --bindir)/postgres" ] &&
		[ -x "$("$PG_CONFIG" --bindir)/pgbench" ]
}

# The distribution's own major version, as its packages are named.
server_packages()
{
	major=$(apt-cache depends postgresql 2>/dev/null |
		sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1)
	major=${major:-15}
	echo "postgresql-$major postgresql-server-dev-$major"
}

# unless COMMAND PACKAGE: the package, where nothing has brought the command.
unless()
{
	command -v "$1" >/dev/null 2>&1 || echo "$2"
}

s3="python3-venv ca-certificates"
wanted=
needs_server=
for purpose in "${@:-build}"; do
	case $purpose in
	server)
		wanted="$wanted gcc libc6-dev make perl bison flex bzip2 xz-utils curl \
pkg-config liblz4-dev libzstd-dev zlib1g-dev"
		continue
		;;
	valgrind)
		wanted="$wanted valgrind"
		continue
		;;
	fresh)
		wanted="$wanted debootstrap git"
		continue
		;;
	deploy)
		wanted="$wanted debootstrap buildah crun uidmap systemd binutils $s3"
		continue
		;;
	deb)
		wanted="$wanted build-essential debhelper dpkg-dev fakeroot git lintian \
postgresql-server-dev-all libcurl4-openssl-dev libjansson-dev \
libmicrohttpd-dev libpq-dev \
libsnappy-dev libssl-dev libzstd-dev pkg-config zlib1g-dev gcc libc6-dev make"
		continue
		;;
	s3)
		wanted="$wanted $s3"
		continue
		;;
	build)
		more=
		;;
	demo)
		more="perl procps zstd"
		;;
	bench)
		more="perl procps zstd"
		;;
	test)
		more="perl procps zstd libcmocka-dev clang-format-14 openssl pgbouncer zsh groff-base"
		more="$more shellcheck pmccabe $s3 $(unless java default-jre-headless) \
$(unless systemd-analyze systemd)"
		[ -e "$(sh "$(dirname "$0")/deps-s3.sh" --path s3proxy)" ] ||
			more="$more $(unless mvn maven)"
		;;
	*)
		echo "test/deps.sh: unknown purpose \"$purpose\"" >&2
		exit 2
		;;
	esac
	needs_server=yes
	wanted="$wanted gcc libc6-dev make pkg-config libpq-dev \
libcurl4-openssl-dev libssl-dev libsnappy-dev libzstd-dev zlib1g-dev \
libjansson-dev libmicrohttpd-dev \
$more"
done

if ! command -v dpkg-query >/dev/null 2>&1; then
	echo "no dpkg here: these are taken to be installed:" $wanted >&2
	exit 0
fi

# shellcheck disable=SC2086
missing=$(for p in $wanted; do
	status=$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)
	[ "$status" = installed ] || echo "$p"
done | sort -u | tr '\n' ' ')
[ -z "$needs_server" ] || have_server || missing="$missing$(server_packages)"
missing=${missing% }

# The benchmark compares with wal2json where the distribution has it.
case " $* " in
*" bench "*)
	if [ -z "$missing" ] && [ "$(id -u)" = 0 ] &&
		[ ! -e "$("$PG_CONFIG" --pkglibdir)/wal2json.so" ]; then
		major=$("$PG_CONFIG" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
		DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
			--no-install-recommends "postgresql-$major-wal2json" \
			</dev/null >/dev/null 2>&1 || true
	fi
	;;
esac
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
	as_root=
elif sudo -n true 2>/dev/null; then
	as_root="sudo -n"
else
	echo "missing packages, and no root to install them: $missing" >&2
	exit 1
fi

echo "installing: $missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install_missing()
{
	# shellcheck disable=SC2086
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
		--no-install-recommends $missing </dev/null >"$log" 2>&1
}
# Lists may be old or not there at all: bring them once, then try again.
if ! install_missing; then
	$as_root apt-get update -q </dev/null >"$log" 2>&1 || true
	if [ -n "$needs_server" ] && ! have_server; then
		# the name depends on the lists
		missing=$(for p in $missing; do
			case $p in postgresql-*) ;; *) echo "$p" ;; esac
		done | tr '\n' ' ')$(server_packages)
	fi
	if ! install_missing; then
		cat "$log" >&2
		echo "could not install: $missing" >&2
		exit 1
	fi
fi

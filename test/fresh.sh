#!/bin/bash
# What README.md's quick start says, on a Debian 12 that has nothing else: a
# chroot by debootstrap, a clone of what is committed here, and the commands of
# that page up to "make test".  No cache and no environment of ours gets in; the
# clients of package registries are configured as on this machine, since they
# might not reach anything else.
#
#	test/fresh.sh
#
# Asks for root.  Everything runs in name spaces of its own for processes and
# mounts, which end with this script, however it ends, and take all with them.
# Logs lie in build/fresh.  The last line is "N passed, N failed", where a
# command that is no test is one.
set -eu
cd "$(dirname "$0")/.."

release=bookworm
top=$PWD
logs=$top/build/fresh

# debian_sources: lines of a sources.list with the mirrors of this machine.
debian_sources()
{
	local mine
	mine=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' \
		'Created-By: Packages' 2>/dev/null |
		awk -v mine="$mine" -v release="$release" '
			$3 == "main" && ($2 == mine || index($2, mine "-") == 1) &&
				$2 ~ /^[a-z]+(-updates|-security)?$/ && $1 ~ /debian/ && !seen[$1, $2]++ {
				sub(/^[a-z]+/, release, $2)
				print "deb", $1, $2, $3
			}' | sort -k 3 | grep . ||
		echo "deb ${DEBIAN_MIRROR:-http://deb.debian.org/debian} $release main"
}

# like_here ROOT FILE...: copies those that exist, to the same place.
like_here()
{
	local root=$1 f
	shift
	for f; do
		[ ! -e "$f" ] || cp -a --parents "$f" "$root/"
	done
}

# registries ROOT: the clients of registries reach there what they reach here.
registries()
{
	local root=$1
	debian_sources >"$root/etc/apt/sources.list"
	apt-config dump | grep -iE '^Acquire::(https?|ftp|Check-|Retries|ForceIPv)' \
		>"$root/etc/apt/apt.conf.d/90as-outside" || true
	like_here "$root" /etc/apt/auth.conf /etc/apt/auth.conf.d \
		/etc/apt/trusted.gpg /etc/apt/trusted.gpg.d \
		/usr/local/share/ca-certificates /etc/hosts \
		/etc/pip.conf /etc/npmrc /usr/local/etc/npmrc
	cp -L /etc/resolv.conf "$root/etc/resolv.conf"
	(cd && tar cf - --ignore-failed-read .npmrc .pip/pip.conf .config/pip/pip.conf \
		.config/go/env .m2/settings.xml .m2/settings-security.xml \
		.cargo/config.toml 2>/dev/null || true) | tar xf - -C "$root/root"
	local value
	# Files of certificates that only the environment tells of.
	while IFS= read -r value; do
		case $value in
		/etc/ssl/certs/*) ;; # ca-certificates brings them
		/*) [ ! -f "$value" ] || like_here "$root" "$value" ;;
		esac
	done < <(client_environment | sed 's/^[^=]*=//')
	return 0
}

# What those clients read from the environment.
client_environment()
{
	env | grep -E '^((https?|ftp|all|no)_proxy|(HTTPS?|FTP|ALL|NO)_PROXY|PIP_(INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST|PROXY|CERT|CLIENT_CERT|DEFAULT_TIMEOUT)|(npm_config|NPM_CONFIG)_(registry|proxy|https_proxy|noproxy|cafile|REGISTRY|PROXY|HTTPS_PROXY|NOPROXY|CAFILE)|NODE_EXTRA_CA_CERTS|GO(PROXY|NOPROXY|PRIVATE|SUMDB|NOSUMDB|INSECURE)|CARGO_(HTTP|NET|REGISTRIES)_[A-Z_]*|MAVEN_(OPTS|ARGS)|SSL_CERT_(FILE|DIR)|CURL_CA_BUNDLE|REQUESTS_CA_BUNDLE|(DEBIAN|UBUNTU)_MIRROR)=' || true
}

# Devices that a program may use, and file systems of the kernel.
mount_all()
{
	local root=$1 d
	mount --bind "$root" "$root" # a test has a name space of its own for mounts
	mount -t tmpfs -o mode=755 dev "$root/dev"
	mkdir "$root/dev/pts" "$root/dev/shm"
	for d in null zero full random urandom tty; do
		: >"$root/dev/$d"
		mount --bind "/dev/$d" "$root/dev/$d"
	done
	mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
	ln -s pts/ptmx "$root/dev/ptmx"
	ln -s /proc/self/fd "$root/dev/fd"
	ln -s fd/0 "$root/dev/stdin"
	ln -s fd/1 "$root/dev/stdout"
	ln -s fd/2 "$root/dev/stderr"
	mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
	mount -t proc proc "$root/proc"
	mount -t sysfs -o ro sysfs "$root/sys"
}

# The commands of the quick start, as root runs them.
readme_commands()
{
	sed -n '/^## Quick start/,/^## [^Q]/p' README.md |
		awk '/^    / { inside = 1; print } inside && !/^    / { exit }' |
		sed -e 's/ *#.*//' -e 's/^ *//' -e 's/sudo //g'
}

# in_chroot ROOT COMMAND: as somebody who just logged in.
in_chroot()
{
	local root=$1 settings=()
	mapfile -t settings < <(client_environment)
	chroot "$root" env -i HOME=/root TERM=dumb \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		"${settings[@]}" sh -c "cd /root/cdc_s3 && $2" </dev/null
}

prepare()
{
	local root=$1 mirror
	mirror=$(debian_sources | awk -v release="$release" '$3 == release { print $2; exit }')
	debootstrap --variant=minbase "$release" "$root" "$mirror"
	registries "$root"
	mount_all "$root"
	git clone -q --no-hardlinks "$top" "$root/root/cdc_s3"
	git -C "$root/root/cdc_s3" log -1 --format='%h %s'
}

# This file calls itself so, since "set -e" holds in a process of its own.
if [ "${1:-}" = --prepare ]; then
	prepare "$2"
	exit
fi

# In the name spaces: everything, with the folder of the chroot.
if [ "${1:-}" = --inside ]; then
	root=$2
	passed=0
	failed=0
	echo "== $release by debootstrap, a clone"
	if ! bash test/fresh.sh --prepare "$root" >"$logs/prepare.log" 2>&1; then
		tail -n 40 "$logs/prepare.log"
		echo "failed: the chroot"
		echo "0 passed, 1 failed"
		exit 1
	fi
	tail -n 1 "$logs/prepare.log"

	n=0
	commands=$(readme_commands)
	[[ $commands == *"make demo"*"make test" ]] || {
		echo "README.md's quick start has no \"make demo\" or ends without \"make test\""
		exit 1
	}
	while IFS= read -r command; do
		n=$((n + 1))
		log=$logs/$n.log
		start=$SECONDS
		echo "== $command"
		code=0
		in_chroot "$root" "$command" >"$log" 2>&1 || code=$?
		tail -n 15 "$log"
		echo "   exit code $code after $((SECONDS - start)) s"
		sum=$(tail -n 1 "$log" | grep -E '^[0-9]+ passed, [0-9]+ failed$' || true)
		# make says something of its own behind the sum of tests that failed.
		[ "$code" = 0 ] ||
			sum=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1 || true)
		if [ -n "$sum" ]; then
			passed=$((passed + ${sum%% *}))
			more=${sum#*, }
			failed=$((failed + ${more%% *}))
		fi
		if [ "$code" != 0 ]; then
			[ -n "$sum" ] && [ "${more%% *}" != 0 ] || failed=$((failed + 1))
			[ -n "$sum" ] || tail -n 60 "$log"
			broken="${broken:-}failed: $command
$(grep '^failed: ' "$log" || true)
"
		elif [ -z "$sum" ]; then
			passed=$((passed + 1))
		fi
	done <<<"$commands"
	rm -rf "$logs/test"
	cp -r "$root/root/cdc_s3/build/test" "$logs/test" 2>/dev/null || true
	printf '%s' "${broken:-}"
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ]
	exit
fi

if [ "$(id -u)" != 0 ]; then
	echo "$0 needs root: it makes a chroot" >&2
	exit 1
fi
sh test/deps.sh fresh
mkdir -p "$logs"
[ -z "$(git status --porcelain)" ] ||
	echo "what is not committed here is not tested"

root=$(mktemp -d "${TMPDIR:-/var/tmp}/cdc_s3_fresh.XXXXXX")
inside=
cleanup()
{
	if [ -n "$inside" ]; then
		kill -KILL "$inside" 2>/dev/null || true
		wait "$inside" 2>/dev/null || true
	fi
	# The last of them may be about to end.
	for _ in {1..50}; do
		rm -rf --one-file-system "$root" 2>/dev/null && break
		sleep 0.2
	done
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP
chmod 755 "$root"
setpriv --pdeathsig KILL \
	unshare --mount --pid --ipc --fork --kill-child --mount-proc \
	bash test/fresh.sh --inside "$root" &
inside=$!
code=0
wait "$inside" || code=$?
inside=
exit "$code"

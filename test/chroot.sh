#!/bin/bash
# of test/deploy/.  "release" names what is made.
#
# No cache and no environment of ours gets in; the clients of package
# registries are configured as on this machine, since they might not reach
# anything else.

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

# in_root ROOT FOLDER COMMAND: as somebody who just logged in.
in_root()
{
	local root=$1 settings=()
	mapfile -t settings < <(client_environment)
	chroot "$root" env -i HOME=/root TERM=dumb \
		PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		"${settings[@]}" sh -c "cd $2 && $3" </dev/null
}

# debian_root ROOT: a minimal Debian there, with its registries.
debian_root()
{
	local root=$1 mirror script=
	mirror=$(debian_sources | awk -v release="$release" '$3 == release { print $2; exit }')
	# A debootstrap that is older than the release: as it makes unstable.
	[ -e "/usr/share/debootstrap/scripts/$release" ] || script=sid
	debootstrap --variant=minbase "$release" "$root" "$mirror" $script
	registries "$root"
}

# isolated COMMAND...: in name spaces of its own for processes and mounts,
# which end with it, and take all with them.
isolated()
{
	setpriv --pdeathsig KILL \
		unshare --mount --pid --ipc --fork --kill-child --mount-proc "$@"
}

# remove_root ROOT: the last of its processes may be about to end.
remove_root()
{
	local _
	for _ in {1..50}; do
		rm -rf --one-file-system "$1" 2>/dev/null && break
		sleep 0.2
	done
}

# base_root ROOT: debian_root, which is made once and kept below build/.
base_root()
{
	local root=$1 kept=build/deploy/base-$release.tar
	mkdir -p build/deploy "$root"
	if [ ! -e "$kept" ]; then
		isolated bash -c '. test/chroot.sh; release=$1; debian_root "$2"' \
			bash "$release" "$root" &&
			tar -C "$root" --one-file-system -cf "$kept.new" . &&
			mv "$kept.new" "$kept"
	else
		tar -C "$root" -xpf "$kept"
	fi
}

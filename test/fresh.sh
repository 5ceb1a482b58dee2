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

. test/chroot.sh

# The commands of the quick start, as root runs them.
readme_commands()
{
	sed -n '/^## Quick start/,/^## [^Q]/p' README.md |
		awk '/^    / { inside = 1; print } inside && !/^    / { exit }' |
		sed -e 's/ *#.*//' -e 's/^ *//' -e 's/sudo //g'
}

prepare()
{
	local root=$1
	debian_root "$root"
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
		in_root "$root" /root/cdc_s3 "$command" >"$log" 2>&1 || code=$?
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

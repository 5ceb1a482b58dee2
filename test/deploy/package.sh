#!/bin/bash
# The Debian packages as somebody meets them who has a fresh Debian: installed,
# the README's quick start with them, and purged.  Output is TAP.
#
#	test/deploy/package.sh FOLDER-OF-PACKAGES [RELEASE [MAJOR]]
#
# Asks for root: it makes a chroot, in name spaces of its own.
set -eu
cd "$(dirname "$0")/../.."

release=${2:-bookworm}
major=${3:-15}
. test/chroot.sh

# Inside the chroot.
if [ "${1:-}" = --in-chroot ]; then
	n=0
	ok()
	{
		local name=$1
		n=$((n + 1))
		shift
		if "$@" >/tmp/out 2>&1; then
			echo "ok $n - $release: $name"
		else
			sed 's/^/# /' /tmp/out
			echo "not ok $n - $release: $name"
		fi
	}
	not() { ! "$@"; }
	sql() { runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1 -d "$1" -c "$2"; }
	# As the units have it, by the account that they name.
	service()
	{
		local command
		command=$(sed -n 's/^ExecStart=//p' "/lib/systemd/system/$1.service")
		shift
		# shellcheck disable=SC2086
		runuser -u cdc-s3 -- $command "$@"
	}
	as_service() { runuser -u cdc-s3 -- cdc-s3 "$@" --config /etc/cdc-s3/cdc-s3.conf; }
	stop_service() # of a name of the kernel's; there is no other one here
	{
		local p found=1
		for p in /proc/[0-9]*; do
			[ "$(cat "$p/comm" 2>/dev/null)" != cdc-s3 ] || {
				kill "-$1" "${p#/proc/}"
				found=0
			}
		done
		return "$found"
	}
	until_equal()
	{
		local deadline=$((SECONDS + 120)) last
		while :; do
			last=$(service cdc-s3-merge --merge.until=now 2>&1) || true
			[ "$(sql copy 'select string_agg(t::text, $$,$$ order by id) from t t' 2>/dev/null)" != \
				"$(sql shop 'select string_agg(t::text, $$,$$ order by id) from t t')" ] || return 0
			if [ "$SECONDS" -ge "$deadline" ]; then
				echo "$last"
				cat /tmp/run.log
				return 1
			fi
			sleep 0.3
		done
	}

	# Starting servers is ours to do.
	printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
	chmod +x /usr/sbin/policy-rc.d
	ok "lists of packages" apt-get update -q
	ok "the packages are installed" apt-get install -y -q \
		--no-install-recommends /packages/cdc-s3_*.deb \
		/packages/postgresql-"$major"-cdc-s3_*.deb
	ok "the program runs" cdc-s3 version
	ok "nobody else reads the settings" test \
		"$(stat -c '%a %U %G' /etc/cdc-s3/cdc-s3.conf)" = "640 root cdc-s3"
	ok "nothing is started by itself" not test -e \
		/etc/systemd/system/multi-user.target.wants/cdc-s3.service
	for unit in cdc-s3 cdc-s3@ cdc-s3-merge cdc-s3-merge@; do
		ok "unit $unit" test -e "/lib/systemd/system/$unit.service"
	done

	# README.md, "Then with your own servers", steps 2 to 5.
	conf=/etc/postgresql/$major/main/postgresql.conf
	[ -e "$conf" ] || pg_createcluster "$major" main >/dev/null
	sed -n 's/^ *\(wal_level = logical\|output_plugin_libraries = [^#]*\).*/\1/p' \
		/readme.md >>"$conf"
	ok "two settings of the source" test "$(grep -cE '^(wal_level|output_plugin)' "$conf")" = 2
	ok "the server starts" pg_ctlcluster "$major" main start
	sql postgres "create role cdc login replication"
	sql postgres "alter role cdc password 'x y'"
	sql postgres "create role cdc_merge login password 'x y'"
	sql postgres "create database shop"
	sql postgres "create database copy owner cdc_merge"
	sql shop "create table t (id int primary key, v text);
		insert into t select i, 'row ' || i from generate_series(1, 100) i;
		grant select on all tables in schema public to cdc"
	sql copy "grant all on schema public to cdc_merge; alter table if exists t owner to cdc_merge"
	install -d -o cdc-s3 -g cdc-s3 /var/lib/lake
	sed -i -e "s|^#\(conninfo = \)host=db.*|\1host=127.0.0.1 dbname=shop user=cdc password='x y'|" \
		-e "s|^#\(url = \).*|\1file:///var/lib/lake|" \
		-e "s|^#\(conninfo = \)host=dwh.*|\1host=127.0.0.1 dbname=copy user=cdc_merge password='x y'|" \
		/etc/cdc-s3/cdc-s3.conf
	ok "check finds nothing" as_service check
	ok "init" as_service init
	service cdc-s3 >/tmp/run.log 2>&1 &
	ok "the rows that were there" until_equal
	sql shop "update t set v = 'other' where id < 10; delete from t where id > 90;
		insert into t values (1000, 'new')"
	ok "changes" until_equal
	ok "one hundred rows less nine" test "$(sql copy 'select count(*) from t')" = 91
	ok "the stream is told to stop" stop_service TERM
	for _ in {1..600}; do
		stop_service 0 || break
		sleep 0.1
	done
	ok "it stops" not stop_service KILL
	wait

	ok "installed again" apt-get install -y -q --reinstall \
		--no-install-recommends /packages/cdc-s3_*.deb
	ok "the settings are what they were" grep -q "^url = file:///var/lib/lake" \
		/etc/cdc-s3/cdc-s3.conf
	ok "purged" apt-get purge -y -q cdc-s3 "postgresql-$major-cdc-s3"
	ok "no settings are left" not test -e /etc/cdc-s3
	ok "no file of ours is left" test -z "$(find /usr /lib/systemd /etc \
		-name '*cdc[-_]s3*' -not -path '*/sysusers*' 2>/dev/null)"
	pg_ctlcluster "$major" main stop || true
	echo "1..$n"
	exit
fi

# In the name spaces.
if [ "${1:-}" = --inside ]; then
	release=$4
	major=$5
	root=$2
	mount_all "$root"
	mkdir "$root/packages" "$root/work" "$root/work/test" "$root/work/test/deploy"
	cp "$3"/*.deb "$root/packages"
	cp README.md "$root/readme.md"
	cp test/chroot.sh "$root/work/test"
	cp "$0" "$root/work/test/deploy/package.sh"
	in_root "$root" /work "DEBIAN_FRONTEND=noninteractive bash \
		test/deploy/package.sh --in-chroot $release $major"
	exit
fi

packages=$1
root=$(mktemp -d "${TMPDIR:-/var/tmp}/cdc_s3_package.XXXXXX")
trap 'remove_root "$root"' EXIT
trap 'exit 143' INT TERM HUP
chmod 755 "$root"
mkdir -p build/deploy
base_root "$root" >"build/deploy/base-$release.log" 2>&1 || {
	tail -n 20 "build/deploy/base-$release.log"
	echo "not ok 1 - $release: a chroot"
	exit 1
}
isolated bash "$0" --inside "$root" "$packages" "$release" "$major"

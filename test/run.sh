#!/bin/bash
# Everything that is tested.  The last line is "N passed, N failed"; the exit
# code is 1 when anything failed.  Logs lie in build/test/.
#
#	test/run.sh [server ...] [stage ...]
#
# A server is "default", the one of PG_CONFIG, or a major version, which is
# built into the cache.  On the first one everything is run, on those behind it
# the plugin's tests and a core of the tests of whole programs; their stages
# end in the version, as in "regress-18".
set -eu
cd "$(dirname "$0")/.."

export WERROR=1
logs=build/test
mkdir -p "$logs"
. test/stages.sh

# Of the tests of whole programs those that touch what differs from server to
# server: the slot, the stream, types, a merge.
core="test/t/020_stream.pl test/t/021_crash.pl test/t/024_gap.pl test/t/026_plugin_refused.pl
	test/t/027_types.pl test/t/030_merge.pl test/t/039_read_ahead.pl test/t/040_deliver.pl
	test/t/042_stress.pl test/t/043_failover_first.pl test/t/044_copydone.pl test/t/045_notices.pl
	test/t/070_install.pl test/t/071_plugin_options.pl test/t/072_allowed_tables.pl
	test/t/073_locks.pl test/t/074_row_filter.pl test/t/075_same_session.pl
	test/t/136_publication_dropped.pl test/t/178_publication_altered.pl test/t/145_failover.pl"

# With the plugin leaving all of the walsender's work to the server.
alone="test/t/020_stream.pl test/t/022_large_txn.pl test/t/036_huge_rows.pl test/t/040_deliver.pl"

build()
{
	make -j"$(nproc)" all && echo "ok 1 - builds without a warning"
}

# The S3 servers that the tests talk to; a fresh machine builds one of them.
s3_servers()
{
	local name code=0
	for name in $(sh test/deps-s3.sh --names); do
		if sh test/deps-s3.sh "$name"; then
			echo "ok - $name is there"
		else
			code=1
			echo "not ok - $name is missing: test/deps-s3.sh could not bring it"
		fi
	done
	return "$code"
}

# use_server NAME [VARIANT]: the tests are to run on that server.
use_server()
{
	unset PLUGIN
	[ "$1" != default ] || return 0
	PG_CONFIG=$(bash test/build-pg.sh "$@") || return 1
	export PG_CONFIG
	PLUGIN=$PWD/build/plugin/pg$1${2:+-$2}/cdc_s3.so
	export PLUGIN
}

# What reads the lake.
engines()
{
	sh test/deps-engines.sh && echo "ok 1 - DuckDB and pyarrow are there"
	sh test/deps-deploy.sh && echo "ok 2 - schemas of Kubernetes are there"
}

# What knows the rules of metrics and alerts.
promtool()
{
	sh test/deps-prometheus.sh && echo "ok 1 - promtool is there"
}

build_plugin()
{
	if [ -z "${PG_CONFIG:-}" ]; then
		echo "not ok - $1: test/build-pg.sh built no server"
		return 1
	fi
	bash test/build-plugin.sh "$1" && echo "ok 1 - builds without a warning"
}

# What a server with assertions cannot do, on the same without.
aborted()
(
	use_server "$1" noassert && build_plugin "pg$1-noassert" &&
		bash test/regress.sh aborted
)

# server_stages NAME SUFFIX [TAP FILE...]
server_stages()
{
	local name=$1 suffix=$2
	shift 2
	if [ "$name" != default ]; then
		use_server "$name" || PG_CONFIG=
		stage "plugin$suffix" build_plugin "pg$name"
		[ -n "$PG_CONFIG" ] || return 0
	fi
	stage "regress$suffix" bash test/regress.sh
	stage "differential$suffix" bash test/differential/run.sh
	[ "$name" = default ] || [ "$name" -lt 18 ] ||
		stage "aborted$suffix" aborted "$name"
	stage "tap$suffix" bash test/tap.sh "$@"
}

servers=()
wanted=()
for word; do
	case $word in
	default | [0-9]*) servers+=("$word") ;;
	*) wanted+=("$word") ;;
	esac
done
[ ${#servers[@]} != 0 ] || servers=(default)

stage servers s3_servers
stage engines engines
stage promtool promtool
stage build build
stage lint bash test/lint/lint.sh
stage unit bash test/unit/run.sh
stage unit-asan bash test/unit/run.sh address,undefined
stage unit-tsan bash test/unit/run.sh thread
stage fuzz bash test/fuzz/run.sh
stage sim bash test/sim/run.sh
stage sim-threads bash test/sim/run.sh --threads
server_stages "${servers[0]}" ""
# shellcheck disable=SC2086
stage tap-alone env CDCS3_SERVER_CONF='cdc_s3.read_ahead = 0;cdc_s3.send_bytes = 0' \
	bash test/tap.sh $alone
for major in "${servers[@]:1}"; do
	# shellcheck disable=SC2086
	server_stages "$major" "-$major" $core
done

sum

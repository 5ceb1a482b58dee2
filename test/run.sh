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
passed=0
failed=0
skipped=0
broken=()

# Of the tests of whole programs those that touch what differs from server to
# server: the slot, the stream, types, a merge.
core="test/t/020_stream.pl test/t/021_crash.pl test/t/024_gap.pl test/t/026_plugin_refused.pl
	test/t/027_types.pl test/t/030_merge.pl test/t/039_read_ahead.pl test/t/040_deliver.pl
	test/t/070_install.pl test/t/071_plugin_options.pl"

# With the plugin leaving all of the walsender's work to the server.
alone="test/t/020_stream.pl test/t/022_large_txn.pl test/t/036_huge_rows.pl test/t/040_deliver.pl"

# stage NAME COMMAND...: runs it, shows what is worth seeing, and counts.
stage()
{
	local name=$1 code=0 start=$SECONDS p f s
	shift
	[ ${#wanted[@]} = 0 ] || [[ " ${wanted[*]} " == *" $name "* ]] || return 0
	echo "== $name"
	"$@" </dev/null >"$logs/$name.log" 2>&1 || code=$?
	read -r p f s < <(awk -f test/count.awk "$logs/$name.log")
	# A stage that broke without saying which test counts as one.
	if [ "$code" != 0 ] && [ "$f" = 0 ]; then
		f=1
		tail -n 60 "$logs/$name.log"
	fi
	grep -iE '^(not )?ok.*# *skip|skipped: |^(# )?left out: ' "$logs/$name.log" || true
	if [ "$f" != 0 ]; then
		failures "$name"
		show_failure "$name"
		broken+=("$name")
	fi
	passed=$((passed + p))
	failed=$((failed + f))
	skipped=$((skipped + s))
	echo "   $p passed, $f failed, $s skipped in $((SECONDS - start)) s"
}

# failures STAGE: the tests that failed, each with its file and what it said.
failures()
{
	awk '/^test\/t\/[^ ]*\.pl \.\./ { file = $1 ": " }
		/^(not )?ok[ \t]/ { said = 0 }
		/^not ok[ \t]/ && tolower($0) !~ /# *skip/ { print file $0; said = 6; next }
		/ \.\.\. +(FAILED|failed)/ { print; next }
		said-- > 0' "$logs/$1.log" | head -n 60
}

# The part of a log that tells why.
show_failure()
{
	grep -vE '^ok' "$logs/$1.log" | tail -n 150
	case $1 in
	regress* | aborted*)
		[ ! -s build/regress/regression.diffs ] ||
			head -n 200 build/regress/regression.diffs
		;;
	esac
}

build()
{
	make -j"$(nproc)" all && echo "ok 1 - builds without a warning"
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

build_plugin()
{
	[ -n "${PG_CONFIG:-}" ] && bash test/build-plugin.sh "$1" &&
		echo "ok 1 - builds without a warning"
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

stage build build
stage lint bash test/lint/lint.sh
stage unit bash test/unit/run.sh
stage unit-asan bash test/unit/run.sh address,undefined
stage unit-tsan bash test/unit/run.sh thread
stage fuzz bash test/fuzz/run.sh
server_stages "${servers[0]}" ""
# shellcheck disable=SC2086
stage tap-alone env CDCS3_SERVER_CONF='cdc_s3.read_ahead = 0;cdc_s3.send_bytes = 0' \
	bash test/tap.sh $alone
for major in "${servers[@]:1}"; do
	# shellcheck disable=SC2086
	server_stages "$major" "-$major" $core
done

# Once more at the end, where whoever sees only that finds it.
for name in ${broken[@]+"${broken[@]}"}; do
	echo "== $name failed:"
	failures "$name"
done
[ "$skipped" = 0 ] || echo "$skipped skipped"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]

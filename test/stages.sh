# shellcheck shell=bash
# For a run of many stages: sourced by test/run.sh.
#
#	stage NAME COMMAND...	runs it, shows what is worth seeing, and counts
#	sum			says at the end what failed, and the sum
#
# "wanted" is a list of stages, empty for all; "logs" the folder of their logs.

passed=0
failed=0
skipped=0
broken=()

stage()
{
	local name=$1 code=0 start=$SECONDS p f s
	shift
	[ ${#wanted[@]} = 0 ] || [[ " ${wanted[*]} " == *" $name "* ]] || return 0
	echo "== $name"
	"$@" </dev/null >"$logs/$name.log" 2>&1 || code=$?
	count "$name"
	# A stage that broke without saying where, or ran no test, says so itself.
	if [ "$code" != 0 ] && [ "$(wc -l <"$logs/$name.count")" = 1 ]; then
		tail -n 60 "$logs/$name.log"
		says "$name" "exit code $code: $(last_words "$name")"
	elif [ "$f" = 0 ] && [ "$p" = 0 ]; then
		says "$name" "ran no test"
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

# Sets p, f and s of the stage.
count()
{
	awk -f test/count.awk "$logs/$1.log" >"$logs/$1.count"
	read -r p f s < <(tail -n 1 "$logs/$1.count")
}

# says STAGE WHAT: the stage's log gets a failure of its own.
says()
{
	printf '\nnot ok - the whole stage: %s\n' "$2" >>"$logs/$1.log"
	count "$1"
}

last_words()
{
	grep -vE '^ *$|^[0-9]+ passed, [0-9]+ failed$' "$logs/$1.log" |
		tail -n 1 | cut -c1-200
}

# failures STAGE: the tests that failed, each with its file and what it said.
failures()
{
	awk '/^(\[[0-9:]+\] )?test\/t\/[^ ]*\.pl \.\./ { file = ($1 ~ /^\[/ ? $2 : $1) ": " }
		/^Test Summary Report/ { summary = 1 }
		/^Files=/ { summary = 0 }
		/^(not )?ok[ \t]/ { said = 0; words = "" }
		/^Dubious,/ && words != "" { print file words }
		!/^(not )?ok[ \t]/ { words = length(words) < 2000 ? words $0 "\n" : words }
		/^not ok[ \t]/ && tolower($0) !~ /# *skip/ { print file $0; said = 6; next }
		/skip.*missing: / && !summary { print file $0; next }
		/ \.\.\. +(FAILED|failed)/ { print; next }
		/\.pl \.\./ { words = "" }
		summary || said-- > 0' "$logs/$1.log" | head -n 60
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

# Once more at the end, where whoever sees only that finds it: what the tests
# that failed said, then a line for each of their programs, then the sum.
sum()
{
	local name
	for name in ${broken[@]+"${broken[@]}"}; do
		echo "== $name failed:"
		failures "$name"
	done
	for name in ${broken[@]+"${broken[@]}"}; do
		sed -e '$d' -e "s/^/failed: $name: /" "$logs/$name.count"
	done | head -n 60
	[ "$skipped" = 0 ] || echo "$skipped skipped"
	echo "$passed passed, $failed failed"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
}

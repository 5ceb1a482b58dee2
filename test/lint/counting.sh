#!/bin/bash
# A run of the tests names whatever breaks in its last lines, and fails: stages
# of test/stages.sh over test programs that break in each of the ways that one
# can.  Prints what is not as it should be.
set -u
cd "$(dirname "$0")/../.." || exit 1

tmp=$(mktemp -d "${TMPDIR:-/tmp}/cdc_s3_counting.XXXXXX") || exit 1
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' INT TERM
bad=0

# program NAME: a test program from standard input, named as those of test/t.
program()
{
	{
		echo 'use strict; use warnings; use Test::More;'
		cat
	} >"$tmp/$1.pl"
}

# run NAME COMMAND...: a run of this one stage, in a process of its own.
run()
{
	bash -c 'set -eu; logs=$1 wanted=(); shift
		. test/stages.sh; stage "$@"; sum' \
		run "$tmp" "$@" >"$tmp/$1.out" 2>&1
}

wrong()
{
	echo "$1"
	bad=1
}

# fails WANTED COMMAND...: the run fails, and its last lines are these.
fails()
{
	local wanted=$1 last
	shift
	! run stage "$@" || wrong "no failure of the run: $*"
	last=$(tail -n "$(wc -l <<<"$wanted")" "$tmp/stage.out")
	[ "$last" = "$wanted" ] || wrong "$* gave
$last
instead of
$wanted"
}

# tap WANTED PROGRAM...: the same of TAP programs.
tap()
{
	local wanted=$1
	shift
	fails "$wanted" prove -v --timer --merge "${@/%/.pl}"
}

program good <<<"ok 1; ok 1, 'second'; done_testing;"
program skips <<<"ok 1; SKIP: { skip 'no such thing here', 1 } done_testing;"
program dead <<<'die "no library\n";'
program halfway <<<'ok 1; ok 1; die "halfway\n";'
program both <<<"ok 1; ok 0, 'wrong'; die qq(after it\n);"
program short <<<'plan tests => 3; ok 1;'
program silent <<<''
program crash <<<'ok 1; done_testing; kill SEGV => $$;'
program no_tests <<<"plan skip_all => '';"
program wants <<<"plan skip_all => 'missing: moto; \"make deps\" brings it';"
program wants_one <<<"ok 1; SKIP: { skip 'missing: moto', 1 } done_testing;"
program wants_deep <<<"subtest a => sub { ok 1; SKIP: { skip 'missing: moto', 1 } }; done_testing;"
program two <<<"ok 0, 'first'; ok 0, 'second'; done_testing;"

cd "$tmp" || exit 1
ln -s "$OLDPWD/test" test

run good prove -v --timer --merge good.pl skips.pl || wrong "good tests failed"
[ "$(tail -n 2 "$tmp/good.out")" = "1 skipped
3 passed, 0 failed" ] || wrong "good tests: $(tail -n 2 "$tmp/good.out")"

no_plan='Parse errors: No plan found in TAP output'
tap "failed: stage: dead.pl: Non-zero exit status: 255; $no_plan
2 passed, 1 failed" good dead
tap "failed: stage: two.pl: first (and 1 more)
failed: stage: dead.pl: Non-zero exit status: 255; $no_plan
failed: stage: halfway.pl: Non-zero exit status: 255; $no_plan
2 passed, 4 failed" dead two halfway
tap "failed: stage: both.pl: wrong (and 1 more)
1 passed, 2 failed" both
tap "failed: stage: short.pl: Non-zero exit status: 255; Parse errors: Bad plan.  You planned 3 tests but ran 1.
3 passed, 1 failed" short good
tap "failed: stage: silent.pl: $no_plan
2 passed, 1 failed" silent good
tap "failed: stage: crash.pl: Non-zero wait status: 11
3 passed, 1 failed" good crash
tap "failed: stage: no_tests.pl: skipped, (no reason given)
2 passed, 1 failed" no_tests good
tap "failed: stage: wants.pl: skipped, missing: moto; \"make deps\" brings it
2 passed, 1 failed" wants good
tap "failed: stage: wants_one.pl: ok 2 # skip missing: moto
3 passed, 1 failed" good wants_one
tap "failed: stage: wants_deep.pl: ok 2 # skip missing: moto
3 passed, 1 failed" good wants_deep

# The same of programs beside each other, said in the order of their names.
export TAP_JOBS=2
fails "failed: stage: $tmp/dead.pl: Non-zero exit status: 255; $no_plan
failed: stage: $tmp/two.pl: first (and 1 more)
failed: stage: $tmp/halfway.pl: Non-zero exit status: 255; $no_plan
4 passed, 4 failed" bash test/tap.sh "$tmp"/{dead,good,two,halfway}.pl
fails "failed: stage: there is no none.pl
0 passed, 1 failed" bash test/tap.sh good.pl none.pl

# Stages that are no TAP programs.
fails "failed: stage: the whole stage: exit code 1: there is no t.pl
0 passed, 1 failed" sh -c 'echo "there is no t.pl"; exit 1'
fails "failed: stage: the whole stage: ran no test
0 passed, 1 failed" true
fails "failed: stage: the whole stage: exit code 1: no pg_regress
failed: stage: 9 more that did not end well
0 passed, 10 failed" sh -c 'echo "no pg_regress"; echo "0 passed, 10 failed"; exit 1'
fails "failed: stage: test types
failed: stage: 3 more that did not end well
1 passed, 4 failed" sh -c 'echo "test init      ... ok           20 ms"
	echo "test types      ... FAILED           20 ms"
	echo "1 passed, 4 failed"; exit 1'
fails "failed: stage: test_uri: does not build
failed: stage: test_xml: exit code 139 (and 1 more)
1 passed, 3 failed" sh -c 'echo "not ok - test_uri: does not build"
	echo "ok 1 - test_xml: test_find"
	echo "not ok - test_xml: exit code 139"
	echo "not ok 2 - test_xml: test_next"; exit 1'
exit "$bad"

# Counts results in the output of a stage: TAP lines, the lines of pg_regress
# before it spoke TAP, and what prove says of whole files.  Indented TAP
# (subtests) is not counted.
#
# The last line is "PASSED FAILED SKIPPED"; before it stands a line for each
# test program that failed: its name, the first thing that is wrong with it, and
# how much more.  One that broke without saying where (it died, or ran no test)
# counts as one failure, and so does what is skipped since it is "missing":
# "make deps" should have brought it.

# fail(PROGRAM, WHAT): the program may be unknown, then WHAT names it.
function fail(program, what,   key)
{
	failed++
	key = program == "" ? what : program
	if (key in more)
	{
		more[key]++
		return
	}
	more[key] = 0
	order[++keys] = key
	first[key] = program == "" ? what : program ": " what
}

# What the summary says of a file, once it is over.
function end_of_summary()
{
	if (broke != "" && (says_nothing || parse_error))
		fail(summary, broke)
	broke = ""
	parse_error = 0
}

# prove's summary: a file, then indented what is wrong with it.
/^Test Summary Report/ { in_summary = 1; next }
in_summary && /\(Wstat: .* Tests: [0-9]+ Failed: [0-9]+\)/ {
	end_of_summary()
	summary = $1
	says_nothing = /Failed: 0\)/
	next
}
in_summary && /^  (Non-zero|Parse errors)/ {
	sub(/^ +/, "")
	broke = broke (broke == "" ? "" : "; ") $0
	parse_error = parse_error || /^Parse/
	next
}
/^Files=[0-9]+, Tests=/ { end_of_summary(); in_summary = 0 }

# prove's "file ..", with the time before it or without.
/^(\[[0-9:]+\] )?[^ ]+\.(pl|t) \.\./ { file = $1 ~ /^\[/ ? $2 : $1 }
/\.\. +skipped: / {
	if (/skipped: (missing: |\(no reason given\))/)
	{
		what = $0
		sub(/.*skipped: /, "skipped, ", what)
		fail(file, what)
	}
	else
		skipped++
	next
}

# A whole file's verdict is no result.
/^ok +[0-9]+ ms/ || /^ok$/ { next }

# cmocka calls a skipped case "not ok … # SKIP".
/^ *(not )?ok([ \t]|$)/ && tolower($0) ~ /# *skip/ {
	indented = /^ /
	sub(/^ +/, "")
	if (/# *[Ss][Kk][Ii][Pp][^a-z]*missing: /)
		fail(file, $0)
	else if (!indented)
		skipped++
	next
}
/^ok[ \t]/ { passed++; next }
/^not ok([ \t]|$)/ {
	what = $0
	sub(/^not ok [0-9]* *-? */, "", what)
	# A program of test/unit stands before its case.
	if (what ~ /^test_[a-z0-9_]+: /)
		fail(substr(what, 1, index(what, ":") - 1), substr(what, index(what, ":") + 2))
	else
		fail(file, what == "" ? $0 : what)
	next
}
/^(test |     )[^ ].* \.\.\. +ok/ { passed++ }
/^(test |     )[^ ].* \.\.\. +(FAILED|failed)/ {
	what = $0
	sub(/^ */, "", what)
	sub(/ +\.\.\. +(FAILED|failed).*/, "", what)
	fail("", what)
}

# Some stages know how many there should have been.
/^[0-9]+ passed, [0-9]+ failed$/ { theirs = $3 }

END {
	end_of_summary()
	if (theirs > failed)
	{
		if (keys > 0)
			fail("", theirs - failed " more that did not end well")
		failed = theirs
	}
	for (i = 1; i <= keys; i++)
		print substr(first[order[i]], 1, 200) \
			(more[order[i]] ? " (and " more[order[i]] " more)" : "")
	printf "%d %d %d\n", passed, failed, skipped
}

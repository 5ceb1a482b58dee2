# Counts results in the output of a stage: TAP lines, and the lines of
# pg_regress before it spoke TAP.  Indented TAP (subtests) is not counted.
# What prove says of a whole file is no result; a file that is skipped is one.
/^ok +[0-9]+ ms/ || /^ok$/ { next }
/^skipped: / || /\.\. +skipped: / { skipped++ }
# cmocka calls a skipped case "not ok … # SKIP".
/^(not )?ok([ \t]|$)/ && tolower($0) ~ /# *skip/ { skipped++; next }
/^ok[ \t]/ { passed++ }
/^not ok([ \t]|$)/ { failed++ }
/^(test |     )[^ ].* \.\.\. +ok/ { passed++ }
/^(test |     )[^ ].* \.\.\. +(FAILED|failed)/ { failed++ }
END { printf "%d %d %d\n", passed, failed, skipped }

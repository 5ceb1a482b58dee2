# Counts results in the output of a stage: TAP lines, and the lines of
# pg_regress before it spoke TAP.  Indented TAP (subtests) is not counted.
/^ok([ \t]|$)/ { if (tolower($0) ~ /# skip/) skipped++; else passed++ }
/^not ok([ \t]|$)/ { failed++ }
/^(test |     )[^ ].* \.\.\. +ok/ { passed++ }
/^(test |     )[^ ].* \.\.\. +(FAILED|failed)/ { failed++ }
END { printf "%d %d %d\n", passed, failed, skipped }

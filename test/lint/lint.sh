#!/bin/bash
# What a machine can say about the sources.  Output is TAP.
set -u
cd "$(dirname "$0")/../.." || exit 1

n=0
code=0
# check NAME COMMAND...: the command's output tells what is wrong.
check()
{
	local name=$1 out
	shift
	n=$((n + 1))
	if out=$("$@" 2>&1); then
		echo "ok $n - lint: $name"
	else
		echo "not ok $n - lint: $name"
		head -n 60 <<<"$out" | sed 's/^/# /'
		code=1
	fi
}

sources()
{
	find plugin uploader test -name '*.[ch]' -not -path '*/build/*' | sort
}

formatted()
{
	local tool
	tool=$(command -v clang-format-14 || command -v clang-format)
	sources | xargs "$tool" --dry-run -Werror
}

# Each header of the sidecar compiles by itself, the contract with nothing but
# the C library, those of the plugin behind postgres.h.
headers_alone()
{
	local h rc=0 flags server
	flags=$(make -s -C uploader cflags)
	for h in uploader/*/*.h; do
		# shellcheck disable=SC2086
		gcc -std=c11 -D_GNU_SOURCE -Wall -Wno-unused-function -Werror \
			-Iuploader -Iplugin $flags -fsyntax-only -x c \
			-include "$h" /dev/null || rc=1
	done
	gcc -std=c11 -Wall -Wno-unused-variable -Werror -fsyntax-only -x c \
		-include plugin/cdc_s3_proto.h /dev/null || rc=1
	server=$("${PG_CONFIG:-pg_config}" --includedir-server)
	for h in plugin/*.h; do
		gcc -D_GNU_SOURCE -I"$server" -Iplugin -fsyntax-only -x c \
			-include postgres.h -include "$h" /dev/null || rc=1
	done
	return $rc
}

# The table of powers of ten is what its script prints.
powers_of_ten()
{
	perl uploader/codec/pow10.pl | diff - uploader/codec/pow10.h
}

shell_scripts()
{
	local f rc=0
	for f in .ci/run $(find test -name '*.sh'); do
		case $(head -n 1 "$f") in
		*bash) bash -n "$f" || rc=1 ;;
		*) sh -n "$f" || rc=1 ;;
		esac
	done
	# shellcheck disable=SC2046
	shellcheck -S warning -e SC2154 .ci/run $(find test -name '*.sh') || rc=1
	return $rc
}

perl_scripts()
{
	local f rc=0
	while read -r f; do
		perl -Itest/lib -wc "$f" 2>&1 | grep -v 'syntax OK$' && rc=1
		grep -q '^use strict;' "$f" || { echo "$f: no use strict"; rc=1; }
	done < <(find test -name '*.pm' -o -name '*.pl' -o -name '*.t')
	return $rc
}

# Functions that no reader can follow.
not_too_complex()
{
	command -v pmccabe || return 1
	find plugin uploader -name '*.c' -exec pmccabe {} + |
		awk '$1 > 50 { print $6 ": " $7 ": complexity " $1; bad = 1 }
			END { exit bad }'
}

# The table of settings in README.md is what the program prints.
readme_table()
{
	[ -e README.md ] || return 1
	diff <(sed -n '/<!-- settings -->/,/<!-- end of settings -->/p' \
		README.md | sed '1d;$d' | sed '/^$/d') \
		<(uploader/cdc-s3 help --markdown | sed '/^$/d') &&
		uploader/cdc-s3 help --markdown | grep -q 'flush\.bytes'
}

check "layers of the sidecar" perl test/lint/layers.pl
check "banned calls" perl test/lint/banned.pl
check "format" formatted
check "headers compile alone" headers_alone
check "complexity" not_too_complex
check "versions agree" perl test/lint/versions.pl
check "README lists the settings" readme_table
check "tests that pages name are there" perl test/lint/named_tests.pl
check "powers of ten" powers_of_ten
check "failures are counted and named" bash test/lint/counting.sh
check "shell scripts" shell_scripts
check "Perl scripts" perl_scripts
exit $code

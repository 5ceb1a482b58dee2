# shellcheck shell=bash
# Sourced: brings a source package of Debian, as any user, whatever the
# machine's own lists of packages are.

# The mirror that this machine uses already.
debian_mirror()
{
	local mirror
	mirror=${DEBIAN_MIRROR:-$(cat /etc/apt/sources.list \
		/etc/apt/sources.list.d/* 2>/dev/null |
		grep -oE 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ')}
	echo "${mirror:-http://deb.debian.org/debian}"
}

# debian_lists FOLDER RELEASE...: fetches the lists of source packages of these
# releases into the folder and sets apt_options, with which apt-get and
# apt-cache see them and nothing else.  A release is a name, or "security" and
# the name behind a slash.
debian_lists()
{
	local folder=$1 release mirror
	shift
	mirror=$(debian_mirror)
	mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
	for release; do
		case $release in
			*/security) echo "deb-src ${mirror%/}-security" \
				"${release%/security}-security main" ;;
			*) echo "deb-src $mirror $release main" ;;
		esac
	done >"$folder/sources.list"
	apt_options=(-o "Dir::Etc::sourcelist=$folder/sources.list"
		-o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$folder/lists"
		-o "Dir::Cache=$folder/cache" -o "APT::Sandbox::User=$(id -un)"
		-o Acquire::Languages=none)
	apt-get -q "${apt_options[@]}" update
}

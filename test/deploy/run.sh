#!/bin/bash
# What deploy/ has, built, installed and started: "make test-deploy".  What
# takes seconds is in test/t/13*.pl already.
#
#	test/deploy/run.sh [stage ...]
#
# Asks for root, and says what it leaves out without.  Logs lie in
# build/deploy/; the last line is "N passed, N failed".
set -eu
cd "$(dirname "$0")/../.."

wanted=("$@")
logs=build/deploy
mkdir -p "$logs"
# shellcheck source=test/stages.sh
. test/stages.sh

packages()
{
	bash test/deploy/build-deb.sh && echo "ok 1 - packages are built" &&
		lintian --allow-root --fail-on error,warning --tag-display-limit 0 \
			build/deb/*.changes && echo "ok 2 - lintian finds nothing"
}

what_judges()
{
	sh test/deps-deploy.sh && echo "ok 1 - what judges the files is there"
}
stage judges what_judges
# Built from Go modules, which needs some minutes the first time.
if helm=$(sh test/deps-deploy.sh helm); then
	stage helm bash test/deploy/helm.sh "$helm"
else
	echo "left out: the Helm chart is not rendered, as no helm could be brought"
fi
# Larger, and not brought by itself.
tofu=$(sh test/deps-deploy.sh --path tofu)
if [ -e "$tofu" ]; then
	stage tofu bash test/deploy/tofu.sh "$tofu"
else
	echo "left out: deploy/terraform is only parsed; test/deps-deploy.sh tofu brings OpenTofu"
fi
# Some 300 MB, and not brought by itself: test/deps-airflow.sh does.
airflow=$(sh test/deps-airflow.sh --path)
if [ -e "$airflow/whole" ]; then
	stage airflow perl -Itest/lib test/deploy/airflow.pl "$airflow"
else
	echo "left out: no run in a real Airflow; test/deps-airflow.sh brings it"
fi
stage sbom bash test/deploy/sbom.sh
# Debian's chromium is some 300 MB with what it needs, and not brought by itself.
chromium=$(command -v chromium || command -v chromium-browser || true)
if [ -n "$chromium" ]; then
	stage page perl -Itest/lib test/deploy/page.pl "$chromium"
else
	echo "left out: the status page in a browser, as there is no chromium here"
fi
stage packages packages
if [ "$(id -u)" = 0 ]; then
	stage package-15 bash test/deploy/package.sh build/deb bookworm 15
	stage image bash test/deploy/image.sh
	echo "left out: packages for later releases of Debian (make test-deb-suites)" \
		"and arm64 (make test-arm64)"
else
	echo "left out: packages in a chroot and images, which need root"
fi
sum

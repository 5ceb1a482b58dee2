# cdc_s3: the output plugin (PGXS) and the sidecar cdc-s3.
#
#   make            builds both                    make install      installs both
#   make demo       the whole way, on this machine make test         everything that is tested
#   make bench      one table of figures           make deps         what the targets need
#   make test-all   that, and the core of it on the other majors, with one sum
#   make test-fresh  the quick start on a Debian 12 with nothing else (root)
#   make valgrind   the plugin's tests on a server under valgrind
#   make sanitized  the tests of whole programs with ASan and UBSan, and with TSan
#   make bench-memory  the walsender's memory over ten million changes
#   make test-pgregress  PostgreSQL's regression suite, streamed and merged
#   make sim SEEDS=N  the stream simulated under any fault, N seeds (10000)
#   make sim-threads SEEDS=N  the same by real threads, with TSan (120)
#   make sim-disk   each call of the file system fails in each way (half an hour)
#   make sim-mutants   what the simulation finds once an invariant is gone
#   make crash KILLS=N  run, merge and source killed at random (500); crash-pauses
#   make deb        Debian packages, into build/deb
#   make test-deploy  packages, image and manifests, installed and started (root)
#   make test-deb-suites  packages in trixie and forky, with 17 and 18 (root)
#   make test-arm64 sidecar and unit tests for arm64, under qemu (root)
#   make sbom       what is in program and plugin, as SPDX, into build/
#   make man        manual pages and completions, below build/
#   make debug      build/debug/cdc-s3 for a debugger, with address and undefined sanitizers
#   make lint, unit, fuzz-smoke, regress, tap      parts of "make test"
#
# PG_CONFIG=…  the server to build for     WERROR=1  warnings are errors
# PG_MAJOR=18  "make test" with that server, which is built into the cache
# SANITIZE=address,undefined  for the sidecar

PG_CONFIG ?= pg_config
PG_MAJORS ?= 17 18
SIDECAR = uploader/cdc-s3

MODULE_big = cdc_s3
OBJS = plugin/cdc_s3.o plugin/options.o plugin/filter.o plugin/setting.o plugin/publication.o \
	plugin/relcache.o plugin/body.o plugin/ddl.o plugin/tables.o plugin/convert.o plugin/stream.o plugin/row.o plugin/walk.o plugin/value.o \
	plugin/jsonb.o plugin/bound.o plugin/truncate.o plugin/notice.o plugin/encode.o plugin/packet.o \
	plugin/deliver.o plugin/ahead.o plugin/text.o plugin/crc.o
EXTENSION = $(basename $(wildcard plugin/cdc_s3.control))
DATA = $(wildcard plugin/cdc_s3--*.sql)
PG_CPPFLAGS = -I$(srcdir)/plugin
# The server needs to see three symbols; the compiler may know that.
PG_CFLAGS = -fvisibility=hidden $(if $(WERROR),-Werror)
EXTRA_CLEAN = build results regression.diffs regression.out output_iso
NO_INSTALLCHECK = 1
# A plugin has no SQL functions that the JIT could inline.
override with_llvm = no

default: all

# "make deps" and "make demo" work before there is a pg_config.
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq ($(and $(PGXS),$(wildcard $(PGXS))),)
include $(PGXS)
# Objects of one server are of no use to another.
built_for := $(shell mkdir -p build && \
	$(PG_CONFIG) --version --includedir-server >build/server.new && \
	cmp -s build/server build/server.new || mv build/server.new build/server)
$(OBJS): $(wildcard plugin/*.h) Makefile build/server
else
all install uninstall:
	@echo 'no server headers found by "$(PG_CONFIG)": run "make deps" or set PG_CONFIG' >&2
	@exit 1
clean:
	rm -rf $(EXTRA_CLEAN)
check:
	@echo '"make check" belongs to PGXS; run "make test"' >&2; exit 1
endif

export PG_CONFIG WERROR STORE

# PLUGIN_ONLY=1 leaves the sidecar out, where the plugin is built for several
# servers in turn.
ifeq ($(PLUGIN_ONLY),)
all: sidecar
install: install-sidecar
uninstall: uninstall-sidecar
clean: clean-sidecar
endif
sidecar:
	$(MAKE) -C uploader

# Assertions are on in every build; this one is easy to step through.
debug:
	@mkdir -p build/debug
	$(MAKE) -C uploader O='$(CURDIR)/build/debug' CFLAGS='-Og -g3' \
		SANITIZE=address,undefined

bindir_of_server = $(shell $(PG_CONFIG) --bindir)
install-sidecar: sidecar
	install -d '$(DESTDIR)$(bindir_of_server)'
	install -m 755 $(SIDECAR) '$(DESTDIR)$(bindir_of_server)/cdc-s3'

# Manual pages and completions, from the tables of commands and settings.
prefix ?= /usr/local
man: sidecar
	@mkdir -p build/man build/completion
	@$(SIDECAR) help --man >build/man/cdc-s3.1
	@$(SIDECAR) help --man-conf >build/man/cdc-s3.conf.5
	@$(SIDECAR) help --bash >build/completion/cdc-s3
	@$(SIDECAR) help --zsh >build/completion/_cdc-s3
install-man: man
	install -D -m 644 build/man/cdc-s3.1 '$(DESTDIR)$(prefix)/share/man/man1/cdc-s3.1'
	install -D -m 644 build/man/cdc-s3.conf.5 '$(DESTDIR)$(prefix)/share/man/man5/cdc-s3.conf.5'
	install -D -m 644 build/completion/cdc-s3 '$(DESTDIR)$(prefix)/share/bash-completion/completions/cdc-s3'
	install -D -m 644 build/completion/_cdc-s3 '$(DESTDIR)$(prefix)/share/zsh/site-functions/_cdc-s3'

uninstall-sidecar:
	rm -f '$(DESTDIR)$(bindir_of_server)/cdc-s3'

clean-sidecar:
	$(MAKE) -C uploader clean

# What the targets need, from the distribution's packages.
deps:
	@sh test/deps.sh test bench
	@sh test/deps-s3.sh all >/dev/null
	@sh test/deps-engines.sh >/dev/null
	@sh test/deps-prometheus.sh >/dev/null
	@sh test/deps-deploy.sh >/dev/null

# STORE=s3 for an S3 server on this machine.
demo:
	@sh test/deps.sh demo $(filter s3,$(STORE))
	@$(if $(filter s3,$(STORE)),sh test/deps-s3.sh >/dev/null,:)
	@sh test/build.sh
	@perl test/demo/demo.pl

bench:
	@sh test/deps.sh bench
	@sh test/build.sh
	@perl test/bench/bench.pl

bench-memory: all
	@sh test/deps.sh bench
	@perl test/bench/memory.pl

# Against a server of its own, with the plugin from the build tree.
installcheck regress: all
	@bash test/regress.sh

lint:
	@bash test/lint/lint.sh

# Puts the table of settings into README.md.
readme: sidecar
	@bash test/lint/readme.sh

unit:
	@bash test/unit/run.sh

# Mutated packets against the decoder, for some seconds.
fuzz-smoke:
	@bash test/fuzz/run.sh

# The stream in one thread, by seed, under any fault.
FIRST ?= 1
sim:
	@bash test/sim/run.sh $(or $(SEEDS),10000) $(FIRST)
sim-threads:
	@bash test/sim/run.sh --threads $(or $(SEEDS),120) $(FIRST)
sim-disk:
	@bash test/sim/build.sh && build/sim/sim -j $$(nproc) -f 1
sim-mutants:
	@bash test/sim/mutants.sh
	@bash test/sim/mutants.sh --threads

# Sidecar, merge and source killed at random, KILLS times; CRASH_SEED=N repeats
# what was chosen.  The second one stops run at each of its fault points.
KILLS ?= 500
crash: all
	@CRASH_KILLS=$(KILLS) bash test/tap.sh test/t/141_random_kills.pl
crash-pauses: all
	@CRASH_PAUSES=all bash test/tap.sh test/t/143_two_writers.pl

tap: all
	@bash test/tap.sh

valgrind:
	@sh test/deps.sh test
	@bash test/valgrind.sh

sanitized: all
	@sh test/deps.sh test
	@sh test/deps-s3.sh all >/dev/null
	@bash test/sanitized.sh address,undefined
	@bash test/sanitized.sh thread

test:
	@sh test/deps.sh test
	@bash test/run.sh $(PG_MAJOR)

test-all:
	@sh test/deps.sh test
	@bash test/run.sh default $(PG_MAJORS)

test-fresh:
	@bash test/fresh.sh

# PostgreSQL's own suite as a workload, from Debian's source package.
test-pgregress: all
	@sh test/deps.sh test server
	@PG_MAJOR=$(PG_MAJOR) bash test/pgregress.sh

# Packages for this release of Debian and the servers that it has.
deb:
	@sh test/deps.sh deb
	@bash test/deploy/build-deb.sh

# What program and plugin are linked with, by Debian package: SPDX 2.3.
sbom: all
	@mkdir -p build
	@python3 deploy/sbom.py $(SIDECAR) cdc_s3.so >build/cdc-s3.spdx.json

test-deploy: all
	@sh test/deps.sh deb deploy
	@bash test/deploy/run.sh

test-deb-suites:
	@sh test/deps.sh fresh
	@bash test/deploy/suites.sh

test-arm64:
	@bash test/arm64.sh

.PHONY: default all sidecar debug install install-sidecar man install-man uninstall \
	uninstall-sidecar clean clean-sidecar deps demo bench bench-memory installcheck \
	regress lint readme unit fuzz-smoke sim sim-threads sim-disk sim-mutants crash crash-pauses tap valgrind sanitized test test-all \
	test-fresh test-pgregress deb sbom test-deploy test-deb-suites test-arm64 check

# cdc_s3: the output plugin (PGXS) and the sidecar cdc-s3.
MODULE_big = cdc_s3
OBJS = plugin/cdc_s3.o plugin/options.o plugin/relcache.o plugin/encode.o \
	plugin/text.o
EXTENSION = cdc_s3
DATA =
PG_CPPFLAGS = -I$(srcdir)/plugin

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

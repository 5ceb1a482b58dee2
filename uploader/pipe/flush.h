/*-------------------------------------------------------------------------
 * flush.h
 *	  When changes of some tables want a checkpoint sooner than others
 *	  (flush.tables).
 *
 * A checkpoint is common to all tables, whoever wants it: a rule only says
 * when one is due, and lets no row wait past an entry.
 *
 *	  flush_note() … flush_committed()	rows of a transaction count with its end
 *	  flush_is_due()					for any rule
 *	  flush_reset()						a checkpoint is made; what the open
 *										transaction has goes on waiting
 *
 * Threads: rules are fixed; what is seen of them is the encoder's.
 * Layer: pipe.
 *-------------------------------------------------------------------------
 */
#ifndef FLUSH_H
#define FLUSH_H

#include <stdbool.h>
#include <stdint.h>

#define FLUSH_RULES_MAX 32

/* 0 of a threshold: it has none. */
typedef struct FlushRule
{
	const char *tables; /* patterns */
	int64_t rows;
	int64_t bytes; /* of changes, as flush.bytes has them */
	int64_t interval_ms;
} FlushRule;

typedef struct FlushRules
{
	int n;
	FlushRule all[FLUSH_RULES_MAX];
} FlushRules;

/* Changes of a rule's tables, since the last checkpoint. */
typedef struct FlushSum
{
	int64_t rows;
	int64_t bytes;
	int64_t since_ms; /* when the first came; 0: there is none */
} FlushSum;

typedef struct FlushSeen
{
	FlushSum done; /* of transactions that are committed */
	FlushSum open; /* of the one that is not */
} FlushSeen;

/* The first rule that names the table; -1: none does. */
int flush_rule_of(const FlushRules *rules, const char *schema,
				  const char *table);

void flush_note(FlushSeen *seen, int64_t rows, int64_t bytes, int64_t now_ms);
void flush_committed(FlushSeen *seen, int n);
void flush_reset(FlushSeen *seen, int n);
bool flush_is_due(const FlushRules *rules, const FlushSeen *seen,
				  int64_t now_ms);

#endif

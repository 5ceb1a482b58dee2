#!/bin/bash
# Takes one invariant away after the other, and looks whether the simulation
# finds that out.
#
#	test/sim/mutants.sh [--threads] [-n SEEDS] [NAME ...]
#
# With --threads it is a lock that is taken away, and the simulation with real
# threads that has to find it.
#
# Each mutant is a change of one place of the sources, made to a copy.  Output
# is TAP, one line a mutant, with the first seed that found it and its words.
set -eu
cd "$(dirname "$0")/../.."

seeds=10000
list=mutants kind="" built=sim
if [ "${1:-}" = --threads ]; then
	list=races kind=--threads built=sim-threads
	seeds=200
	shift
fi
if [ "${1:-}" = -n ]; then
	seeds=$2
	shift 2
fi
out=$PWD/build/mutants
mkdir -p "$out"
rm -rf "$out/src"
mkdir "$out/src"

# name | file | perl expression, which has to change the file | what it breaks
mutants()
{
	cat <<'LIST'
confirm-before-entry|pipe/recv.c|s/Lsn confirmed = atomic_load\(&r->p->log_end\);/Lsn confirmed = atomic_load(&r->p->received);/|positions are confirmed that no entry covers
entry-before-objects|pipe/checkpoint.c|s/while \(c->outstanding > 0 && /while (c->outstanding > 1 \&\& /; s/all = c->outstanding == 0;/all = true;/|an entry is written before its last object is there
closed-while-held|pipe/object.c|s/\*out_last = o->closed && !o->first;/*out_last = o->closed;/|an object ends though batches wait for it
no-settle|store/commitlog.c|s/\treturn settle\(store, key, body, err\);/\treturn true;/|a conditional put that was refused counts as one's own
not-conditional|store/commitlog.c|s/store_put\(store, key, body, true, err\)/store_put(store, key, body, false, err)/|an entry may be written over another one
hour-without-position|pipe/encode.c|s/ && e->position >= e->close_lsn//g|an hour is closed before the WAL of its time was seen
closed-folder|pipe/pipe.c|s/if \(span\.end <= closed_until\)/if (false)/|rows go to a folder that is complete
no-skip|pipe/encode.c|s/e->skip = ev->lsn <= e->p->start->end;/e->skip = false;/|what the log covers is not dropped
one-writer-id|pipe/run.c|s/"%08x", random_u32\(\)\);/"%08x", 7U);/|all writers have one name
sweep-the-listed|pipe/sweep.c|s/\*out_leftover = !lists\(listed, key\);/*out_leftover = true;/g|what an entry lists is swept
load-before-durable|pipe/load_pool.c|s/part->outstanding > 0/part->outstanding > 1/|a load is done before its last object is there
load-rewritten|pipe/load_job.c|s/\*same = ok && now\.schema &&/*same = ok; (void) !!(now.schema \&\&/; s/(strcmp\(then->schema->hash, now\.schema->hash\) == 0);/$1);/|a table that was rewritten before its COPY is taken for loaded
load-unannounced|pipe/load.c|s/while \(atomic_load\(&p->log_seq\) <= p->start->seq && !is_stopped\(l\)\)/while (false)/|objects of a load that the log knows nothing of
log-read-once|pipe/start.c|s/\tend = now->end;/\tend = log->end;/|an entry that came between reading the log and having the slot is a gap
snapshot-lost|pipe/load_conn.c|s/c->err\.code = PG_TRANSIENT;/c->err.code = 0;/|a snapshot that goes with its connection ends the run
slot-not-compared|pipe/start.c|s/confirmed > log->end\)/confirmed == 1)/|a slot that somebody else consumed is not noticed
in-transaction|pipe/encode.c|s/\tif \(!e->in_txn && ev->lsn > e->position\)/\tif (ev->lsn > e->position)/|the end of an entry lies within a transaction
LIST
}

# name | file | function that does not lock any more | what it guards
races()
{
	while IFS='|' read -r name file function what; do
		echo "$name|$file|s/(\n$function\(.*?\n\}\n)/(my \$f = \$1) =~ s{\tpthread_mutex_(un)?lock\([^;]*;}{;}g; \$f/se|$what"
	done <<'LIST'
lock-of-objects|pipe/object.c|object_done|the numbers of objects
lock-of-batches|pipe/object.c|object_add|the batches of an object
lock-of-failure|pipe/pipe.c|pipe_fail|the first error of a session
lock-of-entry|pipe/checkpoint.c|fill_entry|what shippers put into an entry
lock-of-fields|pipe/fields.c|fields_resolve|the numbers of columns
lock-of-lag|pipe/lag.c|waiting_object|the checkpoints that wait
lock-of-loads|pipe/load_pool.c|load_pool_durable|the parts of a load
lock-of-budget|base/queue.c|budget_charge|the bytes in flight
LIST
}

# Copies what is built, so that only what changes is built again.
prepare()
{
	# shellcheck disable=SC2086
	bash test/sim/build.sh $kind "$out/whole"
	cp -r uploader plugin test "$out/src/" 2>/dev/null
	mkdir -p "$out/src/build"
	cp -rp "$out/whole" "$out/src/build/$built"
	find "$out/src/build/$built" -name '*.d' -delete
}

code=0
n=0
run()
{
	local name=$1 file=$2 change=$3 what=$4 log=$out/$1.log
	n=$((n + 1))
	cp "uploader/$file" "$out/src/uploader/$file"
	perl -0pi -e "$change" "$out/src/uploader/$file"
	if cmp -s "uploader/$file" "$out/src/uploader/$file"; then
		echo "not ok $n - $name: the place is not there any more"
		code=1
		return
	fi
	rm -f "$out/src/build/$built/${file%.c}.o"
	if ! (cd "$out/src" && bash test/sim/build.sh $kind) >"$log" 2>&1; then
		echo "not ok $n - $name: does not build, see $log"
		code=1
	elif "$out/src/build/$built/sim" -x -j "$(nproc)" 1 "$seeds" >"$log" 2>&1; then
		echo "not ok $n - $name: $seeds seeds do not find that $what"
		code=1
	else
		echo "ok $n - $name: $what"
		grep -m1 -E '^seed|^SUMMARY' "$log" | sed 's/^/# /'
	fi
	cp "uploader/$file" "$out/src/uploader/$file"
	rm -f "$out/src/build/$built/${file%.c}.o"
}

prepare
while IFS='|' read -r name file change what; do
	[ $# = 0 ] || [[ " $* " == *" $name "* ]] || continue
	run "$name" "$file" "$change" "$what"
done < <($list)
echo "1..$n"
rm -rf "$out/src"
exit $code

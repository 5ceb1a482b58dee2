#-------------------------------------------------------------------------
# What a merge lets see: its row in cdc_s3.merge_run, how far it is while it
# runs, and with --plan what it would do, without doing it.
#-------------------------------------------------------------------------
use strict;
use warnings;
use JSON::PP;
use Test::More;

use CdcS3::Lake;
use CdcS3::Test;

# A prepared transaction holds a lock for as long as a test wants; autovacuum
# would take transaction ids, which are looked at.
my $target = new_cluster('target', conf => ['max_prepared_transactions = 5', 'autovacuum = off'])->start;
my $databases = 0;
my ($db, $folder, $lake, $at);

sub fresh
{
	$db = 'm' . ++$databases;
	$target->psql('postgres', "create database $db");
	$folder = temp_folder() . '/lake';
	$lake = CdcS3::Lake->new(folder => $folder);
	$at = 0x2000;
	return;
}

sub merge_args
{
	return ('merge', "--store.url=file://$folder",
		'--target.conninfo=' . $target->conninfo($db), '--until=now', @_);
}

sub merge { return run_cdc(merge_args(@_)) }
sub psql { return $target->psql($db, $_[0]) }

sub entry
{
	my ($rows, %o) = @_;
	my $seq = 0;
	$at += 0x1000;
	return $lake->entry(
		end => $at,
		rows => [ map { my ($t, $op, @rest) = @$_; [ $t, $op, $at - 16, ++$seq, @rest ] } @$rows ],
		%o);
}

sub table
{
	my ($name, @more) = @_;
	return $lake->table($name, key => ['id'], columns => [ [ id => 'int4', 'pk' ], @more ]);
}

sub merged
{
	my ($name, @flags) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $r = merge(@flags);
	is($r->{code}, 0, $name) or diag $r->{err};
	return $r;
}

# ---- cdc_s3.merge_run ----
sub runs { return psql("select $_[0] from cdc_s3.merge_run order by id") }

# Of one run and table: "way inserted updated deleted rejected loaded".
sub run_table
{
	my ($to, $table, $column) = @_;
	$column //= "concat_ws(' ', way, t.inserted, t.updated, t.deleted, t.rejected, loaded)";
	return psql(qq{select $column from cdc_s3.merge_run r,
		jsonb_to_recordset(r.tables) t ("schema" text, "table" text, way text, why text, loaded bool,
		inserted int8, updated int8, deleted int8, rejected int8)
		where r.to_entry = $to and t.table = '$table'});
}

fresh();
my ($t, $o) = (table('public.t', [ v => 'text' ]), table('public."odd \\ name"'));
entry([ map { [ $t, 'i', { id => $_, v => '"a"' } ] } 1 .. 5 ]);
entry([ [ $t, 'u', { id => 1, v => '"b"' } ], [ $t, 'd', { id => 2 } ], [ $o, 'i', { id => 1 } ] ]);
my $r = merged('two entries');
like($r->{err}, qr/event="merge done" entry=2 .* plan_ms=\d+ read_ms=\d+ stage_ms=\d+ apply_ms=\d+ commit_ms=\d+$/m,
	'the log has the seconds of the commit too');
is(runs('concat_ws($$ $$, slot, database, from_entry, to_entry, from_lsn, to_lsn, inserted, updated, deleted, rejected)'),
	'cdc_s3 shop 0 2 0/0 0/4000 5 0 0 0', 'the row of the first merge');
is(run_table(2, 't'), 'fast 4 0 0 0 f', 'a table of it');
is(run_table(2, '"odd \\ name"'), 'fast 1 0 0 0 f', 'one with an odd name');
is(runs('started <= finished and started > now() - interval $$10 min$$'), 't', 'it has a beginning and an end');
is(runs('version'), (run_cdc('version')->{out} =~ /(\S+)$/)[0], 'and the version');
is(runs('(select string_agg(k, $$ $$ order by k) from jsonb_each_text(seconds) s (k, v) where v::numeric >= 0)'),
	'apply plan read stage', 'and seconds by phase');
merged('nothing to do');
is(runs('count(*) over ()'), '1', 'a merge that took nothing has no row');
psql('create function no() returns trigger language plpgsql as $$ begin return new; end $$;
	create trigger no before update on t for each row execute function no();
	alter table t enable always trigger no');
entry([ [ $t, 'u', { id => 3, v => '"c"' } ], [ $t, 'd', { id => 1 } ] ]);
merged('with a trigger');
is(run_table(3, 't'), 'exact 0 1 1 0 f', 'the exact way');
is(run_table(3, 't', 'why'), 'a trigger or rule would run', 'and why');
psql('drop trigger no on t; alter table t add check (v <> $$bad$$)');
entry([ [ $t, 'i', { id => 10, v => '"bad"' } ], [ $t, 'i', { id => 11, v => '"x"' } ] ]);
is(merge()->{code}, 7, 'a merge that fails');
is(runs('to_entry'), "2\n3", 'leaves no row');
is(merge('--merge.on_reject=continue')->{code}, 8, 'with a rejected row');
is(run_table(4, 't'), 'exact 1 0 0 1 f', 'is counted');
is(run_table(4, 't', 'why'), 'the target refused the fast way (SQLSTATE 23514)', 'why it went the exact way');
is(psql('select inserted, rejected from cdc_s3.merge_run where to_entry = 4'), '1|1', 'sums');
psql('delete from cdc_s3.rejected');
entry([], loads => [ [ 'a', $t, 'open' ] ]);
entry([ [ $t, 'i', { id => 20, v => '"y"' } ] ], loads => [ [ 'a', $t, 'done', $at ] ],
	load => { a => [ map { [ $t, 'r', $at, 2**40 + $_, { id => $_, v => '"l"' } ] } 1 .. 3 ] });
merged('a load');
is((split / /, run_table(6, 't'))[5], 't', 'loaded');
entry([ [ $t, 'i', { id => 21, v => '"y"' } ] ]);
merged('way set', '--merge.way=exact');
is(run_table(7, 't', 'way || why'), 'exactmerge.way', 'merge.way decides');
# A group says on whose account.
psql('create table p (id int primary key); create table c (id int primary key, p int references p on delete cascade);
	create role plain login; grant create on database ' . $db . ' to plain; alter table p owner to plain;
	alter table c owner to plain; alter schema cdc_s3 owner to plain;
	grant all on all tables in schema cdc_s3 to plain');
my ($p, $c) = (table('public.p'), table('public.c', [ p => 'int4' ]));
entry([ [ $p, 'i', { id => 1 } ], [ $c, 'i', { id => 1, p => 1 } ], [ $p, 'd', { id => 1 } ], [ $c, 'd', { id => 1 } ] ]);
merged('a group, as a plain role', '--target.conninfo=' . $target->conninfo($db, user => 'plain'));
is(run_table(8, 'p', 'why'), 'a foreign key with an action refers to it', 'the parent');
is(run_table(8, 'c', 'why'), 'joined with "public.p": a foreign key with an action refers to it', 'the child');
# Older rows go, those of other sources stay.
psql('insert into cdc_s3.merge_run (system_identifier, database, slot, from_entry, to_entry, from_lsn, to_lsn,
	started, finished, inserted, updated, deleted, rejected, tables, seconds, version)
	select system_identifier, database, s, 0, -g, $$0/0$$, $$0/0$$, now(), now(), 0, 0, 0, 0, $$[]$$, $$[]$$, $$0$$
	from cdc_s3.position, (values ($$cdc_s3$$), ($$other$$)) v (s), generate_series(1, 1100) g');
entry([ [ $p, 'i', { id => 2 } ] ]);
merged('one more');
is(psql('select slot, count(*), max(to_entry) from cdc_s3.merge_run group by 1 order by 1'), "cdc_s3|1000|9\nother|1100|-1",
	'a thousand are kept of each source');
# A target that an earlier release merged into.
psql('drop table cdc_s3.merge_run');
entry([ [ $p, 'i', { id => 3 } ] ]);
merged('without the table');
is(runs('to_entry'), '10', 'it is there again');

# ---- how far it is ----
sub background
{
	my ($wrap, @flags) = @_;
	my $log = temp_folder() . '/log';
	my @cmd = (CdcS3::Sidecar::program(), merge_args(@flags));
	open my $f, '>', $log or die "$log: $!";    # it is read before it is written
	close $f;
	@cmd = ('script', '-qec', join(' ', map { s/'/'\\''/gr =~ s/(.*)/'$1'/sr } @cmd), '/dev/null') if $wrap;
	return spawn(cmd => \@cmd, log => $log, env => { TERM => 'vt100' });
}

fresh();
$t = table('public.t');
entry([ [ $t, 'i', { id => 1 } ] ]);
unlike(merged('a quick one', '--merge.progress=1h')->{err}, qr/merging/, 'a merge that takes less says nothing of it');
like(run_cdc('help', '--markdown')->{out}, qr/`merge\.progress` \| \S+ \| `10s`/, 'ten seconds, where nothing is set');
entry([ map { [ $t, 'i', { id => $_ } ] } 2 .. 101 ]);
psql('begin; lock table t in exclusive mode; prepare transaction $$held$$');
my $run = background(0, '--merge.progress=50ms');
ok(poll(sub { $run->errors =~ /event=merging phase=apply schema=public table=t entries=1 entry=2 rows=100 rows_read=100 rows_applied=0 (?:left_s=\d+ )?ms=\d+\n/ }),
	'lines in the log') or diag $run->errors;
ok(poll(sub { my @n = $run->errors =~ /event=merging/g; @n > 3 }), 'one each interval');
psql('commit prepared $$held$$');
is($run->wait, 0, 'it ends');
unlike($run->errors, qr/[\r\e]/, 'no terminal, no terminal codes');
entry([ [ $t, 'i', { id => 500 } ] ]);
psql('begin; lock table t in exclusive mode; prepare transaction $$held$$');
$run = background(0, '--merge.progress=50ms', '--log.format=json');
my $line;
ok(poll(sub { ($line) = grep { /"message":"merging",.*"cdc_s3\.phase":"apply"/ } split /\n/, $run->errors }), 'as JSON');
is(decode_json($line)->{'cdc_s3.rows_read'}, 1, 'with figures');
psql('commit prepared $$held$$');
is($run->wait, 0, 'it ends');

for my $case ([ 'a line that is written over', 1, '--merge.progress=100ms' ], [ 'none where it is off', 0, '--merge.progress=0' ])
{
	my ($name, $want, @flags) = @$case;
	entry([ map { [ $t, 'u', { id => $_ } ] } 1 .. 7 ]);
	psql('begin; lock table t in exclusive mode; prepare transaction $$held$$');
	$run = background(1, @flags);
	ok(poll(sub { psql('select count(*) from pg_locks where not granted') }), "$name: it waits");
	ok(poll(sub { $run->output =~ /\rmerge of 1 entry, 7 rows: 50 %, (?:\d+:\d\d left, )?apply public\.t\e/ }), $name) if $want;
	psql('commit prepared $$held$$');
	is($run->wait, 0, "$name: it ends") or diag $run->output;
	is(scalar($run->output =~ /\r\e\[J(?!\r)/), $want ? 1 : '', "$name: nothing of it is left");
	unlike($run->output, qr/event=merging/, "$name: no events on a terminal");
	like($run->output, qr/^(?:.*\e\[J)?time=.*merge done.*\n(?:.*\n)*merged 1 entries/m, "$name: the rest is as ever");
}

# ---- what it would do ----
# A role that may look at all and write nothing.
$target->psql('postgres', 'create role reader login; grant pg_read_all_data to reader');

sub dump_db
{
	my $d = capture([ CdcS3::Cluster::program('pg_dump'), '-d', $target->conninfo($db) ]);
	is($d->{code}, 0, 'pg_dump') or diag $d->{err};
	return $d->{out} =~ s/^\\(?:un)?restrict.*\n//mgr;
}

# The plan, which must change nothing, and be the same for who may not write.
sub planned
{
	my ($code, $name, @flags) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = dump_db();
	my $xid = psql('select pg_snapshot_xmax(pg_current_snapshot())');
	my $r = merge('--plan', @flags);
	is($r->{code}, $code, "$name: exit $code") or diag $r->{err};
	is(psql('select pg_snapshot_xmax(pg_current_snapshot())'), $xid, "$name: no transaction wrote");
	is(dump_db(), $before, "$name: nothing was changed");
	my $reader = merge('--plan', @flags, '--target.conninfo=' . $target->conninfo($db, user => 'reader'));
	is($reader->{code} . $reader->{out} =~ s/^.* way \(.*\n//mgr, $code . $r->{out} =~ s/^.* way \(.*\n//mgr, "$name: as a role that may not write")
	  or diag $reader->{err};
	unlike($r->{err}, qr/created|added|loaded anew/, "$name: the log does not say it was done") if $code == 0;
	return $code == 0 ? $r->{out} : $r->{err};
}

sub lines { return join '', map { "$_\n" } @_ }

fresh();
psql('create schema "Dwh"; create table "Dwh".plain (id int primary key); insert into "Dwh".plain values (1)');
($t, $o, $c) = (table('new.t', [ v => 'text' ]), table('public.plain', [ more => 'text' ]), table('public.out'));
entry([ (map { [ $t, 'i', { id => $_, v => '"a"' } ] } 1 .. 5), [ $t, 'u', { id => 1, v => '"b"' } ], [ $t, 'd', { id => 2 } ] ]);
entry([ [ $o, 'i', { id => 7, more => '"x"' } ], [ $c, 'i', { id => 1 } ], [ $o, 't', {} ], [ $o, 'i', { id => 8, more => '"y"' } ] ]);
my @flags = ('--merge.map=public.plain=Dwh.plain', '--merge.exclude=public.out');
my $plan = planned(0, 'first merge', @flags);
is($plan =~ s/\(\d+ bytes\)/(… bytes)/r, lines(
	'the next merge takes 3 entries (0 to 2) with 11 rows in 3 objects (… bytes), from LSN 0/0 to 0/4000',
	'new.t: 5 inserts, 1 update, 1 delete, creates the table, fast way (only the last state of each row counts)',
	'Dwh.plain: 2 inserts, 1 truncate, fast way (only the last state of each row counts)',
	'public.out: left out (merge.exclude)',
	'statements before that:',
	'  CREATE SCHEMA cdc_s3',
	'  CREATE TABLE cdc_s3.…, what merge keeps for itself',
	'  CREATE SCHEMA "new"',
	'  CREATE TABLE "new"."t" ("id" integer NOT NULL, "v" text, PRIMARY KEY ("id"))',
	'  ALTER TABLE "Dwh"."plain" ADD COLUMN "more" text',
	'nothing was changed'), 'first merge: the plan');
$r = merged('and the merge', @flags);
like($r->{out}, qr/^new\.t: 4 inserted.*^Dwh\.plain: 1 inserted, 0 updated, 1 deleted.*^merged 3 entries/ms, 'does that');
like(planned(0, 'done', @flags), qr/^there is nothing to merge\nnothing was changed\n\z/, 'nothing more');

# Loads, and tables that wait for them.
my $w = table('public.w');
entry([], loads => [ [ 'a', $t, 'open' ], [ 'b', $w, 'open' ] ]);
entry([ [ $w, 'i', { id => 1 } ], [ $t, 'i', { id => 9, v => '"z"' } ] ], loads => [ [ 'a', $t, 'done', $at ] ],
	load => { a => [ map { [ $t, 'r', $at, 2**40 + $_, { id => $_, v => '"l"' } ] } 1 .. 3 ] });
$plan = planned(0, 'loads', @flags);
like($plan, qr/^new\.t: 3 loaded rows, 1 insert, replaces the table's rows, fast way/m, 'a load');
like($plan, qr/^public\.w: waits for its load$/m, 'one that waits');
merged('loads', @flags);

# Triggers, foreign keys and merge.way decide as in a merge.
psql('create table p (id int primary key); create table c (id int primary key, p int references p on delete cascade)');
($p, $c) = (table('public.p'), table('public.c', [ p => 'int4' ]));
entry([ [ $p, 'i', { id => 1 } ], [ $c, 'i', { id => 1, p => 1 } ], [ $p, 'd', { id => 1 } ], [ $c, 'd', { id => 1 } ] ]);
like(planned(0, 'keys off', @flags), qr/^public\.p: 1 insert, 1 delete, fast way/m, 'a superuser folds');
like(merge('--plan', @flags, '--target.conninfo=' . $target->conninfo($db, user => 'reader'))->{out},
	qr/^public\.c: .*exact way \(joined with "public\.p": .*\npublic\.p: .*exact way \(a foreign key with an action refers to it\)/m,
	'for a plain role they are in force');
like(planned(0, 'way', @flags, '--merge.way=exact'), qr/^public\.c: .*exact way \(merge\.way\)/m, 'merge.way');
merged('keys', @flags);

# What asks for a load; what is rejected; what was outstanding before.
entry([ [ $p, 's', {}, { _reason => '"rewrite"' } ], [ $c, 'i', { id => 5 }, { _withheld => '{"p":{"reason":"encoding","bytes":3}}' } ] ]);
$plan = planned(0, 'resync', @flags, '--merge.on_reject=continue');
like($plan, qr/^public\.p: 1 change without rows, /m, 'a resync record');
like($plan, qr/^public\.p: to be loaded anew from then on \(rewrite at LSN 0\/7FF0\)$/m, 'and what it leads to');
like($plan, qr/^public\.c: 1 insert, 1 rejected row, exact way/m, 'a row that no target takes');
like(planned(7, 'refused', @flags), qr/row of table "public\.c" at LSN 0\/7FF0.* was refused: .*merge\.on_reject=continue/, 'where that ends the merge');
is(merge(@flags, '--merge.on_reject=continue')->{code}, 8, 'merged');
$plan = planned(0, 'outstanding', @flags);
like($plan, qr/^there is nothing to merge\npublic\.p: to be loaded anew.*\nrejected rows that are outstanding: 1\n/, 'what is outstanding');

# The key changes; the target is older; another merge runs.
my $pk2 = $lake->table('public.p', key => ['k'], columns => [ [ id => 'int4' ], [ k => 'int4', 'pk' ] ]);
entry([ [ $p, 'i', { id => 3 } ], [ $pk2, 'i', { id => 4, k => 4 } ] ]);
psql('begin; select pg_advisory_xact_lock(hashtextextended($$cdc_s3 merge$$, 0)); prepare transaction $$merge$$');
$plan = planned(0, 'key', @flags);
psql('rollback prepared $$merge$$');
like($plan, qr/^a merge is running: /, 'it does not wait for a merge');
like($plan, qr/^public\.p: 2 inserts, exact way \(its key changes in the range\)\n(?:.*\n)*  ALTER TABLE "public"\."p" ADD COLUMN "k" integer\n/m, 'two keys');
psql('alter table cdc_s3.tables rename to hidden');
like(planned(0, 'older', @flags), qr/^public\.p: 2 inserts/m, 'a target of an older release');
psql('alter table cdc_s3.hidden rename to tables');

# As the merge, where it could not.
psql('create table has (id int primary key); insert into has values (1)');
entry([ [ table('public.has'), 'i', { id => 2 } ] ]);
like(planned(2, 'not ours', @flags), qr/"public\.has": it is at the target and has rows, and no merge made it/, 'exit 2');
like(planned(0, 'named', @flags, '--merge.tables=public.has'), qr/^public\.has: 1 insert/m, 'named');
like(planned(75, 'later', @flags, '--until=0/FF0000'), qr/before 0\/FF0000, which merge\.until asks for/, 'exit 75');
unlink glob "$folder/public/has/*/*/*/*/*" or die;
like(planned(3, 'gap', @flags, '--merge.tables=public.has'), qr/object ".*", which the commit log lists/, 'exit 3');
is(merge('--plan=yes')->{code}, 2, 'a switch');
like(merge('--plam')->{err}, qr/has no option "--plam"; did you mean "--plan"\?/, 'a typo');
like(merge('--plan', 'x')->{err}, qr/argument it does not take: "x"/, 'a word too many');

done_testing;

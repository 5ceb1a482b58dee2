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
ok(poll(sub { ($line) = grep { /"merging"/ } split /\n/, $run->errors }), 'as JSON');
is(decode_json($line)->{rows_read}, 1, 'with figures');
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
	is(scalar($run->output =~ /\r\e\[K(?!\r)/), $want ? 1 : '', "$name: nothing of it is left");
	unlike($run->output, qr/event=merging/, "$name: no events on a terminal");
	like($run->output, qr/^(?:.*\e\[K)?time=.*merge done.*\n(?:.*\n)*merged 1 entries/m, "$name: the rest is as ever");
}

done_testing;

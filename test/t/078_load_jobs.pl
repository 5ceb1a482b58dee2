#-------------------------------------------------------------------------
# Loads by several workers: one big table is read by all of them in chunks;
# whatever happens to a worker, to run or to the table in the meantime, each row is
# loaded once, under one snapshot a table, and nothing is listed twice.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::FakeS3;
use CdcS3::Proc qw(poll spawn);
use CdcS3::Test;

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
my $fake = CdcS3::FakeS3->start;
my $rows = 40_000;

sub drop_slot { return $source->psql('postgres', q{select pg_drop_replication_slot('cdc_s3')}) }

# "big" has some 12 MB, in no order; "a_small" comes before it.
sub fill
{
	my ($db) = @_;
	$source->psql($db, <<"SQL");
create table a_small (id int primary key, v text);
insert into a_small select g, 'small' from generate_series(1, 100) g;
create table big (id int primary key, n int not null, v text);
insert into big select g, 0, repeat(md5(g::text), 8) from generate_series(1, $rows) g;
delete from big where id % 10 = 3;
insert into big select g, 1, repeat(md5(g::text), 8) from generate_series(1, $rows) g where g % 10 = 3;
analyze;
SQL
	return;
}

sub database
{
	my ($db, $store, @flags) = @_;
	$_->psql('postgres', "create database $db") for $source, $target;
	fill($db);
	my $cdc = sidecar($source, $db, $store, target => $target,
		flags => [ '--flush.interval=1s', '--load.chunk=1MB', @flags ]);
	$cdc->ok('init');
	return $cdc;
}

# Rows that are loaded by now, of all objects that were written.
sub written { my $n = () = $_[0]->errors =~ /event="object written" object="?public\/$_[1]\/\S*load-/g; return $n }

sub copies
{
	my ($db, $table) = @_;
	return $source->psql($db, qq{select count(*) from pg_stat_activity where datname = '$db'
		and application_name = 'cdc-s3' and state = 'active' and query ~ '^COPY.*"$table"'});
}

# The keys that a merge takes of each table, all kinds of rows, stand once.
sub listed_once
{
	my ($cdc, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my (%keys, %seqs, %lsns);
	$keys{ $_->{key} }++ for map { $cdc->entry_objects($_) } $cdc->entries;
	is_deeply([ grep { $keys{$_} > 1 } sort keys %keys ], [], "$name: no object is listed twice");
	for (split /\n/, $cdc->replay)
	{
		my ($lsn, $seq) = /"_op":"r","_lsn":"(\w+)","_seq":(\d+)/ or next;
		$seqs{"$lsn $seq"}++;
		fail("$name: _seq $seq") if $seq < 2**40;
	}
	is_deeply([ grep { $seqs{$_} > 1 } keys %seqs ], [], "$name: no two rows have one _seq");
	return;
}

# Each load that is done was made under one snapshot: its rows have its LSN.
sub one_snapshot
{
	my ($cdc, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my %lsn = map { $_->{id} => $_->{lsn} }
	  grep { $_->{state} eq 'done' } map { @{ $_->{loads} } } $cdc->entries;
	my @others = grep {
		$_->{load} && ($_->{first_lsn} ne $lsn{ $_->{load} } || $_->{last_lsn} ne $lsn{ $_->{load} })
	} map { $cdc->entry_objects($_) } $cdc->entries;
	is_deeply(\@others, [], "$name: a table's rows are of one snapshot");
	return;
}

sub loads_of
{
	my ($cdc, $table) = @_;
	my $n = () = grep { $_->{table} eq $table && $_->{state} eq 'done' }
	  map { @{ $_->{loads} } } $cdc->entries;
	return $n;
}

sub sessions { my $n = () = $_[0]->errors =~ /event=streaming/g; return $n }

# All loads are done, and merged the target is as the source.
sub ends_well
{
	my ($cdc, $run, $name, @tables) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($cdc->wait_loaded(120), "$name: loaded") or diag $run->errors;
	ok($cdc->wait_durable(60), "$name: streamed") or diag $run->errors;
	is($run->stop('TERM', 60), 0, "$name: run ends with 0") or diag $run->errors;
	listed_once($cdc, $name);
	one_snapshot($cdc, $name);
	$cdc->ok('merge', '--merge.until=now');
	tables_equal($source, $cdc->{db}, $target, $cdc->{db}, @tables ? @tables : qw(a_small big));
	return;
}

# ---- one big table over all workers ----

my $cdc = database('jobs', file_store(), '--load.jobs=4', '--load.max_rate=6MB', '--load.progress=200ms');
$source->psql('jobs', 'select pg_stat_reset()');
my $run = $cdc->start;
ok(poll(sub { copies('jobs', 'big') == 4 }, 60), 'one table is read by all workers') or diag $run->errors;
my $txn = 'update big set n = n + 1 where id % 7 = 1; delete from big where id % 1000 = 5;';
$source->psql('jobs', $txn);
ends_well($cdc, $run, 'four workers');
my $read = $source->psql('jobs', q{select pg_stat_force_next_flush();
	select seq_tup_read from pg_stat_user_tables where relname = 'big'}) =~ s/.*\n//sr;
# The update and the delete above read it, too.
cmp_ok($read, '<', 4 * $rows, 'a chunk reads its blocks, not the whole table');
my @shares = $run->errors =~ /event=loading schema=public table=big percent=(\d+) rows=/g;
cmp_ok(scalar @shares, '>', 1, 'progress of a table is told');
is_deeply(\@shares, [ sort { $a <=> $b } @shares ], 'and grows') or diag "@shares";
like($run->errors,
	qr/event=loading tables_done=\d tables=2 percent=\d+ rows=\d+ bytes=\d+ rows_per_s=\d+ bytes_per_s=\d+ left_s=\d+/,
	'and of all tables');
drop_slot();

# ---- partitions of all sizes, one of them excluded; long values; a role that may read the root ----

$_->psql('postgres', 'create database parts') for $source, $target;
$source->psql('parts', <<'SQL');
create role reader login replication;
create table root (id int, k int, v text, primary key (id, k)) partition by list (k);
create table leaf_0 partition of root for values in (0);
create table leaf_1 (v text, gone int, k int not null, id int not null, primary key (id, k));
alter table leaf_1 drop gone;
alter table root attach partition leaf_1 for values in (1);
create table leaf_2 partition of root for values in (2);
create table leaf_3 partition of root for values in (3);
insert into root select g, 0, repeat(md5(g::text), 8) from generate_series(1, 10000) g;
insert into root select g, 1, repeat(md5(g::text), 8) from generate_series(1, 6000) g;
insert into root select g, 3, 'hidden' from generate_series(1, 5000) g;
create table docs (id int primary key, v text);
alter table docs alter v set storage external;
insert into docs select g, repeat(md5(g::text), 125) from generate_series(1, 2000) g;
grant select on root, docs to reader;
SQL
$cdc = sidecar($source, 'parts', file_store(), target => $target,
	flags => [
		'--flush.interval=1s', '--load.chunk=1MB', '--load.jobs=3', '--source.exclude=public.leaf_3',
		'--source.conninfo=' . $source->conninfo('parts', user => 'reader')
	]);
$cdc->ok('init');
$run = $cdc->start;
ok($cdc->wait_loaded(60), 'partitions: loaded') or diag $run->errors;
$source->psql('parts', 'insert into root values (20000, 2), (20000, 1)');
ok($cdc->wait_durable, 'partitions: streamed') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'partitions: run ends with 0') or diag $run->errors;
listed_once($cdc, 'partitions');
for my $table (qw(root docs))
{
	my $objects = () = grep { $_->{load} && $_->{table} eq $table }
	  map { $cdc->entry_objects($_) } $cdc->entries;
	cmp_ok($objects, '>=', 5, "$table: in chunks");
}
$cdc->ok('merge', '--merge.until=now');
is( $target->psql('parts', 'select count(*), sum(id), count(distinct k) from root'),
	$source->psql('parts', 'select count(*), sum(id), count(distinct k) from root where k <> 3'),
	'partitions: equal');
tables_equal($source, 'parts', $target, 'parts', 'docs');
drop_slot();

# ---- more workers than there is room for ----

$cdc = database('few', file_store(), '--load.jobs=8');
$source->psql('few', 'create role few login replication connection limit 9; grant select on a_small, big to few');
push @{ $cdc->{flags} }, '--source.conninfo=' . $source->conninfo('few', user => 'few');
$run = $cdc->start;
ends_well($cdc, $run, 'no room for all workers');
like($run->errors, qr/a table's load is tried again.*too many connections for role/,
	'no room for all workers: that is told');
is(sessions($run), 1, 'no room for all workers: the session goes on');
drop_slot();

# ---- workers that are killed ----

$cdc = database('kills', file_store(), '--load.jobs=3', '--load.max_rate=4MB', '--log.level=debug');
$run = $cdc->start;
for my $n (1 .. 3)
{
	my $killed;
	ok( poll(
			sub {
				# when a batch and what lies in sockets has left it
				$killed = $source->psql('kills', q{select pid, pg_terminate_backend(pid) from pg_stat_activity
					join pg_stat_progress_copy using (pid) where bytes_processed > 600000
					and application_name = 'cdc-s3' and state = 'active' and query ~ '^COPY.*"big"' limit 1});
				return $killed;
			},
			60),
		"a worker's process is ended, $n") or diag $run->errors;
	$source->psql('kills', "update big set n = n + 1 where id % 11 = $n");
	ok(poll(sub { $n <= (() = $run->errors =~ /a table's load is tried again/g) }, 60),
		'its chunk is tried again') or diag $run->errors;
}
$source->psql('kills', q{select pg_cancel_backend(pid) from pg_stat_activity
	where application_name = 'cdc-s3' and query ~ '^COPY.*"big"'});
ends_well($cdc, $run, 'workers killed');
is(sessions($run), 1, 'workers killed: the session goes on');
is(loads_of($cdc, $_), 1, "workers killed: $_ is loaded once") for qw(a_small big);
unlike($run->errors, qr/changed before its load/, 'workers killed: under the same snapshot');
my %listed = map { $_->{key} => 1 } map { $cdc->entry_objects($_) } $cdc->entries;
my @left = grep { /\/load-/ && !$listed{$_} } $cdc->objects;
ok(@left > 0 || $run->errors =~ /event="leftovers removed" objects=[1-9]/,
	'workers killed: what they had read is left over, or was swept already')
  or diag $run->errors;
$run = $cdc->start;
$source->psql('kills', 'update a_small set v = 1 where id = 1');
ok($cdc->wait_durable, 'the next run streams') or diag $run->errors;
ok(poll(sub { !grep { -e "$cdc->{store}{folder}/$_" } @left }, 60), 'and removes it') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
is_deeply([ grep { !-e "$cdc->{store}{folder}/$_" } keys %listed ], [], 'and nothing that counts');
drop_slot();

# The snapshot's own connection.
$cdc = database('anchor', file_store(), '--load.jobs=2', '--load.max_rate=4MB');
$run = $cdc->start;
ok(poll(sub { copies('anchor', 'big') == 2 }, 60), 'two workers read') or diag $run->errors;
is($source->psql('anchor', q{select count(pg_terminate_backend(pid)) from pg_stat_activity
		where application_name = 'cdc-s3' and query ~ 'pg_export_snapshot|pg_locks'}),
	1, "the snapshot's own connection is ended");
$source->psql('anchor', 'update big set n = n + 1 where id % 11 = 1');
ok(poll(sub { $run->errors =~ /the load's snapshot was lost/ }, 60), 'that is told') or diag $run->errors;
ends_well($cdc, $run, 'snapshot lost');
is(sessions($run), 1, 'snapshot lost: the session goes on');
drop_slot();

# ---- run is killed ----

$cdc = database('killed', file_store(), '--load.jobs=2', '--load.max_rate=3MB', '--log.level=debug');
$run = $cdc->start;
ok(poll(sub { loads_of($cdc, 'a_small') == 1 && written($run, 'big') > 1 }, 60), 'some chunks are read')
  or diag $run->errors;
is(loads_of($cdc, 'big'), 0, 'not all of them');
is($run->stop('KILL'), -9, 'run is killed');
$source->psql('killed', 'update big set n = n + 1 where id % 3 = 1; delete from big where id % 1000 = 5; vacuum big');
$run = $cdc->start('--load.max_rate=0');
ends_well($cdc, $run, 'run killed');
is(loads_of($cdc, $_), 1, "run killed: $_ is loaded once") for qw(a_small big);
drop_slot();

# ---- TERM: while rows are read slowly, and while a worker waits for a lock ----

$cdc = database('stops', file_store(), '--load.jobs=2', '--load.max_rate=1MB');
$run = $cdc->start;
ok(poll(sub { copies('stops', 'big') == 2 }, 60), 'slowly read') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'TERM: run ends with 0') or diag $run->errors;
$run = $cdc->start;
ok(poll(sub { copies('stops', 'big') == 2 }, 60), 'slowly read') or diag $run->errors;
my $holder = spawn(
	cmd => [
		CdcS3::Cluster::program('psql'), '-X', '-d', $source->conninfo('stops'), '-c',
		'begin; lock table big; select pg_sleep(600)'
	],
	log => temp_folder() . '/holder');
my $holders = q{from pg_locks where mode = 'AccessExclusiveLock' and relation = 'big'::regclass and granted};
ok($source->poll_until('stops', "select count(*) > 0 $holders"), 'somebody takes the table');
ok($source->poll_until('stops', q{select count(*) > 0 from pg_locks where mode = 'AccessShareLock'
	and relation = 'big'::regclass and not granted}), 'a worker waits for it') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'TERM: run ends with 0') or diag $run->errors;
ok($source->poll_until('stops', q{select count(*) = 0 from pg_stat_activity where application_name = 'cdc-s3'}),
	'and leaves no process that waits');
$source->psql('stops', "select pg_terminate_backend(pid) $holders");
$run = $cdc->start('--load.max_rate=0');
ends_well($cdc, $run, 'TERM');
drop_slot();

# ---- DDL: on a table that is done, between chunks ----

$cdc = database('ddl', file_store(), '--load.jobs=1', '--load.max_rate=4MB', '--log.level=debug');
$run = $cdc->start;
ok(poll(sub { loads_of($cdc, 'a_small') == 1 && written($run, 'big') > 1 }, 60), 'some chunks are read')
  or diag $run->errors;
$source->psql('ddl', "set lock_timeout = '30s'; alter table a_small add c text; update a_small set c = 'x' where id < 10");
$source->psql('ddl', "set lock_timeout = '30s'; vacuum full big");
is(loads_of($cdc, 'big'), 0, 'and not all');
ends_well($cdc, $run, 'VACUUM FULL');
is(loads_of($cdc, $_), 1, "VACUUM FULL: $_ is loaded once") for qw(a_small big);
my @changed = $run->errors =~ /changed before its load came to it.* table=(\w+)/g;
is("@changed", 'big', 'VACUUM FULL between two chunks: the whole table anew');
drop_slot();

$cdc = database('alter', file_store(), '--load.jobs=3', '--load.max_rate=4MB', '--log.level=debug');
$run = $cdc->start;
ok(poll(sub { written($run, 'big') > 1 }, 60), 'some chunks are read') or diag $run->errors;
$source->psql('alter',
	"set lock_timeout = '30s'; alter table big add c text; alter table big drop n;"
	  . "insert into big values ($rows + 1, 'after', 'y')");
is(loads_of($cdc, 'big'), 0, 'and not all');
ends_well($cdc, $run, 'ALTER');
@changed = $run->errors =~ /changed before its load came to it.* table=(\w+)/g;
is("@changed", 'big', 'ALTER while others read: the whole table anew, told once');
drop_slot();

# ---- load.yield: the store takes nothing, so that a COPY never ends ----

sub stalled
{
	my ($db, @flags) = @_;
	$fake->clear(objects => 1);
	my $stalled = database($db, $fake->store, '--load.jobs=1', '--load.chunk=1GB', '--memory.limit=8MB', @flags);
	$source->psql($db, "insert into big select g, 2, repeat(md5(g::text), 8) from generate_series(100000, 200000) g");
	$fake->fault(match => qr{^(PUT|POST) .*/big/.*/load-}, status => 503, times => 0);
	my $r = $stalled->start;
	ok(poll(sub { small_loaded($r) && copies($db, 'big') == 1 }, 60), "$db: the COPY has begun") or diag $r->errors;
	return ($stalled, $r);
}

sub small_loaded { return $_[0]->errors =~ /event="table loaded" schema=public table=a_small/ }

($cdc, $run) = stalled('stays', '--load.yield=0');
like($source->try_psql('stays', "set lock_timeout = '3s'; alter table big add c text")->{err},
	qr/lock timeout/, 'load.yield=0: who wants a lock waits');
unlike($run->errors, qr/gives way/, 'load.yield=0: nothing gives way');
$fake->clear;
ok(poll(sub { $run->errors =~ /tables_done=2 tables=2/ }, 120), 'load.yield=0: loaded') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
drop_slot();

($cdc, $run) = stalled('yields', '--load.yield=500ms');
$source->psql('yields', "set lock_timeout = '60s'; reindex index big_pkey");
like($run->errors, qr/a load gives way to who waits for its lock" schema=public table=big/,
	'load.yield: a COPY gives way');
ok(poll(sub { copies('yields', 'big') == 1 }, 60), 'and is tried again') or diag $run->errors;
$source->psql('yields', "set lock_timeout = '60s'; alter table big add c text default 'x'");
$source->psql('yields', "update big set c = 'y' where id % 10 = 1");
$fake->clear;
ok(poll(sub { $run->errors =~ /tables_done=2 tables=2/ }, 120), 'load.yield: loaded') or diag $run->errors;
ok($cdc->wait_durable(60), 'load.yield: streamed') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
is(sessions($run), 1, 'load.yield: one session');
$cdc->ok('merge', '--merge.until=now');
tables_equal($source, 'yields', $target, 'yields', qw(a_small big));
drop_slot();

# ---- load.max_age ----

($cdc, $run) = stalled('age', '--load.max_age=4s');
my $age = q{select coalesce(max(age(backend_xmin)), 0) from pg_stat_activity
	where application_name = 'cdc-s3' and backend_type = 'client backend'};
$source->psql('age', "update big set n = n + 1 where id = $_") for 1 .. 5;
ok(poll(sub { $run->errors =~ /snapshot is as old as load\.max_age/ }, 60), 'load.max_age ends a snapshot')
  or diag $run->errors;
ok(poll(sub { $source->psql('age', $age) < 5 }, 60), 'load.max_age: vacuum is not held back by it any more')
  or diag $run->errors;
$fake->clear;
ok(poll(sub { $run->errors =~ /tables_done=2 tables=2/ }, 120), 'load.max_age: loaded') or diag $run->errors;
ok($cdc->wait_durable(60), 'load.max_age: streamed') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
my $smalls = () = $run->errors =~ /event="table loaded" schema=public table=a_small/g;
is($smalls, 1, 'load.max_age: what was done stays done');
$cdc->ok('merge', '--merge.until=now');
tables_equal($source, 'age', $target, 'age', qw(a_small big));
drop_slot();

# ---- load.mode=only, and load.max_rate ----

$cdc = database('alone', file_store());
my $began = time;
my $r = $cdc->call('run', '--load.mode=only', '--load.max_rate=4MB');
is($r->{code}, 0, 'load.mode=only: run ends with 0') or diag $r->{err};
cmp_ok(time - $began, '>=', 2, 'load.max_rate: 12 MB at 4 MB a second take some seconds');
ok($cdc->loaded, 'load.mode=only: the entry with all loads is in');
is($source->psql('postgres', q{select count(*) from pg_replication_slots where slot_name = 'cdc_s3'}),
	1, 'load.mode=only: the slot stays');
$source->psql('alone', 'update big set n = n + 1 where id % 3 = 1');
$r = $cdc->call('run', '--load.mode=only');
is($r->{code}, 0, 'load.mode=only: nothing to load, and it ends') or diag $r->{err};
unlike($r->{err}, qr/table loaded/, 'and loads nothing');
$run = $cdc->start;
ends_well($cdc, $run, 'load.mode=only');
drop_slot();

# ---- on a terminal ----

$cdc = database('terminal', file_store(), '--load.mode=only', '--load.jobs=1', '--load.max_rate=6MB');
my @cmd = map { s/'/'\\''/gr =~ s/(.*)/'$1'/sr } CdcS3::Sidecar::program(), 'run', $cdc->flags;
my $shown = spawn(
	cmd => [ 'script', '-qec', "@cmd", '/dev/null' ],
	log => temp_folder() . '/terminal',
	env => { TERM => 'vt100' });
is($shown->wait(120), 0, 'on a terminal: run ends with 0');
like($shown->errors,
	qr/\r\e\[Jpublic\.big: \d+ %, \d+ rows, [^\n]+\nload, \d of 2 tables: \d+ %, [^\n]+\r\e\[1A/,
	'a line a table and one for all, which are written over');
like($shown->errors, qr/\e\[Jtime=\S+ level=info event="table loaded" schema=public table=big/,
	'and taken away before others');
unlike($shown->errors, qr/event=loading/, 'no events beside them');
drop_slot();

# ---- eight workers in 32 MB ----

SKIP:
{
	skip 'missing: ' . s3_missing(), 1 unless have_s3();
	$cdc = database('eight', s3_store(), '--load.jobs=8', '--load.chunk=4MB', '--memory.limit=32MB');
	# Some 50 MB that cannot be compressed much.
	$source->psql('eight', <<'SQL');
insert into big select g, 2, (select string_agg(md5(g || '/' || k), '') from generate_series(1, 8) k)
	from generate_series(100000, 250000) g
SQL
	$run = $cdc->start;
	ok($cdc->wait_loaded(120), 'eight workers: loaded') or diag $run->errors;
	memory_below($run, 64);
	ends_well($cdc, $run, 'eight workers');
	drop_slot();
}

done_testing();

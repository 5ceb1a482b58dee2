#-------------------------------------------------------------------------
# Tables that become wanted after the first loads are loaded by themselves:
# added to source.tables, to a publication (seen at the next start, or when the
# configuration is read anew), and renamed.  One that the stream brings from
# its creation is not, and neither is one that the role may not read: that is
# said, and the stream goes on.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;
use JSON::PP;

use CdcS3::Cluster;
use CdcS3::Proc qw(poll spawn);
use CdcS3::Test;

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;

sub drop_slot { return $source->psql('postgres', q{select pg_drop_replication_slot('cdc_s3')}) }

sub database
{
	my ($db, $sql, @flags) = @_;
	$_->psql('postgres', "create database $db") for $source, $target;
	$source->psql($db, $sql);
	my $cdc = sidecar($source, $db, file_store(), target => $target, flags => ['--flush.interval=1s']);
	$cdc->ok('init', @flags);
	return $cdc;
}

# Loads of a table that the log has as done: "reason reason …".
sub loads_of
{
	my ($cdc, $table) = @_;
	return join ' ', map { $_->{reason} // 'first' }
	  grep { $_->{table} eq $table && $_->{state} eq 'done' }
	  map { @{ JSON::PP->new->decode($_)->{loads} } } split /\n/, $cdc->ls('--json');
}

sub sessions { my $n = () = $_[0]->errors =~ /event=streaming/g; return $n }

# It streams, and what was written before is durable.
sub streams
{
	my ($cdc) = @_;
	return poll(sub { $cdc->{run}->errors =~ /event=streaming/ }, 60) && $cdc->wait_durable;
}

sub merged
{
	my ($cdc, $db, @tables) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $r = $cdc->call('merge', '--merge.until=now');
	is($r->{code}, 0, "$db: merged") or diag $r->{out}, $r->{err};
	return tables_equal($source, $db, $target, $db, @tables);
}

my $rows = q(select g, repeat('x', 10) || g from generate_series(1, 200) g);

# ---- added to source.tables: its changes wait from the first one on ----

my $cdc = database('listed', <<"SQL");
create table a (id int primary key);
create table b (id int primary key, v text, big text);
create table c (id int primary key);
create table "Odd ""Name""" (id int primary key);
alter table b alter big set storage external;
insert into b select g, 'b', repeat('y', 9000) from generate_series(1, 50) g;
insert into c values (1);
insert into "Odd ""Name""" values (1);
SQL
my $run = $cdc->start('--source.tables=public.a');
ok($cdc->wait_loaded, 'the first tables') or diag $run->errors;
$source->psql('listed', 'insert into a values (1)');
ok($cdc->wait_durable, 'durable') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
# Changes that could not be applied without the rows before: "big" is not told.
$source->psql('listed', q(update b set v = 'while it was down' where id = 1; delete from b where id = 2));
my @wanted = ('--source.tables=public.a,public.b,public."Odd ""Name"""');
$run = $cdc->start(@wanted);
ok(poll(sub { loads_of($cdc, 'b') eq 'new' }, 60), 'one more table is loaded') or diag $run->errors;
like($run->errors, qr/event="a table is wanted that was never loaded" schema=public table=b/, 'and told');
is(sessions($run), 1, 'by the session that begins with it');
my @entries = map { JSON::PP->new->decode($_) } split /\n/, $cdc->ls('--json');
my @announced = grep {
	grep { $_->{table} eq 'b' && $_->{state} eq 'open' } @{ $_->{loads} }
} @entries;
my ($first) = map { /^\s*(\d+)\s.* public\/b\// ? $1 : () } split /\n/, $cdc->ls('objects');
cmp_ok($announced[0]{entry}, '<=', $first, 'its load is announced before its first change');
$source->psql('listed', q(update b set v = 'x' where id = 3; insert into b values (1000, 'n', null)));
ok($cdc->wait_durable, 'durable') or diag $run->errors;
merged($cdc, 'listed', 'a', 'b', '"Odd ""Name"""');
is(loads_of($cdc, 'a'), 'first', 'a table that is known is not loaded');
is(loads_of($cdc, 'c'), '', 'and one that is not wanted is not');
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
$run = $cdc->start(@wanted);
ok(streams($cdc), 'and again') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
is(loads_of($cdc, $_), 'new', "$_: loaded once") for 'b', 'Odd "Name"';

# Not where a person wants to do it.
$run = $cdc->start('--source.tables=public.*', '--load.resync=manual');
ok(streams($cdc), 'load.resync=manual') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
is(loads_of($cdc, 'c'), '', 'nothing is loaded');

# Killed between the announcement and the end.
$source->psql('listed', 'insert into c select generate_series(2, 20000)');
$run = $cdc->start('--source.tables=public.*');
ok(poll(sub { $cdc->ls('--json') =~ /"table":"c"[^}]*"state":"open"/ }, 60), 'announced') or diag $run->errors;
$run->stop('KILL');
$run = $cdc->start('--source.tables=public.*');
ok(poll(sub { loads_of($cdc, 'c') eq 'new' }, 60), 'after a kill it is loaded by the next start') or diag $run->errors;
ok($cdc->wait_durable, 'durable') or diag $run->errors;
merged($cdc, 'listed', 'a', 'b', 'c', '"Odd ""Name"""');

# ---- created: while run is there, and while it is not ----

$source->psql('listed', "create table live (id int primary key, v text); insert into live $rows");
ok($cdc->wait_durable, 'created while run is there') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
$source->psql('listed', "create table down (id int primary key, v text); insert into down $rows; delete from down where id < 5");
$source->psql('listed', 'alter table c rename to renamed');
$run = $cdc->start('--source.tables=public.*');
ok(poll(sub { loads_of($cdc, 'renamed') eq 'new' }, 60), 'a new name is a new table') or diag $run->errors;
$source->psql('listed', 'update down set v = $$later$$ where id = 7');
ok($cdc->wait_durable, 'durable') or diag $run->errors;
# A look of its own has settled what became of it, so a second one finds nothing.
my $seen = $cdc->last_entry->{entry};
$run->signal('HUP');
ok(poll(sub { $run->errors =~ /configuration reloaded/ }, 60), 'read anew') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
$run = $cdc->start('--source.tables=public.*');
ok(streams($cdc), 'started again') or diag $run->errors;
is(loads_of($cdc, $_), '', "$_: the stream brought it") for qw(live down);
merged($cdc, 'listed', qw(live down renamed));
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
drop_slot();

# ---- made so lately that the slot still needs the catalogs of before ----

$cdc = database('lately', 'create table a (id int primary key)');
$run = $cdc->start;
ok($cdc->wait_loaded, 'loaded') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
my $old = spawn(
	cmd => [
		CdcS3::Cluster::program('psql'), '-X', '-q', '-d', $source->conninfo('lately'),
		'-c', 'begin', '-c', 'create temp table holds_xmin ()', '-c', 'select pg_sleep(600)'
	],
	log => temp_folder() . '/old');
ok(poll(sub { $source->psql('lately', q(select count(*) from pg_stat_activity where query ~ '^select pg_sleep')) == 1 }, 60),
	'a transaction that is older');
$run = $cdc->start('--source.tables=public.a');
ok(streams($cdc), 'streams') or diag $run->errors;
$source->psql('lately', "create table unseen (id int primary key, v text); insert into unseen $rows");
ok($cdc->wait_durable, 'the log is behind it') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
$source->psql('lately', "create table seen (id int primary key, v text); insert into seen $rows");
$run = $cdc->start;
ok(poll(sub { $run->errors =~ /a load was asked for: a new session begins/ }, 60), 'the log tells which one is not in it')
  or diag $run->errors;
$source->psql('lately', q(select pg_terminate_backend(pid) from pg_stat_activity where query ~ '^select pg_sleep'));
$old->wait(60);
ok(poll(sub { loads_of($cdc, 'unseen') eq 'new' }, 60), 'it is loaded') or diag $run->errors;
$source->psql('lately', 'delete from unseen where id = 9; delete from seen where id = 9');
ok($cdc->wait_durable, 'durable') or diag $run->errors;
is(loads_of($cdc, 'seen'), '', 'the stream brought the other one');
merged($cdc, 'lately', qw(seen unseen));
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
drop_slot();

# ---- a publication ----

$cdc = database('published', <<"SQL", '--source.publication=pub');
create table a (id int primary key);
create table b (id int primary key, v text);
create table p (id int, k int, primary key (id, k)) partition by list (k);
create table p_1 partition of p for values in (1);
create table p_2 partition of p for values in (2);
create table hidden (id int primary key);
insert into b $rows;
insert into p select g, 1 + g % 2 from generate_series(1, 100) g;
insert into hidden values (1);
create publication pub for table a with (publish_via_partition_root = true);
SQL
$run = $cdc->start('--source.publication=pub');
ok($cdc->wait_loaded, 'a publication') or diag $run->errors;
$source->psql('published', 'insert into a values (1)');
ok($cdc->wait_durable, 'durable') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
$source->psql('published', 'alter publication pub add table p');
$run = $cdc->start('--source.publication=pub');
ok(poll(sub { loads_of($cdc, 'p') eq 'new' }, 60), 'a table was added while run was down') or diag $run->errors;
$source->psql('published', 'alter publication pub add table b');
$run->signal('HUP');
ok(poll(sub { loads_of($cdc, 'b') eq 'new' }, 60), 'and one while it is there, seen at a reload') or diag $run->errors;
is(sessions($run), 2, 'by a session more');
$source->psql('published', q(delete from b where id = 3; insert into p values (1000, 1); update p set k = 2 where id = 2));
ok($cdc->wait_durable, 'durable') or diag $run->errors;
merged($cdc, 'published', qw(a b p));
is(loads_of($cdc, 'hidden'), '', 'nothing else');
my $sessions = sessions($run);
for (1 .. 2)
{
	my $reloads = () = $run->errors =~ /configuration reloaded/g;
	$run->signal('HUP');
	ok(poll(sub { my $n = () = $run->errors =~ /configuration reloaded/g; $n > $reloads }, 60), 'a reload');
}
$source->psql('published', 'insert into b values (5000, null)');
ok($cdc->wait_durable, 'that finds nothing') or diag $run->errors;
is(sessions($run), $sessions, 'begins no session');

# Nobody says a word: the first change tells merge.
$source->psql('published', 'insert into hidden select generate_series(2, 50); alter publication pub add table hidden');
$source->psql('published', 'update hidden set id = 1000 where id = 3');
ok($cdc->wait_durable, 'published and changed') or diag $run->errors;
my $r = $cdc->call('merge', '--merge.until=now');
is($r->{code}, 8, 'a table that nobody announced');
like($r->{out}, qr/^public\.hidden: to be loaded anew, .*\(new\); run is asked for it$/m, 'is asked for by merge');
ok(poll(sub { loads_of($cdc, 'hidden') eq 'new' }, 60), 'and loaded') or diag $run->errors;
$source->psql('published', 'delete from hidden where id = 7');
ok($cdc->wait_durable, 'durable') or diag $run->errors;
merged($cdc, 'published', qw(a b p hidden));
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
drop_slot();

# ---- a role that may not read ends no stream ----

$cdc = database('rights', 'create table a (id int primary key)');
$source->psql('rights', q(create role reader login replication; grant usage on schema public to reader; grant select on a to reader));
$cdc->{source_conninfo} = $source->conninfo('rights', user => 'reader');
$run = $cdc->start;
ok($cdc->wait_loaded, 'a role of its own') or diag $run->errors;
$source->psql('rights', 'insert into a values (1)');
ok($cdc->wait_durable, 'durable') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
$source->psql('rights', <<'SQL');
create table closed (id int primary key);
create table rls (id int primary key);
grant select on rls to reader;
alter table rls enable row level security;
create table open (id int primary key);
grant select on open to reader;
SQL
$run = $cdc->start;
ok(streams($cdc), 'created: streams') or diag $run->errors;
ok(poll(sub { loads_of($cdc, 'open') eq 'new' || $run->errors =~ /table=closed/ }, 60), 'looked') or diag $run->errors;
like($run->errors, qr/level=warn event="a table is wanted and was never loaded, and the role may not read it" schema=public table=$_ hint="grant SELECT/,
	"$_: told")
  for qw(closed rls);
ok($run->alive, 'run goes on');
$source->psql('rights', 'grant select on closed to reader; insert into closed values (1)');
ok($cdc->wait_durable, 'and streams them') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
drop_slot();

# ---- load.mode=never ----

$cdc = database('never', 'create table a (id int primary key); create table b (id int primary key); insert into b values (1)', '--load.mode=never');
$run = $cdc->start('--load.mode=never', '--source.tables=public.a');
ok(streams($cdc), 'load.mode=never') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
for my $mode (qw(never initial))
{
	$run = $cdc->start("--load.mode=$mode");
	ok(streams($cdc), "$mode: streams") or diag $run->errors;
	is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
	unlike($run->errors, qr/table loaded|wanted/, "$mode: nothing is loaded");
}

done_testing();

#-------------------------------------------------------------------------
# A walsender that is ended while run starts for the first time: that says
# nothing about the settings, so run tries again.  A plugin that refuses does
# say something, and ends it.  And a first load that is killed half-way begins
# again, and counts once.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::FakeS3;
use CdcS3::Proc qw(poll);
use CdcS3::Test;

my $source =
  new_cluster('source', conf => ['max_prepared_transactions = 2'])->start;
$source->psql('postgres', <<'SQL');
create table t (id integer primary key);
create publication chosen for table t;
SQL
my $cdc = sidecar(
	$source, 'postgres', file_store(),
	flags => [ '--load.mode=never', '--source.publication=chosen' ]);
$cdc->ok('init');

# The plugin looks up what its publications list before the stream begins: there
# it waits for this transaction, which needs no session.
$source->psql('postgres', <<'SQL');
begin;
lock table pg_publication_rel in access exclusive mode;
prepare transaction 'barrier';
SQL
my $run = $cdc->start;
ok( $source->poll_until('postgres',
		q{select count(*) = 1 from pg_stat_activity a join pg_replication_slots s
			on a.pid = s.active_pid where a.wait_event_type = 'Lock'}),
	'the walsender waits before the stream begins')
  or diag $run->errors;
$source->psql('postgres',
	'select pg_terminate_backend(active_pid) from pg_replication_slots where active');
$source->psql('postgres', "rollback prepared 'barrier'");
$source->psql('postgres', 'insert into t values (1)');
ok($cdc->wait_durable(60), 'run starts again by itself') or diag $run->errors;
like($run->errors, qr/session lost, starting again.*terminating connection/,
	'and tells why');
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
is(scalar(grep { m{/part-} } $cdc->objects), 1, 'the row is in the lake');

$source->psql('postgres', 'drop publication chosen');
my $r = $cdc->call('run');
is($r->{code}, 3, 'what never works is not repeated');
like($r->{err}, qr/publication "chosen".* was dropped.*create it again/, 'and is told');

# ---- killed in the middle of the first load ----

# The store never answers the second object.
$source->psql('postgres', q{select pg_drop_replication_slot('cdc_s3')});
$source->psql('postgres', 'create database loads');
$source->psql('loads', <<'SQL');
create table a (id integer primary key);
create table b (id integer primary key);
insert into a select generate_series(1, 1000);
insert into b select generate_series(1001, 2000);
SQL
my $target = new_cluster('target')->start;
$target->psql('postgres', 'create database loads');
my $fake = CdcS3::FakeS3->start;
my $loads = sidecar(
	$source, 'loads', $fake->store,
	target => $target,
	flags => ['--flush.interval=1s']);
$loads->ok('init');
$fake->fault(match => qr{^PUT .*/load-}, skip => 1, stall => 1, times => 0);
$run = $loads->start;
ok(poll(sub { 1 < grep { m{^PUT .*/load-} } $fake->requests }, 60),
	'the first load waits for its store')
  or diag $run->errors;
is($run->stop('KILL'), -9, 'and is killed');
my @rows = $loads->replay =~ /"_op":"r"/g;
cmp_ok(scalar @rows, '<=', 1000, 'what is not there does not count');
$source->psql('loads',
	'insert into a values (2001); delete from a where id = 1; delete from b where id = 1001');
$fake->clear;
$run = $loads->start;
ok( poll(sub { @rows = $loads->replay =~ /"_op":"r"/g; @rows >= 1998 }, 60),
	'started again it loads the rest') or diag $run->errors;
ok($loads->wait_durable(60), 'and goes on') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
my @ids = $loads->replay =~ /"_op":"r".*?"id":(\d+)/g;
my %once = map { $_ => 1 } @ids;
is(scalar @ids, keys %once, 'no row is loaded twice');
$loads->ok('merge', '--merge.until=now');
tables_equal($source, 'loads', $target, 'loads', qw(a b));

done_testing();

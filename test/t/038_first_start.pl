#-------------------------------------------------------------------------
# A walsender that is ended while run starts for the first time: that says
# nothing about the settings, so run tries again.  A plugin that refuses does
# say something, and ends it.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

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

# The plugin looks its publications up before the stream begins: there it waits
# for this transaction, which needs no session.
$source->psql('postgres', <<'SQL');
begin;
lock table pg_publication in access exclusive mode;
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
isnt($r->{code}, 0, 'what never worked is not repeated');
like(
	$r->{err},
	qr/publication "chosen".* does not exist.*correct source\.publication/,
	'and is told');

done_testing();

#-------------------------------------------------------------------------
# A target that never answers, though what is sent to it is acknowledged: a
# merge ends with 75 and a line that says who did not answer, and a check of a
# source ends at its connection, with the code of a source.  TERM ends a merge
# in that state before the limit.
#
# The limit of a statement's silence is two minutes and no setting, so that all
# that wait for it wait at the same time.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Middlebox;
use CdcS3::Test;

my $source = new_cluster('source')->start;

sub sql { return $source->psql($_[1] // 'postgres', $_[0]) }

sub through
{
	my ($box, $db) = @_;
	return "host=127.0.0.1 user=postgres dbname=$db sslmode=disable gssencmode=disable port=" . $box->port;
}

my $cdc = sidecar($source, 'postgres', file_store());
sql('create table t (id int primary key)');
$cdc->ok('init');
my $run = $cdc->start('--load.mode=never', '--flush.interval=1s');
sql('insert into t values (1)');
ok($cdc->wait_durable(120), 'a row is in the lake') or diag $run->errors;
is($run->stop('TERM', 120), 0, 'run ends') or diag $run->errors;

# A merge that waits for a lock in a statement of its own, behind a box that
# forgets its connection then and lets nobody else through.
sub silent_merge
{
	my ($db) = @_;
	sql("create database $db");
	my $box = CdcS3::Middlebox->start(to => "$source->{socket}/.s.PGSQL.$source->{port}");
	my $lock = CdcS3::Proc::spawn(
		cmd => [
			CdcS3::Cluster::program('psql'), '-Xc',
			'begin; lock table pg_catalog.pg_namespace in access exclusive mode; select pg_sleep(3600)',
			$source->conninfo($db) ],
		log => "$cdc->{folder}/lock-$db");
	my $is = "pid <> pg_backend_pid() and datname = '$db'";
	ok(poll(sub { sql("select count(*) from pg_stat_activity where $is and wait_event = 'PgSleep'") eq '1' }, 120),
		"$db: a table of the catalog is locked");
	my $merge = CdcS3::Proc::spawn(
		cmd => [
			CdcS3::Sidecar::program(), 'merge', '--until=now', '--shutdown.timeout=5s', $cdc->flags,
			'--target.conninfo=' . through($box, $db) ],
		log => "$cdc->{folder}/merge-$db");
	ok(poll(sub { sql("select count(*) from pg_stat_activity where $is and wait_event_type = 'Lock'
			and application_name like 'cdc-s3%'") ne '0' }, 120), "$db: merge waits within a statement");
	$box->mute;
	$box->forget;
	return ($merge, $lock, $box);
}

my ($limited, @of_limited) = silent_merge('limited');
my ($stopped, @of_stopped) = silent_merge('stopped');
my $mute = CdcS3::Middlebox->start(to => "$source->{socket}/.s.PGSQL.$source->{port}");
$mute->mute;
my $check = CdcS3::Proc::spawn(
	cmd => [ CdcS3::Sidecar::program(), 'check', $cdc->flags, '--source.conninfo=' . through($mute, 'postgres') ],
	log => "$cdc->{folder}/check");

is($stopped->stop('TERM', 300), 75, 'TERM ends a merge whose target does not answer');
like(slurp("$cdc->{folder}/merge-stopped"), qr/^cdc-s3: the merge was stopped; the next merge goes on/m, 'and it says so');
is($check->wait(600) // 'none', 4, 'check ends, with the code of what failed: the source');
like(slurp("$cdc->{folder}/check"), qr/could not connect to the source server.*timeout expired/, 'and names who did not answer');
is($limited->wait(600) // 'none', 75, 'merge ends with 75');
like(slurp("$cdc->{folder}/merge-limited"),
	qr/^cdc-s3: could not .*: the target server says nothing, and does not work at it; see whether the target server/m,
	'and names who did not answer');
$_->stop('KILL', 60) for $of_limited[0], $of_stopped[0];
done_testing();

#-------------------------------------------------------------------------
# Symptoms of doc/runbook.md rehearsed: each is provoked, the alert fires on
# what is scraped then (as if it stayed so for hours), what the runbook says is
# done, and nothing fires any more.
#-------------------------------------------------------------------------
use strict;
use warnings;
use HTTP::Tiny;
use Test::More;

use CdcS3::FakeS3;
use CdcS3::Prometheus;
use CdcS3::Test;

CdcS3::Prometheus::promtool() or plan skip_all => CdcS3::Prometheus::missing();

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
my $fake = CdcS3::FakeS3->start;
$source->psql('postgres', <<'SQL');
create table t (id integer primary key, v text);
create table big (id integer primary key);
insert into big select generate_series(1, 1000);
select pg_replication_origin_create('old');
SQL
my $cdc = sidecar($source, 'postgres', $fake->store, target => $target,
	flags => [ '--flush.interval=1s', '--load.resync=manual' ]);
$cdc->ok('init');
my $run = $cdc->start('--http.listen=127.0.0.1:0');
my %port;
sub listens
{
	my ($name, $proc) = @_;
	poll(sub { ($port{$name}) = $proc->errors =~ /event=listening .*port=(\d+)/ }, 90)
	  or BAIL_OUT("$name does not listen:\n" . $proc->errors);
	return;
}
listens(run => $run);

sub scrape
{
	my ($name) = @_;
	return HTTP::Tiny->new(timeout => 60)->get("http://127.0.0.1:$port{$name}/metrics")->{content};
}

# Which alerts fire where all stays as it is?
sub fires
{
	my ($name, $want, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $text = scrape($name);
	my $got = CdcS3::Prometheus::alerts_of($text);
	return is_deeply($got, $want, $what) || diag "@$got\n", $text;
}

sub metric
{
	my ($name, $metric) = @_;
	my ($v) = scrape($name) =~ /^\Q$metric\E (\S+)$/m;
	return $v // -1;
}

# What is well alarms nobody.
ok(poll(sub { metric('run', 'cdc_s3_loads_done_total') == 2 }, 120), 'loaded') or diag $run->errors;
ok($cdc->wait_durable(120), 'durable') or diag $run->errors;
ok(poll(sub { metric('run', 'cdc_s3_ready') == 1 && metric('run', 'cdc_s3_lag_seconds') == 0
	  && metric('run', 'cdc_s3_loads_open') == 0 }, 90), 'ready');
fires(run => [], 'nothing fires');

# CdcS3StoreErrors, CdcS3Lag: the store is away; an origin's commits are old.
$fake->fault(match => qr/^PUT /, status => 503, code => 'SlowDown', times => 0);
$source->psql('postgres', <<'SQL');
select pg_replication_origin_session_setup('old');
begin;
select pg_replication_origin_xact_setup('0/1', now() - interval '10 minutes');
insert into t values (1, 'a');
commit;
SQL
ok(poll(sub { metric('run', 'cdc_s3_lag_seconds') > 300 }, 90), 'changes wait');
# Tries come fast at first and slower later: the rule is about their rate.
my $before = 'cdc_s3_store_errors_total{call="put",code="503"} 0';
ok(poll(sub { metric('run', 'cdc_s3_store_errors_total{call="put",code="503"}') >= 7 }, 180), 'calls fail');
my $fire = CdcS3::Prometheus::alerts_of(scrape('run'), $before, 60);
is_deeply([ grep { $_ ne 'CdcS3NotReady' } @$fire ], [qw(CdcS3Lag CdcS3OutputFails CdcS3StoreErrors)],
	'what fires says that the store fails') or diag "@$fire";
is((grep { $_ eq 'CdcS3NotReady' } @$fire), 1, 'and that it is not ready');
$fake->clear;
ok($cdc->wait_durable(180), 'the store is back') or diag $run->errors;
ok(poll(sub { metric('run', 'cdc_s3_ready') == 1 && metric('run', 'cdc_s3_lag_seconds') == 0
	  && metric('run', 'cdc_s3_output_state{output="main",state="works"}') == 1 }, 120), 'ready again');
fires(run => [], 'and nothing fires');

# CdcS3LoadStuck: somebody holds a lock.
my $folder = temp_folder();
my $holder = spawn(
	cmd => [
		CdcS3::Cluster::program('psql'), '-X', '-d', $source->conninfo('postgres'), '-c',
		'begin; lock table big in access exclusive mode; select pg_sleep(600)' ],
	out_path => "$folder/out",
	err_path => "$folder/err");
$source->poll_until('postgres', q{select count(*) > 0 from pg_locks where relation = 'big'::regclass
	and mode = 'AccessExclusiveLock' and granted});
$cdc->ok('snapshot', 'public.big');
ok(poll(sub { metric('run', 'cdc_s3_loads_open') == 1 }, 120), 'a load waits') or diag $run->errors;
fires(run => ['CdcS3LoadStuck'], 'a load that waits for a lock');
cmp_ok($source->psql('postgres', 'select count(*) from pg_locks where not granted'), '>=', 1,
	'which the source tells, as the runbook says');
$source->psql('postgres', q{select pg_terminate_backend(pid) from pg_stat_activity
	where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()});
$holder->wait(60);
ok(poll(sub { metric('run', 'cdc_s3_loads_open') == 0 }, 120), 'the lock is gone: it is loaded') or diag $run->errors;
fires(run => [], 'and nothing fires');

# CdcS3RowsRejected, CdcS3TablesWait: a target that refuses a row, a table that
# was rewritten.
my $merge = spawn(
	cmd => [
		CdcS3::Sidecar::program(), 'merge', $cdc->flags, '--every=1s', '--until=now',
		'--merge.on_reject=continue', '--http.listen=127.0.0.1:0' ],
	out_path => "$folder/merge.out",
	err_path => "$folder/merge.err",
	env => $cdc->env,
	pdeathsig => 'KILL');
listens(merge => $merge);
ok($target->poll_until('postgres', q{select count(*) = 1 from t}, 120), 'merged') or diag $merge->errors;
ok(poll(sub { metric('merge', 'cdc_s3_ready') == 1 }, 90), 'and ready');
fires(merge => [], 'nothing fires');
$target->psql('postgres', q{alter table t add constraint no_bad check (v <> 'bad')});
$source->psql('postgres', q{insert into t values (2, 'bad')});
ok(poll(sub { metric('merge', 'cdc_s3_merge_rejected_rows') == 1 }, 120), 'a row is rejected') or diag $merge->errors;
fires(merge => ['CdcS3RowsRejected'], 'rows that were rejected');
like($target->psql('postgres', 'select * from cdc_s3.rejected'), qr/no_bad/, 'why, as the runbook says');
$target->psql('postgres', 'alter table t drop constraint no_bad');
ok(poll(sub { $cdc->call('merge', '--retry-rejected')->{code} == 0 }, 120), 'retried');
ok(poll(sub { metric('merge', 'cdc_s3_merge_rejected_rows') == 0 }, 120), 'and none is left') or diag $merge->errors;
fires(merge => [], 'nothing fires');
$source->psql('postgres', q{alter table t alter v type varchar(20) using upper(v); insert into t values (3, 'c')});
ok(poll(sub { metric('merge', 'cdc_s3_merge_resync_tables') == 1 }, 120), 'a table waits') or diag $merge->errors;
fires(merge => ['CdcS3TablesWait'], 'a table that waits for a load');
like($target->psql('postgres', 'select * from cdc_s3.resync'), qr/rewrite/, 'why, as the runbook says');
$cdc->ok('snapshot', 'public.t');
ok(poll(sub { metric('merge', 'cdc_s3_merge_resync_tables') == 0 }, 180), 'it is loaded') or diag $merge->errors;
fires(merge => [], 'nothing fires');
tables_equal($source, 'postgres', $target, 'postgres', qw(t big));
is($merge->stop('TERM', 60), 0, 'merge ends with 0') or diag $merge->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;

done_testing();

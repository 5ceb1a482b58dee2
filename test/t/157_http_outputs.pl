#-------------------------------------------------------------------------
# What is told of further outputs: objects, bytes and lag of each; one that
# fails holds the stream or is detached, and the page says so; the process is
# alive all the time, and its threads are those that load and sweep, too.
#-------------------------------------------------------------------------
use strict;
use warnings;
use HTTP::Tiny;
use JSON::PP;
use Test::More;

use CdcS3::FakeS3;
use CdcS3::Prometheus;
use CdcS3::Test;

my $source = new_cluster('source')->start;
my $fake = CdcS3::FakeS3->start;
$source->psql('postgres', <<'SQL');
create table t (id integer primary key, v text);
create table other (id integer primary key);
insert into t select i, 'a' from generate_series(1, 100) i;
SQL
my $archive = temp_folder() . '/archive';
my $cdc = sidecar($source, 'postgres', file_store(),
	env => $fake->env,
	flags => [
		'--flush.interval=1s', '--http.listen=127.0.0.1:0',
		'--output.report.url=s3://lake/report', '--output.report.endpoint=' . $fake->endpoint,
		"--output.archive.url=file://$archive", '--output.archive.tables=public.t'
	]);
$cdc->ok('init');

my ($run, $port);
sub start
{
	$run = $cdc->start(@_);
	poll(sub { ($port) = $run->errors =~ /event=listening .*port=(\d+)/ }, 90);
	return;
}
sub get { return HTTP::Tiny->new(timeout => 60)->get("http://127.0.0.1:$port$_[0]") }

# A sample of an output; in what it says is any number.
sub metric
{
	my ($name, $output, $state) = @_;
	my $labels = qq(output="$output") . ($state ? qq(,state="$state") : q{});
	my ($v) = get('/metrics')->{content} =~ /^\Qcdc_s3_output_$name\E\{\Q$labels\E\} (\S+)$/m;
	return $v // 'none';
}
# Does that alert fire, where it stays as it is now?
sub fires
{
	my ($alert) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
  SKIP:
	{
		CdcS3::Prometheus::promtool() or skip CdcS3::Prometheus::missing(), 1;
		my $text = get('/metrics')->{content};
		is((grep { $_ eq $alert } @{ CdcS3::Prometheus::alerts_of($text) }), 1, "the alert $alert") or diag $text;
	}
	return;
}
sub until_state
{
	my ($output, $state) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return ok(poll(sub { metric('state', $output, $state) eq '1' }, 120), "$output: $state")
	  || diag get('/metrics')->{content}, $run->errors;
}

start();
ok($cdc->wait_loaded(120), 'loaded') or diag $run->errors;
$source->psql('postgres', 'insert into t values (1000, q); insert into other values (1)' =~ s/q/'b'/r);
ok($cdc->wait_durable(120), 'durable') or diag $run->errors;
ok(poll(sub { metric('objects_total', 'main') >= 3 }, 60), 'the lake has its objects');
is(metric('objects_total', 'report'), metric('objects_total', 'main'), 'one that has all tables has as many');
is(metric('objects_total', 'archive'), metric('objects_total', 'main') - 1, 'one of a table has fewer');
cmp_ok(metric('written_bytes_total', $_), '>', 0, "$_: bytes") for qw(main report archive);
is(metric('errors_total', $_), 0, "$_: no errors") for qw(main report archive);
until_state($_, 'works') for qw(main report archive);
ok(poll(sub { !grep { metric('lag_seconds', $_) ne '0' } qw(main report archive) }, 60), 'nothing is behind');
my $status = JSON::PP->new->utf8->decode(get('/status')->{content});
is_deeply([ map { $_->{name} } @{ $status->{outputs} } ], [qw(main archive report)], 'the status has them')
  or diag explain $status->{outputs};
my %thread = map { $_->{name} => 1 } @{ $status->{threads} };
is_deeply([ grep { !$thread{$_} } 'receiver', 'encoder', 'shipper', 'putter', 'committer', 'sweeper',
		'request watcher', 'expirer' ], [], 'and the threads');
like(get('/')->{content}, qr{report</td><td class="good">works}, 'and so does the page');

# One fails: the stream holds.
$fake->fault(match => qr/^PUT /, status => 503, code => 'SlowDown', times => 0);
$source->psql('postgres', 'insert into other values (2)');
until_state('report', 'holds');
ok(poll(sub { metric('lag_seconds', 'report') > 1 }, 60), 'holds: it is behind');
cmp_ok(metric('errors_total', 'report'), '>', 0, 'holds: its errors are counted');
is(metric('errors_total', 'archive'), 0, 'holds: and those of others are theirs');
is(metric('lag_seconds', 'archive'), 0, 'holds: another one has all');
is(metric('state', 'archive', 'works'), 1, 'holds: and works');
is(get('/livez')->{status}, 200, 'holds: alive');
like(get('/')->{content}, qr{report</td><td class="bad">holds}, 'holds: on the page');
fires('CdcS3OutputFails');
$fake->clear;
until_state('report', 'works');
ok($cdc->wait_durable(120), 'it goes on') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'exit 0') or diag $run->errors;

# It may be detached. A load is made meanwhile, slowly: its threads live, too.
$source->psql('postgres', q{create table slow (id integer primary key, v text);
	insert into slow select i, repeat('x', 1000) from generate_series(1, 4000) i});
start('--output.report.on_failure=detach', '--output.report.detach_after=5s', '--load.max_rate=64kB');
$fake->fault(match => qr/^PUT /, status => 403, code => 'AccessDenied', times => 0);
$source->psql('postgres', 'insert into other values (3)');
until_state('report', 'detached');
ok($cdc->wait_durable(120), 'detached: the stream goes on') or diag $run->errors;
ok(poll(sub { metric('lag_seconds', 'report') > 0 && metric('lag_seconds', 'main') == 0 }, 60),
	'detached: it stays behind');
like(get('/')->{content}, qr{report</td><td class="bad">detached}, 'detached: on the page');
fires('CdcS3OutputDetached');

# A load goes on, for a minute at that rate.
$cdc->ok('snapshot', 'public.slow');
ok(poll(sub {
	my $s = JSON::PP->new->utf8->decode(get('/status')->{content});
	my %t = map { $_->{name} => 1 } @{ $s->{threads} };
	return $t{loader} && $t{'load worker'};
}, 120), 'threads of a load give signs of life') or diag get('/status')->{content}, $run->errors;
is(get('/livez')->{status}, 200, 'alive');
is($run->stop('TERM', 60), 8, 'detached: exit 8') or diag $run->errors;

done_testing();

#-------------------------------------------------------------------------
# http.listen on a run: probes, metrics, status and page tell what happened; a
# table's name is only a name; the process stays alive, and is not ready, while
# the store or the source is away; who may ask, and how.
#-------------------------------------------------------------------------
use strict;
use warnings;
use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use Test::More;

use CdcS3::FakeS3;
use CdcS3::Proc qw(temp_folder);
use CdcS3::Prometheus;
use CdcS3::Test;

my $source = new_cluster('source')->start;
my $fake = CdcS3::FakeS3->start;
my $folder = temp_folder();
my $evil = '<img src=x onerror=alert(1)>';
$source->psql('postgres', <<"SQL");
create table plain (id integer primary key, v text);
create table "$evil" (id integer primary key, v text);
insert into plain select i, 'SECRETVALUE' from generate_series(1, 100) i;
SQL
my $cdc = sidecar($source, 'postgres', $fake->store,
	flags => [ '--flush.interval=1s', '--http.listen=127.0.0.1:0', '--metrics.dms_names=on' ]);
$cdc->ok('init');
my $run = $cdc->start;

# The port of the run that goes on, from its log.
sub port
{
	my $port;
	poll(sub { ($port) = $run->errors =~ /event=listening .*port=(\d+)/ }, 60);
	return $port;
}
my $port = port();
ok($port, 'it listens') or BAIL_OUT($run->errors);

# { status, content, headers } of a path.
sub get
{
	my ($path, %headers) = @_;
	return HTTP::Tiny->new(timeout => 60)
	  ->get("http://127.0.0.1:$port$path", { headers => \%headers });
}
sub status { return JSON::PP->new->utf8->decode(get('/status')->{content}) }

# The value of a sample, by its name and labels.
sub metric
{
	my ($sample) = @_;
	my ($v) = get('/metrics')->{content} =~ /^\Q$sample\E (\S+)$/m;
	return $v;
}

ok(poll(sub { (metric('cdc_s3_loads_done_total') // 0) == 2 }, 120), 'the tables are loaded')
  or diag $run->errors;
$source->psql('postgres', <<"SQL");
insert into "$evil" select i, 'SECRETVALUE' from generate_series(1, 7) i;
update "$evil" set v = 'SECRETVALUE2' where id <= 3;
delete from "$evil" where id = 7;
insert into plain values (0, 'SECRETVALUE');
SQL
ok($cdc->wait_durable(120), 'all is durable') or diag $run->errors;

is(get('/livez')->{status}, 200, '/livez: alive');
ok(poll(sub { get('/readyz')->{content} eq "ready\n" }, 60), '/readyz: ready');

# Metrics.
my $labels = qq(schema="public",table="$evil");
ok(poll(sub { (metric("cdc_s3_rows_total{$labels,op=\"insert\"}") // 0) == 7 }, 60),
	'rows by table and operation: inserts');
is(metric("cdc_s3_rows_total{$labels,op=\"update\"}"), 3, 'updates');
is(metric("cdc_s3_rows_total{$labels,op=\"delete\"}"), 1, 'deletes');
is(metric('cdc_s3_rows_total{schema="public",table="plain",op="load"}'), 100, 'rows of a load');
cmp_ok(metric("cdc_s3_objects_total{$labels}"), '>=', 1, 'objects');
cmp_ok(metric('cdc_s3_commit_to_durable_seconds_count'), '>=', 4, 'lag as a histogram');
cmp_ok(metric('cdc_s3_store_put_seconds_count'), '>=', 3, 'puts');
is(metric('cdc_s3_rows_waiting'), 0, 'nothing waits');
ok(poll(sub { (metric('cdc_s3_slot_wal_status{status="reserved"}') // 0) == 1 }, 60),
	'the slot is asked for its state');
cmp_ok(metric('cdc_s3_durable_lsn'), '>', 0, 'positions');
cmp_ok(metric('process_resident_memory_bytes'), '>', 1 << 20, 'memory of the process');
like(get('/metrics')->{headers}{'content-type'}, qr{^text/plain; version=0\.0\.4}, 'Prometheus text');
my $open = get('/metrics', Accept => 'application/openmetrics-text; version=1.0.0');
like($open->{headers}{'content-type'}, qr{^application/openmetrics-text}, 'OpenMetrics on request');
like($open->{content}, qr/# TYPE cdc_s3_rows counter\n/, 'families of counters without their suffix');
like($open->{content}, qr/\n# EOF\n\z/, 'with its end');
like(get('/metrics')->{content}, qr/^CDCLatencyTarget \S+$/m, 'names of DMS, where they are wanted');
SKIP:
{
	my $promtool = CdcS3::Prometheus::promtool()
	  or skip CdcS3::Prometheus::missing(), 1;
	my $text = get('/metrics')->{content};
	$text =~ s/^(?:# (?:HELP|TYPE) )?(?:CDC|FullLoad|Memory)\w+ .*\n//mg;    # not our names
	my $r = CdcS3::Prometheus::check_metrics($text);
	is($r->{code}, 0, 'promtool check metrics') or diag $r->{out} . $r->{err};
}

# Status and page.
my $s = status();
is($s->{ready} ? 1 : 0, 1, 'status: ready');
is(scalar(grep { $_->{table} eq $evil } @{ $s->{tables} }), 1, 'the table, by its name');
is($s->{slot}{wal_status}, 'reserved', 'the slot');
cmp_ok(scalar @{ $s->{entries} }, '>=', 1, 'entries');
my $page = get('/');
like($page->{headers}{'content-type'}, qr{^text/html}, 'a page');
like($page->{content}, qr/&lt;img src=x onerror=alert\(1\)&gt;/, 'a name is escaped in it');
unlike($page->{content}, qr/<img|<script/i, 'and no element');
like($page->{headers}{'content-security-policy'}, qr/default-src 'none'/, 'a policy');
unlike($page->{headers}{'content-security-policy'}, qr/unsafe|script-src/, 'without scripts');
unlike($page->{content}, qr{https?://|src=["']?//}, 'nothing from outside');
is(get('/style.css')->{status}, 200, 'its style');
my $conninfo = $source->conninfo('postgres');
for my $path (qw(/ /status /metrics))
{
	my $text = get($path)->{content};
	unlike($text, qr/SECRETVALUE/, "$path: no value of a row");
	ok(index($text, $conninfo) < 0, "$path: no connection string");
}

# What is refused.
is(get('/nothing')->{status}, 404, 'another path');
is(HTTP::Tiny->new->post("http://127.0.0.1:$port/status")->{status}, 405, 'another method');
is(HTTP::Tiny->new->head("http://127.0.0.1:$port/")->{status}, 200, 'HEAD');
sub raw
{
	my ($text, $wait) = @_;
	my $sock = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port", Timeout => 60)
	  or return '';
	print $sock $text;
	my $answer = do { local $/ = undef; <$sock> };
	return $answer // '';
}
like(raw("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"), qr{^HTTP/1\.1 421 }, 'another host');
like(raw("GET /livez HTTP/1.1\r\nHost: localhost:$port\r\n\r\n"), qr{^HTTP/1\.1 200 }, 'localhost');
like(raw("GET / HTTP/1.1\r\nHost: localhost\r\nX: " . 'x' x 40000 . "\r\n\r\n"),
	qr{^(?:HTTP/1\.1 (?:431|413|400) |\z)}, 'a header that is too large');
my @idle = map { IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") } 1 .. 80;
ok(poll(sub { get('/livez')->{status} == 200 }, 90), 'many that say nothing do not stay');
@idle = ();

# The store is away: alive; and not ready once changes have waited too long.
$fake->fault(match => qr/^PUT /, status => 503, code => 'SlowDown', times => 0);
$source->psql('postgres', q{insert into plain values (-1, 'SECRETVALUE')});
ok(poll(sub { (get('/metrics')->{content} =~ /^cdc_s3_store_retries_total\{call="put",code="503"\} (\d+)$/m
			  ? $1 : 0) > 0 }, 90), 'retries are counted by code');
ok(poll(sub { (metric('cdc_s3_lag_seconds') // 0) > 0 }, 60), 'what is not durable is lag');
ok(poll(sub { get('/readyz')->{content} eq "behind\n" }, 150), 'not ready: behind');
is(get('/readyz')->{status}, 503, 'which is 503');
is(get('/livez')->{status}, 200, 'and alive');
like(get('/')->{content}, qr/store call failed, trying again|store does not answer/, 'the page tells of it');
$fake->clear;
ok(poll(sub { get('/readyz')->{status} == 200 }, 120), 'it answers again: ready');

# The source is away.
$source->stop('immediate');
ok(poll(sub { get('/readyz')->{content} eq "disconnected\n" }, 120), 'not ready: disconnected');
is(get('/livez')->{status}, 200, 'and alive');
is(metric('cdc_s3_connected'), 0, 'told as a metric too');
SKIP:
{
	CdcS3::Prometheus::promtool() or skip CdcS3::Prometheus::missing(), 1;
	is((grep { $_ eq 'CdcS3NotReady' } @{ CdcS3::Prometheus::alerts_of(get('/metrics')->{content}) }), 1,
		'the alert CdcS3NotReady');
}
$source->start;
ok(poll(sub { get('/readyz')->{status} == 200 }, 120), 'it is back: ready') or diag $run->errors;
cmp_ok(metric('cdc_s3_sessions_total'), '>=', 2, 'sessions are counted');
cmp_ok(metric("cdc_s3_rows_total{$labels,op=\"insert\"}"), '==', 7, 'totals do not go back');
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;

# Who may ask.
sub write_file
{
	my ($name, $text) = @_;
	open my $f, '>', "$folder/$name" or die "$name: $!\n";
	print $f $text;
	close $f or die "$name: $!\n";
	return "$folder/$name";
}
my $token = write_file('token', "topsecret\n");
my $basic = write_file('basic', "ops:pass:word\n");
my $r = $cdc->call('run', '--http.listen=0.0.0.0:0');
is($r->{code}, 2, 'beyond loopback without a secret it does not start');
like($r->{err}, qr/http\.token_file/, 'and says how');
$run = $cdc->start('--http.listen=0.0.0.0:0', "--http.token_file=$token", "--http.basic_file=$basic");
$port = port();
ok(poll(sub { get('/readyz')->{status} == 200 }, 90), 'it is ready');
is(get('/status')->{status}, 401, 'without a token: 401');
is(get('/metrics', Authorization => 'Bearer topsecre')->{status}, 401, 'with a wrong one');
is(get('/livez')->{status}, 200, 'a probe needs none');
is(get('/status', Authorization => 'Bearer topsecret')->{status}, 200, 'with the token');
is(get('/', Authorization => 'Basic ' . encode_base64('ops:pass:word', ''))->{status}, 200, 'with a password');
is(get('/', Authorization => 'Basic ' . encode_base64('ops:pass', ''))->{status}, 401, 'with a wrong one');
unlike($run->errors, qr/topsecret|pass:word/, 'the log has no secret');
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
$r = $cdc->call('run', '--http.token=x');
is($r->{code}, 2, 'a token in a flag is refused');

# Lines for CloudWatch; nobody listens.
$run = $cdc->start('--http.listen=', '--metrics.emf=on', '--metrics.emf_interval=1s');
ok(poll(sub { -e $run->{out_path} && $run->output =~ /\n.*\n/ }, 60), 'lines of the embedded metric format');
my $emf = JSON::PP->new->utf8->decode((split /\n/, $run->output)[0]);
my $metrics = $emf->{_aws}{CloudWatchMetrics}[0];
is_deeply([ grep { !exists $emf->{ $_->{Name} } } @{ $metrics->{Metrics} } ], [], 'each metric has its value');
is($emf->{Slot}, 'cdc_s3', 'and the dimension');
ok($cdc->wait_durable(90), 'it streams') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;

done_testing();

#-------------------------------------------------------------------------
# http.listen on a merge that goes on and on: what it did, how far it is behind,
# and that it fails, while it is alive.  And on a run whose source is encrypted:
# when its certificate ends.
#-------------------------------------------------------------------------
use strict;
use warnings;
use HTTP::Tiny;
use JSON::PP;
use Test::More;

use CdcS3::Proc qw(spawn temp_folder);
use CdcS3::Prometheus;
use CdcS3::Test;

my $folder = temp_folder();
my $tls = CdcS3::Cluster::pg_config('configure') =~ /openssl/;
my @tls_conf;
if ($tls)
{
	my ($key, $cert) = ("$folder/server.key", "$folder/server.crt");
	my $r = capture([
		'openssl', 'req', '-new', '-x509', '-nodes', '-days', '10', '-subj',
		'/CN=localhost', '-keyout', $key, '-out', $cert
	]);
	die $r->{err} if $r->{code};
	chmod 0600, $key;
	CdcS3::Proc::give_to_server_user($folder, $cert, $key);
	@tls_conf = ('ssl = on', "ssl_cert_file = '$cert'", "ssl_key_file = '$key'");
}
my $source = new_cluster('source', tcp => 1, conf => \@tls_conf)->start;
my $target = new_cluster('target')->start;
$source->psql('postgres', 'create table t (id integer primary key, v text)');
my $cdc = sidecar($source, 'postgres', file_store(), target => $target,
	source_conninfo => $source->conninfo('postgres', tcp => 1) . ($tls ? ' sslmode=require' : ''),
	flags => [ '--flush.interval=1s', '--load.mode=never' ]);
$cdc->ok('init');
my $run = $cdc->start('--http.listen=127.0.0.1:0');

# "merge" that goes on; its port, from its log.
my $merge = spawn(
	cmd => [
		CdcS3::Sidecar::program(), 'merge', $cdc->flags, '--every=1s', '--until=now',
		'--http.listen=127.0.0.1:0'
	],
	out_path => "$folder/merge.out",
	err_path => "$folder/merge.err",
	env => $cdc->env,
	pdeathsig => 'KILL');
my $port;
ok(poll(sub { ($port) = $merge->errors =~ /event=listening .*port=(\d+)/ }, 60), 'it listens')
  or BAIL_OUT($merge->errors);

sub get { return HTTP::Tiny->new(timeout => 60)->get("http://127.0.0.1:$port$_[0]") }

sub metric
{
	my ($sample) = @_;
	my ($v) = get('/metrics')->{content} =~ /^\Q$sample\E (\S+)$/m;
	return $v // -1;
}

ok(poll(sub { get('/readyz')->{status} == 200 }, 90), 'it is ready once it has merged') or diag $merge->errors;
$source->psql('postgres', q{insert into t select i, 'x' from generate_series(1, 9) i});
ok($cdc->wait_durable(90), 'changes are durable') or diag $run->errors;
ok(poll(sub { metric('cdc_s3_merge_rows_total{op="insert"}') == 9 }, 90), 'rows by operation')
  or diag get('/metrics')->{content};
$source->psql('postgres', 'delete from t where id > 7');
ok(poll(sub { metric('cdc_s3_merge_rows_total{op="delete"}') == 2 }, 90), 'deletes too');
cmp_ok(metric('cdc_s3_merges_total{result="done"}'), '>=', 2, 'merges');
cmp_ok(metric('cdc_s3_merge_entries_total'), '>=', 2, 'entries');
cmp_ok(metric('cdc_s3_merge_phase_seconds_total{phase="apply"}'), '>=', 0, 'time by phase');
is(metric('cdc_s3_merge_rejected_rows'), 0, 'no row is rejected');
cmp_ok(metric('cdc_s3_merge_entry_timestamp_seconds'), '>', 1e9, 'time of the last entry');
my $s = JSON::PP->new->utf8->decode(get('/status')->{content});
is($s->{command}, 'merge', 'status tells of merge');
like($s->{merge}{lsn} // '', qr{^[0-9A-F]+/[0-9A-F]+$}, 'and of its position');
like(get('/')->{content}, qr/Target&#39;s position|Target's position/, 'the page too');
SKIP:
{
	CdcS3::Prometheus::promtool() or skip CdcS3::Prometheus::missing(), 1;
	my $r = CdcS3::Prometheus::check_metrics(get('/metrics')->{content});
	is($r->{code}, 0, 'promtool check metrics') or diag $r->{out} . $r->{err};
}

SKIP:
{
	$tls or skip 'the server has no TLS', 2;
	my ($run_port) = $run->errors =~ /event=listening .*port=(\d+)/;
	my ($ends) = HTTP::Tiny->new->get("http://127.0.0.1:$run_port/metrics")->{content}
	  =~ /^cdc_s3_certificate_expiry_timestamp_seconds\{of="source_server"\} (\S+)$/m;
	cmp_ok(abs(($ends // 0) - time - 10 * 86400), '<', 86400, 'when the certificate of the source ends');
	CdcS3::Prometheus::promtool() or skip CdcS3::Prometheus::missing(), 1;
	my $fire = CdcS3::Prometheus::alerts_of(HTTP::Tiny->new->get("http://127.0.0.1:$run_port/metrics")->{content});
	is_deeply($fire, ['CdcS3CertificateExpires'], 'the alert CdcS3CertificateExpires');
}

# A run that knows the target tells of it, too.
my ($run_port) = $run->errors =~ /event=listening .*port=(\d+)/;
ok(poll(sub {
	HTTP::Tiny->new->get("http://127.0.0.1:$run_port/metrics")->{content} =~ /^cdc_s3_merge_lsn [1-9]/m
}, 120), 'run tells where the target is');
like(HTTP::Tiny->new->get("http://127.0.0.1:$run_port/")->{content}, qr/Merged to entry/, 'and its page');

$target->stop('immediate');
ok(poll(sub { get('/readyz')->{content} eq "failing\n" }, 90), 'not ready while the target is away');
is(get('/livez')->{status}, 200, 'and alive');
SKIP:
{
	CdcS3::Prometheus::promtool() or skip CdcS3::Prometheus::missing(), 1;
	# As after more than two hours of the same.
	my $text = get('/metrics')->{content} =~ s/^(cdc_s3_merge_last_success_timestamp_seconds) (\S+)$/"$1 " . ($2 - 8100)/mer;
	is_deeply(CdcS3::Prometheus::alerts_of($text), [qw(CdcS3MergeBehind CdcS3NotReady)], 'the alerts of both');
}
$target->start;
ok(poll(sub { get('/readyz')->{status} == 200 }, 120), 'and ready again') or diag $merge->errors;
is($merge->stop('TERM', 60), 0, 'merge ends with 0') or diag $merge->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;

done_testing();

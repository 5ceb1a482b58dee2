#-------------------------------------------------------------------------
# A slot that the source is about to give up: told as a metric, on the page, and
# as seconds, while the store is away and the source writes on.
#-------------------------------------------------------------------------
use strict;
use warnings;
use HTTP::Tiny;
use JSON::PP;
use Test::More;

use CdcS3::FakeS3;
use CdcS3::Prometheus;
use CdcS3::Test;

my $source = new_cluster('source',
	conf => [ "max_slot_wal_keep_size = '200MB'", "max_wal_size = '64MB'", "min_wal_size = '32MB'" ])->start;
my $fake = CdcS3::FakeS3->start;
$source->psql('postgres', 'create table t (id integer, v text)');
my $cdc = sidecar($source, 'postgres', $fake->store,
	flags => [ '--flush.interval=1s', '--http.listen=127.0.0.1:0', '--load.mode=never' ]);
$cdc->ok('init');
my $run = $cdc->start;
my $port;
ok(poll(sub { ($port) = $run->errors =~ /event=listening .*port=(\d+)/ }, 60), 'it listens')
  or BAIL_OUT($run->errors);

sub slot
{
	my $r = HTTP::Tiny->new(timeout => 60)->get("http://127.0.0.1:$port/status");
	return JSON::PP->new->utf8->decode($r->{content})->{slot};
}
ok(poll(sub { (slot()->{wal_status} // '') eq 'reserved' }, 60), 'reserved at first');
my $safe = slot()->{safe_wal_size};
cmp_ok($safe, '>', 0, 'so much WAL is safe');

$fake->fault(match => qr/^PUT /, status => 503, code => 'SlowDown', times => 0);
$source->psql('postgres', "insert into t values (1, 'x')");
for my $n (1 .. 6)
{
	$source->psql('postgres', "select pg_logical_emit_message(false, 'x', repeat('x', 1000000)) from generate_series(1, 20)");
	$source->psql('postgres', 'select pg_switch_wal(); checkpoint');
}
ok(poll(sub { slot()->{retained_bytes} > 100 << 20 }, 90), 'the source keeps WAL for it')
  or diag explain slot();
cmp_ok(slot()->{safe_wal_size}, '<', $safe, 'less is safe');
is(slot()->{wal_status}, 'extended', 'which is more than max_wal_size');
ok(poll(sub { my $s = slot()->{seconds_until_lost}; defined $s && $s > 0 && $s < 3600 }, 60),
	'and it says when it will be lost') or diag explain slot();
my $page = HTTP::Tiny->new->get("http://127.0.0.1:$port/")->{content};
like($page, qr/Time until it is lost.*class="bad"/, 'the page warns');
SKIP:
{
	CdcS3::Prometheus::promtool() or skip CdcS3::Prometheus::missing(), 1;
	my $text = HTTP::Tiny->new->get("http://127.0.0.1:$port/metrics")->{content};
	is((grep { $_ eq 'CdcS3SlotInDanger' } @{ CdcS3::Prometheus::alerts_of($text) }), 1,
		'the alert CdcS3SlotInDanger') or diag $text;
}
$fake->clear;
# The slot lets go of WAL at a record of running transactions behind what is confirmed.
ok(poll(sub {
	$source->psql('postgres', "insert into t values (2, 'y'); checkpoint");
	return slot()->{retained_bytes} < 100 << 20;
}, 120), 'the store is back: it is given free')
  or diag explain(slot()), $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;

done_testing();

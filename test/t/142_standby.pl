#-------------------------------------------------------------------------
# run --standby: waits for the slot, says so, ends at TERM, and takes over when
# whoever had it is gone; of two one does.  The one that was held meanwhile, and
# comes back, is fenced: it ends with 75, and the log is one chain.
#-------------------------------------------------------------------------
use strict;
use warnings;
use IO::Socket::UNIX;
use Test::More;

use CdcS3::Crash qw(work_source start_writers stop_writers work_tables lake_is_true leftovers_go);
use CdcS3::Proc qw(free_port);
use CdcS3::Test;

my $source = work_source();
my $store = file_store();
my @flags = ('--flush.interval=1s', '--shutdown.timeout=60s');

sub member
{
	my (@more) = @_;
	return sidecar($source, 'work', $store, target => $source, target_db => 'target',
		flags => [ @flags, @more ]);
}

sub sql { return $source->psql('work', $_[0]) }

my $first;

# A load has a slot of its own beside it.
sub holder { return sql("select coalesce(active_pid, 0) from pg_replication_slots where slot_name = '$first->{slot}'") }

# Once the slot's process is another one.
sub taken_over
{
	my ($from, $what, @runs) = @_;
	return ok(poll(sub { my $h = holder(); $h && $h != $from }, 120), $what)
	  || diag map { $_->errors } @runs;
}

# What a probe says: "code body".
sub readyz
{
	my ($port) = @_;
	my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port) or return '';
	print {$s} "GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n";
	local $/ = undef;
	my $answer = <$s> // '';
	my ($code) = $answer =~ m{^HTTP/1\.\d (\d+)};
	my ($body) = $answer =~ /\r\n\r\n(.*)/s;
	return ($code // '') . ' ' . ($body // '');
}

my $port = free_port();
my $socket = temp_folder() . '/notify';
my $notify = IO::Socket::UNIX->new(Local => $socket, Type => SOCK_DGRAM) or die "$socket: $!";

# All that the service manager heard so far.
my $heard = '';

sub heard
{
	$notify->blocking(0);
	while (defined $notify->recv(my $m, 4096)) { $heard .= "$m\n"; }
	return $heard;
}

$first = member();
$first->ok('init');
my $a = $first->start('--standby');
ok(poll(sub { $a->errors =~ /event=streaming / }, 60), 'a standby whose slot is free begins')
  or diag $a->errors;
my $writers = start_writers($source, 'work', 100);
# the server tells of it a moment later
my $pid;
ok(poll(sub { $pid = holder() }, 60), 'and has it');

# ---- it waits, and says so ----

my $second = member("--http.listen=127.0.0.1:$port");
$second->{env} = { NOTIFY_SOCKET => $socket };
my $b = $second->start('--standby');
ok(poll(sub { $b->errors =~ /standby: another process has the slot.*pid=$pid/ }, 60),
	"the second one waits and says for whom ($pid)") or diag $b->errors, $a->errors;
ok(poll(sub { readyz($port) eq "200 standby\n" }, 60), '/readyz says standby') or diag readyz($port);
ok(poll(sub { heard() =~ /READY=1/ && heard() =~ /STATUS=standby: / }, 60),
	'so does READY') or diag $heard;
my $third = member();
my $c = $third->start('--standby');
ok(poll(sub { $c->errors =~ /standby: another process has the slot/ }, 60), 'and a third one')
  or diag $c->errors;
is($c->stop('TERM', 60), 75, 'TERM ends one with 75: it never streamed') or diag $c->errors;
like($c->errors, qr/stopped before anything was streamed/, 'and it says that');
my $lines = () = $b->errors =~ /standby/g;
is($lines, 1, 'one line, however long it waits');

# ---- the first dies: of two standbys one takes over ----

$c = $third->start('--standby');
ok(poll(sub { $c->errors =~ /standby: another process/ }, 60), 'two standbys');
is($a->stop('KILL', 60), -9, 'the first one is killed');
taken_over($pid, 'one of them takes over', $b, $c);
ok(poll(sub { grep { $_->errors =~ /event=streaming / } $b, $c }, 120), 'and streams');
is(scalar(grep { $_->errors =~ /event=streaming / } $b, $c), 1, 'one does');
ok($b->alive && $c->alive, 'both live');
my ($now, $other) = $b->errors =~ /event=streaming / ? ($b, $c) : ($c, $b);
my $says = $now == $b ? 'ready' : 'standby';
ok(poll(sub { readyz($port) eq "200 $says\n" }, 60), "/readyz says $says now") or diag readyz($port);

# ---- the one that has it is held, and the other one takes over ----

$pid = holder();
ok(poll(sub { $now->errors =~ /entry written/ }, 60), 'it writes');
$now->signal('STOP');
# the server would notice after wal_sender_timeout
sql("select pg_terminate_backend($pid)");
taken_over($pid, 'the other one takes over while it is held', $other);
my $last = $first->last_entry->{entry};
ok(poll(sub { $first->last_entry->{entry} > $last + 1 }, 60), 'and writes the log on')
  or diag $other->errors;
$now->signal('CONT');
is($now->wait(120), 75, 'the one that comes back ends with 75') or diag $now->errors;
like($now->errors, qr/another (?:run has taken over|writer was first)/, 'and says that it is fenced');
ok($other->alive, 'the other one goes on');

# ---- nothing is lost, and the server's end is no standby's end ----

my $d = $third->start('--standby');
ok(poll(sub { $d->errors =~ /standby: another process/ }, 60), 'a standby again') or diag $d->errors;
stop_writers($writers);
$source->stop('immediate', 120);
ok(poll(sub { $d->errors =~ /standby: the source does not answer/ }, 120),
	'the server crashes: the standby says so') or diag $d->errors;
$source->start;
ok(poll(sub { $d->errors =~ /event=streaming / || $other->errors =~ /event=streaming .*event=streaming /s }, 120),
	'one of them streams from the server that is there again');
ok(poll(sub { grep { $_->alive } $d, $other }, 10), 'and lives');
my ($live) = grep { $_->alive && $_->errors =~ /event=streaming / } $d, $other;
sql('call work(1, 1)');
$first->{run} = $live;
ok($first->wait_durable(120), 'all is durable') or diag $d->errors . $other->errors;
leftovers_go($first);
$_->stop('TERM', 120) for $d, $other;
ok(!(grep { $_->{code} != 0 && $_->{code} != 75 } $d, $other), 'they end with 0 or 75')
  or diag "$d->{code}, $other->{code}";
my $r = $first->call('merge', '--merge.until=now');
is($r->{code}, 0, 'merge') or diag $r->{err};
tables_equal($source, 'work', $source, 'target', work_tables());
lake_is_true($source, 'work', $first);
is($first->call('run', '--nonsense')->{code}, 2, 'an option that is not there is exit code 2');

done_testing();

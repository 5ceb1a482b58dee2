#-------------------------------------------------------------------------
# Packets go to the client by way of the server's output buffer, several at once
# (plugin/deliver.c), over a Unix socket, TCP and TLS.  A client that stops reading
# in the middle of one, again and again, gets each row once and in order, rows
# that come in parts among them; so does one that comes after a client which
# was lost; and what the server has to say comes behind what was decoded.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Fcntl qw(O_NONBLOCK O_RDONLY);
use IO::Select;
use POSIX qw(mkfifo);
use Test::More;

use CdcS3::Cluster;
use CdcS3::Packets qw(packets);
use CdcS3::Proc qw(capture give_to_server_user spawn temp_folder slurp poll);
use CdcS3::S3Server;
use CdcS3::Test;

my $tls = CdcS3::Cluster::pg_config('configure') =~ /openssl/;
my @tls_conf;
if ($tls)
{
	my $folder = temp_folder();
	my ($cert, $key) = CdcS3::S3Server::make_certificate($folder);
	chmod 0600, $key;
	give_to_server_user($folder, $cert, $key);
	@tls_conf = ('ssl = on', "ssl_cert_file = '$cert'", "ssl_key_file = '$key'");
}
my $source = new_cluster(
	'source',
	tcp => 1,
	conf => [ 'autovacuum = off', 'max_replication_slots = 20', @tls_conf ])->start;

sub sql { return $source->psql('postgres', $_[0]) }

sql(<<'SQL');
create table t (id bigint generated always as identity primary key, v text);
alter table t alter v set storage external;
create procedure commits(n integer) language plpgsql as $$
begin
	for i in 1 .. n loop
		insert into t (v) values ('row ' || i);
		commit;
	end loop;
end $$;
select pg_create_logical_replication_slot('s', 'cdc_s3');
SQL

# Small transactions, large ones, and rows that come in parts, some first in
# their packet.
sql('call commits(3000)');
sql("insert into t (v) select repeat('m', 900) from generate_series(1, 20000)");
sql("insert into t (v) values (repeat('p', 40000000)); insert into t (v) values ('small')");
sql("insert into t (v) values ('before'), (repeat('p', 40000000)), ('after')");
sql("insert into t (v) select repeat('q', case i % 100 when 1 then 8500000 else 900 end)"
	  . ' from generate_series(1, 300) i');
sql("insert into t (v) select repeat('l', 9000) from generate_series(1, 3000)");
sql('call commits(3000)');
my $end = sql('select pg_current_wal_flush_lsn()');
my $rows = sql('select count(*) from t');

my %ways = (
	'a Unix socket' => $source->conninfo('postgres'),
	'TCP' => $source->conninfo('postgres', tcp => 1) . ' sslmode=disable',
	'TLS' => $source->conninfo('postgres', tcp => 1) . ' sslmode=require');
my $readers = 0;

# A client of a copy of the slot.  It writes into a pipe, and comes no further
# than take() reads.
sub start_reader
{
	my ($conninfo, $until, @options) = @_;
	my $slot = 'copy_' . ++$readers;
	sql("select pg_copy_logical_replication_slot('s', '$slot')");
	my $out = temp_folder() . '/out';
	mkfifo($out, 0600) or die "mkfifo: $!\n";
	sysopen my $fifo, $out, O_RDONLY | O_NONBLOCK or die "$out: $!\n";
	my $reader = spawn(
		cmd => [
			CdcS3::Cluster::program('pg_recvlogical'), '-d', $conninfo, '-S', $slot,
			'--start', '--no-loop', '-f', $out, '-F', '0', '-o', 'proto_version=1',
			$until ? "--endpos=$until" : (), map { ('-o', $_) } @options
		],
		log => "$out.log");
	return { slot => $slot, out => $out, proc => $reader, fifo => $fifo, data => '' };
}

# Let it come so many bytes further, or to its end; true if it lives then.
sub take
{
	my ($r, $bytes) = @_;
	my $until = $bytes ? length($r->{data}) + $bytes : 9**9**9;
	my $readable = IO::Select->new($r->{fifo});
	my $alive;
	poll(
		sub {
			while (length $r->{data} < $until)
			{
				$alive = $r->{proc}->alive;
				my $n = sysread $r->{fifo}, $r->{data}, 1 << 16, length $r->{data};
				return !$alive if defined $n && $n == 0; # or not opened yet
				return if !$n && !$readable->can_read(1);
			}
			return 1;
		},
		60);
	return $alive;
}

# Read nothing until the walsender waits for it.
sub let_it_wait
{
	my ($r) = @_;
	return $source->poll_until('postgres', <<"SQL", 120);
select exists (select from pg_stat_activity a join pg_replication_slots on active_pid = pid
	where slot_name = '$r->{slot}' and a.wait_event ~* 'WalSender_?WriteData')
SQL
}

# Free the slot once its walsender is gone.
sub drop
{
	my ($r) = @_;
	ok($source->wait_for_free_slot($r->{slot}), 'its walsender ends');
	sql("select pg_drop_replication_slot('$r->{slot}')");
	return;
}

sub has_all
{
	my ($r) = @_;
	my (undef, $ids, $commits) = packets($r->{data});
	is(scalar @$ids, $rows, 'all rows');
	is_deeply($ids, [ 1 .. $rows ], 'each once, in order');
	is($commits, 6006, 'and their commits');
	return;
}

for my $way (sort keys %ways)
{
  SKIP:
	{
		skip "$way: this server has none", 6 if $way eq 'TLS' && !$tls;
		my $r = start_reader($ways{$way}, $end);
		my $waits = 0;
		for (1 .. 5)
		{
			$waits++ if take($r, 3_000_000) && let_it_wait($r);
		}
		is($waits, 5, "$way: the walsender waits again and again");
		take($r);
		is($r->{proc}->wait(30), 0, 'the client gets to the end');
		has_all($r);
		drop($r);
	}
}

# ---- a client that is lost ----

my $r = start_reader($ways{'a Unix socket'}, $end);
ok(let_it_wait($r), 'a client stops reading');
$r->{proc}->stop('KILL', 10);
ok($source->wait_for_free_slot($r->{slot}), 'and is killed: the walsender ends');
is(() = $source->log_text =~ /could not send data to client/g, 1, 'and says why, once');
my $again = start_reader($ways{'a Unix socket'}, $end);
take($again);
is($again->{proc}->wait(30), 0, 'the next one gets to the end');
has_all($again);
drop($_) for $r, $again;

# ---- the server has something to say ----

# Behind what was decoded: a client that hears it in the middle of a packet says
# that it lost synchronization.
$r = start_reader($ways{'a Unix socket'});
ok(let_it_wait($r), 'a client stops reading, and the server ends its walsender');
sql(<<"SQL");
select pg_terminate_backend(active_pid) from pg_replication_slots
	where slot_name = '$r->{slot}'
SQL
take($r);
$r->{proc}->wait(20);
like(slurp("$r->{out}.log"), qr/terminating connection due to administrator command/,
	'which the client hears');
my (undef, $ids) = packets($r->{data});
is_deeply($ids, [ 1 .. @$ids ], 'behind whole packets in order');
drop($r);

# An error while decoding, behind small transactions that wait for company.
sql(<<'SQL');
create type picky;
create function picky_in(cstring) returns picky language internal immutable strict as 'int4in';
create function picky_out(picky) returns cstring language internal stable strict as 'enum_out';
create type picky (input = picky_in, output = picky_out, like = int);
create table never_printed (p picky);
select pg_replication_slot_advance('s', pg_current_wal_flush_lsn());
SQL
sql('call commits(300)');
sql("insert into never_printed values ('4')");
$r = start_reader($ways{'a Unix socket'});
take($r);
$r->{proc}->wait(20);
like(slurp("$r->{out}.log"), qr/invalid internal value for enum/, 'an error while decoding is heard');
(undef, $ids) = packets($r->{data});
is(scalar @$ids, 300, 'behind all that was decoded before');
drop($r);

done_testing();

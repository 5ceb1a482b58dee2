#-------------------------------------------------------------------------
# Small transactions share a packet, and the walsender sends it together with
# others, while it has WAL to read (plugin/packet.c, deliver.c).  When it has none, each
# commit comes at once; none is lost, doubled or out of order; and a large
# transaction, wanted or not, holds nothing up.  Once in binary, and once as
# text, where each frame is a message.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Cluster;
use CdcS3::Packets qw(packets);
use CdcS3::Proc qw(spawn temp_folder slurp poll);
use CdcS3::Test;

# Nothing but what the test writes shall wake the walsender.
my $source = new_cluster('source', conf => [ 'autovacuum = off', 'wal_sender_timeout = 0' ])->start;
$source->psql('postgres', <<'SQL');
create table t (id bigint generated always as identity primary key, v text);
create table unwanted (id integer);
select pg_create_logical_replication_slot('s', 'cdc_s3');
create procedure commits(n integer) language plpgsql as $$
begin
	for i in 1 .. n loop
		insert into t (v) values ('row ' || i);
		commit;
	end loop;
end $$;
alter table t alter v set storage external;
create procedure large(n integer) language plpgsql as $$
begin
	for i in 1 .. n loop
		insert into t (v) values (repeat('l', 70000));
		commit;
	end loop;
end $$;
SQL

my $out = temp_folder() . '/out';
my ($reader, $format);

sub start_reader
{
	unlink $out;
	$reader = spawn(
		cmd => [
			CdcS3::Cluster::program('pg_recvlogical'),
			'-d', $source->conninfo('postgres'), '-S', 's', '--start',
			'--no-loop', '-f', $out, '-F', '0', '--status-interval=0',
			'-o', 'proto_version=1', '-o', "format=$format",
			'-o', 'include_lsn=off', '-o', 'include_xid=off',
			'-o', 'tables=public.t', map { ('-o', $_) } @_
		],
		log => ".log");
	return;
}

sub stop_reader
{
	$reader->stop('INT', 20);
	return $source->wait_for_free_slot('s');
}

# The ids of the rows received so far.
sub ids
{
	return [] unless -e $out;
	return (packets(slurp($out)))[1] if $format eq 'binary';
	return [ slurp($out) =~ /^(?:\d+ )?\s*insert public\.t: id=(\d+)/mg ];
}

sub received
{
	my ($n, $seconds) = @_;
	return poll(sub { @{ ids() } >= $n }, $seconds);
}

my $last = 0;
for my $way (qw(binary text))
{
	$format = $way;
	$source->psql('postgres',
		"select pg_replication_slot_advance('s', pg_current_wal_flush_lsn())");
	my $first = $last + 1;
	start_reader();
	for my $round (1 .. 20)
	{
		$source->psql('postgres', "insert into t (v) values ('single')");
		$last++;
		last unless received($last - $first + 1, 60);
	}
	is(scalar @{ ids() },
		20, "$format: with no other WAL to read, each commit comes at once");

	$source->psql('postgres', 'call commits(20000)');
	$last += 20000;
	ok(received($last - $first + 1, 60), 'many small transactions come, the last one too');
	is_deeply(ids(), [ $first .. $last ], 'each once, in order');

	# Again from the start, since this reader confirms nothing; what waits goes
	# out before a transaction that takes its time.
	stop_reader();
	$source->psql('postgres', <<'SQL');
call commits(10);
insert into unwanted select generate_series(1, 200000);
call commits(10);
SQL
	start_reader();
	$last += 20;
	ok(received($last - $first + 1, 60),
		'small ones around a large one that is not wanted');
	is_deeply(ids(), [ $first .. $last ], 'each once, in order');
	if ($format eq 'binary')
	{
		my ($packets, undef, $commits) = packets(slurp($out));
		is($commits, $last - $first + 1, 'each with its commit');
		cmp_ok($packets, '<', $commits / 10, 'many in a packet');
	}

	# Transactions of a packet and a bit: more than is sent at once lies in the
	# server's buffer when a round ends behind a commit.  The server lets the
	# plugin write only in some of its callbacks; the one that looks at origins
	# is none of them.
	stop_reader();
	$source->psql('postgres', 'call large(100)');
	start_reader('origin=none');
	$last += 100;
	ok(received($last - $first + 1, 60), 'transactions that are larger than a packet');
	is_deeply(ids(), [ $first .. $last ], 'each once, in order');
	stop_reader();
}

# The SQL functions, over a connection that may replicate.
my $r = $source->try_psql('postgres replication=database',
	"select count(*) from pg_logical_slot_peek_changes('s', null, null, "
	  . "'proto_version', '1', 'format', 'text')");
is($r->{code}, 0, 'the SQL functions over a replication connection')
  or diag $r->{err};
$source->psql('postgres',
	"select pg_replication_slot_advance('s', pg_current_wal_flush_lsn())");
$source->psql('postgres', "insert into t (v) values ('after')");
start_reader();
ok(received(1, 60), 'and the slot goes on');
$reader->stop('INT', 20);

done_testing();

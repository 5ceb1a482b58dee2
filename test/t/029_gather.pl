#-------------------------------------------------------------------------
# The walsender sends the packets of small transactions together while it has
# WAL to read (plugin/gather.c).  When it has none, each commit comes at once;
# none is lost, doubled or out of order; and a large transaction, wanted or
# not, holds nothing up.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Cluster;
use CdcS3::Proc qw(spawn temp_folder slurp poll);
use CdcS3::Test;

# Nothing but what the test writes shall wake the walsender.
my $source = new_cluster('source', conf => ['autovacuum = off'])->start;
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
SQL

my $out = temp_folder() . '/out';
my $reader;

sub start_reader
{
	$reader = spawn(
		cmd => [
			CdcS3::Cluster::program('pg_recvlogical'),
			'-d', $source->conninfo('postgres'), '-S', 's', '--start',
			'--no-loop', '-f', $out, '-F', '0',
			'-o', 'proto_version=1', '-o', 'format=text',
			'-o', 'include_lsn=off', '-o', 'include_xid=off',
			'-o', 'tables=public.t'
		],
		log => ".log");
	return;
}

# The ids of the rows received so far.
sub ids
{
	return [] unless -e $out;
	return [ slurp($out) =~ /^(?:\d+ )?\s*insert public\.t: id=(\d+)/mg ];
}

sub received
{
	my ($n, $seconds) = @_;
	return poll(sub { @{ ids() } >= $n }, $seconds);
}

start_reader();
my $last = 0;
for my $round (1 .. 20)
{
	$source->psql('postgres', "insert into t (v) values ('single')");
	last unless received(++$last, 5);
}
is(scalar @{ ids() }, 20, 'with no other WAL to read, each commit comes at once');

$source->psql('postgres', 'call commits(20000)');
$last += 20000;
ok(received($last, 60), 'many small transactions come, the last one too');
is_deeply(ids(), [ 1 .. $last ], 'each once, in order');

# Again from the start, since this reader confirms nothing; what waits goes out
# before a transaction that takes its time.
$reader->stop('INT', 20);
unlink $out;
$source->psql('postgres', <<'SQL');
call commits(10);
insert into unwanted select generate_series(1, 200000);
call commits(10);
SQL
start_reader();
$last += 20;
ok(received($last, 60), 'small ones around a large one that is not wanted');
is_deeply(ids(), [ 1 .. $last ], 'each once, in order');

$reader->stop('INT', 20);

# The SQL functions, over a connection that may replicate.
my $r = $source->try_psql('postgres replication=database',
	"select count(*) from pg_logical_slot_peek_changes('s', null, null, "
	  . "'proto_version', '1', 'format', 'text')");
is($r->{code}, 0, 'the SQL functions over a replication connection')
  or diag $r->{err};
$source->psql('postgres', "insert into t (v) values ('after')");
unlink $out;
start_reader();
ok(received(++$last, 60), 'and the slot goes on');
$reader->stop('INT', 20);

done_testing();

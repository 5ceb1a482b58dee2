#-------------------------------------------------------------------------
# A client may end a stream at any place, in the middle of a large transaction
# (pg_recvlogical --endpos) or of many small ones, while the walsender waits for
# it to read.  The connection is of use afterwards: a second command is answered,
# and a stream on another connection begins where the first one was confirmed.
# Each row comes once, and the server has nothing to say about it.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Test;
use CdcS3::WalClient qw(wal_client frames);

my $source = new_cluster('source', tcp => 1, conf => ['autovacuum = off'])->start;

sub sql { return $source->psql('postgres', $_[0]) }

sql(<<'SQL');
create table t (id bigint generated always as identity primary key, v text);
alter table t alter v set storage external;
create procedure commits(n integer) language plpgsql as $$
begin
	for i in 1 .. n loop
		insert into t (v) values (repeat('s', 700));
		commit;
	end loop;
end $$;
SQL

my %backlogs = (
	'a large transaction' => [
		"insert into t (v) select repeat('x', 300) from generate_series(1, 60000)", 60_000, 1 ],
	'many small ones' => [ 'call commits(25000)', 25_000, 25_000 ],
	'rows in parts' => [
		"insert into t (v) select repeat('p', 20000000) from generate_series(1, 3)", 3, 1 ]);
my %ways = (
	'a Unix socket' => $source->conninfo('postgres'),
	'TCP' => $source->conninfo('postgres', tcp => 1) . ' sslmode=disable');

# Where the client ends its streams: at their begin, as soon as bytes have come,
# and when the walsender has waited for it.
my $script = 'copydone@1 copydone@200000 wait@1000000 copydone@1000000'
  . ' wait@3000000 copydone@5000000 wait@1000 copydone@9000000';

for my $what (sort keys %backlogs)
{
	my ($make, $rows, $commits) = @{ $backlogs{$what} };
	sql("select pg_create_logical_replication_slot('s', 'cdc_s3')");
	sql($make);
	my $end = sql('select pg_current_wal_flush_lsn()');
	for my $way (sort keys %ways)
	{
		sql("select pg_copy_logical_replication_slot('s', 'copy')");
		my $out = temp_folder() . '/out';
		my $r = wal_client(
			via => $ways{$way},
			slot => 'copy',
			until => $end,
			out => $out,
			script => $script);
		is($r->{code}, 0, "$what over $way: each stream's end leaves the connection")
		  or diag $r->{err};
		like($r->{out}, qr/ copydone 5,/, 'five were ended early');
		my %n = frames($out);
		is($n{I}, $rows, 'all rows, each once');
		is($n{C}, $commits, 'and commits');
		ok($source->wait_for_free_slot('copy'), 'the walsender lets go of the slot');
		sql("select pg_drop_replication_slot('copy')");
	}
	sql("select pg_drop_replication_slot('s')");
}
my @bad = grep { /FATAL|PANIC|could not send/ } split /\n/, $source->log_text;
is("@bad", '', "nothing is wrong in the server's log");

done_testing();

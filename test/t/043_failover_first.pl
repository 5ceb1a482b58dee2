#-------------------------------------------------------------------------
# A failover slot gets no WAL before the standbys have it.  Where a reader
# connects while one is behind, the very first read of its stream waits for that
# one and flushes meanwhile.  Nothing is decoded then: each transaction comes
# once.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Proc qw(spawn);
use CdcS3::Test;
use CdcS3::WalClient qw(wal_client_command frames);

my $source = new_cluster('source', conf => ['autovacuum = off'])->start;

sub sql { return $source->psql('postgres', $_[0]) }

my ($major) = sql('show server_version_num') =~ /^(\d\d)/;
plan skip_all => 'up to PostgreSQL 16 there are no failover slots' if $major < 17;

sql(<<'SQL');
create table t (id bigint generated always as identity primary key, v text);
create procedure commits(n integer) language plpgsql as $$
begin
	for i in 1 .. n loop
		insert into t (v) values (repeat('x', 2000));
		commit;
	end loop;
end $$;
SQL

# What waits for the first reader: small transactions, a large one, and more than
# the first read may take.
my %backlogs = (
	'small transactions' => 'call commits(40)',
	'a transaction of 100 rows' =>
	  "insert into t (v) select repeat('x', 2000) from generate_series(1, 100)",
	'many of them' => 'call commits(3000);'
	  . " insert into t (v) select repeat('x', 2000) from generate_series(1, 3000)");

# How far the standby is: behind what the reader has to read before the first
# transaction, or at that one.
my %standbys = (
	'a standby that is far behind' => '',
	'a standby' => "select pg_replication_slot_advance('late', pg_current_wal_flush_lsn())");

for my $standby (sort keys %standbys)
{
	for my $what (sort keys %backlogs)
	{
		first_reader($standby, $what);
	}
}

sub first_reader
{
	my ($standby, $what) = @_;
	sql('truncate t');
	sql("select pg_create_physical_replication_slot('late', true)");
	sql("select pg_create_logical_replication_slot('f', 'cdc_s3', false, false, true)");
	sql($standbys{$standby});
	sql($backlogs{$what});
	my $end = sql('select pg_current_wal_flush_lsn()');
	standby_slots("set synchronized_standby_slots = 'late'", 'late');

	my $out = temp_folder() . '/out';
	my $reader = spawn(
		cmd => wal_client_command(
			via => $source->conninfo('postgres'),
			slot => 'f',
			until => $end,
			out => $out),
		log => "$out.log");
	ok($source->poll_until('postgres', <<'SQL', 60), "$what: the first reader waits for $standby");
select count(*) > 0 from pg_stat_activity where wait_event = 'WaitForStandbyConfirmation'
SQL
	sql("select pg_replication_slot_advance('late', '$end')");
	is($reader->wait(120), 0, 'and gets to the end once the standby is there')
	  or diag slurp("$out.log");
	my %n = frames($out);
	is($n{I}, sql('select count(*) from t'), 'each row comes once');
	is($n{C}, sql('select count(distinct xmin::text) from t'), 'and each commit');
	standby_slots('reset synchronized_standby_slots', '');
	ok($source->wait_for_free_slot('f'), 'the walsender ends');
	sql("select pg_drop_replication_slot('f'), pg_drop_replication_slot('late')");
	return;
}

sub standby_slots
{
	my ($change, $now) = @_;
	sql("alter system $change");
	$source->reload;
	$source->poll_until('postgres', "select current_setting('synchronized_standby_slots') = '$now'");
	return;
}

my @bad = grep { /FATAL|PANIC|TRAP|terminated by signal/ } split /\n/, $source->log_text;
is("@bad", '', "nothing is wrong in the server's log");

done_testing();

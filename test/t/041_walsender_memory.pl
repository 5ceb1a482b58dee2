#-------------------------------------------------------------------------
# A value that leaves in parts is held by the walsender once, as the server
# gives it to the plugin: what is converted to UTF-8, or expanded, is so in small
# pieces.  Each peak is that of a bytea of the same length which is only copied,
# or nearly.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Cluster;
use CdcS3::Proc qw(spawn temp_folder slurp);
use CdcS3::Test;

my $mb = 48;
my $near = 16 * 1024; # kB; a copy would be three times that
my $source = new_cluster('source', conf => ['autovacuum = off'])->start;

# The peak of the walsender that sends one value, in kB.
sub peak
{
	my ($db, $type, $storage, $value) = @_;
	$source->psql($db, <<"SQL");
create table huge (id int primary key, v $type);
alter table huge alter v set storage $storage;
select pg_create_logical_replication_slot('s', 'cdc_s3');
SQL
	$source->psql($db, "insert into huge select 1, $value");
	my $end = $source->psql($db, 'select pg_current_wal_flush_lsn()');
	my $reader = spawn(
		cmd => [
			CdcS3::Cluster::program('pg_recvlogical'), '-d', $source->conninfo($db),
			qw(-S s --start --no-loop -f /dev/null -o proto_version=1)
		],
		log => temp_folder() . '/log');
	ok($source->poll_until($db,
			"select exists (select from pg_stat_replication where sent_lsn >= '$end')", 120),
		"$db, $type, $storage: sent");
	my $pid = $source->psql($db, 'select active_pid from pg_replication_slots');
	my ($kb) = slurp("/proc/$pid/status") =~ /^VmHWM:\s+(\d+) kB/m;
	$reader->stop('INT', 20);
	$source->poll_until($db, 'select not active from pg_replication_slots', 20);
	$source->psql($db, "select pg_drop_replication_slot('s'); drop table huge");
	note "$kb kB";
	return $kb;
}

$source->psql('postgres', 'create database wide');
$source->psql('postgres',
	"create database latin1 template template0 encoding 'LATIN1' locale 'C'");
my $bytes = $mb << 20;
my $copied = peak('wide', 'bytea', 'external', "decode(repeat('e4', $bytes), 'hex')");
for my $case (
	[ 'wide', 'text', 'external', "repeat(U&'\\00e4', $bytes / 2)" ],
	[ 'latin1', 'text', 'external', "repeat(convert_from('\\xe4', 'LATIN1'), $bytes)" ],
	[ 'latin1', 'text', 'external', "repeat('a', $bytes)" ])
{
	my $kb = peak(@$case);
	cmp_ok($kb, '<', $copied + $near, "and no more memory than for a bytea");
}

done_testing();

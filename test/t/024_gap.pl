#-------------------------------------------------------------------------
# Where changes are missing, or may be, run stops with exit code 3, says the
# positions, and writes nothing.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Cluster;
use CdcS3::Test;

my $source = new_cluster('source')->start;
$source->psql('postgres', 'create table t (id integer primary key)');

# A lake of its own, with one change in it, and run stopped.
sub lake
{
	my ($slot) = @_;
	my $cdc = sidecar(
		$source, 'postgres', file_store(),
		slot => $slot,
		flags => ['--load.mode=never']);
	$cdc->ok('init');
	my $run = $cdc->start;
	$source->psql('postgres',
		'insert into t select coalesce(max(id), 0) + 1 from t');
	$cdc->wait_durable or die $run->errors;
	my $code = $run->stop('TERM', 60);
	die "exit code $code: " . $run->errors if $code;
	$source->psql('postgres',
		'insert into t select coalesce(max(id), 0) + 1 from t');
	return $cdc;
}

sub stops_with_gap
{
	my ($what, $cdc, @words) = @_;
	my @before = $cdc->entry_files;
	my $run = $cdc->start;
	is($run->wait(60) // 'still running', 3, "$what: exit code 3");
	$run->stop('KILL');
	like($run->errors, $_, "$what: says $_") for @words;
	is_deeply([ $cdc->entry_files ], \@before, "$what: the log is as it was");
	return;
}

my $lsn = qr{[0-9A-F]+/[0-9A-F]+};

my $cdc = lake('consumed');
$source->psql('postgres',
	"select count(*) from pg_logical_slot_get_binary_changes('consumed', null, "
	  . "null, 'proto_version', '1')");
stops_with_gap('slot read by somebody else',
	$cdc, qr/"consumed"|slot=consumed/, qr/$lsn.*$lsn/s);

$cdc = lake('dropped');
$source->psql('postgres', "select pg_drop_replication_slot('dropped')");
stops_with_gap('slot dropped', $cdc, qr/"dropped"|slot=dropped/);
$source->psql('postgres',
	"select pg_create_logical_replication_slot('dropped', 'cdc_s3')");
stops_with_gap('slot created anew', $cdc, qr/$lsn.*$lsn/s);

# Another server behind the same name.
$cdc = lake('elsewhere');
my $other = new_cluster('other')->start;
$other->psql('postgres',
	"create table t (id integer primary key); select "
	  . "pg_create_logical_replication_slot('elsewhere', 'cdc_s3')");
my $entry = ($cdc->entries)[-1];
$cdc->{source} = $other;
stops_with_gap('other system', $cdc,
	qr/\Q$entry->{source}{system_identifier}\E/);

# Entries of the log are gone; init writes nothing into what is left of it.
$cdc = lake('holes');
for (1 .. 3)
{
	my $run = $cdc->start;
	$cdc->wait_durable or die $run->errors;
	$run->stop('TERM', 60);
	$source->psql('postgres', 'insert into t select coalesce(max(id), 0) + 1 from t');
}
my @files = $cdc->entry_files;
for my $gone ([0], [ 0, 1 ], [ 1, 2 ])
{
	rename $files[$_], "$files[$_].kept" for @$gone;
	stops_with_gap("entries @$gone gone", $cdc, qr/entry $gone->[0] of the commit log is missing/);
	my @left = $cdc->entry_files;
	my $r = $cdc->call('init');
	is($r->{code}, 3, "entries @$gone gone: init: exit code 3");
	like($r->{err}, qr/entry $gone->[0] of the commit log is missing, but there is an entry $#files/,
		"entries @$gone gone: init says so");
	is_deeply([ $cdc->entry_files ], \@left, "entries @$gone gone: init writes nothing");
	rename "$files[$_].kept", $files[$_] for @$gone;
}

# And with all as it was, run goes on.
my $run = $cdc->start;
ok($cdc->wait_durable, 'with the right server run goes on')
  or diag $run->errors;
is($run->stop('TERM', 60), 0, 'and ends with 0');

done_testing();

#!/usr/bin/perl
#-------------------------------------------------------------------------
# demo.pl
#	The whole way on this machine: a source, a target, the sidecar between
#	them, and the proof that they are equal.  Called by "make demo".
#
#	STORE=file (default) or s3   DEMO_DIR=folder (default .demo)
#	DEMO_SECONDS=how long pgbench writes (default 12)
#-------------------------------------------------------------------------
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use Time::HiRes qw(time);

my ($top, $dir, $started);

BEGIN
{
	$started = time;
	$top = abs_path(dirname(__FILE__) . '/../..');
	unshift @INC, "$top/test/lib", dirname(__FILE__);
}
use CdcS3::Proc qw(capture temp_folder slurp);
use CdcS3::Cluster;
use CdcS3::Sidecar;
use CdcS3::Test qw(file_store s3_store table_sum);
use DemoReport;

my $store_kind = $ENV{STORE} || 'file';
my $seconds = $ENV{DEMO_SECONDS} || 12;
my @tables = qw(countries fundrecs_schema.customers fundrecs_schema.orders
  delivery.orders documents stock_take pgbench_accounts pgbench_branches
  pgbench_tellers pgbench_history);

$| = 1;
die "STORE is \"file\" or \"s3\", not \"$store_kind\"\n"
  unless $store_kind =~ /^(?:file|s3)$/;

sub step { printf "\n[%5.1f s] %s\n", time - $started, "@_"; return; }

sub sql_file { return slurp("$top/test/demo/sql/$_[0]") }

# Our own folder, emptied of what an earlier run left.
sub prepare_folder
{
	$dir = $ENV{DEMO_DIR} || "$top/.demo";
	make_path($dir);
	$dir = abs_path($dir);
	for my $part (qw(lake s3 s3.notes log tmp))
	{
		remove_tree("$dir/$part", { error => \my $errors });
		die "could not empty $dir/$part: is it another user's?\n" if @$errors;
	}
	mkdir "$dir/log" or die "$dir/log: $!\n";

	# Servers run as another user when we are root; they need to get there,
	# and a socket's path must be short.  Else they live in /tmp.
	mkdir "$dir/tmp" or die "$dir/tmp: $!\n";
	my $reach = capture([ 'test', '-x', "$dir/tmp" ], server => 1);
	$ENV{TMPDIR} =
	  $reach->{code} == 0 && length "$dir/tmp" <= 60 ? "$dir/tmp" : '/tmp';
	CdcS3::Proc::at_end(sub { remove_tree("$dir/tmp") });
	return;
}

sub the_store
{
	return file_store("$dir/lake") if $store_kind eq 'file';
	return s3_store(folder => "$dir/s3");
}

# Commits a row and waits until the slot is confirmed beyond it: the lag from
# commit to durable, in seconds.
sub probe_lag
{
	my ($source) = @_;
	my $lsn = $source->psql('shop',
			q{update countries set updated_at = clock_timestamp() }
		  . q{where cca3 = 'IRL'; select pg_current_wal_lsn()});
	my $start = time;
	$source->poll_until('shop',
		"select confirmed_flush_lsn >= '$lsn' from pg_replication_slots "
		  . "where slot_name = 'cdc_s3'", 60)
	  or die "a commit was not durable after 60 s\n";
	return time - $start;
}

sub median { my @v = sort { $a <=> $b } @_; return $v[ $#v / 2 ]; }

prepare_folder();

step('a source and a target cluster, and tables that hold rows');
my @conf = ('max_wal_size = 4GB', 'shared_buffers = 128MB');
my $source =
  CdcS3::Cluster->new('source', conf => \@conf, log => "$dir/log/source.log")
  ->start;
my $target =
  CdcS3::Cluster->new('target', conf => \@conf, log => "$dir/log/target.log")
  ->start;
$source->psql('postgres', 'create database shop');
$target->psql('postgres', 'create database shop_copy');
$source->psql('shop', sql_file('fill.sql'));
$source->copy_csv('shop', 'countries (cca3, name, capital, region, population)',
	"$top/test/data/countries.csv");
$source->pgbench('shop', '-i', '-q', '-s', '2');

my $store = the_store();
my $cdc = CdcS3::Sidecar->new(
	$source, 'shop', $store,
	target => $target,
	target_db => 'shop_copy',
	folder => "$dir/log",
	flags => ['--flush.interval=1s']);

step('cdc-s3 check');
print $cdc->ok('check');

step('pgbench starts to write; cdc-s3 init; cdc-s3 run');
my $bench = $source->spawn_pgbench('shop', '-c', '2', '-T', $seconds);
print $cdc->ok('init');
my $run = $cdc->start;
$cdc->wait_loaded(120) or die "no first load:\n" . $run->errors;
my $loaded = time;
step('the tables are loaded, the stream runs; now all kinds of changes');
$source->psql('shop', sql_file('changes.sql'));

my @lag = map { probe_lag($source) } 1 .. 7;
$bench->wait(300) // die "pgbench did not end\n";
$cdc->wait_durable(120) or die "the last change is not durable:\n"
  . $run->errors;
my $streaming = time - $loaded;

step('cdc-s3 run stops (TERM)');
my $code = $run->stop('TERM', 60) // die "run did not stop\n";
die "run ended with exit code $code:\n" . $run->errors if $code != 0;

step('cdc-s3 merge --merge.until=now');
print $cdc->ok('merge', '--merge.until=now');

my $report = DemoReport->new($cdc, $store->{folder});
step('the lake');
$report->tree;
step('some of its records');
$report->records;
step('the commit log: cdc-s3 ls');
$report->entries;

step('source and target');
my $unequal = $report->compare($source, 'shop', $target, 'shop_copy', @tables);

my $changes = $report->streamed_rows;
step('figures');
printf "  %d changes in %.1f s of streaming: %d changes/s, all that was written\n",
  $changes, $streaming, $changes / $streaming;
printf "  from commit to durable: median %.2f s, longest %.2f s "
  . "(flush.interval=1s)\n", median(@lag), (sort { $b <=> $a } @lag)[0];

if ($unequal)
{
	print "\n$unequal table(s) of the target are not equal to the source.\n";
	exit 1;
}
print "\nAll ", scalar @tables, " tables are equal.\n";
$report->next_commands($store, $store_kind);
exit 0;

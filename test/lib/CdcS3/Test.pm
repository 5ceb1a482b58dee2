#-------------------------------------------------------------------------
# CdcS3::Test
#	What the tests share: the sidecar as a command and in the background,
#	stores, the commit log as data, and the comparison of source and target.
#
#	use CdcS3::Test;
#	my $source = new_cluster('source')->start;
#	my $store = file_store();
#	my $cdc = sidecar($source, 'postgres', $store);	# holds the settings
#	$cdc->ok('init');
#	my $run = $cdc->start;
#	…
#	$cdc->wait_durable;
#	is($run->stop('TERM'), 0, 'run stops');
#-------------------------------------------------------------------------
package CdcS3::Test;
use strict;
use warnings;

use Carp qw(croak);
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use JSON::PP;
use Test::More;

use CdcS3::Cluster;
use CdcS3::Proc qw(capture spawn poll slurp temp_folder at_end);
use CdcS3::Sidecar;

our @EXPORT = qw(new_cluster file_store s3_store have_s3 s3_missing sidecar run_cdc
  table_sum compare_tables tables_equal memory_below poll slurp temp_folder capture spawn
  at_end top_folder);

my $top = abs_path(dirname(__FILE__) . '/../../..');

sub top_folder { return $top }

sub new_cluster { return CdcS3::Cluster->new(@_) }

# A store is { url, folder of the lake on disk, flags for cdc-s3, env }.
sub file_store
{
	my ($folder) = @_;
	$folder //= temp_folder() . '/lake';
	return { url => "file://$folder", folder => $folder, flags => [], env => {} };
}

# True where an S3 server can be started, else s3_missing says why not.
sub have_s3
{
	require CdcS3::S3Server;
	return CdcS3::S3Server->available;
}

sub s3_missing { return CdcS3::S3Server::why() }

# The same on a server of its own that stores into a folder.
sub s3_store
{
	require CdcS3::S3Server;
	my (%o) = @_;
	my $server = CdcS3::S3Server->start(%o);
	my $bucket = $server->bucket;
	return {
		url => "s3://$bucket/cdc",
		folder => $server->folder . "/$bucket/cdc",
		flags => [ '--store.endpoint=' . $server->endpoint ],
		env => $server->env,
		server => $server
	};
}

sub sidecar { return CdcS3::Sidecar->new(@_) }

# cdc-s3 with just these arguments: { code, out, err, seconds }.
sub run_cdc
{
	my (@args) = @_;
	my %o = @args && ref $args[-1] ? %{ pop @args } : ();
	return capture([ CdcS3::Sidecar::program(), @args ], %o);
}

# A test that the peak of a program's resident memory is below so many MB.
sub memory_below
{
	my ($run, $mb) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($peak) = slurp('/proc/' . $run->pid . '/status') =~ /^VmHWM:\s+(\d+) kB/m;
  SKIP:
	{
		skip 'a sanitizer takes memory of its own', 1 if CdcS3::Sidecar::sanitized();
		cmp_ok($peak, '<=', $mb * 1024, "peak memory is at most $mb MB: $peak kB");
	}
	return;
}

# Rows and a checksum over all of them in order: "rows|md5".
sub table_sum
{
	my ($cluster, $db, $table) = @_;
	return $cluster->psql($db,
			qq{select count(*), coalesce(md5(string_agg(md5(t::text), '' }
		  . qq{order by t::text collate "C")), '-') from $table t});
}

# One row per table: [table, source sum, target sum].
sub compare_tables
{
	my ($source, $source_db, $target, $target_db, @tables) = @_;
	return map {
		[
			$_, table_sum($source, $source_db, $_),
			eval { table_sum($target, $target_db, $_) } // "error: $@"
		]
	} @tables;
}

# One test per table: is the target's equal to the source's?
sub tables_equal
{
	my (@args) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($_->[2], $_->[1], "$_->[0]: target equals source")
	  for compare_tables(@args);
	return;
}

1;

#-------------------------------------------------------------------------
# CdcS3::WalClient
#	A client of a slot that behaves badly and checks what it gets: see
#	test/tools/wal_client.c.
#
#	my $r = wal_client(via => $server->conninfo('postgres'), slot => 's',
#		until => $lsn, out => $file);	# { code, out, err, … }
#	my %n = frames($file);				# of each type
#
# via may be a list.  For what such a client may get in the middle of a row:
#
#	$server->psql('postgres', noisy_type());	# warns of what begins with "bad"
#-------------------------------------------------------------------------
package CdcS3::WalClient;
use strict;
use warnings;

use Carp qw(croak);
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);

use CdcS3::Cluster;
use CdcS3::Proc qw(capture spawn temp_folder);
use CdcS3::StoreTool qw(build_tool);

our @EXPORT_OK = qw(wal_client wal_client_command frames noisy_type);

sub wal_client_command
{
	my (%o) = @_;
	my $via = delete $o{via};
	return [
		build_tool(qw(wal_client wal_stream wal_act wal_talk wal_check)),
		(map { "via=$_" } ref $via ? @$via : $via),
		map { "$_=$o{$_}" } sort keys %o
	];
}

sub wal_client
{
	my (%o) = @_;
	return capture(wal_client_command(%o), timeout => 600);
}

# How many frames of each type it got; a row or a message in parts is one.
sub frames
{
	my ($file) = @_;
	my %n;
	open my $f, '<', $file or die "$file: $!\n";
	while (<$f>)
	{
		my ($type, $of, $flags) = /^(.)(?::(.))? (\d+)/ or last; # cut
		$n{ $of // $type }++ if !defined $of || $flags & 1;
	}
	close $f;
	return %n;
}

# SQL for a type "noisy", a text whose output function (test/tools/noisy.c) warns.
sub noisy_type
{
	my $library = temp_folder() . '/noisy.so';
	my $r = capture(
		[
			'cc', '-fPIC', '-shared', '-I' . CdcS3::Cluster::pg_config('includedir-server'),
			'-o', $library, abs_path(dirname(__FILE__) . '/../../tools/noisy.c')
		]);
	croak "noisy was not built:\n$r->{err}" if $r->{code};
	return <<"SQL";
set client_min_messages = error;
create type noisy;
create function noisy_in(cstring) returns noisy language internal immutable strict as 'textin';
create function noisy_out(noisy) returns cstring language c immutable strict as '$library';
create type noisy (input = noisy_in, output = noisy_out, like = text, storage = external);
create cast (text as noisy) without function;
SQL
}

1;

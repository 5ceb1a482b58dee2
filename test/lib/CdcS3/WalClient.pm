#-------------------------------------------------------------------------
# CdcS3::WalClient
#	A client of a slot that behaves badly and checks what it gets: see
#	test/tools/wal_client.c.
#
#	my $r = wal_client(via => $server->conninfo('postgres'), slot => 's',
#		until => $lsn, out => $file);	# { code, out, err, … }
#	my %n = frames($file);				# of each type
#
# via may be a list.
#-------------------------------------------------------------------------
package CdcS3::WalClient;
use strict;
use warnings;

use Exporter qw(import);

use CdcS3::Proc qw(capture spawn);
use CdcS3::StoreTool qw(build_tool);

our @EXPORT_OK = qw(wal_client wal_client_command frames);

sub wal_client_command
{
	my (%o) = @_;
	my $via = delete $o{via};
	return [
		build_tool('wal_client', 'wal_check'),
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

1;

#-------------------------------------------------------------------------
# CdcS3::Packets
#	What pg_recvlogical wrote, with a line feed behind each packet.
#
#	my ($packets, $ids, $commits) = packets(slurp($out));
#
# The last packet may not be whole yet.  An id is the first column of a row
# that was inserted, a bigint; that of a row in parts comes with the last one.
#-------------------------------------------------------------------------
package CdcS3::Packets;
use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(packets);

my $packet_head = 8;
my $frame_head = 6;
my $part_head = 6;
my $part_last = 1; # a flag
my $before_id = 25; # of an insert's body

# (Number of packets, ids of the rows, number of commits).
sub packets
{
	my ($bytes) = @_;
	my ($at, $packets, $commits, $of_parts, @ids) = (0, 0, 0);
	while (substr($bytes, $at, 2) eq 'C3')
	{
		$at += $packet_head;
		while (1)
		{
			my ($type, $flags, $len) = unpack 'aCV', substr($bytes, $at, $frame_head);
			my $body = $at + $frame_head;
			last if length($bytes) < $body || length($bytes) < $body + $len;
			if ($type eq 'P')
			{
				$of_parts = unpack('Q<', substr($bytes, $body + $part_head + $before_id, 8))
				  if substr($bytes, $body, $part_head) =~ /^I.\0{4}/s;
				push @ids, $of_parts if $flags & $part_last;
			}
			push @ids, unpack('Q<', substr($bytes, $body + $before_id, 8))
			  if $type eq 'I';
			$commits++ if $type eq 'C';
			$at = $body + $len;
			last if substr($bytes, $at, 1) eq "\n";
		}
		$packets++;
		$at++;
	}
	return ($packets, \@ids, $commits);
}

1;

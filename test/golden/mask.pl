#!/usr/bin/perl
# Replaces what differs from run to run in packets, given as lines of
# hexadecimal: CRC, OIDs of objects made by the test, LSNs, xids, times, the
# server's version.
use strict;
use warnings;

my ($body, $at);

sub mask
{
	my ($n) = @_;
	substr($body, $at, $n) = "\0" x $n;
	$at += $n;
}

sub uint
{
	my ($n) = @_;
	my $v = unpack($n == 1 ? 'C' : $n == 2 ? 'v' : 'V', substr($body, $at, $n));
	$at += $n;
	return $v;
}

sub str { $at += uint(2); }

sub relation
{
	mask(4);
	$at += 4;
	mask(4);
	$at += 1;
	str() for 1 .. 4;
	for (1 .. uint(2))
	{
		$at += 6;
		for (1 .. 2)
		{
			my $oid = uint(4);
			next if $oid < 16384;
			$at -= 4;
			mask(4);
		}
		$at += 4;
		str() for 1 .. 3;
	}
	mask(4);    # the row type
	for (1 .. uint(2))
	{
		$at += 2;
		my $len = uint(4);
		$at += $len if $len != 0xFFFFFFFF;
	}
}

sub table
{
	my ($flags) = @_;
	mask(8);
	$at += 8;
	mask(4) if $flags & 0x80;
	mask(4);
}

sub change { mask(4); $at += 4; mask(8); $at += 8; }

sub truncate_frame
{
	my ($flags) = @_;
	mask(8);
	$at += 8;
	mask(4) if $flags & 0x80;
	for (1 .. uint(2))
	{
		mask(4);
		$at += 4;
		$at += uint(4) if uint(1) & 1;
	}
}

my %types = (
	H => sub { $at += 8; mask(4); },
	R => \&relation,
	B => sub { mask(20); },
	C => sub { mask(16); },
	I => \&change,
	U => \&change,
	D => \&change,
	T => \&truncate_frame,
	M => sub { mask(8); },
	S => sub { mask(4); },
	E => sub { mask(4); },
	A => sub { mask(16); },
	K => sub { mask(20); },
	p => sub { mask(20); },
	c => sub { mask(20); },
	r => sub { mask(20); },
	"\xD4" => \&table,
	P => sub { $at += 2; change() if uint(4) == 0; },
);

while (<STDIN>)
{
	chomp;
	my $packet = pack('H*', $_);
	my $out = substr($packet, 0, 4) . "\0" x 4;
	for (my $p = 8; $p < length $packet;)
	{
		my ($type, $flags, $len) = unpack('aCV', substr($packet, $p, 6));
		($body, $at) = (substr($packet, $p + 6, $len), 0);
		die "unknown frame \"$type\"\n" unless $types{$type};
		$types{$type}->($flags);
		if ($type =~ /[IUDM]/ && $flags & 0x80) # the xid
		{
			$at = $type eq 'M' ? 16 : 24;
			mask(4);
		}
		$out .= substr($packet, $p, 6) . $body;
		$p += 6 + $len;
	}
	print unpack('H*', $out), "\n";
}

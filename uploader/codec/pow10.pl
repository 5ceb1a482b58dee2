#!/usr/bin/perl
#-------------------------------------------------------------------------
# pow10.pl
#	Prints pow10.h: powers of ten as 128 bits, rounded up, the highest bit
#	set.  "make lint" compares.
#-------------------------------------------------------------------------
use strict;
use warnings;

use Math::BigInt try => 'GMP';

my ($first, $last) = (-292, 324);

# 10^e, times the power of two that makes it 128 bits long, rounded up.
sub bits128
{
	my ($e) = @_;
	my $power = Math::BigInt->new(10)->bpow(abs $e);
	my $length = length($power->as_bin) - 2;

	if ($e >= 0)
	{
		return $power->blsft(128 - $length) if $length <= 128;
		my ($q, $r) = $power->bdiv(Math::BigInt->new(2)->bpow($length - 128));
		return $r->is_zero ? $q : $q->binc;
	}
	return Math::BigInt->new(2)->bpow(127 + $length)->bdiv($power)->binc;
}

print <<"EOF";
/*-------------------------------------------------------------------------
 * pow10.h
 *	  Powers of ten from 10^$first to 10^$last, made by pow10.pl.
 *
 * Each is { high, low } of 128 bits: 10^e * 2^(127 - floor(log2(10^e))),
 * rounded up.  Layer: codec.
 *-------------------------------------------------------------------------
 */
#ifndef POW10_H
#define POW10_H

#include <stdint.h>

#define POW10_FIRST ($first)
#define POW10_LAST $last

static const uint64_t pow10_bits[POW10_LAST - POW10_FIRST + 1][2] = {
EOF
for my $e ($first .. $last)
{
	my $hex = substr bits128($e)->as_hex, 2;
	printf "\t{ 0x%s, 0x%s }, /* %d */\n", substr($hex, 0, 16), substr($hex, 16), $e;
}
print "};\n\n#endif\n";

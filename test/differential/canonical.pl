#!/usr/bin/perl
# Brings the lines of cdc_s3 (format text) or test_decoding to one form:
#
#	begin | commit | truncate TABLES FLAGS
#	insert|update|delete TABLE old={COLUMN=VALUE,...} new={...}
#
# Of an old row only what is not null counts, since test_decoding shows no more;
# where the key did not change test_decoding may show it and we do not; and
# where the old row has what the new one lacks, it is filled in.
use strict;
use warnings;

my $from = shift;

sub unescape
{
	my ($s) = @_;
	return $s if $s =~ /^\\x(?:[0-9a-f]{2})*$/; # bytea
	$s =~ s/\\(\\|n|t|x[0-9a-f]{2})/$1 eq '\\' ? '\\' : $1 eq 'n' ? "\n"
		: $1 eq 't' ? "\t" : chr hex substr($1, 1)/ge;
	return $s;
}

# Columns from the position of $_[0] on, up to what does not look like one.
sub columns
{
	my ($text) = @_;
	my @c;
	my $name = qr/"(?:[^"]|"")*"|[a-z_][a-z0-9_]*/;
	if ($from eq 'cdc_s3')
	{
		while ($$text =~ /\G ($name)=(?:'((?:[^']|'')*)'|(null|unchanged)|([^\s']+))(?= |$)/gc)
		{
			push @c, [ $1, defined $2 ? "'" . unescape($2) : $3 // $4 ];
		}
	}
	else
	{
		while ($$text =~ /\G ($name)\[[^\]]*(?:\[\])?[^\]]*\]:(?:B?'((?:[^']|'')*)'|(null|unchanged-toast-datum)|([^\s']+))(?= |$)/gc)
		{
			my $v = defined $2 ? "'$2" : $3 // $4;
			$v = 'unchanged' if $v eq 'unchanged-toast-datum';
			push @c, [ $1, $v ];
		}
	}
	return \@c;
}

# Both write these without quotes or with, as the type is.
sub plain
{
	my ($v) = @_;
	$v =~ s/^'(-?[\d.]+(?:e[+-]?\d+)?|NaN|-?Infinity)$/$1/;
	return $v eq 'null' || $v eq 'unchanged' ? $v : $v eq 'true' ? 't' : $v eq 'false' ? 'f' : $v;
}

sub event
{
	my ($verb, $table, $old, $new) = @_;
	my %old = map { $_->[0] => plain($_->[1]) } @$old;
	my %new = map { $_->[0] => plain($_->[1]) } @$new;
	for my $c (keys %new)
	{
		$new{$c} = $old{$c} if $new{$c} eq 'unchanged' && defined $old{$c};
	}
	delete $old{$_} for grep { $old{$_} eq 'null' } keys %old;
	# An old row that an update repeats says nothing.
	delete $old{$_} for grep { defined $new{$_} && $new{$_} eq $old{$_} } keys %old;
	my $show = sub {
		my %h = @_;
		join ',', map { my $v = $h{$_}; $v =~ s/\n/\\n/g; "$_=$v" } sort keys %h;
	};
	print "$verb $table old={", $show->(%old), "} new={", $show->(%new), "}\n";
}

# A value may hold line breaks in test_decoding's output; ours has none.
local $/ = undef;
my $all = <STDIN>;
my @lines = split /\n(?=BEGIN|COMMIT|table |begin|commit|insert |update |delete |truncate )/, $all;

# What became of tables only we tell, and transactions that have nothing else.
if ($from eq 'cdc_s3')
{
	@lines = grep { !/^table .*: (?:created|altered|gone|left|(?:created )?rewritten)$/ } @lines;
	my @kept;
	for my $l (@lines)
	{
		if ($l =~ /^commit/ && @kept && $kept[-1] eq 'begin') { pop @kept; }
		else { push @kept, $l; }
	}
	@lines = @kept;
}
for my $l (@lines)
{
	chomp $l;
	if ($l =~ /^(begin|commit)$/i) { print lc $1, "\n"; }
	elsif ($from eq 'cdc_s3' && $l =~ /^truncate ([^()]*?)(?: \((.*)\))?$/)
	{
		my ($tables, $flags) = ($1, $2 // '');
		print "truncate $tables", ($flags =~ /restart/ ? ' restart' : ''),
		  ($flags =~ /cascade/ ? ' cascade' : ''), "\n";
	}
	elsif ($l =~ /^table (.*): TRUNCATE: (.*)$/)
	{
		my ($tables, $flags) = ($1, $2);
		print "truncate $tables", ($flags =~ /restart/ ? ' restart' : ''),
		  ($flags =~ /cascade/ ? ' cascade' : ''), "\n";
	}
	elsif ($from eq 'cdc_s3' && $l =~ /^(insert|update|delete) (\S+):/g)
	{
		my ($verb, $table, $old, $new) = ($1, $2, [], []);
		$old = columns(\$l) if $l =~ /\G (?:key|old)(?= )/gc;
		$l =~ /\G new(?= )/gc;
		$new = columns(\$l) if $verb ne 'delete';
		my $rest = substr($l, pos($l) // 0);
		die "cannot read \"$rest\"\n" if $rest !~ /^(?: \([a-z ]+\))*$/;
		event($verb, $table, $old, $new);
	}
	elsif ($l =~ /^table (\S+): (INSERT|UPDATE|DELETE):/g)
	{
		my ($verb, $table, $old, $new) = (lc $2, $1, [], []);
		if ($l =~ /\G \(no-tuple-data\)/gc) { }
		elsif ($verb eq 'delete') { $old = columns(\$l); }
		else
		{
			if ($l =~ /\G old-key:/gc)
			{
				$old = columns(\$l);
				$l =~ /\G new-tuple:/gc;
			}
			$new = columns(\$l);
		}
		my $rest = substr($l, pos($l) // 0);
		die "cannot read \"$rest\"\n" if length $rest;
		event($verb, $table, $old, $new);
	}
	else { die "cannot read line \"$l\"\n"; }
}

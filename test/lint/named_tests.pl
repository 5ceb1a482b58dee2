#-------------------------------------------------------------------------
# The tests that pages name are there: a page says 077 `what is planned` where
# test/t/077_*.pl has that text, "…" standing for any; and in a table with a
# column "test" each row names at least one.
#-------------------------------------------------------------------------
use strict;
use warnings;
use utf8;
use open qw(:std :encoding(UTF-8));

my @pages = @ARGV ? @ARGV : qw(doc/schema.md doc/merge.md doc/load.md);
my (%text, $bad);

sub complain
{
	print "@_\n";
	$bad = 1;
	return;
}

# The text of the test of that number.
sub test_text
{
	my ($number) = @_;
	return $text{$number} if defined $text{$number};
	my ($path) = glob "test/t/${number}_*.pl";
	return $text{$number} = '' unless $path;
	open my $f, '<', $path or die "$path: $!\n";
	local $/ = undef;
	return $text{$number} = <$f>;
}

# Each test that a line names: [number, name or nothing].  A number goes on for
# the names behind it.
sub named_in
{
	my ($line) = @_;
	my ($number, $names, @found);
	while ($line =~ /\b(\d{3})(?=[\s,;:.)|]|$)|[`"“]([^`"”]+)[`"”]|(\()/g)
	{
		if (defined $1)
		{
			push @found, [ $number, undef ] if $number && !$names;
			($number, $names) = ($1, 0);
		}
		elsif (defined $2)
		{
			push @found, [ $number, $2 ] if $number;
			$names++;
		}
	}
	push @found, [ $number, undef ] if $number && !$names;
	return @found;
}

# It begins a string, a key or a headline; "…" is any text within a line.
sub is_in
{
	my ($name, $text) = @_;
	my $re = join '.*', map { quotemeta } split /\s*…\s*/, $name;
	return $text =~ /(?:['"(]|\[ |^\s*|^# (?:---- )?)$re/m;
}

sub check_named
{
	my ($where, $part) = @_;
	my @named = named_in($part);
	for (@named)
	{
		my ($number, $name) = @$_;
		my $text = test_text($number);
		if ($text eq '') { complain("$where: there is no test $number") }
		elsif (defined $name && !is_in($name, $text)) { complain("$where: test $number has no \"$name\"") }
	}
	return scalar @named;
}

sub check_row
{
	my ($where, $cell) = @_;
	return if $cell eq 'test' || $cell =~ /^-+$/;
	check_named($where, $cell) or complain("$where: the row names no test");
	return;
}

# Of what is no table that counts which stands in brackets, as (077 `types`).
sub check_page
{
	my ($page) = @_;
	open my $f, '<', $page or die "$page: $!\n";
	chomp(my @lines = (<$f>, ''));
	close $f;
	my ($column, $text);    # of the table, that names tests; of a paragraph
	for my $n (1 .. @lines)
	{
		my $line = $lines[ $n - 1 ];
		my $where = "$page:$n";
		my @cells = $line =~ /^\|/ ? split(/\s*\|\s*/, $line) : ();
		if ($text && (@cells || $line eq ''))
		{
			check_named($where, $_) for $text =~ /\((\d{3}(?: [`"][^)]*)?)\)/g;
			undef $text;
		}
		undef $column if !@cells;
		$text .= " $line" if !@cells && $line ne '';
		($column) = grep { $cells[$_] eq 'test' } 0 .. $#cells if !defined $column;
		check_row($where, $cells[$column] // '') if defined $column;
	}
	return;
}

check_page($_) for @pages;
exit($bad ? 1 : 0);

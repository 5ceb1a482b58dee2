#-------------------------------------------------------------------------
# DemoReport
#	What the demo shows of a lake: tree, records, entries, comparison.
#-------------------------------------------------------------------------
package DemoReport;
use strict;
use warnings;

use CdcS3::Proc qw(capture slurp);
use CdcS3::Test qw(table_sum);

my $width = 118;
my $files_shown = 2;

sub new
{
	my ($class, $cdc, $folder) = @_;
	return bless { cdc => $cdc, folder => $folder }, $class;
}

sub _size
{
	my ($bytes) = @_;
	return $bytes < 10_000 ? "$bytes B"
	  : $bytes < 10_000_000 ? sprintf '%d kB', $bytes / 1000
	  : sprintf '%d MB', $bytes / 1_000_000;
}

sub _cut
{
	my ($text, $most) = @_;
	$most //= $width;
	return length $text > $most ? substr($text, 0, $most - 1) . '…' : $text;
}

# The lake as a tree; of many files in one folder the first ones.
sub tree
{
	my ($self) = @_;
	print "  $self->{folder}\n";
	$self->_branch($self->{folder}, '  ');
	return;
}

sub _branch
{
	my ($self, $dir, $indent) = @_;
	opendir my $d, $dir or die "$dir: $!\n";
	my @names = sort grep { !/^\.\.?$/ } readdir $d;
	closedir $d;
	my @files = grep { -f "$dir/$_" } @names;
	for my $name (grep { -d "$dir/$_" } @names)
	{
		# What has one single thing in it shares a line with it; scratch
		# folders are empty by now.
		my $path = $name;
		my @inner = ($name);
		while (-d "$dir/$path")
		{
			opendir my $sub, "$dir/$path" or last;
			@inner = grep { !/^\.\.?$/ } readdir $sub;
			closedir $sub;
			last unless @inner == 1;
			$path .= "/$inner[0]";
		}
		if (-f "$dir/$path")
		{
			printf "%s├─ %s  %s\n", $indent, $path, _size(-s "$dir/$path");
		}
		elsif (@inner)
		{
			print "$indent├─ $path/\n";
			$self->_branch("$dir/$path", "$indent│  ");
		}
	}
	for my $i (0 .. $#files)
	{
		if ($i == $files_shown && @files > $files_shown + 1)
		{
			my $bytes = 0;
			$bytes += -s "$dir/$_" for @files[ $i .. $#files ];
			printf "%s├─ … and %d more, %s\n", $indent, @files - $i,
			  _size($bytes);
			last;
		}
		printf "%s├─ %s  %s\n", $indent, $files[$i],
		  _size(-s "$dir/$files[$i]");
	}
	return;
}

# One record of each kind, as it lies in an object.
sub records
{
	my ($self) = @_;
	my @kinds = (
		[ 'loaded' => qr/"_op":"r"/, qr{countries} ],
		[ 'insert' => qr/"_op":"i".*Dhubhghaill/, qr{customers} ],
		[ 'update' => qr/"_op":"u"/, qr{delivery/orders} ],
		[ 'update of a key' => qr/"_op":"u".*"_key":/, qr{customers} ],
		[ 'unchanged wide value' => qr/"_unchanged":/, qr{documents} ],
		[ 'delete' => qr/"_op":"d"/, qr{fundrecs_schema/orders} ],
		[ 'truncate' => qr/"_op":"t"/, qr{stock_take} ]);
	for my $kind (@kinds)
	{
		my ($what, $line, $path) = @$kind;
		my $found;
		for my $object (grep { $_ =~ $path } $self->{cdc}->objects)
		{
			($found) = grep { $_ =~ $line } $self->_lines($object);
			last if defined $found;
		}
		print "  $what\n    ", _cut($found // '(none)', 2 * $width), "\n";
	}
	return;
}

sub _lines
{
	my ($self, $object) = @_;
	my $path = "$self->{folder}/$object";
	my $text =
		$object =~ /\.zst$/ ? capture([ 'zstd', '-dcq', $path ])->{out}
	  : $object =~ /\.gz$/ ? capture([ 'gzip', '-dc', $path ])->{out}
	  : slurp($path);
	return split /\n/, $text;
}

sub entries
{
	my ($self) = @_;
	my @lines = split /\n/, $self->{cdc}->ls;
	my @shown = @lines > 14 ? (@lines[ 0 .. 5 ], '…', @lines[ -7 .. -1 ]) : @lines;
	print '  ', _cut($_), "\n" for @shown;
	return;
}

# Rows of the stream that the log lists.
sub streamed_rows
{
	my ($self) = @_;
	my $rows = 0;
	for my $e ($self->{cdc}->entries)
	{
		$rows += $_->{rows}
		  for grep { !$_->{load} } $self->{cdc}->entry_objects($e);
	}
	return $rows;
}

# Prints the table; returns how many are not equal.
sub compare
{
	my ($self, $source, $source_db, $target, $target_db, @tables) = @_;
	my $unequal = 0;
	printf "  %-28s %10s %10s  %-32s %-32s %s\n", 'table', 'source', 'target',
	  'md5 of the source', 'md5 of the target', '';
	for my $table (@tables)
	{
		my @s = split /\|/, table_sum($source, $source_db, $table);
		my @t = split /\|/,
		  eval { table_sum($target, $target_db, $table) } // '-|missing';
		my $equal = "@s" eq "@t";
		$unequal++ unless $equal;
		printf "  %-28s %10s %10s  %-32s %-32s %s\n", $table, $s[0], $t[0],
		  $s[1], $t[1], $equal ? 'equal' : 'NOT EQUAL';
	}
	return $unequal;
}

sub next_commands
{
	my ($self, $store, $kind) = @_;
	my $program = CdcS3::Sidecar::program();
	my $url = "file://$self->{folder}";
	print <<"END";

The lake is $self->{folder}
  its log                 $program ls --store.url=$url
  its changes, in order   $program replay --store.url=$url | head
  with DuckDB             duckdb -c "select _op, count(*) from read_json('$self->{folder}/fundrecs_schema/orders/**/*.zst', format='newline_delimited', union_by_name=true) group by 1"
  on a real S3 server     make demo STORE=s3
  with your own           cdc-s3 check --source.conninfo='host=… dbname=…' --store.url=s3://bucket/prefix
                          (README.md, "Quick start")
END
	return;
}

1;

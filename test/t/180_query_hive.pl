#-------------------------------------------------------------------------
# "cdc-s3 ddl" for engines that do not run here, Athena, Glue, Trino, Snowflake
# and Redshift, over lakes of each format and of many templates of output.path:
# what it prints is parsed, and what it says of folders is compared with those
# that the lake has.  A small evaluator makes folders of the properties of a
# projection, as the engines' manuals say: each folder of a table's objects has
# to be in the projection of one table, and that of the format that lies in it.
#-------------------------------------------------------------------------
use strict;
use warnings;
use utf8;
use Test::More;

use JSON::PP;
use POSIX qw(strftime);
use Time::Local qw(timegm);

use CdcS3::Engines qw(have_engines engines_missing python);
use CdcS3::Test;

plan skip_all => engines_missing() unless have_engines();

binmode Test::More->builder->$_, ':encoding(UTF-8)' for qw(output failure_output);
my $source = new_cluster('source', conf => [ 'max_replication_slots = 30', 'max_wal_senders = 40' ])->start;

$source->psql('postgres', 'create database shop');
$source->psql('shop', <<'SQL');
create table items (id int primary key, gone int, name text, big text, more bytea, price numeric(10,2), at timestamptz, ts timestamp, d date,
	doc jsonb, nums int[], f float8, ok boolean, dh text, minute int);
insert into items (id, name) select g, 'n' from generate_series(1, 20) g;
select pg_replication_origin_create('elsewhere');
SQL

# The newest hour that a commit has; some lie ahead of the clock.
my $hour = int(time / 3600) * 3600;
my $now = $hour + 4 * 3600;
my $at = 0;

# A transaction of that hour from now.
sub change
{
	my ($n) = @_;
	my $time = $hour + 3600 * $n + 60;
	$at++;
	$source->psql('shop', <<"SQL");
select pg_replication_origin_session_setup('elsewhere');
begin;
select pg_replication_origin_xact_setup('0/$at', to_timestamp($time));
update items set name = 'of $n' where id = 1 + $n;
commit;
SQL
	return;
}

my %ways = (
	parquet => ['--output.format=parquet'],
	csv => [ '--output.format=csv', '--output.csv_newlines=escape' ],
	day => [ '--output.format=parquet', '--output.partition=day' ],
	none => [ '--output.format=csv', '--output.compression=gzip', '--output.partition=none' ],
	zone => [ '--output.format=parquet', '--output.path={yyyy}-{mm}/{schema}.{table}/d={dd}/{hh}', '--output.timezone=+05:30' ],
	minutes => ['--output.path={schema}/{table}/{dd}{mm}{yyyy}/{hh}.{mi}'],
	months => [ '--output.format=csv', '--output.path={table}/{schema}/{yyyy}/m{mm}' ],
	mixed => []);
my @later = ([ 1, '--output.format=parquet' ], [ 2, '--output.format=csv' ], [ 3, '--output.path={table}.{schema}/{yyyy}/{mm}/{dd}/{hh}' ]);
my (%cdc, %run);
for my $way (sort keys %ways)
{
	$cdc{$way} = sidecar($source, 'shop', file_store(), slot => "slot_$way", flags => [ '--flush.interval=1s', @{ $ways{$way} } ]);
	$cdc{$way}->ok('init');
	$run{$way} = $cdc{$way}->start;
	ok($cdc{$way}->wait_loaded, "$way: loaded") or diag $run{$way}->errors;
}
change(0);
$source->psql('shop', 'alter table items drop gone');
for my $session (@later)
{
	my ($n, @flags) = @$session;
	ok($cdc{mixed}->wait_durable, 'durable') or diag $run{mixed}->errors;
	is($run{mixed}->stop('TERM', 60), 0, 'run stops') or diag $run{mixed}->errors;
	$cdc{mixed}{flags} = [ '--flush.interval=1s', @flags ];
	$run{mixed} = $cdc{mixed}->start;
	change($n);
}
for my $way (sort keys %ways)
{
	ok($cdc{$way}->wait_durable, "$way: durable") or diag $run{$way}->errors;
	is($run{$way}->stop('TERM', 60), 0, "$way: run stops") or diag $run{$way}->errors;
}

# ---- dates as engines write them ----

# "'year='yyyy'/'MM" at a time, or as a pattern with the parts' names.
sub java
{
	my ($format, $time) = @_;
	my %of = (yyyy => '%Y', MM => '%m', dd => '%d', HH => '%H', mm => '%M');
	my $out = '';
	while ($format =~ /\G(?:'([^']*)'|(yyyy|MM|dd|HH|mm))/gc)
	{
		$out .= defined $1 ? (defined $time ? $1 : quotemeta $1)
		  : defined $time ? strftime($of{$2}, gmtime $time)
		  : '(?<' . $2 . ($2 eq 'mm' ? '_' : '') . '>' . ($2 eq 'yyyy' ? '\d{4}' : '\d\d') . ')';
	}
	die "format $format" if (pos($format) // 0) < length $format;
	return $out;
}

# The time of a bound of a range.
sub bound
{
	my ($format, $text) = @_;
	my %seconds = (MINUTE => 60, HOUR => 3600, DAY => 86400, MONTH => 31 * 86400, YEAR => 366 * 86400);
	return $now + ($1 // 0) * (defined $2 ? $seconds{$2} : 0)
	  if $text =~ /^NOW(?:\+(\d+)(MINUTE|HOUR|DAY|MONTH|YEAR)S)?$/;
	my $pattern = java($format);
	$text =~ /^$pattern$/ or die "range $text is not of $format";
	return timegm(0, $+{mm_} // 0, $+{HH} // 0, $+{dd} // 1, ($+{MM} // 1) - 1, $+{yyyy});
}

# Steps by what a date has, until they are past the end.
sub dates
{
	my ($format, $from, $to, $unit) = @_;
	my %step = (MINUTES => 60, HOURS => 3600, DAYS => 86400);
	my ($begin, $end) = (bound($format, $from), bound($format, $to));
	my @all;
	if ($step{$unit})
	{
		for (my $t = $begin; $t <= $end; $t += $step{$unit}) { push @all, java($format, $t) }
		return @all;
	}
	my @at = gmtime $begin;
	my $months = ($at[5] + 1900) * 12 + $at[4];
	for (my $m = $months;; $m += $unit eq 'YEARS' ? 12 : 1)
	{
		my $t = timegm(0, 0, 0, 1, $m % 12, int($m / 12));
		last if $t > $end;
		push @all, java($format, $t);
	}
	return @all;
}

# The values of a key, from Athena's and Glue's properties.
sub values_of
{
	my ($p, $key) = @_;
	my $of = sub { $p->{"projection.$key.$_[0]"} };
	return split /,/, $of->('values') if $of->('type') eq 'enum';
	my ($from, $to) = split /,/, $of->('range');
	return map { sprintf '%0*d', $of->('digits'), $_ } $from .. $to if $of->('type') eq 'integer';
	is($of->('interval'), 1, 'each step');
	return dates($of->('format'), $from, $to, $of->('interval.unit'));
}

# All folders of a projection.
sub folders_of
{
	my ($p, $location, @keys) = @_;
	return $location =~ s{/$}{}r unless @keys;
	my @folders = $p->{'storage.location.template'};
	for my $key (@keys)
	{
		my @values = values_of($p, $key);
		@folders = map { my $f = $_; map { $f =~ s/\$\{\Q$key\E\}/$_/r } @values } @folders;
	}
	return @folders;
}

# { folder with objects of the table => format }
sub lake_folders
{
	my ($cdc) = @_;
	my %formats;
	for my $key ($cdc->objects)
	{
		my ($folder, $format) = $key =~ m{^(.*)/(?:part|load)-[^/]*?\.(json|csv|parquet)[^/]*$} or next;
		$formats{"$cdc->{store}{url}/$folder"} = $format if $folder !~ /^_cdc/;
	}
	return \%formats;
}

# Is each folder that has objects in one table, of its format?
sub covered
{
	my ($name, $cdc, @tables) = @_;
	my $have = lake_folders($cdc);
	my (%in, @twice);
	for my $t (@tables)
	{
		for my $folder (@{ $t->{folders} })
		{
			push @twice, $folder if exists $in{$folder};
			$in{$folder} = $t->{format};
		}
	}
	my %seen = map { $_ => $in{$_} // 'none' } keys %$have;
	is_deeply(\%seen, $have, "$name: each of " . keys(%$have) . ' folders is read, in its format');
	is("@twice", '', "$name: and none twice");
	return;
}

sub ddl
{
	my ($way, @args) = @_;
	my $r = $cdc{$way}->on_lake('ddl', @args, 'public.items');
	is($r->{code}, 0, "$way: ddl @args") or diag $r->{err};
	utf8::decode($r->{out});
	return $r->{out};
}

# ---- Glue ----

my %several = (mixed => 1);
for my $way (sort keys %ways)
{
	for my $keys (qw(one four))
	{
		my @json = JSON::PP->new->utf8->incr_parse(ddl($way, '--engine=glue', "--keys=$keys"));
		my (@tables, %names);
		for my $json (@json)
		{
			my $input = $json->{TableInput};
			my $sd = $input->{StorageDescriptor};
			my $p = $input->{Parameters};
			my @keys = map { $_->{Name} } @{ $input->{PartitionKeys} };
			$names{ $input->{Name} }++;
			push @tables, { format => $p->{classification}, folders => [ folders_of($p, $sd->{Location}, @keys) ] };
			is(scalar(@keys), $keys eq 'one' || $several{$way} || $way eq 'none' ? ($way eq 'none' ? 0 : 1)
				: { minutes => 5, months => 2, day => 3 }->{$way} // 4, "$way, $keys: keys @keys");
			my %serde = (json => qr/JsonSerDe$/, csv => qr/OpenCSVSerde$/, parquet => qr/ParquetHiveSerDe$/);
			like($sd->{SerdeInfo}{SerializationLibrary}, $serde{ $p->{classification} }, "$way: $input->{Name} is of its format");
			my %types = map { $_->{Name} => $_->{Type} } @{ $sd->{Columns} };
			is($p->{classification} eq 'csv' ? "$types{c0} $p->{'skip.header.line.count'}" : "$types{id} $types{price} $types{nums}",
				{ csv => 'string 1', json => 'int string string', parquet => 'int decimal(10,2) array<int>' }->{ $p->{classification} }, "$way: its types");
			my %all;
			$all{ lc $_->{Name} }++ for @{ $sd->{Columns} }, @{ $input->{PartitionKeys} };
			is(join(' ', grep { $all{$_} > 1 } sort keys %all), '', "$way: no column is there twice");
		}
		is(scalar(keys %names), scalar(@json), "$way: names of tables");
		covered("$way, Glue, $keys", $cdc{$way}, @tables);
	}
}

# ---- Athena: the same properties, as SQL ----

my $template = qr/\$\{/;
for my $way (sort keys %ways)
{
	my $sql = ddl($way, '--engine=athena');
	my @json = JSON::PP->new->utf8->incr_parse(ddl($way, '--engine=glue'));
	my @tables = $sql =~ /^CREATE EXTERNAL TABLE (.*?\n\));$/msg;
	is(scalar(@tables), scalar(@json), "$way: as many tables in Athena as in Glue");
	for my $i (0 .. $#tables)
	{
		my ($properties) = $tables[$i] =~ /^TBLPROPERTIES \((.*)\)/ms;
		my %p = map { /^\s*'([^']+)' = (?:'([^']*)'|"(.*)")$/ ? ($1 => $2 // $3) : () } split /,\n/, $properties;
		my %glue = %{ $json[$i]{TableInput}{Parameters} };
		delete $glue{EXTERNAL};
		is_deeply(\%p, \%glue, "$way: its properties are Glue's");
	}
}

# ---- Trino ----

for my $way (sort keys %ways)
{
	my $sql = ddl($way, '--engine=trino');
	my @tables;
	for my $table ($sql =~ /^CREATE TABLE (.*?\n\));$/msg)
	{
		my ($format) = $table =~ /^  format = '(?:OPENX_)?(\w+)'/m;
		my ($location) = $table =~ /^  external_location = '([^']*)'/m;
		my ($where) = $table =~ /partition_projection_location_template = '([^']*)'/;
		my @values;
		if ($table =~ /projection_type = 'ENUM', partition_projection_values = ARRAY\[([^\]]*)\]/)
		{
			@values = map { s/^'|'$//gr } split /, /, $1;
		}
		elsif ($table =~ /projection_type = 'DATE', partition_projection_format = '((?:[^']|'')*)', partition_projection_range = ARRAY\['([^']*)', '([^']*)'\].*interval = 1, partition_projection_interval_unit = '(DAYS|HOURS|MINUTES)'/)
		{
			my ($pattern, $from, $to, $unit) = ($1, $2, $3, $4);
			$pattern =~ s/''/'/g;
			@values = dates($pattern, $from, $to, $unit);
			cmp_ok(scalar(@values), '>', 1, "$way: the bounds of a range differ");
		}
		my @folders = $where ? map { $where =~ s/\$\{\w+\}/$_/r } @values : $location =~ s{/$}{}r;
		push @tables, { format => lc $format, folders => [ map { s{^local://}{file://}r } @folders ] };
	}
	covered("$way, Trino", $cdc{$way}, @tables);
}

# ---- Redshift: partitions by name, or one folder with all below it ----

for my $way (sort keys %ways)
{
	my $sql = ddl($way, '--engine=redshift');
	my @tables;
	my %made = $sql =~ /^CREATE EXTERNAL TABLE (\S+) \((.*?);\n/msg;
	for my $name (sort keys %made)
	{
		my $table = $made{$name};
		my $format = $table =~ /STORED AS PARQUET/ ? 'parquet' : $table =~ /OpenCSVSerde/ ? 'csv' : 'json';
		my ($location) = $table =~ m{^LOCATION '([^']*)/'}m;
		my @folders;
		for my $list ($sql =~ /^ALTER TABLE \Q$name\E ADD IF NOT EXISTS(.*?);\n/msg)
		{
			my @some = $list =~ m{LOCATION '([^']*)/'}g;
			# sqlglot knows no statement of several partitions
			like($list, qr{\A(\n  PARTITION \("dh_"='[^']+'\) LOCATION '[^']+/')+\z}, "$way: partitions");
			cmp_ok(scalar(@some), '<=', 100, "$way: not more partitions than a statement takes");
			push @folders, @some;
		}
		@folders = grep { index("$_/", "$location/") == 0 } keys %{ lake_folders($cdc{$way}) }
		  if $table !~ /^PARTITIONED BY/m;
		push @tables, { format => $format, folders => \@folders };
	}
	covered("$way, Redshift", $cdc{$way}, @tables);
}

# ---- Snowflake: patterns of files ----

for my $way (sort keys %ways)
{
	my $sql = ddl($way, '--engine=snowflake');
	my @objects = grep { m{/(?:part|load)-} && !/^_cdc/ } $cdc{$way}->objects;
	my @patterns;
	for my $table ($sql =~ /^CREATE (?:OR REPLACE )?EXTERNAL TABLE (.*?);\n/msg)
	{
		my ($pattern) = $table =~ /^PATTERN = '([^']*)'/m;
		my ($format) = $table =~ /TYPE = (\w+)/;
		my ($key) = $table =~ /REGEXP_SUBSTR\(METADATA\$FILENAME, '([^']*)'/;
		push @patterns, $pattern;
		for my $object (grep { $_ =~ /^$pattern$/ } @objects)
		{
			like($object, qr/\.\L$format\E\b/, "$way: $object is of the format");
			ok("lake/$object" =~ /$key/ && length($1 // $&), "$way: its key") if $key;
		}
	}
	is_deeply(
		[ map { my $o = $_; scalar grep { $o =~ /^$_$/ } @patterns } @objects ],
		[ map { 1 } @objects ],
		"$way, Snowflake: each object is in one table");
}

# ---- all is SQL ----

my $parse = <<'PYTHON';
import logging, sqlglot, sys
logging.disable(logging.WARNING)
for path in sys.argv[2:]:
    print("FILE")
    # Athena takes one statement at a time, and has two languages
    for text in open(path, encoding="utf-8").read().split(";\n"):
        for s in filter(None, sqlglot.parse(text, dialect=sys.argv[1])):
            print(type(s).__name__, (s.sql(dialect=sys.argv[1], comments=False)[:60]).replace("\n", " "))
PYTHON
for my $engine (qw(athena trino snowflake redshift))
{
	my (@names, @files);
	for my $way (sort keys %ways)
	{
		for my $view (qw(latest changes))
		{
			my $sql = ddl($way, "--engine=$engine", "--view=$view");
			unlike($sql, qr/NOT WHOLE/, "$way, $engine: all is read");
			push @names, [ $way, $view ];
			push @files, temp_folder() . "/$engine-$way-$view.sql";
			open my $f, '>:utf8', $files[-1] or die $!;
			# of Redshift sqlglot knows none of these two clauses
			$sql =~ s/^(?:TABLE PROPERTIES|WITH SERDEPROPERTIES) \([^()]*\)//mg if $engine eq 'redshift';
			print {$f} $sql;
			close $f or die $!;
		}
	}
	my $p = python($parse, $engine, @files);
	is($p->{code}, 0, "$engine: parsed") or diag $p->{err};
	my (undef, @parsed) = split /^FILE\n/m, $p->{out}, -1;
	is(scalar(@parsed), scalar(@files), "$engine: each file");
	for my $i (0 .. $#parsed)
	{
		my ($way, $view) = @{ $names[$i] };
		unlike($parsed[$i], qr/^Command (?!ALTER EXTERNAL|CREATE EXTERNAL SCHEMA|ALTER TABLE "public_lake"."items_files\d?" ADD IF NOT EXISTS)/m, "$way, $engine: nothing that is not understood");
		like($parsed[$i], qr/^Create CREATE OR REPLACE VIEW \W*public\W+items_$view/m, "$way, $engine: with its view");
	}
}

# ---- what is said of what is not right ----

like(ddl('none', '--engine=athena'), qr/^-- NOT RIGHT: a record of CSV that has a line end in a field is two/m, 'line ends in CSV: said');
like(ddl('csv', '--engine=trino'), qr/WHEN t\.c14 = 'true' THEN CASE WHEN 'true' = 'true' THEN replace\(/, 'escapes in CSV are undone');
like(ddl('csv', '--engine=trino'), qr/nullif\(t\.c15, '\\N'\)/, 'and what stands for NULL');
like(ddl('mixed', '--engine=athena', '--keys=four'), qr/^-- one key: /m, 'four keys of several tables: said');
like(ddl('parquet', '--engine=redshift'), qr/^-- NULL, too: arrays in Parquet/m, 'arrays in Redshift: said');

done_testing();

#-------------------------------------------------------------------------
# doc/types.md, row by row: each value through the first load and through the
# stream, under hostile settings of role and database.  The record must hold
# what the document says, and the target must get the same value.
#-------------------------------------------------------------------------
use strict;
use warnings;
use utf8;
use Test::More;
use Encode qw(decode_utf8 encode_utf8);

use CdcS3::Test;

binmode Test::More->builder->$_, ':encoding(UTF-8)'
  for qw(output failure_output todo_output);

# [type, value, record] of each row of the document's tables.
sub rows
{
	my @rows;
	for (split /\n/, decode_utf8(slurp(top_folder() . '/doc/types.md')))
	{
		next unless /^\| `(.+?)` \| `(.*)` \| `(.*)` \|$/;
		my ($type, $value, $record) = ($1, $2, $3);
		$value =~ s/\\\|/|/g;
		push @rows, [ $type, $value, $record ];
	}
	return @rows;
}

my $types = <<'SQL';
create extension hstore;
create extension citext;
create type mood as enum ('sad', 'it''s "ok"');
create domain posint as integer check (value > 0);
create type pair as (a integer, b text);
SQL

my @rows = rows();
cmp_ok(scalar @rows, '>', 90, 'the document has rows');

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
for my $c ($source, $target)
{
	$c->psql('postgres', "create database work template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C'");
	$c->psql('work', $types);
}

if ($source->try_psql('work', q(select '<a/>'::xml))->{code})
{
	note 'left out: xml, which this server is built without';
	@rows = grep { $_->[0] ne 'xml' } @rows;
}

# One table a type; its rows by number.
my %table;
for my $r (@rows)
{
	$table{ $r->[0] } //= 'type_' . scalar keys %table;
}
$source->psql('work', encode_utf8(join '', map {
	"create table $table{$_} (id integer primary key, v $_);\n"
} sort keys %table));

sub insert
{
	my ($from) = @_;
	my $sql = '';
	for my $i (0 .. $#rows)
	{
		my ($type, $value) = @{ $rows[$i] };
		$sql .= sprintf "insert into %s values (%d, %s);\n", $table{$type},
		  $from + $i, $value;
	}
	return $sql;
}

$source->psql('work', encode_utf8(insert(1000)));
# From here on all settings are against us.
$source->psql('work', <<'SQL');
alter role postgres set datestyle = 'SQL, DMY';
alter role postgres set intervalstyle = 'iso_8601';
alter role postgres set extra_float_digits = -15;
alter role postgres set bytea_output = 'escape';
alter role postgres set timezone = 'Asia/Kolkata';
alter role postgres set search_path = 'pg_catalog';
alter database work set xmlbinary = 'hex';
SQL

my $cdc = sidecar($source, 'work', file_store(), target => $target);
$cdc->ok('init');
my $run = $cdc->start;
ok($cdc->wait_loaded, 'tables are loaded') or diag $run->errors;
{
	local $ENV{PGOPTIONS} = '-c datestyle=ISO -c search_path=public';
	$source->psql('work', encode_utf8(insert(2000)));
}
ok($cdc->wait_durable, 'changes are durable') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run stops') or diag $run->errors;

my %record;
for my $line (split /\n/, decode_utf8($cdc->replay))
{
	my ($id, $v) = $line =~ /"id":(\d+),"v":(.*)\}$/ or next;
	$v =~ s/,"_jsonnull":\["v"\]$//;
	$record{$id} = $v;
}
for my $i (0 .. $#rows)
{
	my ($type, $value, $record) = @{ $rows[$i] };
	is($record{ 1000 + $i }, $record, "loaded $type $value");
	is($record{ 2000 + $i }, $record, "streamed $type $value");
}

$cdc->ok('merge', '--merge.until=now');
for my $type (sort keys %table)
{
	local $ENV{PGOPTIONS} = '-c datestyle=ISO -c timezone=UTC '
	  . '-c extra_float_digits=1 -c intervalstyle=postgres '
	  . '-c bytea_output=hex -c search_path=public';
	tables_equal($source, 'work', $target, 'work', $table{$type});
}
done_testing();

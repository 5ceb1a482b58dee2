#-------------------------------------------------------------------------
# ls and replay of a lake that run made: every change once, in order, in any
# cut of the log into ranges.
#-------------------------------------------------------------------------
use strict;
use warnings;
use JSON::PP;
use Test::More;

use CdcS3::Cluster;
use CdcS3::Test;

my $json = JSON::PP->new->utf8;
my $source = new_cluster('source')->start;
$source->psql('postgres', <<'SQL');
create table a (id integer primary key, v text);
create table "B.b" (id integer primary key, v text);
insert into a select i, 'old ' || i from generate_series(1, 1000) i;
SQL
my $cdc = sidecar(
	$source, 'postgres', file_store(),
	flags => [ '--flush.interval=1s', '--flush.bytes=64kB' ]);
$cdc->ok('init');
is($cdc->replay, '', 'nothing to replay yet');
my $run = $cdc->start;
ok($cdc->wait_loaded, 'loaded') or diag $run->errors;

# Both tables in each transaction, so that the order crosses objects.
for my $i (1 .. 20)
{
	$source->psql('postgres', <<"SQL");
begin;
insert into a select $i * 10000 + j, repeat('x', 100)
	from generate_series(1, 100) j;
insert into "B.b" values ($i, 'with "quotes" and ü');
update a set v = 'new $i' where id = $i;
delete from a where id = $i + 500;
commit;
SQL
}
# A change of the key takes two places, a truncate one for each table.
$source->psql('postgres', <<'SQL');
create table c (id integer primary key);
begin;
insert into c values (1);
update c set id = 2;
insert into c values (3);
truncate c, "B.b";
insert into c values (4);
commit;
SQL
ok($cdc->wait_durable, 'durable') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run stops') or diag $run->errors;

my @lines = split /\n/, $cdc->replay;
my @rows = map { $json->decode($_) } @lines;
is(join(' ', map { "$_->{_op}$_->{_seq}" } @rows[-6 .. -1]), 'i1 u2 i4 t5 t6 i7', 'places in a transaction');
is((grep { $_->{_op} eq 't' && $_->{_table} =~ /^(?:c|B\.b)$/ } @rows), 2, 'a record a table');
my @last = splice @rows, -6;
is(@rows, 1000 + 20 * 103, 'every change is there');
my %op;
$op{ $_->{_op} }++ for @rows;
is_deeply(\%op, { r => 1000, i => 20 * 101, u => 20, d => 20 }, 'by kind');
is((grep { $_->{_table} eq 'B.b' && $_->{_schema} eq 'public' } @rows),
	20, 'each says its table');

my @places = map { sprintf '%s %020d', $_->{_lsn}, $_->{_seq} } @rows;
my %seen = map { sprintf('%s %020d', $_->{_lsn}, $_->{_seq}) => 1 } @last;
is(keys %seen, 6, 'six places');
is((grep { $seen{$_}++ } @places), 0, 'no (LSN, seq) twice');
my @stream = map { $places[$_] } grep { $rows[$_]{_op} ne 'r' } 0 .. $#rows;
is_deeply(\@stream, [ sort @stream ], 'in order');

# Applied by hand they give the table.
my %table;
for my $row (grep { $_->{_table} eq 'a' } @rows)
{
	if ($row->{_op} eq 'd') { delete $table{ $row->{id} }; }
	else { $table{ $row->{id} } = $row->{v}; }
}
ok( join("\n", map { "$_|$table{$_}" } sort { $a <=> $b } keys %table) eq
	  $source->psql('postgres', 'select id, v from a order by id'),
	'applied in order they give the table');

# The log.
my @entries = map { $json->decode($_) } split /\n/, $cdc->ls('--json');
is($entries[0]{entry}, 0, 'ls: begins with entry 0');
my @files = $cdc->entry_files;
is(@entries, @files, 'ls: all entries');
my $sum = 0;
$sum += $_->{rows} for @entries;
is($sum, scalar @lines, 'ls: rows');
my @objects = map { $json->decode($_) } split /\n/,
  $cdc->ls('objects', '--json');
is_deeply([ sort map { $_->{key} } @objects ],
	[ $cdc->objects ], 'ls objects: what lies in the lake');
my $text = $cdc->ls;
is(scalar(split /\n/, $text), 1 + @entries, 'ls as text: a line an entry');
my @of_b = grep { $_->{table} eq 'B.b' } @objects;
is(scalar(split /\n/, $cdc->ls('objects', '--table=public.B.b')),
	1 + @of_b, 'ls objects --table');

# Ranges that follow each other give all of it, wherever they are cut.
my @cuts = ('0/0', (map { $_->{end} } @entries[ 1, 3 ]),
	(map { lsn($_->{_lsn}) } @rows[ 1200, 2222 ]), 'FFFFFFFF/FFFFFFFF');

sub lsn { return $_[0] =~ /^0*([0-9A-F]*)([0-9A-F]{8})$/
	  ? sprintf('%X/%X', hex($1 || 0), hex $2) : die $_[0] }

sub number { my ($h, $l) = split m{/}, $_[0]; return hex($h) * 2**32 + hex $l }
@cuts = sort { number($a) <=> number($b) } @cuts;
my @parts;
for my $i (1 .. $#cuts)
{
	my $r = $cdc->on_lake('replay', "--from=$cuts[$i - 1]", "--to=$cuts[$i]");
	is($r->{code}, 0, "range $cuts[$i - 1] to $cuts[$i]") or diag $r->{err};
	push @parts, split /\n/, $r->{out};
}
is_deeply([ sort @parts ], [ sort @lines ], 'ranges: every line once');
is_deeply([ grep { /"_op":"[^r]"/ } @parts ],
	[ grep { /"_op":"[^r]"/ } @lines ], 'ranges: in order');
is_deeply(
	[ split /\n/, $cdc->replay('--table', 'public.B.b') ],
	[ grep { /"_table":"B\.b"/ } @lines ],
	'one table');

# A reader that has enough is no error; a full disk is one.
my $bin = CdcS3::Sidecar::program();
my $r = capture(
	[
		'bash', '-c',
		"set -o pipefail; $bin replay --store.url=$cdc->{store}{url} | head -n 1"
	]);
is($r->{code}, 0, 'output closed early') or diag $r->{err};
is($r->{err}, '', 'output closed early: nothing to say');
SKIP:
{
	skip 'no /dev/full', 3 unless -c '/dev/full';
	$r = capture(
		[
			'bash', '-c',
			"$bin replay --store.url=$cdc->{store}{url} > /dev/full"
		]);
	is($r->{code}, 1, 'output full: exit code');
	like($r->{err}, qr/could not write the output: No space/,
		'output full: message');
	$r = capture(
		[ 'bash', '-c', "$bin ls --store.url=$cdc->{store}{url} > /dev/full" ]);
	is($r->{code}, 1, 'output of ls full: exit code');
}

# Damage is named.
my ($object) = grep { $_->{rows} > 10 } @objects;
my $path = "$cdc->{store}{folder}/$object->{key}";
my $body = slurp($path);
chmod 0644, $path;

sub put
{
	open my $f, '>:raw', $path or die "$path: $!";
	print $f $_[0];
	close $f or die $!;
	return;
}
for my $case (
	[ 'cut off', substr($body, 0, length($body) - 3) ],
	[ 'one byte changed', substr($body, 0, 9) . 'X' . substr($body, 10) ])
{
	put($case->[1]);
	$r = $cdc->on_lake('replay');
	is($r->{code}, 3, "object $case->[0]: exit code");
	like($r->{err}, qr/^cdc-s3: [^\n]*\Q$object->{key}\E[^\n]*\n\z/,
		"object $case->[0]: named in one line");
}
unlink $path or die $!;
$r = $cdc->on_lake('replay');
is($r->{code}, 3, 'object missing: exit code');
like($r->{err}, qr/\Q$object->{key}\E/, 'object missing: named');

done_testing();

#-------------------------------------------------------------------------
# What was done to tables stands in the log where it happened: names, schemas,
# what was made, dropped or left, and what has to be loaded again; with rows or
# without, in the first session of run and in a later one.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use JSON::PP;

use CdcS3::Proc qw(slurp);
use CdcS3::Test;

my $source = new_cluster('source')->start;
my $store = file_store();
my $cdc = sidecar($source, 'postgres', $store,
	flags => [ '--flush.interval=1h', '--source.exclude=public.hidden*' ]);
my $json = JSON::PP->new->utf8;
my $seen = 0;    # entries that were looked at

sub sql { return $source->psql('postgres', $_[0]) }
sub oid { return sql("select '$_[0]'::regclass::oid") }

# What the entries say since the last call, loads and rows beside it.
my (@loads, @objects);
sub new_schemas
{
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($cdc->wait_durable, 'all is in the log') or diag $cdc->{run}->errors;
	my @entries = $cdc->entries;
	my @new = @entries[ $seen .. $#entries ];
	$seen = @entries;
	@loads = map { @{ $_->{loads} } } @new;
	@objects = map { $cdc->entry_objects($_) } @new;
	my @items = map { @{ $_->{schemas} } } @new;
	my @places = map { sprintf '%s %016x', $_->{lsn}, $_->{seq} } @items;
	is_deeply(\@places, [ sort @places ], 'in the order of their places');
	for my $e (@new)
	{
		my @out = grep { $_->{lsn} gt $e->{end_lsn} } @{ $e->{schemas} };
		is(scalar @out, 0, "entry $e->{entry} says nothing of what comes later");
	}
	return @items;
}

# One item in short: name, what its flags say.
sub brief
{
	my ($i) = @_;
	my $name = $i->{schema} eq '' ? '?' : "$i->{schema}.$i->{table}";
	return join ' ', $name, map { $i->{$_} ? $_ : () } qw(created gone left);
}

sub file_of
{
	my ($i) = @_;
	my $f = $json->decode(
		slurp("$store->{folder}/_cdc/schema/$i->{schema}/$i->{table}/$i->{hash}.json"));
	is("$f->{relation_id} $f->{row_type} $f->{schema}.$f->{table}",
		"$i->{relation_id} $i->{row_type} $i->{schema}.$i->{table}",
		'the schema file is of the item');
	return $f;
}

sub row_type { return sql("select reltype from pg_class where oid = $_[0]") }

# What is there is loaded: also what has no rows, and what has missing values.
sql(<<'SQL');
create type mood as enum ('sad', 'ok');
create type pair as (a int, b text);
create domain cents as numeric(10,2);
create table filled (id int primary key);
insert into filled values (1);
alter table filled add column n numeric default 1.50,
	add column t timestamptz default '2026-11-30 12:00+02',
	add column a text[] default '{a,"b c"}', add column b bytea default '\x00ff', add column x int,
	add column m mood default 'ok', add column p pair default (1, 'it''s "so"'), add column c cents default 1.5,
	add column f float8 default 0.1, add column h char(5) default 'ab', add column j jsonb default '{"b":1,"a":[null]}',
	add column i interval default '1 day 02:03', add column y text default '', add column q inet default '10.0.0.1',
	add column o text default E'tab\t, line\n, ä';
create table bare (id int primary key);
create table parts (id int, v text) partition by range (id);
create table parts_1 partition of parts for values from (0) to (10);
create table parts_2 (v text, id int);
alter table parts attach partition parts_2 for values from (10) to (20);
insert into parts values (1, 'one'), (11, 'eleven');
alter table parts add column d box default '(1,2),(3,4)';
SQL
my %oid = map { $_ => oid($_) } qw(filled bare parts parts_1 parts_2);
$cdc->ok('init');
my $run = $cdc->start;
ok($cdc->wait_loaded, 'loaded') or diag $run->errors;
my %loaded = map { $_->{table} => $_ } new_schemas();
is_deeply([ sort keys %loaded ], [qw(bare filled parts)], 'each loaded table has a schema');
is($loaded{$_}{seq}, 2**40, "$_: behind all changes at its point") for sort keys %loaded;
is($loaded{$_}{relation_id}, $oid{$_}, "$_: its OID") for sort keys %loaded;
is($loaded{$_}{row_type}, row_type($oid{$_}), "$_: its row type") for sort keys %loaded;
for my $l (grep { $_->{state} eq 'done' } @loads)
{
	is($l->{hash}, $loaded{ $l->{table} }{hash}, "$l->{table}: the load names the schema");
}
is_deeply(
	[ map { exists $_->{missing} ? "$_->{name}=$_->{missing}" : $_->{name} } @{ file_of($loaded{filled})->{columns} } ],
	[
		'id', 'n=1.50', 't=2026-11-30 10:00:00+00', 'a={a,"b c"}', 'b=\x00ff', 'x', 'm=ok', q{p=(1,"it's ""so""")},
		'c=1.50', 'f=0.1', 'h=ab   ', 'j={"a": [null], "b": 1}', 'i=1 day 02:03:00', 'y=', 'q=10.0.0.1',
		"o=tab\t, line\n, \x{e4}"
	],
	'missing values as the output functions print them');
is(file_of($loaded{parts})->{columns}[2]{missing}, '(3,4),(1,2)', 'those of a partition');
is(scalar @{ file_of($loaded{bare})->{columns} }, 1, 'a table without rows has a file');

# The stream's schema of a table is the load's.
sql("insert into filled values (2); insert into bare values (1); insert into parts values (2, 'two', null), (12, 'twelve', null)");
my @items = new_schemas();
is_deeply([ map { "$_->{table} $_->{hash}" } @items ],
	[ map { "$_ $loaded{$_}{hash}" } qw(filled bare parts) ], 'the first use of a session is said, with the same schema');

# DDL alone, and DDL among rows.
sql(<<'SQL');
create table made (id int primary key);
begin;
insert into filled values (3);
alter table filled rename to renamed;
alter table renamed add column s text default 'it''s "so"';
commit;
insert into renamed values (4);
begin;
alter table made rename to filled;
alter table renamed rename to made;
commit;
analyze; grant select on filled to public; create index on made (n);
drop table bare;
create table bare (id int primary key, again int);
create table hidden (id int);
alter table bare rename to hidden_bare;
drop table hidden_bare;
alter table made alter id type bigint;
SQL
my @s = new_schemas();
is_deeply(
	[ map { brief($_) } @s ],
	[
		'public.made created', 'public.renamed', 'public.made', 'public.filled',
		'public.bare gone', 'public.bare created', 'public.bare left', 'public.made'
	],
	'what happened, in its order') or diag explain \@s;
is($s[1]{relation_id}, $oid{filled}, 'a renamed table is the same one');
is($s[2]{relation_id}, $oid{filled}, 'and after it took the place of another');
is($s[3]{relation_id}, $s[0]{relation_id}, 'as is that one');
isnt($s[5]{relation_id}, $oid{bare}, 'a table that was made anew is another');
is($s[4]{hash} . $s[6]{hash}, '', 'an end has no schema');
my ($column) = grep { $_->{name} eq 's' } @{ file_of($s[1])->{columns} };
is($column->{missing}, 'it\'s "so"', 'the value of rows that are older than the column');
file_of($_) for grep { $_->{hash} } @s;
my @resync = map { /"_op":"s"/ ? $json->decode($_) : () } split /\n/, $cdc->replay;
is_deeply([ map { "$_->{_table} $_->{_reason}" } @resync ], ['made rewrite'], 'rows that changed without changes are told');

# A later session: it says again what it uses, and knows nothing of the rest.
is($run->stop('TERM', 60), 0, 'run ends') or diag $run->errors;
sql("drop table filled; alter table made rename to filled; create table empty (id int)");
$run = $cdc->start;
@s = new_schemas();
is_deeply([ map { brief($_) } @s ], [ '? gone', 'public.filled', 'public.empty created' ], 'a new session')
  or diag explain \@s;
is($s[1]{relation_id}, $oid{filled}, 'the OID tells which');
is(scalar @objects, 0, 'without any row');
file_of($s[2]);

# What was rolled back did not happen; what went through a subtransaction did.
sql(<<'SQL');
begin;
savepoint s; alter table empty add column undone int; rollback to s;
savepoint s; alter table empty add column done int; release s;
insert into filled values (9);
commit;
begin; alter table empty add column undone int; rollback;
create temp table t (id int); drop table t;
SQL
@s = new_schemas();
is_deeply([ map { brief($_) } @s ], ['public.empty'], 'subtransactions') or diag explain \@s;
is_deeply([ map { $_->{name} } @{ file_of($s[0])->{columns} } ], [qw(id done)], 'as it is at the end');

# Partitions: the root is the table, whatever partition it is seen through.
sql(<<'SQL');
alter table parts add column e int default 5;
create table parts_3 partition of parts for values from (20) to (30);
insert into parts (id) values (1), (21), (11), (22);
alter table parts rename to whole;
drop table parts_2;
alter table whole detach partition parts_3;
alter table parts_3 add column f int;
alter table parts_3 drop column f;
alter table whole attach partition parts_3 for values from (20) to (30);
alter table whole alter v type varchar(5);
drop table whole;
SQL
@s = new_schemas();
is_deeply([ map { brief($_) } @s ],
	[
		'public.parts', 'public.whole', 'public.parts_3', 'public.parts_3', 'public.parts_3',
		'public.parts_3 left', 'public.whole', 'public.whole gone'
	],
	'partitions')
  or diag explain \@s;
is($_->{relation_id}, $oid{parts}, 'the OID is the root\'s') for @s[ 0, 1, 6, 7 ];
is(file_of($s[0])->{columns}[3]{missing}, '5', 'with the value of a partition');
@resync = map { /"_op":"s"/ ? $json->decode($_) : () } split /\n/, $cdc->replay;
is_deeply([ map { "$_->{_table} $_->{_reason}" } @resync ], [ 'made rewrite', ('whole partition') x 3, 'whole rewrite' ],
	'a partition that goes, leaves or comes is one record, those that are rewritten together are one');

# A superuser's bound that moves while it streams.
sql("load 'cdc_s3'; alter system set cdc_s3.allowed_tables = 'public.filled'");
sql('select pg_reload_conf()');
my @left;
ok( poll(
		sub {
			sql('insert into filled select max(id) + 1 from filled');
			@left = grep { $_->{left} } map { @{ $_->{schemas} } } $cdc->entries if $cdc->wait_durable;
			return grep { $_->{table} eq 'empty' } @left;
		},
		60),
	'what a new bound leaves out has left') or diag $run->errors;
ok(!(grep { $_->{table} eq 'filled' } @left), 'and nothing else');
sql(q{load 'cdc_s3'; alter system reset cdc_s3.allowed_tables});

is($run->stop('TERM', 60), 0, 'run ends') or diag $run->errors;
done_testing();

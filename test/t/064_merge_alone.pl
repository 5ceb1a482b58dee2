#-------------------------------------------------------------------------
# What of the source cannot be made at the target holds up no other table: it
# stands in cdc_s3.resync, once, and goes on from a truncate or load when what
# stood in its way is gone.  Nor does a refused row, whatever its columns are
# named.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Lake;
use CdcS3::Test;

my $target = new_cluster('target')->start;
my $folder = temp_folder() . '/lake';
my $lake = CdcS3::Lake->new(folder => $folder);
my $at = 0x1000;

sub sql { return $target->psql('postgres', $_[0]) }

# Rows at positions that go on from entry to entry.
sub entry
{
	my (@rows) = @_;
	my $seq = 0;
	$lake->entry(
		rows => [ map { my ($t, $op, @more) = @$_; [ $t, $op, $at + 0x100, ++$seq, @more ] } @rows ],
		end => $at += 0x1000);
	return;
}

sub merge
{
	return run_cdc('merge', "--store.url=file://$folder", '--merge.until=now', '--merge.tables=public.*',
		'--target.conninfo=' . $target->conninfo('postgres'), @_);
}

# What merge says of tables to be loaded anew: "table reason, …".
sub said
{
	my ($r) = @_;
	my %said = $r->{out} =~ /^public\.(\w+): to be loaded anew, the target cannot hold its changes up to LSN \S+ \((\w+)\); mend/mg;
	return join ', ', map { "$_ $said{$_}" } sort keys %said;
}

sub resync { return sql(q(select string_agg(source_table || ' ' || reason, ', ' order by 1) from cdc_s3.resync)) }

my %columns = (columns => [ [ id => 'int4', 'pk' ], [ v => 'text' ] ], key => ['id']);
my $oid = 17500;
my %t = map { $_ => $lake->table("public.$_", relation_id => ++$oid, %columns) } qw(good a_view a_type an_index part typed);

sql(<<'SQL');
create view a_view as select 1 as id;
create type a_type as enum ('x');
create table other (id int);
create index an_index on other (id);
create table parts (id int primary key) partition by list (id);
create table part partition of parts for values in (1, 2, 3);
create type of_typed as (id int);
create table typed of of_typed (primary key (id));
SQL
entry(map { [ $t{$_}, 'i', { id => 1, v => '"one"' } ] } sort keys %t);
my $r = merge();
is($r->{code}, 8, 'exit 8') or diag $r->{err};
my $all = 'a_type table, a_view table, an_index table, part table, typed table';
is(said($r), $all, 'each is said');
is(resync(), $all, 'and stands in cdc_s3.resync');
is(sql('select id, v from good'), '1|one', 'the others go on');
like($r->{err}, qr/not a table.* table=a_view/, 'what is in the way: a view');
like($r->{err}, qr/table=a_type cause=.*type \\"a_type\\" already exists/, 'a type');
like($r->{err}, qr/table=part cause=.*cannot add column to a partition/, 'columns that cannot be added');
is(sql(q(select count(*) from cdc_s3.tables where made and source_table like 'a%')), '0', 'what was not made is nobody\'s');

# Later changes are passed over, and what is passed over is said again.
entry(map { [ $t{$_}, 'i', { id => 2, v => '"two"' } ] } sort keys %t);
$r = merge();
is($r->{code}, 8, 'again: exit 8') or diag $r->{err};
is(said($r), $all, 'again: each is said');
is(sql('select string_agg(v, \' \' order by id) from good'), 'one two', 'again: the others go on');

# What was in the way goes; the rows that are missing are still said.
sql('drop view a_view; drop type a_type; drop index an_index; drop table part; drop table typed');
entry(map { [ $t{$_}, 'i', { id => 3, v => '"three"' } ] } sort keys %t);
$r = merge();
is($r->{code}, 8, 'made now: exit 8') or diag $r->{err};
is(sql(qq(select string_agg(v, ' ') from $_)), 'three', "made now: $_") for qw(a_view a_type an_index part typed);
my $left = resync();
is($left, 'a_type table, a_view table, an_index table, part dropped, typed dropped', 'made now: they still stand there');

# Until they are whole.
entry((map { [ $t{$_}, 't', {} ] } qw(a_view a_type an_index part typed)), [ $t{a_view}, 'i', { id => 4, v => '"four"' } ]);
$r = merge();
is($r->{code}, 0, 'whole again: exit 0') or diag $r->{out}, $r->{err};
is(resync(), '', 'whole again: none stands there');
is(sql('select v from a_view'), 'four', 'whole again: rows');

# A role that may not make tables is no fault of the table's.
sql('create role plain login; grant all on schema cdc_s3 to plain; grant all on all tables in schema cdc_s3, public to plain;'
	  . 'grant temporary on database postgres to plain');
my $new = $lake->table('public.new', relation_id => 16999, %columns);
entry([ $new, 'i', { id => 1, v => '"x"' } ]);
$r = merge('--target.conninfo=' . $target->conninfo('postgres', user => 'plain'));
is($r->{code}, 7, 'no right to make a table: exit 7');
like($r->{err}, qr/permission denied for schema public/, 'no right to make a table: said');
$r = merge();
is($r->{code}, 0, 'with the right: exit 0') or diag $r->{err};
is(sql('select v from new'), 'x', 'with the right: the row');

# Rows that are refused are read by names that no column can take.
my @odd = qw(x f r j o s row_to_json unk rn op);
sql('create table odd (id int primary key, x int check (x < 5), ' . join(', ', map { "$_ int" } @odd[ 1 .. $#odd ]) . ')');
my $odd = $lake->table('public.odd', key => ['id'],
	columns => [ [ id => 'int4', 'pk' ], map { [ $_ => 'int4' ] } @odd ]);
entry([ $odd, 'i', { id => 1, map { $_ => 4 } @odd } ], [ $odd, 'i', { id => 2, map { $_ => 5 } @odd } ]);
$r = merge('--merge.on_reject=continue');
is($r->{code}, 8, 'a refused row with odd names: exit 8') or diag $r->{err};
is(sql(q(select "row"::json->>'x' || ' ' || ("row"::json->>'unk') from cdc_s3.rejected)), '5 5', 'a refused row with odd names: kept');
is(sql('select sum(x + f + unk) from odd'), '12', 'a refused row with odd names: the other');

# Two changes of one key that cannot be read are no statements, and the one
# behind them is; a row left behind by a refused change of its key is found.
sql('truncate cdc_s3.rejected; create table marked (id int primary key, v int check (v < 5), moved int);'
	  . 'create table refers (id int references marked)');
my $marked = $lake->table('public.marked', key => ['id'],
	columns => [ [ id => 'int4', 'pk' ], [ v => 'text' ], [ moved => 'int4' ] ]);
entry(
	[ $marked, 'i', { id => 1, v => '"one"', moved => 0 } ],
	[ $marked, 'u', { id => 1, v => '"two"', moved => 0 } ],
	[ $marked, 'u', { id => 1, v => '"3"', moved => 0 } ],
	[ $marked, 'i', { id => 2, v => '"1"', moved => 0 } ],
	[ $marked, 'u', { id => 3, v => '"9"', moved => 1 }, { _key => '{"id":2}' } ],
	[ $marked, 'u', { id => 3, v => '"x"', moved => 2 } ],
	[ $marked, 'u', { id => 3, v => '"2"', moved => 3 } ]);
$r = merge('--merge.on_reject=continue', '--merge.way=exact');
is($r->{code}, 0, 'rows that cannot be read: exit 0, later changes have passed') or diag $r->{err};
is(sql(q(select string_agg(concat_ws(' ', id, v, moved), ', ' order by id) from marked)), '1 3 0, 3 2 3', 'rows that cannot be read: what came behind them');
is(sql('select count(*) from cdc_s3.rejected'), '0', 'rows that cannot be read: their lines have ended');

done_testing;

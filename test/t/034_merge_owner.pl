#-------------------------------------------------------------------------
# Which tables a merge writes: those that it made, that were empty, or that
# the user named.  Whatever an entry asks for, never the server's, never an
# extension's, never one that has another table's rows.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Lake;
use CdcS3::Test;

my $target = new_cluster('target')->start;
my $databases = 0;
my ($db, $folder, $lake, $at);

sub fresh
{
	$db = 'm' . ++$databases;
	$target->psql('postgres', "create database $db");
	return another(@_);
}

# Another lake for the same target.
sub another
{
	$folder = temp_folder() . "/lake_$db" . ++$databases;
	$lake = CdcS3::Lake->new(folder => $folder, @_);
	$at = 0x2000;
	return;
}

sub merge
{
	return run_cdc('merge', "--store.url=file://$folder",
		'--target.conninfo=' . $target->conninfo($db), '--until=now', @_);
}

sub psql { return $target->psql($db, $_[0]) }

sub entry
{
	my ($rows, %o) = @_;
	my $seq = 0;
	$at += 0x1000;
	return $lake->entry(
		end => $at,
		rows => [ map { my ($t, $op, @rest) = @$_; [ $t, $op, $at - 16, ++$seq, @rest ] } @$rows ],
		%o);
}

sub table
{
	my ($name, @more) = @_;
	return $lake->table($name, key => ['id'], columns => [ [ id => 'int4', 'pk' ], @more ]);
}

sub refused
{
	my ($says, $name, @flags) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $r = merge(@flags);
	is($r->{code}, 2, "$name: exit 2") or diag $r->{err};
	my @lines = grep { /^cdc-s3: / } split /\n/, $r->{err};
	is(scalar @lines, 1, "$name: one line");
	like($lines[0] // '', $says, "$name: says what");
	return;
}

sub merged
{
	my ($name, @flags) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $r = merge(@flags);
	is($r->{code}, 0, $name) or diag $r->{err};
	return $r->{out} . $r->{err};
}

sub ids { return psql("select string_agg(id::text, ' ' order by id) from $_[0]") }

# ---- the server's, an extension's, our own ----
fresh();
my $auth = $lake->table('pg_catalog.pg_authid', key => ['oid'],
	columns => [ [ oid => 'int8', 'pk' ], [ rolname => 'text' ], [ rolsuper => 'bool' ] ]);
entry([ [ $auth, 'i', { oid => 99999, rolname => '"evil"', rolsuper => 'true' } ] ]);
refused(qr/never writes a table of schema "pg_catalog".*merge\.exclude.*merge\.map/, 'pg_authid');
refused(qr/pg_catalog/, 'pg_authid, named', '--merge.tables=*');
is(psql("select count(*) from pg_authid where rolname = 'evil'"), 0, 'no role came');
for my $to (qw(pg_catalog.x information_schema.x cdc_s3.position pg_toast.x))
{
	refused(qr/merge\.map: merge never writes/, "a map to $to", "--merge.map=pg_catalog.pg_authid=$to");
}
merged('left out', '--merge.exclude=pg_catalog.*');
for my $name ('information_schema.sql_parts', 'cdc_s3.position', 'pg_toast.x')
{
	fresh();
	entry([ [ table($name), 'i', { id => 1 } ] ]);
	refused(qr/never writes a table of schema/, $name, '--merge.tables=*');
}
SKIP:
{
	fresh();
	skip 'no extension with a table', 6
	  if $target->try_psql($db, 'create extension seg; create table member (id int primary key); alter extension seg add table member')->{code};
	entry([ [ table('public.member'), 'i', { id => 1 } ] ]);
	refused(qr/"public\.member" at the target belongs to extension "seg"/, 'a member of an extension', '--merge.tables=*');
	is(psql('select count(*) from member'), 0, 'nothing is in it');
	psql('create schema ours; create table ours.t (id int primary key); alter extension seg add schema ours');
	refused(qr/belongs to extension/, 'in a schema of an extension', '--merge.map=public.member=ours.t');
	merged('elsewhere', '--merge.map=public.member=public.elsewhere');
}

# ---- tables that are there ----
fresh();
psql('create table empty (id int primary key); create table full_ (id int primary key); insert into full_ values (100)');
my ($e, $f) = (table('public.empty'), table('public.full_'));
entry([ [ $e, 'i', { id => 1 } ] ]);
merged('an empty table is taken');
is(psql("select made from cdc_s3.tables where source_table = 'empty'"), 'f', 'and known as not made');
entry([ [ $e, 'i', { id => 2 } ], [ $f, 'i', { id => 1 } ] ]);
refused(qr/table "public\.full_": it is at the target and has rows, and no merge made it; name it in merge\.tables \(as merge\.tables=public\.full_\)/,
	'one with rows');
is(ids('empty') . ' ' . ids('full_'), '1 100', 'nothing is half done');
refused(qr/"public\.full_"/, 'another is named', '--merge.tables=public.f*x');
refused(qr/cannot understand merge\.tables/, 'what is no pattern', '--merge.tables=full');
refused(qr/cannot understand merge\.exclude/, 'what is no pattern', '--merge.exclude=full');
merged('named', '--merge.tables=public.full*');
is(ids('empty') . ' ' . ids('full_'), '1 2 1 100', 'named, it is written');
entry([ [ $f, 'd', { id => 100 } ] ]);
merged('then it is known');
is(ids('full_'), '1', 'without the name');
psql('create table moved (id int primary key); insert into moved values (7)');
entry([ [ table('public.third'), 'i', { id => 1 } ] ]);
merged('named by the map', '--merge.map=public.third=public.moved');
is(ids('moved'), '1 7', 'named by the map, it is written');

# ---- the first load ----
sub load
{
	my ($t, @flags) = @_;
	entry([], loads => [ [ 'a', $t, 'open' ] ]);
	entry([ [ $t, 'i', { id => 4 } ] ], loads => [ [ 'a', $t, 'done', $at ] ],
		load => { a => [ map { [ $t, 'r', $at, 2**40 + $_, { id => $_ } ] } 1 .. 3 ] });
	return;
}
for my $case (
	[ 'replace', '1 2 3 4' ],
	[ 'keep', '1 2 3 4 7 8' ])
{
	my ($how, $rows) = @$case;
	fresh();
	psql('create table t (id int primary key, own text); insert into t values (3, $$mine$$), (7, $$mine$$), (8, $$mine$$)');
	load(table('public.t'));
	refused(qr/has rows, and no merge made it/, 'a load into a table with rows');
	refused(qr/table "public\.t": it has rows of its own, and its first load.*merge\.on_existing=replace or keep/,
		'the same, named', '--merge.tables=*');
	is(ids('t'), '3 7 8', 'its rows are there');
	merged("on_existing=$how", '--merge.tables=*', "--merge.on_existing=$how");
	is(ids('t'), $rows, "on_existing=$how");
	is(psql('select count(*) from t where own is not null'), $how eq 'keep' ? 3 : 0, "on_existing=$how: columns of the target");
	load(table('public.t'));
	merged('a reload replaces as ever');
	is(ids('t'), '1 2 3 4', 'a reload');
}

# ---- two into one ----
fresh();
my ($one, $two) = (table('a.t'), table('b.t'));
entry([ [ $one, 'i', { id => 1 } ], [ $two, 'i', { id => 2 } ] ]);
refused(qr/"a\.t" and "b\.t" would both go to the table "public\.t"/, 'two tables in one merge', '--merge.map=a.*=public.*, b.*=public.*');
merged('one of them', '--merge.map=a.*=public.*, b.*=c.*');
entry([ [ $two, 'i', { id => 3 } ] ]);
refused(qr/"b\.t" \(slot "cdc_s3".*"public\.t" of the target, which has the rows of "a\.t" \(the same source\)/,
	'later the other', '--merge.map=a.*=public.*, b.*=public.*');
is(ids('public.t') . ids('c.t'), '12', 'nothing was written');
another(slot => 'second');
entry([ [ table('public.t'), 'i', { id => 5 } ] ]);
refused(qr/"public\.t" \(slot "second".*which has the rows of "a\.t" \(slot "cdc_s3", database "shop"\)/, 'two sources');
merged('elsewhere', '--merge.map=public.t=second.t');
is(ids('second.t'), 5, 'each has its own');

# ---- left out, and back again; dropped; mapped anew ----
fresh();
my ($x, $y) = (table('public.x'), table('public.y'));
entry([ [ $x, 'i', { id => 1 } ], [ $y, 'i', { id => 1 } ] ]);
merged('excluded', '--merge.exclude=public.y');
is(psql("select to_regclass('y') is null"), 't', 'it is not there');
entry([ [ $x, 'i', { id => 2 } ] ]);
unlike(merged('excluded still', '--merge.exclude=public.y'), qr/anew/, 'nobody asks for it');
entry([ [ $y, 'i', { id => 2 } ] ]);
like(merge()->{out}, qr/public\.y: to be loaded anew.*\(excluded\)/, 'back again it lacks rows, and that is said');
psql('drop table x');
entry([ [ $x, 'i', { id => 3 } ] ]);
like(merge()->{out}, qr/public\.x: to be loaded anew.*\(dropped\)/, 'one that was dropped at the target');
entry([], loads => [ [ 'a', $x, 'open' ] ]);
entry([], loads => [ [ 'a', $x, 'done', $at ] ], load => { a => [ [ $x, 'r', $at, 2**40 + 1, { id => 9 } ] ] });
unlike(merge()->{out}, qr/public\.x: to be loaded anew/, 'a load ends that');
entry([ [ $x, 'i', { id => 4 } ] ]);
like(merge('--merge.map=public.x=n.x')->{out}, qr/public\.x: to be loaded anew.*\(mapped\)/, 'one that goes elsewhere from now on');

# ---- a target of an older release ----
fresh();
entry([ [ table('public.old'), 'i', { id => 1 } ] ]);
merged('merge');
psql('drop table cdc_s3.tables');
entry([ [ table('public.old'), 'i', { id => 2 } ], [ table('public.full2'), 'i', { id => 3 } ] ]);
psql('create table full2 (id int primary key); insert into full2 values (1)');
refused(qr/"public\.full2": it is at the target and has rows/, 'tables that merge made are known, others are not');
psql('drop table full2');
merged('after an upgrade');
is(ids('old'), '1 2', 'it goes on');

done_testing;

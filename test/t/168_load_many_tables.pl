#-------------------------------------------------------------------------
# Very many tables: loaded, changed, some of them altered, dropped and made
# anew, merged; in the end each is equal.  Their names are long, so that what an
# entry says of loads and schemas comes to its limit early.
#
#	LOAD_TABLES=12000		(default 100)
#
# doc/reliability.md has what became of it at that size.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Proc qw(poll);
use CdcS3::Test;

my $n = $ENV{LOAD_TABLES} // 100;
my $patience = 120 + $n / 10;
my $name = 'a_rather_long_name_of_a_table_among_very_many_of_its_kind_';

# A merge locks what it writes, all tables in one transaction.
my $source = new_cluster('source', conf => [ "max_locks_per_transaction = 1000", 'autovacuum = off' ])->start;
my $target = new_cluster('target', conf => [ 'max_locks_per_transaction = ' . (64 + int($n / 20)), 'autovacuum = off' ])->start;
my $db = 'many';
$_->psql('postgres', "create database $db") for $source, $target;

# The same for each table of a share; "%1$s" is its name, "%2$s" its number.
sub each_table
{
	my ($from, $to, $sql) = @_;
	$source->psql($db, <<"SQL");
do \$do\$ begin
	for i in $from .. $to loop
		execute format(\$sql\$$sql\$sql\$, '$name' || i, i);
		if i % 100 = 0 then commit; end if;
	end loop;
end \$do\$
SQL
	return;
}

# Rows and columns of all tables in one number a table.
sub sums
{
	my ($cluster) = @_;
	$cluster->psql($db, <<"SQL");
create schema if not exists look;
create table if not exists look.sums (name text, rows bigint, sum numeric);
truncate look.sums;
do \$\$ declare t text; begin
	for t in select tablename from pg_tables where schemaname = 'public' and tablename like 'a_rather%' loop
		execute format('insert into look.sums select %L, count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) from public.%I t', t, t);
	end loop;
end \$\$
SQL
	return $cluster->psql($db, q{select string_agg(concat_ws(' ', name, rows, sum), E'\n' order by name collate "C") from look.sums});
}

sub equal
{
	my ($what, $count) = @_;
	my ($s, $d) = map { [ split /\n/, sums($_) ] } $source, $target;
	is(scalar @$d, $count, "$what: so many tables");
	my %s = map { $_ => 1 } @$s;
	is_deeply([ grep { !$s{$_} } @$d ], [], "$what: each equal");
	return;
}

each_table(1, $n, 'create table %1$I (id int primary key, v text); insert into %1$I select g, %2$L || g from generate_series(1, 3) g');
my $cdc = sidecar($source, $db, file_store(), target => $target,
	flags => [ '--flush.interval=1s', '--source.exclude=look.*', '--merge.until=now', '--load.jobs=2' ]);
$cdc->ok('init');
my $began = time;
my $run = $cdc->start;
ok($cdc->wait_loaded($patience), 'loaded') or diag substr $run->errors, -2000;
my $load = time - $began;
my $r = $cdc->call('merge');
is($r->{code}, 0, 'merge') or diag substr $r->{err}, 0, 2000;
my $first = $r->{seconds};
equal('the first load', $n);

# Each of them changes.
each_table(1, $n, 'update %1$I set v = v || 1 where id = 2; delete from %1$I where id = 1; insert into %1$I values (4, %2$L)');
ok($cdc->wait_durable($patience), 'changes are durable') or diag substr $run->errors, -2000;
$r = $cdc->call('merge');
is($r->{code}, 0, 'merge of the changes') or diag substr $r->{err}, 0, 2000;
my $second = $r->{seconds};
equal('the changes', $n);

# A tenth each: altered, dropped, made anew, new; and one more row for the others.
my $tenth = int $n / 10;
each_table(1, $tenth, 'alter table %1$I add c int default 7; update %1$I set c = 8 where id = 2');
each_table($tenth + 1, 2 * $tenth, 'drop table %1$I');
each_table(2 * $tenth + 1, 3 * $tenth, 'drop table %1$I; create table %1$I (v text, id bigint primary key); insert into %1$I values (%2$L, 9)');
each_table($n + 1, $n + $tenth, 'create table %1$I (id int primary key, v text); insert into %1$I values (1, %2$L)');
each_table(3 * $tenth + 1, $n, 'insert into %1$I values (5, %2$L)');
ok($cdc->wait_durable($patience), 'durable') or diag substr $run->errors, -2000;
memory_below($run, 64 + $n / 100);
$r = $cdc->call('merge', '--merge.schema=mirror');
is($r->{code}, 0, 'merge of other schemas') or diag substr $r->{err}, 0, 2000;
my $third = $r->{seconds};
$target->psql($db, qq{do \$\$ declare t text; begin
	for t in select tablename from pg_tables where schemaname = 'public' and tablename like '%_dropped_%' loop
		execute format('drop table %I', t);
	end loop; end \$\$});
my $dropped = $source->psql($db, "select count(*) from generate_series($tenth + 1, 2 * $tenth) i where to_regclass('$name' || i) is null");
is($dropped, $tenth, 'some are dropped');
equal('other schemas', $n);
is($run->stop('TERM', 120), 0, 'run ends with 0') or diag substr $run->errors, -2000;
diag sprintf '%d tables: load %d s, merges of it %.0f s, of changes in each %.0f s, of other schemas %.0f s',
  $n, $load, $first, $second, $third;
done_testing();

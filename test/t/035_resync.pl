#-------------------------------------------------------------------------
# Rows that change without change events: notices of the extension become
# resync records, truncates of partitions say which rows went, and a merge
# deletes those, or says that the table has to be loaded anew.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;
use JSON::PP;

use CdcS3::Lake;
use CdcS3::Test;

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
my $json = JSON::PP->new;

# ---- the whole way ----
$source->psql('postgres', 'create database shop');
$target->psql('postgres', 'create database shop');
# As CREATE EXTENSION does; its files are not installed for this test.
my $script = slurp(top_folder() . '/plugin/cdc_s3--1.0.sql');
$script =~ s/^\\echo.*$//m;
$source->psql('shop', "create schema cdc_s3; $script");
$source->psql('shop', <<'SQL');
create table plain (id int primary key, n int, s text);
insert into plain select i, i, 'x' from generate_series(1, 10) i;
create table sales (id int, at date, note text, primary key (id, at)) partition by range (at);
create table sales_1 partition of sales for values from ('2026-01-01') to ('2026-02-01');
create table sales_2 (note text, at date not null, id int not null);
alter table sales attach partition sales_2 for values from ('2026-02-01') to ('2026-03-01');
create table sales_d partition of sales default;
insert into sales select i, '2026-01-15'::date + 20 * (i % 4), 'n' || i from generate_series(1, 40) i;
create table logged (at timestamptz, line text) partition by range (at);
create table logged_1 partition of logged for values from ('2026-01-01') to ('2026-02-01');
create table logged_2 partition of logged for values from ('2026-02-01') to ('2026-03-01');
alter table logged_1 replica identity full;
insert into logged select '2026-01-20 12:00+00'::timestamptz + make_interval(days => i), 'l' || i from generate_series(1, 30) i;
create table hashed (id int primary key) partition by hash (id);
create table hashed_0 partition of hashed for values with (modulus 2, remainder 0);
create table hashed_1 partition of hashed for values with (modulus 2, remainder 1);
insert into hashed select generate_series(1, 20);
create table listed (region varchar(10), id int, primary key (region, id)) partition by list (region);
create table listed_eu partition of listed for values in ('eu', 'it''s');
create table listed_us partition of listed for values in ('us');
insert into listed select (array['eu', 'us', 'it''s'])[1 + i % 3], i from generate_series(1, 30) i;
SQL
# Nothing is to be loaded between two merges here; 068 has that.
my $cdc = sidecar($source, 'shop', file_store(), target => $target, flags => ['--load.resync=manual']);
$cdc->ok('init');
my $run = $cdc->start;
ok($cdc->wait_loaded, 'tables are loaded') or diag $run->errors;

# Exit code 8 where a table is to be loaded anew, and only there.
sub outstanding
{
	my ($r) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $n = () = $r->{out} =~ /: to be loaded anew/g;
	is($r->{code}, $n ? 8 : 0, 'merge: exit code') or diag $r->{out}, $r->{err};
	like($r->{err}, qr/^cdc-s3: merged, but $n tables? to be loaded anew (?:is|are) outstanding; see cdc_s3\.resync/m, 'merge: one line about it')
	  if $n;
	return $r->{out};
}

sub merge { return outstanding($cdc->call('merge', '--merge.until=now')) }

sub lines_of
{
	my ($table) = @_;
	return grep { $_->{_table} eq $table } map { $json->decode($_) } split /\n/, $cdc->replay;
}

# Partitions that are emptied, some rows coming again, in one transaction too.
$source->psql('shop', <<'SQL');
update sales set note = 'kept' where id = 1;
truncate sales_2;
insert into sales values (900, '2026-02-03', 'after'), (901, '2026-01-03', 'stays');
truncate logged_1;
insert into logged values ('2026-01-31 23:00+00', 'again');
begin;
insert into listed values ('us', 1000), ('eu', 1001);
truncate listed_eu;
insert into listed values ('eu', 1002);
delete from listed where id = 1000;
truncate sales_1, sales_d;
insert into sales values (902, '2026-01-31', 'last');
commit;
SQL
ok($cdc->wait_durable, 'truncates are durable') or diag $run->errors;
my ($part) = grep { $_->{_op} eq 't' } lines_of('sales');
is_deeply([ map { "$_->{schema}.$_->{table}" } @{ $part->{_partial} } ],
	['public.sales_2'], 'the record names the partition');
like($part->{_partial}[0]{bound}, qr/\(at >= '2026-02-01'::date\)/, 'and its bound');
is(scalar(grep { $_->{_op} eq 't' && @{ $_->{_partial} } == 2 } lines_of('sales')), 1, 'two in one truncate are one record');
my $out = merge();
unlike($out, qr/to be loaded anew/, 'nothing has to be loaded anew');
tables_equal($source, 'shop', $target, 'shop', qw(sales logged listed));

# Bounds that mean nothing elsewhere, and changes that no event tells.
$source->psql('shop', <<'SQL');
truncate hashed_0;
insert into hashed values (100), (101), (102), (103);
alter table plain add column u uuid default gen_random_uuid();
update plain set n = 77 where id = 7;
alter table logged detach partition logged_2;
SQL
ok($cdc->wait_durable, 'changes without events are durable') or diag $run->errors;
is_deeply([ map { "$_->{_op} $_->{_reason}" } grep { $_->{_op} eq 's' } lines_of('plain'), lines_of('logged'), lines_of('logged_2') ],
	[ 's rewrite', 's partition', 's partition' ], 'resync records');
$out = merge();
like($out, qr/^public\.$_->[0]: to be loaded anew, rows changed at LSN [0-9A-F\/]+ without change events \($_->[1]\); by cdc-s3 snapshot public\.$_->[0]$/m, "$_->[0] is to be loaded anew")
  for [ hashed => 'truncate' ], [ plain => 'rewrite' ], [ logged => 'partition' ], [ logged_2 => 'partition' ];
unlike($out, qr/(sales|listed): load/, 'and no other table');
is($target->psql('shop', 'select n from plain where id = 7'), 77, 'its changes are applied all the same');
is($target->psql('shop', 'select count(*) from hashed where id >= 100'), 4, 'those of the other too');
like(merge(), qr/^public\.plain: to be loaded anew/m, 'each merge says so');

# A truncate of the whole table tells all its rows.
$source->psql('shop', 'truncate hashed; insert into hashed select generate_series(1, 5)');
ok($cdc->wait_durable, 'durable') or diag $run->errors;
$out = merge();
unlike($out, qr/hashed: load/, 'until the table is known again');
tables_equal($source, 'shop', $target, 'shop', 'hashed');

# Updates and deletes that nobody can apply: told once a table, and counted.
my $seen = length $run->errors;
$source->psql('shop', <<'SQL');
create table nobody (a int);
insert into nobody select generate_series(1, 3);
update nobody set a = a + 10;
delete from nobody where a = 11;
create table nothing (a int primary key);
alter table nothing replica identity nothing;
insert into nothing values (1);
delete from nothing;
SQL
ok($cdc->wait_durable, 'changes without key are durable') or diag $run->errors;
$source->psql('shop', 'alter table nobody add column b int; update nobody set a = 5');
ok($cdc->wait_durable, 'more of them') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
my $log = substr $run->errors, $seen;
for my $table (qw(nobody nothing))
{
	my @told = grep { /level=warn/i && /table=$table\b/ } split /\n/, $log;
	is(scalar @told, 1, "$table: one warning") or diag $log;
	like($told[0] // '', qr/do not say which row.*REPLICA IDENTITY/, 'with its mend');
}
my $sum = 0;
$sum += $1 while $log =~ /entry written.*? without_key=(\d+)/g;
is($sum, 7, 'all are counted in the lines of entries') or diag $log;
like($log, qr/table=nothing changes=1$/m, 'and by table at the end') or diag $log;
is(scalar(grep { $_->{_nokey} } lines_of('nobody')), 6, 'and are flagged in the lake');

# ---- by hand: order, loads, foreign keys ----
my $databases = 0;
my ($db, $folder, $lake, $at);

sub fresh
{
	$db = 'm' . ++$databases;
	$target->psql('postgres', "create database $db");
	$folder = temp_folder() . "/lake_$db";
	$lake = CdcS3::Lake->new(folder => $folder);
	$at = 0x2000;
	return $lake->table('public.t', key => ['id'],
		columns => [ [ id => 'int4', 'pk' ], [ p => 'int4' ], [ v => 'text' ] ]);
}

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

sub merge_lake
{
	my (%o) = @_;
	my $r = run_cdc('merge', "--store.url=file://$folder",
		'--target.conninfo=' . $target->conninfo($db, $o{user} ? (user => $o{user}) : ()), '--until=now', '--merge.tables=*');
	return outstanding($r);
}

sub rows { return $target->psql($db, q(select string_agg(format('%s/%s/%s', id, p, v), ' ' order by id) from t)) }

sub part { return { _partial => $json->encode([ map { { schema => 'public', table => "t_$_", bound => "(p = $_)" } } @_ ]) } }

my $t = fresh();
entry([ map { [ $t, 'i', { id => $_, p => $_ % 3, v => '"a"' } ] } 1 .. 9 ]);
merge_lake();
# Updates with unchanged columns before the cut, keys that move into and out
# of the partition, a row that comes again.
entry([
	[ $t, 'u', { id => 1, p => 2 }, { _unchanged => '["v"]' } ],
	[ $t, 'u', { id => 2, p => 0, v => '"moved"' } ],
	[ $t, 'u', { id => 30, p => 1, v => '"b"' }, { _key => '{"id":3}' } ],
	[ $t, 't', {}, part(2) ],
	[ $t, 'i', { id => 1, p => 2, v => '"new"' } ],
	[ $t, 'u', { id => 4, p => 1 }, { _unchanged => '["v"]' } ],
	[ $t, 't', {}, part(0, 7) ],
	[ $t, 'i', { id => 2, p => 0, v => '"last"' } ] ]);
merge_lake();
is(rows(), '1/2/new 2/0/last 4/1/a 7/1/a 30/1/b', 'cuts lie where they were made');

# Objects that overlap, as rows of two hours do: the order is that of changes.
$t = fresh();
$at = 0x9000;
$lake->entry(
	end => 0x9000,
	rows => [ [ $t, 'i', 0x8000, 1, { id => 1, p => 1, v => '"old"' } ], [ $t, 'i', 0x8100, 1, { id => 2, p => 1, v => '"new"' } ] ]);
$lake->entry(end => 0xa000, rows => [ [ $t, 't', 0x9100, 1, {}, part(1) ], [ $t, 'i', 0x9050, 1, { id => 3, p => 1, v => '"before"' } ], [ $t, 'i', 0x9200, 1, { id => 4, p => 1, v => '"after"' } ] ]);
merge_lake();
is(rows(), '4/1/after', 'a row that is read behind the cut and lies before it goes');

# A whole truncate behind a cut and a resync record makes both pointless.
$t = fresh();
entry([ [ $t, 'i', { id => 1, p => 1, v => '"a"' } ], [ $t, 's', {}, { _reason => '"rewrite"' } ],
	[ $t, 't', {}, part(1) ], [ $t, 't', {} ], [ $t, 'i', { id => 2, p => 1, v => '"b"' } ] ]);
unlike(merge_lake(), qr/anew/, 'nothing to load');
is(rows(), '2/1/b', 'all rows are known');
entry([ [ $t, 's', {}, { _reason => '"odd\u0000"' } ] ]);
like(merge_lake(), qr/to be loaded anew.*\(other\)/, 'an unknown reason');
entry([ [ $t, 't', {}, { _partial => 'true' } ] ]);
like(merge_lake(), qr/to be loaded anew.*\(truncate\)/, 'a truncate that says no partition');
entry([], loads => [ [ L1 => $t, 'open' ] ]);
entry([ [ $t, 's', {}, { _reason => '"rewrite"' } ] ]);
entry([], loads => [ [ L1 => $t, 'done', $at ] ], load => { L1 => [ [ $t, 'r', $at, 1 << 40, { id => 5, p => 5, v => '"c"' } ] ] });
unlike(merge_lake(), qr/anew/, 'a load ends it');
is(rows(), '5/5/c', 'with its rows');
entry([], loads => [ [ L2 => $t, 'open' ] ]);
merge_lake();
entry([], loads => [ [ L2 => $t, 'done', $at ] ], load => { L2 => [] });
merge_lake();
is(rows(), '', 'a load that found no row empties the table, though no entry since says what it is');

# A target that cannot compare, and one whose foreign keys are in force.
$t = fresh();
$target->psql($db, q(create table t (id int primary key, p text, v text); insert into t values (1, 'no number', 'x')));
entry([ [ $t, 't', {}, part(1) ], [ $t, 'i', { id => 2, p => 1, v => '"b"' } ] ]);
like(merge_lake(), qr/public\.t: to be loaded anew.*\(truncate\)/, 'a target that cannot compare');
is(rows(), '1/no number/x 2/1/b', 'keeps its rows');

$t = fresh();
$target->psql($db, "create role merger_$db login; grant create on database $db to merger_$db; grant create on schema public to merger_$db");
entry([ map { [ $t, 'i', { id => $_, p => $_ % 2, v => '"a"' } ] } 1 .. 6 ]);
entry([ [ $t, 't', {}, part(1) ], [ $t, 'i', { id => 1, p => 1, v => '"b"' } ] ]);
merge_lake(user => "merger_$db");
is(rows(), '1/1/b 2/0/a 4/0/a 6/0/a', 'without the right to switch triggers off');

done_testing;

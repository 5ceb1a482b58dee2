#-------------------------------------------------------------------------
# What a source can do under its constraints a target can: histories of a
# real source, merged by roles with and without foreign keys in force, in one
# merge and in many, by the way that merge chooses and by the exact one.
#
# Each case has a schema of its own; all cases share one lake, so they meet
# in each merge.  CDCS3_TEST_ONLY=name,… leaves the others out.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Lake;
use CdcS3::Test;

# name => { ddl, target (when it differs), steps, tables }
my %cases = (
	swap_unique => {
		ddl => <<'SQL',
create table u (id int primary key, email text not null unique, pos int unique);
create table c_cascade (id int primary key, u int references u on delete cascade on update cascade);
create table c_null (id int primary key, u int references u on delete set null on update set null);
create table c_default (id int primary key, u int default 1 references u on delete set default on update set default);
create table c_restrict (id int primary key, u int references u on delete restrict on update restrict);
create table c_plain (id int primary key, u int references u);
SQL
		steps => [ <<'SQL', <<'SQL', <<'SQL' ],
insert into u select g, 'mail' || g, g from generate_series(1, 6) g;
insert into c_cascade select g, g from generate_series(1, 6) g;
insert into c_null select * from c_cascade;
insert into c_default select * from c_cascade;
insert into c_restrict select * from c_cascade where id < 3;
insert into c_plain select * from c_cascade where id < 3;
SQL
begin;
update u set email = 'x' where id = 1;
update u set email = 'mail1' where id = 2;
update u set email = 'mail2' where id = 1;
commit;
update u set pos = null where id = 3;
update u set pos = 3 where id = 4;
update u set pos = 4 where id = 3;
SQL
delete from c_cascade where id = 1;
delete from u where id in (5, 6);
update u set id = 40 where id = 4;
SQL
		tables => [qw(u c_cascade c_null c_default c_restrict c_plain)],
	},
	# a circle of which one key restricts and the other one cascades: who is first?
	ring => {
		ddl => <<'SQL',
create table a (id int primary key, b int);
create table b (id int primary key, a int references a on delete cascade deferrable);
alter table a add foreign key (b) references b on delete restrict deferrable;
SQL
		steps => [ <<'SQL', <<'SQL' ],
begin;
set constraints all deferred;
insert into a values (1, 1), (2, 2), (3, null), (4, 4), (5, 6), (6, 5);
insert into b values (1, 1), (2, 2), (4, 4), (5, 5), (6, 6);
commit;
SQL
delete from a where id = 1;
delete from a where id in (2, 3);
delete from a where id in (5, 6);
SQL
		tables => [qw(a b)],
	},
	swap_deferred => {
		ddl => <<'SQL',
create table u (id int primary key, pos int not null unique deferrable initially deferred, v int unique deferrable);
create table c (id int primary key, u int not null references u on delete cascade);
SQL
		target => <<'SQL',
create table u (id int primary key, pos int not null unique, v int unique, mine text default 'mine');
create table c (id int primary key, u int not null references u on delete cascade);
SQL
		steps => [ <<'SQL', <<'SQL', <<'SQL' ],
insert into u select g, g, g from generate_series(1, 2) g;
insert into c select g, g from generate_series(1, 2) g;
SQL
update u set pos = 3 - pos;
SQL
update u set v = 3 - v;
insert into u values (3, 3, 3);
update u set pos = pos % 3 + 1, v = v % 3 + 1;
SQL
		tables => [qw(u c)],
		also => [ "select count(*) from u where mine = 'mine'", '3' ],
	},
	freed => {
		ddl => <<'SQL',
create table u (id int primary key, email text not null unique);
create table orders (id int primary key, u int not null references u on delete cascade);
SQL
		steps => [ <<'SQL', <<'SQL', <<'SQL' ],
insert into u values (1, 'a'), (2, 'b');
insert into orders values (10, 1), (11, 1), (20, 2);
SQL
update u set email = 'old-a' where id = 1;
insert into u values (3, 'a');
begin;
delete from u where id = 1;
insert into u values (4, 'old-a');
insert into orders values (40, 4), (10, 3);
commit;
SQL
delete from orders where u = 2;
delete from u where id = 2;
insert into u values (5, 'b');
insert into orders values (20, 5);
begin;
delete from u where id = 5;
insert into u values (5, 'again');
insert into orders values (21, 5);
commit;
SQL
		tables => [qw(u orders)],
	},
	bag_shift => { # an action runs at once for all rows whose records say so one by one
		ddl => <<'SQL',
create table p (id int primary key);
create table b_cascade (p int references p on update cascade, note text);
create table b_null (note text, p int references p on update set null);
create table b_default (p int default 1 references p on update set default);
create table b_two (a int references p on update cascade, b int references p on update cascade, note json);
alter table b_cascade replica identity full;
alter table b_null replica identity full;
alter table b_default replica identity full;
alter table b_two replica identity full;
SQL
		steps => [ <<'SQL', <<'SQL', <<'SQL' ],
insert into p values (1), (3), (4), (5), (6), (8);
insert into b_cascade select id, 'all' from p, generate_series(1, 2);
insert into b_null select 'all', id from p;
insert into b_default select id from p;
insert into b_two select x.id, y.id, '{}' from p x, p y;
SQL
update p set id = id - 1 where id > 1;
SQL
begin;
update p set id = 30 where id = 3;
insert into p values (3);
insert into b_cascade values (3, 'all'), (4, 'all');
insert into b_null values ('all', 3), ('all', 2);
update b_cascade set p = 30 where p = 3;
update b_null set p = null where p = 3;
update p set id = 40 where id = 4;
update p set id = 41 where id = 40;
update b_cascade set note = 'last' where p = 41;
commit;
delete from b_two where a = 41;
SQL
		tables => [qw(p b_cascade b_null b_default b_two)],
	},
	names => {
		ddl => <<'SQL',
create table zz (id int primary key);
create table aa (id int primary key, z int references zz on delete cascade on update cascade);
create table keyless (z int references zz on delete cascade on update cascade, note text);
alter table keyless replica identity full;
create table tree (id int primary key, up int references tree on delete cascade);
create table a (id int primary key);
create table b (id int primary key, a int references a on delete set null deferrable initially deferred);
alter table a add b int references b on delete set null deferrable initially deferred;
SQL
		steps => [ <<'SQL', <<'SQL', <<'SQL' ],
insert into zz select generate_series(1, 5);
insert into aa select g, g from generate_series(1, 5) g;
insert into keyless select 1 + g % 4, 'n' || g from generate_series(1, 12) g;
insert into keyless select 1, 'same' from generate_series(1, 3);
insert into tree values (1, null), (2, 1), (3, 2), (4, 3), (5, 5), (6, null);
begin;
insert into a values (1, 1);
insert into b values (1, 1);
commit;
SQL
delete from zz where id = 2;
update zz set id = 30 where id = 3;
update keyless set note = 'new' where z = 30;
delete from tree where id = 2;
delete from tree where id = 5;
begin;
insert into b values (2, 2);
insert into a values (2, 2);
commit;
SQL
delete from zz where id = 1;
delete from tree;
delete from a where id = 2;
insert into tree values (2, null), (1, 2);
SQL
		tables => [qw(zz aa keyless tree a b)],
	},
	toast => {
		ddl => <<'SQL',
create table t (id int primary key, big text, v int);
alter table t alter big set storage external;
create table c (id int primary key, t int references t on update cascade);
SQL
		steps => [ <<'SQL', <<'SQL', <<'SQL' ],
insert into t select g, repeat('big' || g, 2000), g from generate_series(1, 6) g;
insert into c select g, g from generate_series(1, 6) g;
SQL
update t set id = 100 + id where id < 3;
update t set v = v + 1;
SQL
begin;
update t set id = 200 where id = 101;
update t set v = 0 where id = 200;
delete from c where t = 102;
delete from t where id = 102;
insert into t values (102, 'small', 1);
commit;
SQL
		tables => [qw(t c)],
	},
	exclude => {
		ddl => <<'SQL',
create table r (id int primary key, span int4range not null, exclude using gist (span with &&));
create table p (id int primary key, code text, live boolean);
create unique index on p (code) where live;
SQL
		steps => [ <<'SQL', <<'SQL', <<'SQL' ],
insert into r select g, int4range(g * 10, g * 10 + 10) from generate_series(1, 5) g;
insert into p values (1, 'x', true), (2, 'x', false);
SQL
begin;
update r set span = int4range(100, 110) where id = 1;
update r set span = int4range(10, 20) where id = 2;
update r set span = int4range(20, 30) where id = 1;
commit;
begin;
update p set live = false where id = 1;
update p set live = true where id = 2;
commit;
SQL
delete from r where id = 5;
insert into r values (6, int4range(50, 60));
update r set span = int4range(60, 70) where id = 6;
insert into r values (5, int4range(50, 60));
update p set live = not live where id = 2;
update p set live = not live where id = 1;
SQL
		tables => [qw(r p)],
	},
	twice => {
		ddl => <<'SQL',
create table t (id int, r int, v text, primary key (id, r)) partition by list (r);
create table t1 partition of t for values in (1);
SQL
		steps => [ "insert into t select g, 1, 'old' from generate_series(1, 5) g", <<'SQL', "update t set v = 'newer' where id = 2" ],
alter table t detach partition t1;
create table t1b partition of t for values in (1);
insert into t select id, r, 'new' from t1;
SQL
		tables => ['t'],
	},
	part_of_key => {
		ddl => <<'SQL',
create table p (id int primary key, note text);
create table c (p int references p on update cascade on delete cascade, n int, v text, primary key (p, n));
SQL
		steps => [ <<'SQL', <<'SQL', <<'SQL' ],
insert into p select g, 'p' || g from generate_series(5, 1, -1) g;
insert into c select g, n, 'c' || g || n from generate_series(1, 5) g, generate_series(1, 3) n;
SQL
update p set id = id + 1;
update c set v = v || '!' where n = 2;
SQL
begin;
update p set id = 99 where id = 2;
update p set id = 2 where id = 3;
update p set id = 3 where id = 99;
commit;
update p set id = 50 where id = 6;
delete from p where id = 4;
SQL
		tables => [qw(p c)],
	},
	shift_referenced => { # a row that others refer to leaves its key to the next one
		ddl => <<'SQL',
create table p (id int primary key, note text);
create table c (id int primary key, p int not null references p);
create table tree (id int primary key, up int references tree);
SQL
		steps => [ <<'SQL', <<'SQL', <<'SQL' ],
insert into p select g, 'p' || g from generate_series(1, 9) g;
insert into c select g, g from generate_series(2, 9) g;
insert into tree select g, nullif(g - 1, 0) from generate_series(1, 5) g;
delete from p where id = 1;
SQL
delete from c where p in (5, 9);
update p set id = id - 1 where id < 6;
SQL
begin;
delete from tree where id = 5;
update c set p = 7 where p = 8;
update p set note = note || '!', id = id - 1 where id in (6, 7, 8);
insert into p values (8, 'new');
commit;
SQL
		tables => [qw(p c tree)],
	},
	taken_over => { # a row goes, and one that others refer to takes its key, or another value that is referred to
		ddl => <<'SQL',
create table p (id int primary key, note text);
create table c (id int primary key, p int references p on update cascade on delete set default);
create table b (p int references p on update cascade on delete cascade, note text);
alter table b replica identity full;
create table q (id int primary key, u int unique);
create table r (id int primary key, u int references q (u) on update cascade);
SQL
		target => <<'SQL',
create table p (id int primary key, note text);
create table c (id int primary key, p int references p on update cascade on delete set default);
create table b (p int references p on update cascade on delete cascade, note text);
create table q (id int primary key, u int unique);
create table r (id int primary key, u int references q (u) on update cascade);
SQL
		steps => [ <<'SQL', <<'SQL', <<'SQL' ],
insert into p select g, 'p' || g from generate_series(6, 9) g;
insert into c values (1, 6), (2, 6), (3, 9);
insert into b values (6, 'x'), (8, 'y');
insert into q select g, g from generate_series(1, 4) g;
insert into r values (1, 1), (2, 1), (3, 2);
SQL
begin;
update c set p = 6 where p = 9;
delete from p where id in (9, 7);
update p set id = 9, note = 'moved' where id = 6;
commit;
SQL
begin;
delete from p where id = 8;
update p set id = 8 where id = 9;
insert into p values (9, 'new');
update c set p = 9 where id = 1;
delete from r where u = 2;
delete from q where id = 2;
update q set u = 2 where id = 1;
commit;
SQL
		tables => [qw(p c b q r)],
	},
	moved_child => {
		ddl => <<'SQL',
create table p (id int primary key);
create table c (id int primary key, p int references p on delete cascade);
create table n (id int primary key, p int references p on delete set null);
create table d (id int primary key, p int default 9 references p on delete set default);
SQL
		steps => [ <<'SQL', <<'SQL', <<'SQL' ],
insert into p select generate_series(1, 9);
insert into c select g, g from generate_series(1, 8) g;
insert into n select * from c;
insert into d select * from c;
SQL
with gone as (delete from p where id = 1 returning id) update c set p = 2 where p in (select id from gone);
with moved as (update c set p = 4 where p = 3 returning id) delete from p where id = 3;
SQL
begin;
update c set p = 9 where p = 5;
delete from p where id in (5, 6);
insert into p values (5);
update n set p = 5 where p is null;
commit;
SQL
		tables => [qw(p c n d)],
	},
	truncated => {
		ddl => <<'SQL',
create table p (id int primary key, v text);
create table c (id int primary key, p int references p);
create table other (id int primary key, c int references c);
SQL
		steps => [ <<'SQL', <<'SQL', "truncate other; insert into other values (1, 2)" ],
insert into p select g, 'v' from generate_series(1, 4) g;
insert into c select g, g from generate_series(1, 4) g;
insert into other select g, g from generate_series(1, 4) g;
SQL
delete from other where id = 4;
begin;
truncate p, c, other;
insert into p values (2, 'two'), (7, 'seven');
insert into c values (2, 2), (3, 7);
commit;
SQL
		tables => [qw(p c other)],
	},
	leaves => {
		ddl => <<'SQL',
create table t (id int, r int, v text) partition by list (r);
create table t1 partition of t for values in (1);
create table t2 partition of t for values in (2);
alter table t1 add primary key (id);
alter table t2 replica identity full;
SQL
		target => 'create table t (id int, r int, v text);',
		steps => [ "insert into t select g, 1 + g % 2, 'v' from generate_series(1, 10) g", <<'SQL', "delete from t where id = 2" ],
begin;
update t set r = 3 - r where id < 5;
commit;
begin;
update t set r = 3 - r where id < 5;
commit;
update t set v = 'w' where id > 7;
SQL
		tables => ['t'],
	},
	key_and_back => {
		ddl => 'create table t (id int primary key, u int not null unique, v text);',
		steps => [ "insert into t values (1, 10, 'start'), (2, 20, 'two')", <<'SQL', 'update t set id = 3 where id = 1' ],
begin;
update t set v = 'one' where id = 1;
alter table t replica identity using index t_u_key;
update t set v = 'two' where id = 1;
alter table t replica identity default;
update t set v = 'three' where id = 1;
commit;
SQL
		tables => ['t'],
	},
	identity => {
		ddl => 'create table t (id int primary key, s int generated always as identity, v text);',
		steps => [ "insert into t (id, v) select g, 'v' from generate_series(1, 5) g", 'update t set s = default where id = 3', <<'SQL' ],
delete from t where id = 4;
insert into t (id, s, v) overriding system value values (4, 400, 'n');
SQL
		tables => ['t'],
	},
	counter => {
		ddl => <<'SQL',
create table n (id int primary key, n int);
create table c (id int primary key, n int references n);
SQL
		steps => [ 'insert into n values (1, 0), (2, 0)', <<'SQL', 'delete from c where id % 2 = 0' ],
do $$ begin
	for i in 1 .. 300 loop
		update n set n = n.n + 1 where id = 1;
		insert into c values (i, 1 + i % 2);
	end loop;
end $$;
SQL
		tables => [qw(n c)],
	});

if ($ENV{CDCS3_TEST_ONLY})
{
	my %only = map { $_ => 1 } split /,/, $ENV{CDCS3_TEST_ONLY};
	delete @cases{ grep { !$only{$_} } keys %cases };
}

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
$source->psql('postgres', 'create database shop');
$target->psql('postgres', 'create role plain login');
$source->psql('shop', "create schema $_; set search_path = $_; $cases{$_}{ddl}") for sort keys %cases;

my $cdc = sidecar($source, 'shop', file_store());
$cdc->ok('init');
my $run = $cdc->start;
$cdc->wait_loaded or die $run->errors;

# Where each round ends, and what the source had then.
my @rounds;
for my $i (0 .. 2)
{
	$source->psql('shop', "set search_path = $_; $cases{$_}{steps}[$i]") for sort keys %cases;
	$cdc->wait_durable or die $run->errors;
	push @rounds, { lsn => $cdc->last_entry->{end_lsn}, rows => { map { $_ => rows($source, 'shop', $_) } sort keys %cases } };
}
$run->stop;

sub rows
{
	my ($at, $db, $case) = @_;
	return join "\n", map {
		my $t = $_;
		my $cols = $source->psql('shop',
			"select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute where attrelid = '$case.$t'::regclass and attnum > 0 and not attisdropped");
		"$t: " . $at->psql($db, "select coalesce(string_agg(x::text, ' ' order by x::text collate \"C\"), '') from (select $cols from $case.$t) x")
	} @{ $cases{$case}{tables} };
}

my $databases = 0;

sub merged
{
	my ($role, $way, @ends) = @_;
	my $db = 'd' . ++$databases;
	$target->psql('postgres', "create database $db owner plain");
	for my $c (sort keys %cases)
	{
		$target->psql($db, "create schema $c", user => 'plain');
		$target->psql($db, "set search_path = $c; " . ($cases{$c}{target} // $cases{$c}{ddl}), user => 'plain');
	}
	for my $end (@ends)
	{
		my $r = run_cdc('merge', "--store.url=$cdc->{store}{url}", "--merge.way=$way", '--merge.on_reject=continue',
			'--merge.exclude=twice.t1', # a partition that becomes a table of its own
			'--target.conninfo=' . $target->conninfo($db, user => $role), "--until=$end->{lsn}");
		# a partition that is detached is a load to ask for, whatever comes again
		my $waits = $target->psql($db, "select string_agg(concat_ws(' ', source_schema, source_table, reason), ', ') from cdc_s3.resync");
		is($r->{code}, $waits ? 8 : 0, "merge to $end->{lsn}") or diag $r->{err};
		ok($waits eq '' || $waits eq 'twice t partition', 'and nothing else waits') or diag $waits;
		for my $c (sort keys %cases)
		{
			is(rows($target, $db, $c), $end->{rows}{$c}, "$c to $end->{lsn}");
		}
	}
	for my $c (sort keys %cases)
	{
		my ($sql, $want) = @{ $cases{$c}{also} // [ 'select 1', 1 ] };
		is($target->psql($db, "set search_path = $c; $sql"), $want, "$c: $sql");
	}
	is($target->psql($db, q(select coalesce(string_agg(format('%s.%s %s %s: %s', source_schema, source_table, op, seq, reason), E'\n'), '') from cdc_s3.rejected)),
		'', 'nothing is rejected');
	is($target->psql($db, q(select coalesce(string_agg(source_table, ' '), '') from cdc_s3.resync where source_schema <> 'twice')), '', 'nothing has to be loaded anew');
	return;
}

for my $role (qw(plain postgres))
{
	for my $way (qw(auto exact))
	{
		subtest "$role, $way, one merge" => sub { merged($role, $way, $rounds[-1]) };
		subtest "$role, $way, three merges" => sub { merged($role, $way, @rounds) };
	}
}

# ---- what the target does not let through is rejected alone, by name ----

# rows of one transaction each; returns what was rejected, and table t
sub refused
{
	my ($ddl, $role, @entries) = @_;
	my $db = 'd' . ++$databases;
	my $lake = CdcS3::Lake->new(folder => temp_folder() . "/lake_$db");
	my $t = $lake->table('public.t', key => ['id'], columns => [ [ id => 'int4', 'pk' ], [ v => 'text' ] ]);
	my $at = 0x2000;
	for my $rows (@entries)
	{
		my $seq = 0;
		$at += 0x1000;
		$lake->entry(end => $at, rows => [ map { my ($op, @r) = @$_; [ $t, $op, $at - 16, ++$seq, @r ] } @$rows ]);
	}
	$target->psql('postgres', "create database $db owner plain");
	$target->psql($db, "alter schema public owner to plain; set role plain; $ddl");
	my $r = run_cdc('merge', "--store.url=file://$lake->{folder}", '--until=now', '--merge.on_reject=continue',
		'--merge.tables=public.t', '--target.conninfo=' . $target->conninfo($db, user => $role));
	my $rejected = $target->psql($db,
		q(select coalesce(string_agg(op || seq, ' ' order by lsn, seq), '') from cdc_s3.rejected));
	is($r->{code}, $rejected ? 8 : 0, 'merge') or diag $r->{err};
	return ($db, $rejected,
		$target->psql($db, q(select string_agg(id || v, ' ' order by id) from t)));
}

my @rows = map { [ 'i', { id => $_, v => "\"v$_\"" } ] } 1 .. 4;

subtest 'an action of the target alone' => sub {
	for my $action ('cascade', 'set null', 'set default')
	{
		my ($db, $rejected, $t) = refused("create table t (id int primary key, v text);"
			  . "insert into t values (1, 'x'), (2, 'x'), (3, 'x');"
			  . "create table mine (id int primary key, t int default 3 references t on delete $action on update $action);"
			  . 'insert into mine values (1, 1), (2, 2)',
			'plain', \@rows,
			[ [ 'd', { id => 1 } ], [ 'u', { id => 7, v => '"moved"' }, { _key => '{"id":2}' } ], [ 'd', { id => 4 } ] ],
			[ [ 'u', { id => 1, v => '"still"' } ], [ 'u', { id => 7, v => '"later"' } ] ]);
		is($rejected, 'u2 u2', "$action: the moves are rejected, and the deletion until the row was there again");
		is($t, '1still 2v2 3v3', "$action: all others are applied");
		is($target->psql($db, 'select string_agg(format($$%s %s$$, id, t), $$,$$ order by id) from mine'), '1 1,2 2', "$action: it did not run");
	}
};

subtest 'a row that others refer to' => sub {
	my ($db, $rejected, $t) = refused("create table t (id int primary key, v text);"
		  . "insert into t values (1, 'x'); create table note (id int primary key, t int references t); insert into note values (1, 1)",
		'plain', \@rows, [ [ 'd', { id => 1 } ], [ 'd', { id => 2 } ] ]);
	is($rejected, 'd1', 'the delete is rejected');
	is($t, '1v1 3v3 4v4', 'and no other');
};

# The identity of a partition may be less than what tells all rows apart.
subtest 'a key of several rows' => sub {
	my @columns = ([ r => 'int4', 'pk' ], [ k => 'int4', 'pk' ], [ n => 'int4' ]);
	my $row = sub { my ($r, $k, $n) = @_; return { r => $r, k => $k, n => $n } };
	for my $case (
		[ 'that are there', "(1,1,8),(7,5,8),(7,6,9)", '(1,1,8) (7,5,8) (7,6,10)', '8 d1 u2',
			[ 'd', { n => 8 } ], [ 'u', $row->(7, 4, 8) ], [ 'd', { n => 99 } ], [ 'u', $row->(7, 6, 10), { _key => '{"n":9}' } ] ],
		[ 'that come', "(1,1,8)", '(1,1,8) (7,6,9)', '8 i1 d2',
			[ 'i', $row->(7, 5, 8) ], [ 'd', { n => 8 } ], [ 'i', $row->(7, 6, 9) ] ],
		[ 'of which one goes', "(1,1,8)", '(7,5,8)', '0 ', [ 'i', $row->(7, 5, 8) ], [ 'd', { r => 1, k => 1 } ] ])
	{
		my ($name, $values, $rows, $rejected, @changes) = @$case;
		for my $way (qw(auto fast exact))
		{
			my $db = 'd' . ++$databases;
			my $lake = CdcS3::Lake->new(folder => temp_folder() . "/lake_$db");
			my $root = $lake->table('public.t', key => [qw(r k)], columns => \@columns);
			my $leaf = $lake->table('public.t', key => ['n'], identity => 'i', columns => \@columns);
			my $seq = 0;
			$lake->entry(end => 0x3000, rows => [ map { my ($op, @r) = @$_; [ exists $r[0]{n} ? $leaf : $root, $op, 0x2ff0, ++$seq, @r ] } @changes ]);
			$target->psql('postgres', "create database $db owner plain");
			$target->psql($db, "create table t (r int, k int, n int, primary key (r, k)); alter table t owner to plain; insert into t values $values");
			my $r = run_cdc('merge', "--store.url=file://$lake->{folder}", '--until=now', '--merge.on_reject=continue', "--merge.way=$way",
				'--merge.tables=public.t', '--target.conninfo=' . $target->conninfo($db, user => 'plain'));
			is("$r->{code} " . $target->psql($db, q(select coalesce(string_agg(op || seq, ' ' order by lsn, seq), '') from cdc_s3.rejected)),
				$rejected, "$name, $way: rejected") or diag $r->{err};
			is($target->psql($db, q(select string_agg(t::text, ' ' order by r, k) from t)), $rows, "$name, $way: rows");
		}
	}
};

subtest 'a trigger that leaves rows out' => sub {
	my $ddl = q(create table t (id int primary key, v text);
		create function skip() returns trigger language plpgsql as $$ begin
			if tg_op = 'DELETE' then return case when old.id = 4 then null else old end; end if;
			if new.id = 2 or new.v = 'skip' then return null; end if;
			return new; end $$;
		create trigger skip before insert or update or delete on t for each row execute function skip());
	my @more = ([ 'u', { id => 1, v => '"skip"' } ], [ 'u', { id => 3, v => '"three"' } ], [ 'd', { id => 4 } ]);
	my ($db, $rejected, $t) = refused($ddl, 'plain', \@rows, \@more);
	is($rejected, 'i2 u1 d3', 'each is rejected');
	is($t, '1v1 3three 4v4', 'and no other');
	($db, $rejected, $t) = refused($ddl, 'postgres', \@rows, \@more);
	is($rejected, '', 'a superuser switches triggers off');
	is($t, '1skip 2v2 3three', 'and has all rows');
};

# What the source's action did has records, and the target's does another thing.
subtest 'rows of a bag that an action of the target changes otherwise' => sub {
	for my $default ('', 'default 3')
	{
		my $db = 'd' . ++$databases;
		my $lake = CdcS3::Lake->new(folder => temp_folder() . "/lake_$db");
		my $p = $lake->table('public.p', key => ['id'], columns => [ [ id => 'int4', 'pk' ] ]);
		my $b = $lake->table('public.b', identity => 'f', columns => [ [ p => 'int4' ], [ note => 'text' ] ]);
		my @rows = map { [ $_ ? $b : $p, 'i', 0x2000, $_ + 5, $_ ? { p => 6, note => '"x"' } : { id => 6 } ] } 0 .. 2;
		$lake->entry(end => 0x2010, rows => [ [ $p, 'i', 0x2000, 1, { id => 3 } ], @rows ]);
		$lake->entry(end => 0x3010, rows => [ [ $p, 'u', 0x3000, 1, { id => 9 }, { _key => '{"id":6}' } ],
			map { [ $b, 'u', 0x3000, 1 + $_, { p => 9, note => '"x"' }, { _before => '{"p":6,"note":"x"}' } ] } 1, 2 ]);
		$target->psql('postgres', "create database $db owner plain");
		$target->psql($db, "alter schema public owner to plain; set role plain; create table p (id int primary key); create table b (p int $default references p on update set default, note text)");
		my $r = run_cdc('merge', "--store.url=file://$lake->{folder}", '--until=now', '--merge.on_reject=continue', '--target.conninfo=' . $target->conninfo($db, user => 'plain'));
		my $rejected = $target->psql($db, q(select count(*) from cdc_s3.rejected where source_table = 'b'));
		my $right = $target->psql($db, q(select count(*) from b where p = 9));
		is($rejected + $right, 2, "set default, $default: each is right or named") or diag $r->{err};
		is($r->{code}, $rejected ? 8 : 0, 'and the exit code says so');
	}
};
done_testing;

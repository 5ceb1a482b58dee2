#-------------------------------------------------------------------------
# verify --against: the rows that the lake tells of a table, held against those
# of the target at its position, and of the source at an LSN.  All that is equal
# is told so, of every type; and one row that is other, missing or too much is
# found and named.
#-------------------------------------------------------------------------
use strict;
use warnings;
use utf8;
use Encode qw(decode_utf8 encode_utf8);
use JSON::PP;
use Test::More;

use CdcS3::Test;

binmode Test::More->builder->$_, ':encoding(UTF-8)'
  for qw(output failure_output todo_output);

my $json = JSON::PP->new->utf8;
my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
my @types = map { /^\| `(.+?)` \| `(.*)` \| `(?:.*)` \|$/ ? [ "$1", "$2" =~ s/\\\|/|/gr ] : () }
  split /\n/, decode_utf8(slurp(top_folder() . '/doc/types.md'));
cmp_ok(scalar @types, '>', 90, 'the document has types');

for my $c ($source, $target)
{
	$c->psql('postgres', "create database work template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C'");
	$c->psql('work', <<'SQL');
create extension hstore;
create extension citext;
create type mood as enum ('sad', 'it''s "ok"');
create domain posint as integer check (value > 0);
create type pair as (a integer, b text);
SQL
}
@types = grep { $_->[0] ne 'xml' } @types
  if $source->try_psql('work', q(select '<a/>'::xml))->{code};

my %of_type;
$of_type{ $_->[0] } //= 'type_' . scalar keys %of_type for @types;

# The values of the document, from this id on.
sub insert_types
{
	my ($from) = @_;
	my $n = $from;
	return encode_utf8(join '', map {
		sprintf "insert into %s values (%d, %s);\n", $of_type{ $_->[0] }, $n++, $_->[1] } @types);
}

$source->psql('work', encode_utf8(join '', map {
	"create table $of_type{$_} (id integer primary key, v $_);\n" } sort keys %of_type));
$source->psql('work', insert_types(1000));
$source->psql('work', <<'SQL');
create table t (id integer primary key, a text, b numeric, toast text);
insert into t select i, 'a' || i, i / 7.0, repeat(md5(i::text), 300) from generate_series(1, 500) i;
alter table t alter toast set storage external;
create table "Odd ""name""" ("Key, 1" text, k2 integer, "v=" text, primary key ("Key, 1", k2));
insert into "Odd ""name""" select 'k' || i, i, 'v' from generate_series(1, 50) i;
create table bag (a integer, b text);
alter table bag replica identity full;
insert into bag select i % 5, 'x' from generate_series(1, 100) i;
create table gen (id integer primary key, x integer, y integer generated always as (x * 2) stored);
insert into gen select i, i from generate_series(1, 20) i;
create table parted (id integer primary key, v text) partition by range (id);
create table parted_1 partition of parted for values from (0) to (100);
create table parted_2 partition of parted for values from (100) to (1000);
insert into parted select i, 'p' || i from generate_series(1, 200) i;
create table nothing (id integer primary key);
create table noise (id integer primary key, v text);
SQL
$source->psql('work', "alter role postgres set datestyle = 'SQL, DMY'; alter role postgres set timezone = 'Asia/Kolkata'");

my $cdc = sidecar($source, 'work', file_store(), target => $target,
	flags => [ '--flush.interval=1s', @ARGV ]);
$cdc->ok('init');
my $run = $cdc->start;
ok($cdc->wait_loaded, 'tables are loaded') or diag $run->errors;
{
	local $ENV{PGOPTIONS} = '-c datestyle=ISO -c search_path=public';
	$source->psql('work', insert_types(2000));
}
# Updates that leave TOAST alone, new keys, deletes, columns that come and go.
$source->psql('work', <<'SQL');
update t set a = a || '!' where id <= 100;
update t set id = id + 10000 where id between 90 and 110;
delete from t where id % 17 = 0;
update "Odd ""name""" set "Key, 1" = 'moved' where k2 = 7;
update bag set b = 'y' where a = 2;
delete from bag where a = 3;
update gen set x = 100 where id = 5;
update parted set id = id + 200 where id between 50 and 60;
alter table t add column later timestamptz default '2001-02-03 04:05:06.789+00';
alter table t add column plain integer;
insert into t (id, a, later) values (20000, 'new', null);
alter table t rename column b to "B";
update t set "B" = 1 where id = 300;
alter table t drop column toast;
insert into t (id, a) values (20001, null);
SQL
ok($cdc->wait_durable, 'changes are durable') or diag $run->errors;
$cdc->ok('merge', '--merge.until=now');

sub against
{
	my ($what, @args) = @_;
	my $r = $cdc->call('verify', '--against', $what, '--json', @args);
	my @lines = map { $json->decode($_) } grep { /^\{/ } split /\n/, $r->{out};
	$r->{sum} = pop @lines if @lines && $lines[-1]{compared};
	$r->{of} = { map { ($_->{table} => $_) } @lines };
	return $r;
}

# All are equal, and each was compared; they have as many rows as the source says.
sub all_equal
{
	my ($what, $name) = @_;
	my $r = against($what);
	is($r->{code}, 0, "$name: exit code") or diag encode_utf8($r->{out}), $r->{err};
	my @odd = grep { $_->{verdict} ne 'equal' && $_->{table} ne 'nothing' } values %{ $r->{of} };
	is_deeply(\@odd, [], "$name: all are equal");
	for my $table ((sort values %of_type), qw(t bag gen parted), 'Odd "name"')
	{
		my $count = $source->psql('work', sprintf 'select count(*) from "%s"', $table =~ s/"/""/gr);
		is($r->{of}{$table}{rows}, $count, "$name: $table has its rows");
		is($r->{of}{$table}{hash}, $r->{of}{$table}{server_hash}, "$name: $table has one hash");
	}
	return $r;
}
my $r = all_equal(target => 'target');

# Others write while the source is compared; what they write is compared, too.
my $script = temp_folder() . '/write.sql';
{
	open my $f, '>', $script or die $!;
	print {$f} <<'SQL';
\set k random(1, 200)
insert into noise values (:k, random()::text) on conflict (id) do update set v = excluded.v;
delete from noise where id = (:k * 7) % 200;
\sleep 20 ms
SQL
	close $f or die $!;
}
my $writers = $source->spawn_pgbench('work', '-f', $script, '-c', 2, '-T', 600);
ok($source->poll_until('work', 'select count(*) > 20 from noise'), 'others write');
$r = all_equal(source => 'source');
is($r->{of}{noise}{verdict}, 'equal', 'a table that others write to is equal at the LSN') or diag $r->{out};

# One thing is other at the target: found, and named.
sub finds
{
	my ($name, $table, $sql, $counts, $keys) = @_;
	$target->psql('work', $sql);
	my $r = against('target', '--table', '*.*');
	is($r->{code}, 3, "$name: exit code") or diag $r->{out}, $r->{err};
	my $t = $r->{of}{$table};
	is($t->{verdict}, 'differs', "$name: told");
	is_deeply([ @{$t}{qw(missing extra changed)} ], $counts, "$name: counted");
	is_deeply($t->{keys}, $keys, "$name: named") or diag explain $t->{keys};
	isnt($t->{hash}, $t->{server_hash}, "$name: the hashes differ");
	is($r->{sum}{differ}, 1, "$name: no other table differs");
	return;
}

finds('one value', 't', q(update t set a = 'other', "B" = 5 where id = 200), [ 0, 0, 1 ],
	[ { difference => 'changed', key => 'id=200', columns => 'a, B' } ]);
$target->psql('work', q(update t set a = 'a200', "B" = 200 / 7.0 where id = 200));
is(against('target')->{code}, 0, 'which is mended');
finds('a NULL that was none', 't', q(update t set a = null where id = 200), [ 0, 0, 1 ],
	[ { difference => 'changed', key => 'id=200', columns => 'a' } ]);
$target->psql('work', q(update t set a = 'a200' where id = 200));
finds('a value that was NULL', 't', q(update t set a = '' where id = 20001), [ 0, 0, 1 ],
	[ { difference => 'changed', key => 'id=20001', columns => 'a' } ]);
$target->psql('work', q(update t set a = null where id = 20001));
finds('a default of older rows', 't', q(update t set later = later + interval '1 microsecond' where id = 1),
	[ 0, 0, 1 ], [ { difference => 'changed', key => 'id=1', columns => 'later' } ]);
$target->psql('work', q(update t set later = later - interval '1 microsecond' where id = 1));
finds('a row that is missing', 'Odd "name"', q(delete from "Odd ""name""" where k2 = 7), [ 1, 0, 0 ],
	[ { difference => 'missing', key => 'Key, 1=moved, k2=7' } ]);
finds('and one too much', 'Odd "name"', q(insert into "Odd ""name""" values ('n', 1)), [ 1, 1, 0 ],
	[ { difference => 'extra', key => 'Key, 1=n, k2=1' },
	  { difference => 'missing', key => 'Key, 1=moved, k2=7' } ]);
$r = $cdc->call('verify', '--against=target', '--table=public."Odd ""name"""', '--keys=0');
is($r->{code}, 3, 'one table alone: exit code') or diag $r->{err};
like($r->{out}, qr/^public\.Odd "name": differs: 1 missing, 1 extra, 0 changed; 50 rows in the lake, 50 at the target\n  missing  and 1 more\n  extra    and 1 more\n1 tables against the target at LSN/, 'as text') or diag $r->{out};
$target->psql('work', q(delete from "Odd ""name""" where "Key, 1" = 'n'; insert into "Odd ""name""" values ('moved', 7, 'v')));
finds('an equal row less', 'bag', q(delete from bag where ctid = (select min(ctid) from bag where a = 1)), [ 1, 0, 0 ],
	[ { difference => 'missing', key => 'a=1, b=x' } ]);
finds('and another one more', 'bag', q(insert into bag values (2, 'y')), [ 1, 1, 0 ],
	[ { difference => 'extra', key => 'a=2, b=y' }, { difference => 'missing', key => 'a=1, b=x' } ]);
$target->psql('work', q(insert into bag values (1, 'x'); delete from bag where ctid = (select max(ctid) from bag where a = 2)));
finds('a row of a partition', 'parted', q(delete from parted where id = 255), [ 1, 0, 0 ],
	[ { difference => 'missing', key => 'id=255' } ]);
$target->psql('work', q(insert into parted values (255, 'p55')));
is(against('target')->{code}, 0, 'all of it is mended') or diag against('target')->{out};

# Types: one value of each table is another one.
for my $type (sort keys %of_type)
{
	my $table = $of_type{$type};
	$target->psql('work', "update $table set v = null where id = (select min(id) from $table where num_nulls(v) = 0)");
}
$r = against('target', '--table=public.type_*');
is($r->{code}, 3, 'a NULL in each type: exit code');
is_deeply([ sort grep { $r->{of}{$_}{changed} != 1 } values %of_type ], [], 'a NULL in each type: found');

# Columns and tables of one side.
$target->psql('work', 'alter table gen add column mine integer default 3');
$r = against('target', '--table=public.gen');
is($r->{code}, 0, 'a column of the target alone is no difference') or diag $r->{out}, $r->{err};
like($r->{of}{gen}{note}, qr/column "mine" of the target is not in the lake/, 'and is told');
$target->psql('work', 'drop table parted');
$r = against('target', '--table=public.parted');
is($r->{code}, 3, 'a table that the target lacks: exit code');
is($r->{of}{parted}{verdict}, 'differs', 'a table that the target lacks: told');

# Options that do not go together, and words that are none.
for my $case (
	[ [qw(--against lake)], qr/neither source nor target/ ],
	[ [qw(--against target --repair)], qr/--against goes with/ ],
	[ [qw(--against target --jobs 2)], qr/--against goes with/ ],
	[ [qw(--table a.b)], qr/go with --against only/ ],
	[ [ '--against=target', '--table=' ], qr/no list of tables/ ],
	[ [ '--against=target', '--keys=-1' ], qr/--keys is "-1"/ ],
	[ [ '--against=target', '--table=public.unheard' ], qr/no table to be compared/ ])
{
	my $c = $cdc->call('verify', @{ $case->[0] });
	is($c->{code}, 2, "@{ $case->[0] }: exit code");
	like($c->{err}, $case->[1], "@{ $case->[0] }: told");
}

# Who may not read gets no verdict.
$source->psql('work', 'create role reader login replication; grant usage on schema public to reader');
my $reader = sidecar($source, 'work', $cdc->{store},
	source_conninfo => $source->conninfo('work', user => 'reader'));
$r = $reader->call('verify', '--against=source', '--table=public.gen');
is($r->{code}, 4, 'no right to read: exit code');
like($r->{err}, qr/gen.*grant SELECT/s, 'no right to read: told');
$source->psql('work', 'grant select on gen to reader; alter table gen enable row level security');
$r = $reader->call('verify', '--against=source', '--table=public.gen');
is($r->{code}, 4, 'rows that are hidden: exit code') or diag $r->{out}, $r->{err};
like($r->{err}, qr/gen.*BYPASSRLS/s, 'rows that are hidden: told');
is($source->psql('work', q(select count(*) from pg_replication_slots where slot_name <> 'cdc_s3')), 0,
	'no slot stays');

$writers->stop('TERM', 30);
is($run->stop('TERM', 60), 0, 'run stops') or diag $run->errors;
# The log ends where it ended.
$source->psql('work', 'insert into nothing values (1)');
$r = $cdc->call('verify', '--against=source', '--wait=4');
is($r->{code}, 75, 'a log that does not go on: exit code');
like($r->{err}, qr/the log ends at LSN/, 'a log that does not go on: told');
done_testing();

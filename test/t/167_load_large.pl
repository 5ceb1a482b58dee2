#-------------------------------------------------------------------------
# A first load of pgbench's tables and of a wide one, while four sessions write
# to all of them and "run" is killed again and again, at any share of a COPY;
# merges lie in between.  In the end source and target are equal.
#
#	LOAD_SCALE=50			of pgbench (default 1)
#	LOAD_WIDE=5000000		rows of the wide table (default 20000)
#	LOAD_KILLS=20			(default 3)
#
# doc/reliability.md has what became of it at these sizes.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Proc qw(capture poll);
use CdcS3::Test;

my $scale = $ENV{LOAD_SCALE} // 1;
my $wide = $ENV{LOAD_WIDE} // 20_000;
my $kills = $ENV{LOAD_KILLS} // 3;
my $patience = 120 + $scale * 10 + $wide / 5000;
my $db = 'bench';
my @tables = qw(pgbench_accounts pgbench_branches pgbench_tellers pgbench_history wide);

my $source = new_cluster('source', conf => [ 'max_wal_size = 4GB', 'autovacuum = off' ])->start;
my $target = new_cluster('target', conf => [ 'max_wal_size = 4GB', 'autovacuum = off' ])->start;
$_->psql('postgres', "create database $db") for $source, $target;
my $made = capture([ CdcS3::Cluster::program('pgbench'), '-i', '-q', '-s', $scale, $source->conninfo($db) ]);
is($made->{code}, 0, 'pgbench makes its tables') or diag $made->{err};

# Thirty columns of the types that tables have.
$source->psql($db, <<"SQL");
create table wide (id bigint primary key, a int, b int, c bigint, d numeric(12,2), e numeric, f float8, g real,
	h boolean, i boolean, j text, k text, l varchar(40), m char(8), n date, o timestamp, p timestamptz, q time,
	r uuid, s jsonb, t json, u bytea, v int[], w text[], x interval, y smallint, z text, aa text, ab int, ac text);
create sequence wide_id start 100000000;
create function wide_row(g bigint) returns wide language sql volatile as \$\$
	select g, g::int, (g * 7 % 1000)::int, g * 1000003, (g % 100000) * 1.25, g / 7.0, sqrt(g), (g % 1000)::real / 3,
	g % 2 = 0, null::boolean, 'text ' || g, repeat('k', (g % 30)::int), 'v' || g, 'c' || g % 1000, date '2000-01-01' + (g % 9000)::int,
	timestamp '2026-01-01' + g * interval '1 second', timestamptz '2026-01-01' + g * interval '1 ms', time '00:00' + g * interval '1 second',
	md5(g::text)::uuid, jsonb_build_object('g', g, 'w', 'x'), null::json, decode(md5(g::text), 'hex'), array[g, null, 3]::int[], array['a', 'b c'],
	g % 100 * interval '1 hour', (g % 30000)::int2, null::text, 'ü' || g, null::int, 'last'
\$\$;
SQL
for (my $i = 0; $i < $wide; $i += 100_000)
{
	my ($from, $to) = ($i + 1, $i + 100_000 < $wide ? $i + 100_000 : $wide);
	$source->psql($db, "insert into wide select r.* from generate_series($from, $to) g, lateral wide_row(g) r");
}

my $script = temp_folder() . '/wide.sql';
open my $f, '>', $script or die "$script: $!";
print {$f} <<"SQL";
\\set id random(1, $wide)
\\set n random(1, 1000)
update wide set b = :n, j = j || :n where id = :id;
insert into wide select r.* from nextval('wide_id') g, lateral wide_row(g) r;
delete from wide where id = :id + 1 and :n < 300;
SQL
close $f or die $!;

my $cdc = sidecar($source, $db, file_store(), target => $target,
	flags => [ '--flush.interval=1s', '--merge.until=now' ]);
$cdc->ok('init');
my $writers = $source->spawn_pgbench($db, '-c', 4, '-j', 2, '-T', 36000, '-R', 300, '-b', 'tpcb-like@2', '-f', "$script\@1");

# One of the COPYs that run: how far it is, and who does it.
my $copy = q{select coalesce(sum(tuples_processed), 0) from pg_stat_progress_copy where datname = 'bench'};
my $end_one = q{select count(pg_terminate_backend(pid)) from (select pid from pg_stat_progress_copy where datname = 'bench' limit 1) x};

sub loaded_tables { my $n = () = map { grep { $_->{state} eq 'done' } @{ $_->{loads} } } $cdc->entries; return $n }
sub objects { return scalar map { $cdc->entry_objects($_) } $cdc->entries }

srand 167;
my ($killed, $in_copy) = (0, 0);

# Small tables are read so slowly that a kill can come in between.
my @slow = $wide > 1_000_000 || $scale > 10 ? () : ('--load.max_rate=3MB');
for my $i (1 .. $kills)
{
	my $run = $cdc->start(@slow);
	my $share = int rand(0.5 * ($wide > $scale * 100_000 ? $wide : $scale * 100_000));
	my $before = objects();
	my $far = 0;
	ok( poll(
			sub {
				my $rows = $source->psql($db, $copy);
				$far = 1 if $rows > $share;
				$source->psql($db, $end_one) if $far && $i % 3 == 0;
				return $far || $cdc->loaded && objects() > $before || !$run->alive;
			},
			$patience),
		"kill $i: the load, or what comes behind it, is under way")
	  or diag $run->errors;
	$in_copy += $far;
	is($run->stop('KILL'), -9, "kill $i: run was there") or diag $run->errors;
	$killed++;
	$source->wait_for_free_slot($cdc->{slot});
	next if $i % 5;
	my $r = $cdc->call('merge');
	ok($r->{code} == 0 || $r->{code} == 75, "kill $i: a merge") or diag $r->{err}, $r->{out};
}
cmp_ok($in_copy, '>', 0, "of $killed kills $in_copy came within a COPY");

my $began = time;
my $run = $cdc->start;
ok($cdc->wait_loaded($patience), 'loaded') or diag $run->errors;
my $seconds = time - $began;
is(loaded_tables(), scalar @tables, 'each table was loaded once');
is($writers->alive ? 1 : 0, 1, 'the writers write all the while') or diag slurp($source->{root} . '/pgbench.log');
$writers->stop('INT', 60);
ok($cdc->wait_durable($patience), 'all is durable') or diag $run->errors;
memory_below($run, 96);
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
$began = time;
my $r = $cdc->call('merge');
is($r->{code}, 0, 'merge') or diag $r->{err}, $r->{out};
diag sprintf 'scale %d, %d wide rows, %d kills (%d within a COPY): the last load took %d s, the merge %d s; %s',
  $scale, $wide, $killed, $in_copy, $seconds, time - $began, $r->{out} =~ s/\n/; /gr;

# Where there are many rows, sorting them all takes longer than the rest.
my $sum = 'select count(*), coalesce(sum(hashtextextended(t::text, 0)), 0) from';
for my $t (@tables)
{
	my ($s, $d) = map { $_->psql($db, "set timezone = 'UTC'; $sum $t t") } $source, $target;
	is($d, $s, "$t: target equals source ($s)");
}
done_testing();

#!/usr/bin/perl
#-------------------------------------------------------------------------
# The memory of a walsender that decodes with cdc_s3 over many changes, with
# DDL and rolled back subtransactions between them: after a first tenth it has
# to stay within 2 MB.
#
# Environment: MEMORY_CHANGES (10000000)
#
# Prints the walsender's anonymous memory at intervals; exits with 1 when it
# grew by more.  What was touched of the server's shared memory is not counted.
#-------------------------------------------------------------------------
use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use lib abs_path(dirname(__FILE__) . '/../lib');

use CdcS3::Cluster;
use CdcS3::Proc qw(capture spawn slurp temp_folder);

my $top = abs_path(dirname(__FILE__) . '/../..');
my $changes = $ENV{MEMORY_CHANGES} || 10_000_000;
my $rounds = 20;
my $allowed_kb = 2048;

my $drain = temp_folder() . '/drain';
my $libpq = capture([ 'pkg-config', '--cflags', '--libs', 'libpq' ])->{out};
my $built = capture([ 'cc', '-O2', '-D_GNU_SOURCE', '-o', $drain,
		"$top/test/bench/drain.c", split ' ', $libpq ]);
die "drain was not built: $built->{err}" if $built->{code};

my $pg = CdcS3::Cluster->new('memory',
	conf => [ 'max_wal_size = 2GB', 'logical_decoding_work_mem = 1MB' ])->start;

sub sql { return $pg->psql('postgres', $_[0]) }

sql(<<'EOF');
create type mood as enum ('sad', 'ok', 'happy');
create table item (id bigint primary key, n numeric, t text, m mood, a int[],
	j jsonb, at timestamptz default now());
alter table item replica identity full;
create table part (id bigint, t text, primary key (id)) partition by range (id);
create table part_0 partition of part for values from (minvalue) to (maxvalue);
create procedure work(first bigint, transactions int) language plpgsql as $$
declare
	lo bigint := first;
begin
	for i in 1 .. transactions loop
		insert into item select g, g / 7.0, repeat('x', (g % 90)::int), 'ok',
			array[g, 2], '{"a": [1, null]}' from generate_series(lo, lo + 299) g;
		update item set t = t || 'y', m = 'happy' where id between lo and lo + 299;
		delete from item where id between lo and lo + 299;
		insert into part select g, 'p' from generate_series(lo, lo + 49) g;
		delete from part where id between lo and lo + 49;
		begin
			insert into item values (lo, 1, 'rolled back');
			perform 1 / (i % 10);
			delete from item;
		exception when division_by_zero then null;
		end;
		commit;
		lo := lo + 300;
	end loop;
end $$;
select pg_create_logical_replication_slot('memory', 'cdc_s3');
EOF

my $reader = spawn(
	cmd => [ $drain, $pg->conninfo('postgres'), 'memory', 'FFFFFFFF/FFFFFFFF' ],
	log => temp_folder() . '/drain.log');
$pg->poll_until('postgres', 'select count(*) from pg_stat_replication', 60, 1)
  or die 'no walsender: ' . $reader->output;
my $pid = sql('select pid from pg_stat_replication');

# The kinds of memory of the walsender, in kB.
sub memory
{
	my $status = slurp("/proc/$pid/status");
	return map { $status =~ /^$_:\s+(\d+) kB/m ? $1 : 0 } qw(RssAnon RssFile RssShmem);
}

printf "%12s  %10s  %10s  %10s\n", 'changes', 'anon kB', 'file kB', 'shared kB';
my $transactions = int($changes / $rounds / 1000) || 1;
my ($done, $first, $least, $most) = (0, 1);
for my $round (1 .. $rounds)
{
	sql("call work($first, $transactions)");
	# Each DDL is another version of the relation.
	sql('alter table item alter t set not null; alter table item alter t drop not null')
	  for 1 .. 20;
	$first += 300 * $transactions;
	$done += 1000 * $transactions;
	my $lsn = sql('select pg_current_wal_flush_lsn()');
	$pg->poll_until('postgres',
		"select sent_lsn >= '$lsn' from pg_stat_replication where pid = $pid", 600)
	  or die 'the walsender did not come that far: ' . $reader->output;
	my ($anon, $file, $shared) = memory();
	printf "%12d  %10d  %10d  %10d\n", $done, $anon, $file, $shared;
	next if $round < $rounds / 10;
	$least = $anon if !defined $least || $anon < $least;
	$most = $anon if !defined $most || $anon > $most;
}
$reader->stop('TERM');
$pg->stop('fast') or die "the server did not stop\n";

my $ok = $most - $least <= $allowed_kb;
printf "%s: between %d and %d kB after the first tenth, %d kB apart\n",
  $ok ? 'flat' : 'NOT flat', $least, $most, $most - $least;
exit($ok ? 0 : 1);

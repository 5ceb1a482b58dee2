#-------------------------------------------------------------------------
# merge.pl
#	What merge takes, against a hand-written COPY of the same final rows and
#	against PostgreSQL's own subscription.  Part of bench.pl; case "merge".
#
#	BENCH_MERGE=which of its cases, by name (default: all)
#
# A case has a database at the source, a lake of its own and a target as it
# was before the changes, which every run gets a copy of: so the ways of one
# case begin alike, and they are run in turn.  Foreign keys and triggers are
# not in force (a superuser's merge, a subscription, and COPY with
# session_replication_role = replica), but where the case says so.
#
# By hand: COPY into an unlogged staging table, DELETE, INSERT … ON CONFLICT,
# one transaction, timed from before psql starts to its end, as merge is.  A
# subscription has its backlog complete when it starts, and is timed from the
# first transaction that it applied to the last.
#-------------------------------------------------------------------------
use strict;
use warnings;

use Time::HiRes qw(time sleep);

my $runs = $ENV{BENCH_RUNS} || 3;
my $rows = int(($ENV{BENCH_CHANGES} || 1_000_000) * 0.6);
my $hot_keys = int($rows / 60) || 1;
my $step = int($rows / 60) || 1; # rows of a transaction

my $values = "'customer ' || i, i % 1000, i * 0.01, now(), "
  . "'some longer text value for row ' || i, i * 0.37, current_date, true";
my $nine = '(id bigint primary key, a text, b integer, c numeric(12,2), '
  . 'd timestamptz, e text, f double precision, g date, h boolean)';
my @columns = qw(id a b c d e f g h);

# Statements of one transaction each, over the ids from … to.
sub in_steps
{
	my ($from, $to, @sql) = @_;
	my @out;
	for (my $at = $from; $at <= $to; $at += $step)
	{
		my $end = $at + $step - 1 < $to ? $at + $step - 1 : $to;
		push @out, map { s/:from/$at/gr =~ s/:to/$end/gr } @sql;
	}
	return @out;
}

my $insert = "insert into nine select i, $values from generate_series(:from, :to) i";
my $update = "update nine set b = b + 1, e = 'changed ' || id "
  . "where id between :from and :to";

# New rows, one of a hundred with a value that a target may refuse.
my $refusable = $insert =~ s/i % 1000/case when i % 100 = 50 then -1 else i % 1000 end/r;

# Two tables in turn, row by row.
my $alternate = <<"SQL";
do \$\$
begin
	for i in :from .. :to loop
		insert into nine select i, $values;
		insert into line values (i, i, 'line ' || i);
	end loop;
end \$\$
SQL

# ways: what is run in turn.  changed: which rows the hand brings over.
my @cases = (
	{
		name => 'load',
		says => 'first load into an empty table',
		base => $rows,
		ways => [qw(copy merge)],
	},
	{
		name => 'new',
		says => 'new rows',
		base => $rows,
		changes => [ in_steps($rows + 1, 2 * $rows, $insert) ],
		changed => "id > $rows",
		ways => [qw(hand merge)],
	},
	{
		name => 'existing',
		says => 'updates of existing rows',
		base => $rows,
		changes => [ in_steps(1, $rows, $update) ],
		changed => 'true',
		ways => [qw(hand merge exact native)],
	},
	{
		name => 'deletes',
		says => 'updates, and every tenth row deleted',
		base => $rows,
		changes => [
			in_steps(
				1, $rows, "$update and id % 10 <> 0",
				'delete from nine where id between :from and :to '
				  . 'and id % 10 = 0')
		],
		changed => 'true',
		deleted => "select i from generate_series(10, $rows, 10) i",
		ways => [qw(hand merge)],
	},
	{
		name => 'hot',
		says => "updates of $hot_keys keys",
		base => $hot_keys,
		changes => [
			map { in_steps(1, $hot_keys, $update) } 1 .. $rows / $hot_keys
		],
		changed => 'true',
		ways => [qw(hand merge exact native)],
	},
	{
		name => 'refused',
		says => 'new rows, and the same where the target refuses one of a hundred ("to COPY": to the first)',
		base => 1000,
		changes => [ in_steps(1001, 1000 + $rows, $refusable) ],
		ways => [qw(merge refused plain plain_refused)],
		against => 'merge',
	},
	{
		name => 'turns',
		says => 'inserts into two tables in turn',
		base => 0,
		changes => [ in_steps(1, int($rows / 2), $alternate) ],
		ways => [qw(merge exact native)],
	},
	{
		name => 'joined',
		says => 'the same, with a foreign key in force at the target',
		base => 0,
		changes => [ in_steps(1, int($rows / 2), $alternate) ],
		ways => [qw(plain plain_exact native)],
		keys => 1,
	});

my %names = (
	copy => 'COPY FROM',
	hand => 'COPY and upsert',
	merge => 'merge',
	exact => 'merge, exact way',
	native => 'subscription',
	refused => 'merge, 1 % refused',
	plain => 'merge, plain role',
	plain_refused => 'the same, refused',
	plain_exact => 'the same, exact way');

sub new_target
{
	my $target = CdcS3::Cluster->new(
		'target',
		conf => [
			'shared_buffers = 512MB', 'max_wal_size = 16GB',
			'checkpoint_timeout = 1h', 'autovacuum = off'
		])->start;
	$target->psql('postgres', 'create role plain login');
	return $target;
}

sub tables
{
	my ($keys) = @_;
	my $reference = $keys ? 'references nine' : '';
	return "create table nine $nine;"
	  . "create table line (id bigint primary key, nine bigint $reference,"
	  . ' note text)';
}

# To the end of what the source wrote; the sidecar's log is in its folder.
sub stream
{
	my ($cdc, $loads) = @_;
	my $run = $cdc->start;
	my $ok = (!$loads || $cdc->wait_loaded(900)) && $cdc->wait_durable(900);
	die "run: " . $run->errors unless $ok;
	$run->stop('TERM', 60);
	return;
}

# The rows that a hand would bring over, as COPY's text, in a file.
sub write_final
{
	my ($source, $case, $path) = @_;
	my $list = join ', ', @columns;
	my $sql = "select 'u', $list from nine where " . ($case->{changed} // 'true');
	$sql .= " union all select 'd', k.i, " . join(', ', ('null') x 8)
	  . " from ($case->{deleted}) k(i)"
	  if $case->{deleted};
	$sql = "select $list from nine" unless $case->{changes};
	$source->psql("m_$case->{name}", "\\copy ($sql) to '$path'");
	return;
}

# Source, lake, and the target as it is before the changes: "base".
sub prepare
{
	my ($source, $target, $case) = @_;
	my $db = "m_$case->{name}";
	$source->psql('postgres', "create database $db");
	$source->psql($db, tables(0));
	$source->psql($db, "insert into nine select i, $values "
		  . "from generate_series(1, $case->{base}) i");
	$source->psql($db, 'create publication bench for all tables');
	my $cdc = CdcS3::Sidecar->new(
		$source, $db, file_store(),
		slot => $db, target => $target, target_db => 'base',
		flags => [ '--merge.until=now', '--merge.tables=public.*' ]);
	$cdc->ok('init');
	stream($cdc, 1);
	$target->psql('postgres', 'create database base');
	if ($case->{changes})
	{
		$target->psql('base', tables($case->{keys})) if $case->{keys};
		$cdc->ok('merge');
		$target->psql('base', 'grant create on database base to plain');
		$target->psql('base', 'grant all on all tables in schema public to plain');
		$target->psql('base', 'grant all on schema public, cdc_s3 to plain');
		$target->psql('base', 'grant all on all tables in schema cdc_s3 to plain');
		$target->psql('base', 'vacuum analyze');
		$source->psql($db,
			"select pg_create_logical_replication_slot('${db}_origin', 'pgoutput')");
		for my $change (@{ $case->{changes} })
		{
			$case->{before_last} =
			  $source->psql($db, 'select pg_current_wal_insert_lsn()');
			$source->psql($db, $change);
		}
		stream($cdc);
	}
	$case->{final} = temp_folder() . '/final';
	write_final($source, $case, $case->{final});
	return $cdc;
}

# ---- the ways: each returns seconds ----

sub timed
{
	my ($do) = @_;
	my $from = time;
	$do->();
	return time - $from;
}

sub psql_file
{
	my ($target, $sql) = @_;
	my $path = temp_folder() . '/hand.sql';
	open my $f, '>', $path or die "$path: $!";
	print {$f} "\\set ON_ERROR_STOP on\nset session_replication_role = replica;\n",
	  $sql;
	close $f or die "$path: $!";
	return timed(
		sub {
			run_or_die(
				[
					CdcS3::Cluster::program('psql'),
					'-X', '-q', '-d', $target->conninfo('run'), '-f', $path
				]);
		});
}

sub way_copy
{
	my ($source, $target, $case) = @_;
	$target->psql('run', tables(0));
	return psql_file($target, "\\copy nine from '$case->{final}'\n");
}

sub way_hand
{
	my ($source, $target, $case) = @_;
	my $list = join ', ', @columns;
	my $set = join ', ', map { "$_ = excluded.$_" } @columns[ 1 .. $#columns ];
	return psql_file($target, <<"SQL");
begin;
create unlogged table staging as select 'u'::"char" as op, * from nine limit 0;
\\copy staging from '$case->{final}'
analyze staging;
delete from nine t using staging s where s.op = 'd' and s.id = t.id;
insert into nine select $list from staging where op = 'u'
	on conflict (id) do update set $set;
drop table staging;
commit;
SQL
}

sub merge_with
{
	my ($cdc, @args) = @_;
	my $to = CdcS3::Sidecar->new(
		$cdc->{source}, $cdc->{db}, $cdc->{store}, %$cdc, target_db => 'run');
	return timed(sub { $to->ok('merge', @args) });
}

sub way_merge { return merge_with($_[3]) }
sub way_exact { return merge_with($_[3], '--merge.way=exact') }

sub plain_with
{
	my ($target, $cdc, @args) = @_;
	return merge_with($cdc,
		'--target.conninfo=' . $target->conninfo('run', user => 'plain'), @args);
}

sub way_plain { return plain_with($_[1], $_[3]) }
sub way_plain_exact { return plain_with($_[1], $_[3], '--merge.way=exact') }

# What is refused stays behind, and comes once the target takes it.
sub refused_with
{
	my ($target, $cdc, $user) = @_;
	my $to = CdcS3::Sidecar->new(
		$cdc->{source}, $cdc->{db}, $cdc->{store}, %$cdc, target_db => 'run');
	my @args = ('merge', '--merge.on_reject=continue', '--merge.reject_limit=0',
		'--target.conninfo=' . $target->conninfo('run', user => $user));
	$target->psql('run', 'alter table nine add constraint b_not_negative check (b >= 0) not valid');
	my $r;
	my $seconds = timed(sub { $r = $to->call(@args) });
	my $kept = $target->psql('run', 'select count(*) from cdc_s3.rejected');
	die "exit $r->{code}, $kept rows refused: $r->{err}\n"
	  if $r->{code} != 8 || abs($kept - $rows / 100) > 1;
	$target->psql('run', 'alter table nine drop constraint b_not_negative');
	$to->ok(@args, '--retry-rejected');
	return $seconds;
}

sub way_refused { return refused_with($_[1], $_[3], 'postgres') }
sub way_plain_refused { return refused_with($_[1], $_[3], 'plain') }

# From the first transaction that is applied to the last.
sub way_native
{
	my ($source, $target, $case, $cdc) = @_;
	my $db = $cdc->{db};
	$source->psql($db, "select pg_copy_logical_replication_slot("
		  . "'${db}_origin', '${db}_run', false)");
	my $conninfo = $source->conninfo($db);
	$target->psql('run', "create subscription bench connection '$conninfo' "
		  . "publication bench with (create_slot = false, slot_name = '${db}_run', "
		  . 'copy_data = false, enabled = false)');
	my ($ask, $close) = connection($target, 'run');
	my $progress = "select coalesce(max(remote_lsn) > '0/0', false), "
	  . "coalesce(max(remote_lsn) > '$case->{before_last}', false) "
	  . 'from pg_replication_origin_status';
	$target->psql('run', 'alter subscription bench enable');
	my ($from, $first, $last) = (time, 'f', 'f');
	while ($last ne 't')
	{
		die "the subscription does not come to its end\n" if time - $from > 300;
		($first, $last) = split /\|/, $ask->($progress);
		$from = time if $first ne 't';
		sleep 0.005;
	}
	my $seconds = time - $from;
	$close->();
	$target->psql('run', 'drop subscription bench');
	return $seconds;
}

my %ways = (
	copy => \&way_copy,
	hand => \&way_hand,
	merge => \&way_merge,
	exact => \&way_exact,
	plain => \&way_plain,
	plain_exact => \&way_plain_exact,
	refused => \&way_refused,
	plain_refused => \&way_plain_refused,
	native => \&way_native);

# What is in the target's tables, to see that all ways end alike.
sub content
{
	my ($cluster, $db) = @_;
	return $cluster->psql($db, 'select count(*), sum(hashtext(x::text)) '
		  . "from nine x union all select count(*), sum(hashtext(x::text)) "
		  . 'from line x');
}

sub run_way
{
	my ($source, $target, $case, $cdc, $way) = @_;
	my $made_by_hand = $way eq 'copy' || $way eq 'hand';
	$target->psql('postgres',
		'create database run template base strategy file_copy');
	$target->psql('postgres', 'checkpoint');
	my $seconds = $ways{$way}->($source, $target, $case, $cdc);
	my $got = content($target, 'run');
	die "$case->{name}, $way: the target is not as the source\n$got\n"
	  if $got ne ($case->{content} //= content($source, $cdc->{db}));
	$target->psql('postgres', 'drop database run');
	return $seconds;
}

sub print_merge_case
{
	my ($case, %seconds) = @_;
	my $hand = $seconds{ $case->{against} // 'hand' } // $seconds{copy};
	my $native = $seconds{native};
	for my $way (@{ $case->{ways} })
	{
		my $s = $seconds{$way};
		printf "%-10s %-20s %8.2f %9d %8s %8s\n", $case->{name}, $names{$way}, $s,
		  $rows / $s, $hand ? sprintf('%.2f', $s / $hand) : '-',
		  $native ? sprintf('%.2f', $native / $s) : '-';
	}
	return;
}

sub merge_case
{
	my ($case) = @_;
	my $source = new_source();
	my $target = new_target();
	my $cdc = prepare($source, $target, $case);
	my %seconds;
	for (1 .. $runs)
	{
		push @{ $seconds{$_} }, run_way($source, $target, $case, $cdc, $_)
		  for @{ $case->{ways} };
	}
	print_merge_case($case, map { $_ => median(@{ $seconds{$_} }) } keys %seconds);
	$_->stop('immediate') for $source, $target;
	return;
}

sub merge_bench
{
	my %only = map { $_ => 1 } split ' ', $ENV{BENCH_MERGE} // '';
	my @wanted = grep { !%only || $only{ $_->{name} } } @cases;
	printf "%d changes a case, medians of %d runs; \"to COPY\": times the time "
	  . "of the copy by hand,\n\"x subscr.\": how many times as fast as the "
	  . "subscription\n\n", $rows, $runs;
	print "$_->{name}: $_->{says}\n" for @wanted;
	printf "\n%-10s %-20s %8s %9s %8s %8s\n", 'case', 'way', 'seconds', 'rows/s',
	  'to COPY', 'x subscr.';
	merge_case($_) for @wanted;
	return;
}

1;

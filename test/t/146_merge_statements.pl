#-------------------------------------------------------------------------
# Every statement of a small merge fails, one after the other and in each way:
# the server refuses it, the connection breaks before it or once it was done,
# nobody answers any more, or the program is killed.  Each time the target is what it was, or what it is
# after the first of the merge's two transactions or both; success is said only
# of the last, and the next merge brings it there.
#
# The merge has rows by the fast and the exact way, a foreign key, tables and a
# column that are new, a load, and rows that the target refuses.  A case in
# CDCS3_FAULT_STRIDE is tried (1: all), some 24 of them where nothing
# is said, and each commit whose answer is lost.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Lake;
use CdcS3::Test;

my $library = temp_folder() . '/pq_fault.so';
my $built = system 'cc -std=c11 -D_GNU_SOURCE -O1 -g -shared -fPIC -I"$(' . ($ENV{PG_CONFIG} // 'pg_config')
  . ' --includedir)" -o ' . "$library " . top_folder() . '/test/tools/pq_fault.c -ldl';
is($built, 0, 'the library is built') or BAIL_OUT('no library');

my $target = new_cluster('target')->start;
my ($db, $folder, $lake, $at, $seq) = ('base', temp_folder() . '/lake', undef, 0x2000, 0);
my (@rows, @said);

sub change { my ($t, $op, @rest) = @_; push @rows, [ $t, $op, $at + 0x10, ++$seq, @rest ]; return }

sub entry
{
	$at += 0x100;
	$lake->entry(end => $at, rows => [@rows], schemas => [@said], @_);
	@rows = @said = ();
	$seq = 0;
	return;
}

sub table
{
	my ($name, $id, @cols) = @_;
	return $lake->table($name, relation_id => $id, row_type => $id + 1, key => ['id'],
		columns => [ [ id => 'int4', 'pk', 'attnum=1' ], map { [ @$_, 'attnum=' . ($_->[0] eq 'v' ? 2 : 3) ] } @cols ]);
}

my @v = ([ v => 'text' ]);
$lake = CdcS3::Lake->new(folder => $folder);
my $plain = table('public.plain', 20001, @v);
my $bound = table('public.bound', 20003, @v, [ n => 'int4' ]);
my $above = table('public.above', 20005, @v);
my $grows = table('public.grows', 20007, @v);
my $loaded = table('public.loaded', 20009, @v);

$target->psql('postgres', 'create database base');
$target->psql('base', <<'SQL');
create table plain (id int primary key, v text);
create table above (id int primary key, v text unique);
create table bound (id int primary key, v varchar(5), n int references above on delete cascade);
create table grows (id int primary key, v text);
create table loaded (id int primary key, v text);
SQL

# What is there before: one merge.
change($plain, 'i', { id => $_, v => "\"p$_\"" }) for 1 .. 8;
change($above, 'i', { id => $_, v => "\"a$_\"" }) for 1 .. 4;
change($bound, 'i', { id => $_, v => '"b"', n => 1 + $_ % 4 }) for 1 .. 8;
change($grows, 'i', { id => 1, v => '"g"' });
entry();

sub flags
{
	my ($way, $until) = @_;
	$until //= 'now';
	return ("--store.url=file://$folder", '--target.conninfo=' . $target->conninfo($db), "--merge.until=$until",
		'--merge.on_reject=continue', "--merge.way=$way");
}

my $r = run_cdc('merge', flags('auto'));
is($r->{code}, 0, 'what is there before is merged') or diag $r->{out}, $r->{err};

# What the merge that fails brings.
my $wide = table('public.grows', 20007, @v, [ w => 'int4' ]);
my $new = table('public.fresh', 20011, @v);
change($plain, 'u', { id => $_, v => '"new"' }) for 1 .. 4;
change($plain, 'd', { id => 5 });
change($plain, 'i', { id => 9, v => '"p9"' });
change($above, 'u', { id => 1, v => '"x"' });
change($above, 'u', { id => 2, v => '"a1"' });
change($above, 'd', { id => 4 });
change($bound, 'u', { id => 3, v => '"too long"', n => 1 }); # refused
change($bound, 'i', { id => 20, v => '"b"', n => 99 });      # and so is this
entry(loads => [ [ 'x1', $loaded, 'open', 0 ] ]);
my $first_end = CdcS3::Lake::lsn($at);
push @said, { of => $wide, lsn => $at + 0x10, seq => ++$seq }, { of => $new, lsn => $at + 0x10, seq => ++$seq, created => 1 };
change($wide, 'i', { id => 2, v => '"g"', w => 7 });
change($new, 'i', { id => $_, v => '"f"' }) for 1 .. 3;
entry(loads => [ [ 'x1', $loaded, 'done', $at ] ],
	load => { x1 => [ map { [ $loaded, 'r', $at, (1 << 40) + $_, { id => $_, v => '"l"' } ] } 1 .. 5 ] });

# All rows of the target, and what was refused.
sub state
{
	return $target->psql($db, <<'SQL');
select c.relname, md5(query_to_xml('select * from public.' || c.relname || ' x order by x::text', true, false, '')::text)
from pg_class c where c.relnamespace = 'public'::regnamespace and relkind = 'r' order by 1;
select op, lsn, seq from cdc_s3.rejected order by lsn, seq;
SQL
}

my $n = 0;

sub fresh
{
	$target->psql('postgres', "drop database if exists $db with (force)") if $db ne 'base';
	$db = 'm' . ++$n;
	$target->psql('postgres', "create database $db template base");
	return;
}

sub faulty_merge
{
	my ($way, $fault, $number, $trace) = @_;
	unlink $trace;
	return run_cdc('merge', flags($way), $fault eq 'never' ? '--target.silence_limit=1s' : (),
		{ env => { LD_PRELOAD => $library, PQ_FAULT => $fault, PQ_FAULT_AT => $number, PQ_FAULT_TRACE => $trace } });
}

my ($cases, $statements) = (0, 0);
my %left;
my $trace = temp_folder() . '/trace';

# One statement goes wrong; true where all is as it has to be.
sub try_case
{
	my ($way, $fault, $number, $words, @states) = @_;
	my $after = $states[-1];
	my $name = "$way, $fault at statement $number: $words";
	fresh();
	my $faulty = faulty_merge($way, $fault, $number, $trace);
	my $between = state();
	my $said = $faulty->{code} == 0 || $faulty->{code} == 8;
	my ($at) = grep { $between eq $states[$_] } 0 .. $#states;
	my $ok = defined $at;
	$ok or diag "the target is none of these\n$between";
	if ($said && $between ne $after)
	{
		$ok = 0;
		diag "exit code $faulty->{code}, and the target is not merged";
	}
	if ($fault eq 'never' && ($faulty->{code} != 75 || $faulty->{err} !~ /target server says nothing/))
	{
		$ok = 0;
		diag "exit code $faulty->{code}, or nobody is said to be silent";
	}
	if (!$said && $fault ne 'kill' && $faulty->{err} !~ /^cdc-s3: \S.*\n/m && $faulty->{err} !~ /level=error/)
	{
		$ok = 0;
		diag "nothing is said of exit code $faulty->{code}";
	}
	$left{ $at // 'other' }++;
	my $next = run_cdc('merge', flags($way));
	my $last = state();
	if ($next->{code} != 8 || $last ne $after)
	{
		$ok = 0;
		diag "the next merge ended with $next->{code}\n$next->{out}$next->{err}$last";
	}
	$cases++;
	ok($ok, $name) or diag "exit code $faulty->{code}\n$faulty->{out}$faulty->{err}";
	return;
}

my $before = state();
fresh();
is(run_cdc('merge', flags('auto', $first_end))->{code}, 8, 'the first transaction alone');
my $between = state();
isnt($between, $before, 'which is something');
my $number = 0;
for my $way (qw(auto exact))
{
	fresh();
	my $whole = faulty_merge($way, '', 0, $trace);
	is($whole->{code}, 8, "$way: all is merged, and two rows are refused") or diag $whole->{out}, $whole->{err};
	my $after = state();
	isnt($after, $between, "$way: which is more");
	my @all = split /\n/, slurp($trace);
	cmp_ok(scalar @all, '>', 50, "$way: it has " . @all . ' statements');
	$statements += @all;
	my @cases = map { my $line = $_; map { [ $_, $line ] } qw(error close lost never kill) } @all;
	my $stride = $ENV{CDCS3_FAULT_STRIDE} || int(@cases / 12);
	$stride++ if $stride > 1 && $stride % 5 == 0; # all five ways
	for my $case (@cases)
	{
		my ($fault, $line) = @$case;
		next if $number++ % $stride && !($fault eq 'lost' && $line =~ /^\d+ query COMMIT/);
		my ($i, $words) = $line =~ /^(\d+) (.*)/;
		try_case($way, $fault, $i, substr($words, 0, 60), $before, $between, $after);
	}
}
note "$statements statements, $cases cases; transactions merged => cases: ", join ', ', map { "$_ => $left{$_}" } sort keys %left;
done_testing();

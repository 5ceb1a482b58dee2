#-------------------------------------------------------------------------
# What merge does to be fast gives what it would give with care: changes that
# are left out before they are sent, loads that go to the table itself, and
# what happens when something speaks against either.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Lake;
use CdcS3::Proc qw(poll spawn);
use CdcS3::Sidecar;
use CdcS3::Test;

my $target = new_cluster('target')->start;
my $databases = 0;
my ($db, $folder, $lake);
my $at = 0x2000;

sub fresh_lake
{
	$folder = temp_folder() . '/lake_' . ++$databases;
	$lake = CdcS3::Lake->new(folder => $folder);
	return;
}

sub fresh_target
{
	$db = 't' . ++$databases;
	$target->psql('postgres', "create database $db");
	return;
}

sub fresh { fresh_lake(); fresh_target(); return }
sub psql { return $target->psql($db, $_[0]) }

sub flags
{
	return (
		"--store.url=file://$folder", '--target.conninfo=' . $target->conninfo($db),
		'--merge.until=now', '--log.level=debug', @_);
}

sub merge
{
	my ($code, @flags) = @_;
	my $r = run_cdc('merge', flags(@flags));
	is($r->{code}, $code, "merge: exit $code") or diag "$r->{out}$r->{err}";
	return $r;
}

# One entry; each row is a transaction of its own where $apart.
sub entry
{
	my ($rows, %o) = @_;
	my $seq = 0;
	my $from = $at;
	$at += 0x1000 + 16 * @$rows;
	return $lake->entry(
		end => $at,
		rows => [
			map {
				my ($t, $op, @rest) = @$_;
				$seq++;
				[ $t, $op, $o{apart} ? $from + 16 * $seq : $at - 16, $seq, @rest ]
			} @$rows
		],
		%o);
}

# A table whose first load has these rows.
sub load
{
	my ($t, @rows) = @_;
	entry([], loads => [ [ 'a', $t, 'open' ] ]);
	my $snapshot = $at;
	my $n = 2**40;
	return entry(
		[],
		loads => [ [ 'a', $t, 'done', $snapshot ] ],
		load => { a => [ map { [ $t, 'r', $snapshot, ++$n, $_ ] } @rows ] });
}

my @id_v = ([ id => 'int4', 'pk' ], [ v => 'text' ]);
my $care = qr/staged with care after all/;

# How many rows went to the table itself, and were left out: as the log says.
sub hurry
{
	my ($r) = @_;
	my ($loaded, $over, $distinct) =
	  $r->{err} =~ /in a hurry".* loaded=(\d+) written_over=(\d+) distinct=(\w+)/;
	return defined $loaded ? "$loaded $over $distinct" : 'no';
}

# ---- random histories: any memory.limit, and the exact way ----
# Texts are long, so that the least memory.limit holds a part of them only.
my @keys = (
	[ 'int4', '', map { "$_" } 1 .. 30 ],
	[ 'text', '', map { qq("k$_") } 1 .. 30 ],
	# equal for the target, of other bytes
	[ 'bpchar', 'char(9)', map { ("\"$_\"", "\"$_  \"") } 1 .. 15 ],
	[ 'numeric', 'numeric', map { ("$_", "$_.0") } 1 .. 15 ]);
my $long = 'x' x 20_000;

# Changes that a source with one row a key could make, and its rows then.
sub history
{
	my ($t, $keys, $there, $n) = @_;
	my @rows;
	my $same = sub { $_[0] =~ s/[ "]|\.0$//gr };
	for (1 .. $n)
	{
		my $i = ++$there->{n};
		my $rows = $there->{rows};
		my $k = $keys->[ rand @$keys ];
		my $to = $keys->[ rand @$keys ];
		my $row = $rows->{ $same->($k) };
		my $big = qq("$i $long");
		my $dice = rand;
		if (!$row)
		{
			push @rows, [ $t, 'i', { id => $k, v => $i, big => $big } ];
			$rows->{ $same->($k) } = { id => $k, v => $i, big => $i };
		}
		elsif ($dice < 0.7)
		{
			push @rows, [ $t, 'u', { id => $row->{id}, v => $i, big => $big } ];
			@$row{qw(v big)} = ($i, $i);
		}
		elsif ($dice < 0.75)
		{
			push @rows, [ $t, 'u', { id => $row->{id}, v => $i }, { _unchanged => '["big"]' } ];
			$row->{v} = $i;
		}
		elsif ($dice < 0.8 && !$rows->{ $same->($to) })
		{
			push @rows, [ $t, 'u', { id => $to, v => $i }, { _unchanged => '["big"]', _key => "{\"id\":$row->{id}}" } ];
			$rows->{ $same->($to) } = { id => $to, v => $i, big => $row->{big} };
			delete $rows->{ $same->($k) };
		}
		elsif ($dice < 0.81)
		{
			push @rows, [ $t, 't', {} ];
			%$rows = ();
		}
		else
		{
			push @rows, [ $t, 'd', { id => $row->{id} } ];
			delete $rows->{ $same->($k) };
		}
	}
	return @rows;
}

my $seed = $ENV{CDCS3_TEST_SEED} // time;
for my $round (0 .. $#keys)
{
	srand $seed + $round;
	my ($type, $declared, @of) = @{ $keys[$round] };
	fresh_lake();
	my $t = $lake->table('public.h', key => ['id'],
		columns => [ [ id => $type, 'pk', $declared =~ /\((\d+)/ ? 'typmod=' . ($1 + 4) : () ],
			[ v => 'int4' ], [ big => 'text' ] ]);
	my %there = (n => 0, rows => {});
	entry([ history($t, \@of, \%there, 300) ], apart => $round % 2);
	# objects that overlap, which are not in order one after the other
	entry([ history($t, \@of, \%there, 100) ], apart => 1, parts => 2);
	my $said;
	my @ways = ('--memory.limit=8MB', '--memory.limit=64MB');
	push @ways, '--merge.way=exact' if $round < 2;
	for my $how (@ways)
	{
		fresh_target();
		my $r = merge(0, $how);
		my $rows = $there{rows};
		is(psql("select string_agg(format('%s:%s:%s', trim(id::text), v, split_part(big, ' ', 1)), ' ' order by v) from h"),
			join(' ', map { "$_->{id}:$_->{v}:$_->{big}" =~ s/[ "]//gr } sort { $a->{v} <=> $b->{v} } values %$rows),
			'seed ' . ($seed + $round) . ", $type, $how: the rows of the source");
		my ($line) = $r->{out} =~ /^(public\.h: .*)/m;
		next if $how =~ /exact/; # counts changes, not rows
		is($line, $said //= $line, 'the counts do not depend on memory');
	}
}

# ---- a hot set leaves once a key ----
fresh();
my $t = $lake->table('public.hot', key => ['id'], columns => \@id_v);
entry([ map { my $i = $_; map { [ $t, 'u', { id => $_, v => "\"$i\"" } ] } 1 .. 10 } 1 .. 200 ]);
my $r = merge(0);
is(hurry($r), '0 1990 yes', 'changes that are written over are not sent');
like($r->{out}, qr/^public\.hot: 10 inserted, 0 updated/m, 'counts are those of rows');
is(psql("select count(*), min(v), max(v) from hot"), '10|200|200', 'and the last ones are there');

# ---- what is refused: all changes, by the exact way ----
for my $how ('--merge.way=auto', '--merge.way=exact')
{
	fresh();
	psql('create table hot (id int primary key, v text check (v <> \'bad\' and v <> \'worse\'), mine text default \'mine\')');
	$t = $lake->table('public.hot', key => ['id'], columns => \@id_v);
	entry([ (map { [ $t, 'i', { id => $_, v => '"good"' } ] } 1 .. 3),
			[ $t, 'u', { id => 1, v => '"bad"' } ], [ $t, 'u', { id => 1, v => '"mended"' } ],
			[ $t, 'u', { id => 2, v => '"worse"' } ],
			[ $t, 'd', { id => 3 } ] ], apart => 1);
	$r = merge(8, $how, '--merge.on_reject=continue', '--merge.tables=public.hot');
	is(psql("select string_agg(id || v || mine, ' ' order by id) from hot"), '1mendedmine 2goodmine',
		"$how: the row that is refused stays as it was");
	like($r->{out}, qr/hot: .* 1 rejected|hot: .* 2 rejected/, 'and is told');
	is(psql("select count(*) from cdc_s3.rejected where row::text like '%worse%'"), 1, 'by name');
}

# ---- a value that the staging table refuses ----
fresh();
psql('create table narrow (id int primary key, v int)');
$t = $lake->table('public.narrow', key => ['id'], columns => \@id_v);
entry([ [ $t, 'i', { id => 1, v => '"1"' } ], [ $t, 'u', { id => 1, v => '"one"' } ],
		[ $t, 'i', { id => 2, v => '"2"' } ] ], apart => 1);
$r = merge(8, '--merge.on_reject=continue', '--merge.tables=public.narrow');
like($r->{err}, $care, 'rows are staged with care where one is refused');
is(psql("select string_agg(id || ':' || v, ' ' order by id) from narrow"), '1:1 2:2', 'all others are there');
is(psql('select count(*) from cdc_s3.rejected'), 1, 'and this one is rejected once');

# ---- a load goes to the table itself ----
fresh();
$t = $lake->table('public.l', key => ['id'], columns => [ @id_v, [ n => 'numeric' ] ]);
load($t, map { { id => $_, v => "\"a\\tb\\\\c\\n$_\"", n => $_ % 2 ? 'null' : "$_.50" } } 1 .. 5000);
entry([ [ $t, 'u', { id => 1, v => '"new"' }, { _unchanged => '["n"]' } ], [ $t, 'd', { id => 2 } ],
		[ $t, 'i', { id => 6000, v => '"six"', n => '6' } ] ]);
$r = merge(0);
is(hurry($r), '5000 0 no', 'rows of a load do not pass through a staging table');
like($r->{out}, qr/^public\.l: 5000 inserted, 0 updated, 0 deleted, 0 rejected, loaded$/m, 'what is there was inserted');
is(psql("select count(*), sum(n), count(*) filter (where v = E'a\\tb\\\\c\\n' || id) from l"),
	'5000|6253753.50|4998', 'rows of the load, then the changes behind it');

# rows there, triggers, or no key that the target knows: through staging
for my $case (
	[ 'a reload', '' ],
	[ 'rows that are kept', "create table l (id int primary key, v text); insert into l values (9, 'kept')" ],
	[ 'no unique index', 'create table l (id int, v text)' ],
	[ 'a trigger', 'create table l (id int primary key, v text);'
		  . 'create function f() returns trigger language plpgsql as $$ begin new.v = upper(new.v); return new; end $$;'
		  . 'create trigger f before insert on l for each row execute function f();'
		  . 'alter table l enable always trigger f' ])
{
	my ($name, $ddl) = @$case;
	fresh();
	$t = $lake->table('public.l', key => ['id'], columns => \@id_v);
	psql($ddl) if $ddl;
	load($t, map { { id => $_, v => "\"v$_\"" } } 1 .. 5);
	merge(0) if !$ddl;
	load($t, map { { id => $_, v => "\"v$_\"" } } 1 .. 6) if !$ddl;
	$r = merge(0, '--merge.tables=public.l', '--merge.on_existing=keep');
	is(hurry($r), '0 0 yes', "$name: through a staging table");
	is(psql("select string_agg(v, ' ' order by id) from l"),
		$name =~ /trigger/ ? 'V1 V2 V3 V4 V5' : $name =~ /kept/ ? 'v1 v2 v3 v4 v5 kept'
		: $name =~ /reload/ ? 'v1 v2 v3 v4 v5 v6' : 'v1 v2 v3 v4 v5', "$name: the rows are there");
}

# refused by the table: back, and with care
fresh();
psql("create table l (id int primary key, v text check (v <> 'v3'))");
$t = $lake->table('public.l', key => ['id'], columns => \@id_v);
load($t, map { { id => $_, v => "\"v$_\"" } } 1 .. 5);
$r = merge(7, '--merge.tables=public.l');
is(psql('select count(*) from l'), 0, 'on_reject = stop: nothing is left of a load that is refused');
$r = merge(8, '--merge.tables=public.l', '--merge.on_reject=continue');
like($r->{err}, $care, 'a load that is refused passes through a staging table');
is(psql("select string_agg(v, ' ' order by id) from l"), 'v1 v2 v4 v5', 'all rows but that');
is(psql('select count(*) from cdc_s3.rejected'), 1, 'which is rejected');

# a truncate behind the load, a load without rows, a table without a key
fresh();
$t = $lake->table('public.l', key => ['id'], columns => \@id_v);
my $bag = $lake->table('public.bag', identity => 'f', columns => [ [ a => 'int4' ] ]);
load($t, map { { id => $_, v => '"x"' } } 1 .. 9);
entry([ [ $t, 't', {} ], [ $t, 'i', { id => 1, v => '"after"' } ] ]);
load($bag, map { { a => $_ % 3 } } 1 .. 9);
entry([ [ $bag, 'd', { a => 1 }, { _before => '{"a":1}' } ] ]);
$r = merge(0);
is(psql("select string_agg(l::text, ' ') from l"), '(1,after)', 'a truncate ends the rows of a load');
is(psql("select string_agg(a::text, '' order by a) from bag"), '00011222', 'a bag is loaded so too');
like($r->{out}, qr/^public\.l: 1 inserted, 0 updated, 0 deleted/m, 'counted by what is left');

# ---- killed while rows are on their way, and then again ----
fresh();
$t = $lake->table('public.l', key => ['id'], columns => \@id_v);
load($t, map { { id => $_, v => "\"$_\"" } } 1 .. 2000);
psql('create table l (id int primary key, v text)');
my $holder = spawn(
	cmd => [ CdcS3::Cluster::program('psql'), '-X', '-q', '-d', $target->conninfo($db), '-c',
		'begin; lock table l in share mode; select pg_sleep(600)' ],
	out_path => "$folder/holder.out", err_path => "$folder/holder.err", pdeathsig => 'KILL');
my $waiting = "select exists (select from pg_locks where relation = 'l'::regclass and %s)";
ok(poll(sub { psql(sprintf $waiting, "mode = 'ShareLock' and granted") eq 't' }, 60), 'another session holds the table');
my $merge = spawn(cmd => [ CdcS3::Sidecar::program(), 'merge', flags('--merge.tables=public.l') ],
	out_path => "$folder/merge.out", err_path => "$folder/merge.err", pdeathsig => 'KILL');
ok(poll(sub { psql(sprintf $waiting, 'not granted') eq 't' }, 60), 'the load waits for it');
$merge->stop('KILL', 20);
psql("select pg_terminate_backend(pid) from pg_locks where relation = 'l'::regclass and mode = 'ShareLock'");
$holder->wait(20);
ok(poll(sub { psql("select count(*) from pg_locks where relation = 'l'::regclass and pid <> pg_backend_pid()") eq '0' }, 60),
	'both are gone');
is(psql('select count(*) from l'), 0, 'nothing is left of a merge that was killed');
$r = merge(0, '--merge.tables=public.l');
is(hurry($r), '2000 0 yes', 'the next one loads all');
is(psql('select count(*), count(distinct v) from l'), '2000|2000', 'once');

done_testing();

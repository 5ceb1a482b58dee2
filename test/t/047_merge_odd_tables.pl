#-------------------------------------------------------------------------
# Tables that are odd, and none of them holds up another: domains over types
# with a modifier, no columns, generated ones only, more columns than the
# target holds, and names that meet every name in merge's own SQL.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Lake;
use CdcS3::Test;

my $source = new_cluster('source')->start;
# Hundreds of tables in one transaction, each with a table for what comes.
my $target = new_cluster('target', conf => [ 'max_locks_per_transaction = 256' ])->start;
$target->psql('postgres', 'create role plain login; grant all on database postgres to plain; grant all on schema public to plain');
my $domains = 'create domain price as numeric(6,2); create domain code as varchar(8); create domain tags as varchar(3)[];'
  . 'create domain cheap as price check (value < 100)';
$source->psql('postgres', $domains);
$target->psql('postgres', $domains);
my @wide = map { "c$_ bool" } 1 .. 1594;
local $" = ', ';
$source->psql('postgres', <<"SQL");
create table good (id int primary key);
create table q (id int primary key, p price, c code, t tags, d cheap, at information_schema.time_stamp);
insert into q values (1, 1.5, 'x', '{ab}', 2.25, '2026-11-21 10:00:00.126+00');
create table none ();
create table none_full ();
alter table none_full replica identity full;
create table gen (g int generated always as (1) stored);
create table genkey (g int generated always as (1) stored primary key);
create table wide (@wide, id int primary key);
insert into good values (1);
insert into none default values;
insert into gen default values;
SQL
$target->psql('postgres', 'create table gen (g int generated always as (1) stored);'
	  . 'create table genkey (g int generated always as (1) stored primary key)');
my $cdc = sidecar($source, 'postgres', file_store(), target => $target, flags => ['--merge.until=now']);
$cdc->ok('init');
my $run = $cdc->start;
ok($cdc->wait_loaded, 'loaded') or diag $run->errors;

# What ls and the tables say; 8 for those that the target cannot hold.
sub merge
{
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($cdc->wait_durable, "$name: durable") or diag $run->errors;
	my $r = $cdc->call('merge');
	is($r->{code}, 8, "$name: exit 8") or diag $r->{err};
	return $r->{out};
}

sub counts
{
	return join ' ', map { $target->psql('postgres', "select count(*) from $_") } qw(good q none none_full gen);
}
$source->psql('postgres', 'insert into wide (id) values (1); insert into genkey default values');
my $out = merge('after the load');
is(counts(), '1 1 1 0 1', 'rows of the load');
is($target->psql('postgres', q(select p, c, t, d, at from q)), '1.50|x|{ab}|2.25|2026-11-21 10:00:00.13+00', 'domains: values');
is( $target->psql('postgres',
		q(select string_agg(format_type(atttypid, atttypmod), ' ' order by attnum) from pg_attribute where attrelid = 'q'::regclass and attnum > 1)),
	'price code tags cheap information_schema.time_stamp', 'domains: types');
like($out, qr/^public\.wide: to be loaded anew, the target cannot hold its changes up to LSN \S+ \(columns\); mend the target, then cdc-s3 snapshot public\.wide$/m, 'too many columns');
like($out, qr/^public\.genkey: to be loaded anew, the target cannot hold its changes up to LSN \S+ \(key\); mend the target, then/m, 'a key that the target generates');
is($target->psql('postgres', q(select string_agg(source_table || ' ' || reason, ', ' order by 1) from cdc_s3.resync)),
	'genkey key, wide columns', 'both stand in cdc_s3.resync');
$source->psql('postgres', 'insert into good values (2); insert into none default values; insert into none default values;'
	  . 'insert into gen default values; insert into none_full default values; insert into none_full default values;'
	  . 'insert into wide (id) values (2); update q set p = 3.125, d = 99 where id = 1; insert into q values (2, null, null, null, 1)');
merge('changes');
is(counts(), '2 2 3 2 2', 'rows of the stream');
is($target->psql('postgres', q(select p, d from q where id = 1)), '3.13|99.00', 'domains: an update');
$source->psql('postgres', 'delete from none_full where ctid = (select min(ctid) from none_full); truncate none; insert into none default values');
merge('a delete and a truncate');
is(counts(), '2 2 1 1 2', 'rows after it');
is($run->stop('TERM', 60), 0, 'run stops') or diag $run->errors;

# ---- dropped columns count, too ----
my $folder = temp_folder() . '/lake';
my $lake = CdcS3::Lake->new(folder => $folder, slot => 'byhand');
my $at = 0x2000;

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
	return run_cdc('merge', "--store.url=file://$folder", '--target.conninfo=' . $target->conninfo('postgres', user => $_[0]), '--until=now');
}
$target->psql('postgres', 'create schema d; create table d.t (id int primary key); do $$begin for i in 1..1599 loop '
	  . q(execute 'alter table d.t add x int'; execute 'alter table d.t drop x'; end loop; end$$));
my $narrow = $lake->table('d.t', key => ['id'], columns => [ [ id => 'int4', 'pk' ], [ v => 'text' ] ]);
my $other = $lake->table('d.other', key => ['id'], columns => [ [ id => 'int4', 'pk' ] ]);
entry([ [ $narrow, 'i', { id => 1, v => '"x"' } ], [ $other, 'i', { id => 1 } ] ]);
my $r = merge_lake('postgres');
is($r->{code}, 8, 'no room for one more column: exit 8') or diag $r->{err};
like($r->{out}, qr/^d\.t: to be loaded anew, .*\(columns\); mend/m, 'no room for one more column: said');
is($target->psql('postgres', 'select count(*) from d.other'), 1, 'others go on');

# ---- names of ours ----
# Every word in our SQL, by the strings of the sources.
my %words;
for my $file (glob top_folder() . '/uploader/merge/*.[ch]')
{
	my $text = slurp($file) =~ s{/\*.*?\*/}{}gsr;
	for my $string ($text =~ /"((?:[^"\\]|\\.)*)"/g)
	{
		# SQL, and not a message
		next unless $string =~ /\b(?:SELECT|FROM|INSERT|UPDATE|DELETE|WHERE|TABLE|ON|AS|JOIN|AND|BY|SET)\b|^\w+$|[(.=]/;
		$words{$_} = 1 for grep { length $_ < 60 } $string =~ /[A-Za-z_][A-Za-z0-9_]*/g;
	}
}
# but those that no column can have
my @words = sort grep { !/^(?:ctid|tableoid|[xc]m(?:in|ax))$/ } keys %words;
cmp_ok(scalar @words, '>', 300, scalar(@words) . ' words of ours');
my %lower;
my @columns = grep { !$lower{ lc $_ }++ } @words;
my @parts;
push @parts, [ splice @columns, 0, 400 ] while @columns;
for my $role ('postgres', 'plain')
{
	my @tables;
	my $n = 0;
	$target->psql('postgres', 'drop schema if exists cdc_s3, own cascade; create schema own authorization plain');
	$target->psql('postgres', 'create schema cdc_s3 authorization plain');
	$folder = temp_folder() . "/names_$role";
	$lake = CdcS3::Lake->new(folder => $folder, slot => 'names');
	$at = 0x2000;
	for my $part (@parts)
	{
		# with a key of two such names, and without one
		my @key = @$part[ 0, 1 ];
		push @tables, $lake->table('own.k' . ++$n, key => \@key,
			columns => [ map { my $c = $_; [ $c => 'text', (grep { $c eq $_ } @key) ? 'pk' : () ] } @$part ]);
		push @tables, $lake->table("own.b$n", identity => 'f', columns => [ map { [ $_ => 'text' ] } @$part ]);
	}
	# and tables named so, as the server folds what is not quoted
	my @named = map { $lake->table("own.$_", key => ['id'], columns => [ [ id => 'int4', 'pk' ], [ $_ => 'text' ] ]) }
	  grep { $_ ne 'id' && ($role eq 'plain' || length $_ < 7 || $_ eq 'excluded') } map { lc } map { @$_ } @parts;
	my $row = sub { my ($t, $v) = @_; return { map { $_ => "\"$v$_\"" } @{ $t->{columns} } } };
	for my $t (@tables)
	{
		my @c = @{ $t->{columns} };
		my ($a, $b, $c) = map { $row->($t, $_) } qw(a b c);
		if ($t->{table} =~ /^k/)
		{
			my %changed = (%$a, $c[-1] => '"new"');
			my %partial = %{ $row->($t, 'b') };
			delete $partial{ $c[-1] };
			entry([ [ $t, 'i', $a ], [ $t, 'i', $b ] ]);
			entry([ [ $t, 'u', \%changed ], [ $t, 'u', \%partial, { _unchanged => "[\"$t->{json}{$c[-1]}\"]" } ],
					[ $t, 'u', $c, { _key => '{' . join(',', map { "\"$t->{json}{$_}\":$b->{$_}" } @c[ 0, 1 ]) . '}' } ] ]);
		}
		else
		{
			entry([ [ $t, 'i', $a ], [ $t, 'i', $b ] ]);
			entry([ [ $t, 'u', $c, { _before => '{' . join(',', map { "\"$t->{json}{$_}\":$a->{$_}" } @c) . '}' } ] ]);
		}
	}
	entry([ map { [ $_, 'i', { id => 1, $_->{columns}[1] => '"x"' } ] } @named ]);
	entry([ map { [ $_, 'u', { id => 2, $_->{columns}[1] => '"y"' }, { _key => '{"id":1}' } ] } @named ]);
	$r = merge_lake($role);
	is($r->{code}, 0, "$role: names of ours") or diag $r->{err};
	my ($right, $wrong) = (0, '');
	for my $t (@tables)
	{
		my $c = $t->{columns}[-1];
		my $quoted = join ', ', map { "\"$_\"" } @{ $t->{columns} };
		my $got = $target->psql('postgres', qq(select string_agg("$c", ' ' order by "$c") from own."$t->{table}"));
		my $want = $t->{table} =~ /^k/ ? join(' ', sort "c$c", 'new') : join(' ', sort "b$c", "c$c");
		if ($got eq $want) { $right++ }
		else { $wrong .= "$t->{table}: $got, not $want\n" }
	}
	is($wrong, '', "$role: columns named so: $right tables");
	my $sum = join ' union all ', map { qq(select id, "$_->{columns}[1]" as v from own."$_->{table}") } @named;
	is($target->psql('postgres', "select count(*), min(id), max(id), min(v), max(v) from ($sum) x"),
		scalar(@named) . '|2|2|y|y', "$role: tables named so");
}

done_testing;

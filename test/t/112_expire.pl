#-------------------------------------------------------------------------
# Old objects are given up: by "expire" and by lake.retention.  The log says so
# before they go, _cdc/ stays, targets that are known keep what they need, and
# who comes too late is told the way out.
#-------------------------------------------------------------------------
use strict;
use warnings;
use JSON::PP;
use Test::More;

use CdcS3::Test;

my $json = JSON::PP->new->utf8;
my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
$target->psql('postgres', "create database $_") for qw(late held);

my $cdc = sidecar($source, 'postgres', file_store(), target => $target,
	flags => [ '--flush.interval=1s' ]);
my %other = map {
	$_ => sidecar($source, 'postgres', $cdc->{store}, target => $target, target_db => $_,
		flags => [ '--flush.interval=1s' ])
} qw(late held);
$source->psql('postgres', <<'SQL');
create table a (id int primary key, v text);
create table b (id int primary key);
create table gone (id int primary key);
insert into a select g, 'first' from generate_series(1, 100) g;
insert into b select g from generate_series(1, 100) g;
insert into gone values (1);
SQL
$cdc->ok('init');
my $run = $cdc->start;
ok($cdc->wait_loaded, 'loaded') or diag $run->errors;

sub change
{
	my ($sql) = @_;
	$source->psql('postgres', $sql);
	ok($cdc->wait_durable, 'durable') or diag $run->errors;
	return $cdc->last_entry->{entry};
}

# Entries have objects of their own.
change('drop table gone');
is($other{held}->call('merge', '--merge.until=now')->{code}, 0, 'a target that then rests');
change("insert into a values (1000 + $_, 'more')") for 1 .. 3;
my $cut = change('update a set v = v || v where id < 10; delete from b where id = 7');
change("insert into a values (2000, 'behind')");
is($cdc->call('merge', '--merge.until=now')->{code}, 0, 'a target that is up to date');

sub objects_of { my ($upto) = @_; return [ map { $_->{key} } map { $cdc->entry_objects($_) } grep { $_->{entry} <= $upto } $cdc->entries ] }
sub there { my ($keys) = @_; return scalar grep { -e "$cdc->{store}{folder}/$_" } @$keys }
sub expire { my (@args) = @_; return $cdc->call('expire', @args) }

my ($next) = grep { $_->{entry} == $cut + 1 } $cdc->entries;
my @before = ('--before', $next->{time});

# ---- who still needs what ----

my @targets = split /\n/, expire('--targets')->{out};
is(@targets, 2, 'both targets are known');
my ($held) = grep { / held at / } @targets;
my ($id, $needs) = $held =~ /^([0-9a-f]{16})  entry \d+, needs (\d+) on/ or die $held;
my $r = expire(@before, '--dry-run');
is($r->{code}, 0, 'dry run: exit code') or diag $r->{err};
like($r->{out}, qr/^entries $needs to \d+ are kept: target $id .* needs entry $needs$/m,
	'what the resting target needs is kept, and it is named');
like($r->{out}, qr/^entries 1 to @{[ $needs - 1 ]}: \d+ objects, \d+ bytes$/m, 'and what would go');
is(there(objects_of($cut)), @{ objects_of($cut) }, 'dry run: nothing is gone');
is(expire('--forget', 'f' x 16)->{code}, 2, 'an unknown target cannot be forgotten');

# ---- expire, up to what it needs ----

$r = expire(@before, '--wait');
is($r->{code}, 0, 'expire --wait') or diag $r->{err}, $run->errors;
is($cdc->last_entry->{expired_entry}, $needs - 1, 'the log says up to where');
is($cdc->last_entry->{removed_entry}, $needs - 1, 'and that they are removed');
is(there(objects_of($needs - 1)), 0, 'their objects are gone');
is(there(objects_of($cut)), @{ objects_of($cut) } - @{ objects_of($needs - 1) }, 'no other is');
is(scalar(my @files = $cdc->entry_files), $cdc->last_entry->{entry} + 1, 'every entry is there');
is($other{held}->call('merge', '--merge.until=now')->{code}, 0, 'the resting target goes on');
tables_equal($source, 'postgres', $target, 'held', qw(a b));
($held) = grep { / held at / } split /\n/, expire('--targets')->{out};
cmp_ok(($held =~ /needs (\d+) on/)[0], '>', $cut, 'and what it needs is known anew');
change("insert into a values (2500, 'more')");

# ---- all of it ----

$r = expire(@before, '--wait');
is($r->{code}, 0, 'expire --wait, again') or diag $r->{err}, $run->errors;
is($cdc->last_entry->{expired_entry}, $cut, 'the log says up to where');
is(there(objects_of($cut)), 0, 'the objects are gone');
like(expire(@before)->{out}, qr/nothing is to be expired/, 'once more: nothing is to be done');
$r = $cdc->call('verify', '--json');
is($r->{code}, 0, 'verify: what expired is not missing') or diag $r->{out}, $r->{err};
my $sum = $json->decode((split /\n/, $r->{out})[-1]);
is($sum->{expired}, @{ objects_of($cut) }, 'verify: and counted');
is($sum->{expired_but_there}, 0, 'verify: none of it is there');
is($json->decode($cdc->call('status', '--json')->{out})->{lake}{expired_entry}, $cut, 'status');

# ---- who comes too late ----

$r = $cdc->on_lake('replay');
is($r->{code}, 3, 'replay of an expired range: exit code');
like($r->{err}, qr/has expired: entries up to $cut .*--from/, 'it says so, and the way out');
my ($at) = map { $_->{end_lsn} } grep { $_->{entry} == $cut } $cdc->entries;
$r = $cdc->on_lake('replay', "--from=$at");
is($r->{code}, 0, 'replay behind it') or diag $r->{err};
like($r->{out}, qr/behind/, 'replay behind it: what is there');
$r = $other{late}->call('merge', '--merge.until=now');
is($r->{code}, 3, 'a new target: exit code') or diag $r->{err};
like($r->{err}, qr/table "public"\."[ab]" needs object .*expired: entries up to $cut .*snapshot --wait/,
	'it says why, and the way out');
is($target->psql('late', q{select count(*) from pg_tables where schemaname = 'public'}), 0, 'nothing was changed');
$r = $cdc->call('snapshot', '--wait', 'public.*');
is($r->{code}, 0, 'the tables are loaded anew') or diag $r->{err};
change("insert into a values (3000, 'last'); update b set id = id + 5000 where id = 8");
$r = $other{late}->call('merge', '--merge.until=now');
is($r->{code}, 0, 'then it is made from the later loads') or diag $r->{err};
tables_equal($source, 'postgres', $target, 'late', qw(a b));
is($cdc->call('merge', '--merge.until=now')->{code}, 0, 'and the other goes on');
tables_equal($source, 'postgres', $target, 'postgres', qw(a b));

# ---- wrong words ----

for my $args ([], [ '--before', 'yesterday' ], [ '--before', '2999-01-01T00:00:00Z' ], [ '--targets', '--before', '1d' ])
{
	is(expire(@$args)->{code}, 2, "expire @$args: refused");
}
is(expire('--before', '90d')->{code}, 0, 'a time that is long ago');

# ---- by itself, and a run that is killed in between ----

is($run->stop('TERM', 60), 0, 'run stops') or diag $run->errors;
$_->call('merge', '--merge.until=now') for $cdc, @other{qw(late held)};
expire('--forget', (split ' ')[0]) for grep { !/ postgres at / } split /\n/, expire('--targets')->{out};
$run = $cdc->start('--lake.retention=1s');
ok(poll(sub { ($cdc->last_entry->{expired_entry} // 0) > $cut }, 60), 'lake.retention gives up by itself')
  or diag $run->errors;
is(expire('--forget', (split ' ', (expire('--targets')->{out}))[0])->{code}, 0, 'a target is forgotten');
is(expire('--targets')->{out}, '', 'and no more is known');
$run->stop('KILL');
my $upto = $cdc->last_entry->{expired_entry};
is($cdc->call('verify')->{code}, 0, 'killed: no object is missing');
$run = $cdc->start;
ok(poll(sub { ($cdc->last_entry->{removed_entry} // 0) >= $upto }, 60), 'the next run removes what is left')
  or diag $run->errors;
is(there(objects_of($upto)), 0, 'all of it is gone');
$source->psql('postgres', "insert into a values (4000, 'end')");
ok($cdc->wait_durable, 'durable') or diag $run->errors;
is($cdc->last_entry->{expired_entry}, $upto, 'without it nothing more is given up');
is($run->stop('TERM', 60), 0, 'run stops') or diag $run->errors;
is($cdc->call('merge', '--merge.until=now')->{code}, 0, 'the target has all it needs');
tables_equal($source, 'postgres', $target, 'postgres', qw(a b));
is($cdc->call('verify')->{code}, 0, 'verify');

done_testing();

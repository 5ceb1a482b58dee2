#-------------------------------------------------------------------------
# doc/commit-log.md is enough to write a reader from: one in Python, which knows
# nothing else, reads what replay reads, and stops where something is wrong.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Lake;
use CdcS3::Test;

my $reader = top_folder() . '/test/tools/read_log.py';

sub reads { my ($folder, @key) = @_; return capture([ 'python3', $reader, $folder, @key ]) }

my $source = new_cluster('source')->start;
for my $compression (qw(zstd gzip none))
{
	$source->psql('postgres', "create database $compression");
	my $cdc = sidecar($source, $compression, file_store(), slot => "slot_$compression",
		flags => [ '--flush.interval=1s', "--output.compression=$compression", '--output.workers=3' ]);
	$source->psql($compression, <<'SQL');
create table t (id int primary key, v text);
create table "ü ""q""" (id int primary key, v jsonb);
insert into t select g, 'with "quotes" and ü ' || g from generate_series(1, 500) g;
SQL
	$cdc->ok('init');
	my $run = $cdc->start;
	ok($cdc->wait_loaded, "$compression: loaded") or diag $run->errors;
	$source->psql($compression, qq{begin; insert into t select $_ * 1000 + g, repeat('x', g) from generate_series(1, 300) g;
		insert into "ü ""q""" values ($_, '{"a": [1, 2, null]}'); update t set v = null where id = $_;
		delete from t where id = $_ + 100; commit}) for 1 .. 6;
	$source->psql($compression, 'begin; update t set id = -id where id < 20; truncate "ü ""q"""; commit');
	ok($cdc->wait_durable, "$compression: durable") or diag $run->errors;
	is($run->stop('TERM', 60), 0, "$compression: run stops") or diag $run->errors;
	my $r = reads($cdc->{store}{folder});
	is($r->{code}, 0, "$compression: exit code") or diag $r->{err};
	my $replay = $cdc->replay;
	cmp_ok(length $replay, '>', 100_000, "$compression: there is much");
	ok($r->{out} eq $replay, "$compression: every change once, in the order of replay");
}

# What is wrong.
my $n = 0;

sub lake
{
	my (%o) = @_;
	my $folder = temp_folder() . '/lake' . $n++;
	my $lake = CdcS3::Lake->new(folder => $folder, %o);
	my $t = $lake->table('public.t', columns => [ [ id => 'int4', 'pk' ] ], key => ['id']);
	$lake->entry(end => 0x1000 * $_ + 0x1000, rows => [ [ $t, i => 0x1000 * $_ + 16, 1, { id => $_ } ] ]) for 1 .. 4;
	return $lake;
}

sub change_file
{
	my ($path, $from, $to) = @_;
	my $text = slurp($path);
	$text =~ s/$from/$to/ or die "$path has no $from";
	open my $f, '>:raw', $path or die $!;
	print {$f} $text;
	close $f or die $!;
	return;
}

sub wrong
{
	my ($name, $like, $lake, @key) = @_;
	my $r = reads($lake->{folder}, @key);
	is($r->{code}, 3, "$name: exit code");
	like($r->{err}, $like, "$name: named");
	return;
}

my $l = lake();
is(reads($l->{folder})->{code}, 0, 'a lake by hand');
change_file("$l->{folder}/_cdc/log/00000000000000000002.json", qr/0000000000003000/, '0000000000003001');
wrong('an entry that was edited', qr/checksum/, $l);
$l = lake();
my ($object) = glob "$l->{folder}/public/t/*/*/*/*/part-000000000003*";
change_file($object, qr/"id":3/, '"id":4');
wrong('an object that was edited', qr/damaged/, $l);
unlink $object or die $!;
wrong('an object that is gone', qr/is missing/, $l);
my $key = 'a-key-of-the-log-that-is-long';
$l = lake(key => $key);
is(reads($l->{folder}, $key)->{code}, 0, 'a signed log');
wrong('a signed log with another key', qr/HMAC/, $l, 'another-key-that-is-long');
wrong('a log without a signature', qr/HMAC/, lake(), $key);

done_testing();

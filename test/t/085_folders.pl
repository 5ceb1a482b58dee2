#-------------------------------------------------------------------------
# output.path and output.timezone: where objects lie, that the sweeper finds
# what was left there, and that merge does not care.
#-------------------------------------------------------------------------
use strict;
use warnings;
use File::Basename qw(dirname);
use File::Copy qw(copy);
use POSIX qw(strftime);
use Test::More;

use CdcS3::Test;

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
$source->psql('postgres', 'create database work');
$target->psql('postgres', "create database $_") for qw(kolkata day flat);
$source->psql('work', <<'SQL');
create schema "s.x";
create table "s.x"."_t-1" (id integer primary key, a text);
create table t (id integer primary key, a text);
insert into t select i, md5(i::text) from generate_series(1, 100) i;
SQL

# What is refused, by run and by check.
my $bad = sidecar($source, 'work', file_store());
for (
	[ '--output.path={schema}/x', qr/setting "output\.path": path "\{schema\}\/x" has no \{table\}/ ],
	[ '--output.path=_x/{schema}/{table}', qr/begins with "_" or "\."/ ],
	[ '--output.path={schema}/{table}/{hh}', qr/\{hh\} without \{dd\}/ ],
	[ '--output.timezone=Mars/Olympus', qr/setting "output\.timezone".*"Mars\/Olympus" is not known here/ ],
	[ '--output.timezone=+25', qr/setting "output\.timezone"/ ])
{
	my ($flag, $message) = @$_;
	my $r = $bad->call('run', $flag);
	is($r->{code}, 2, "run $flag: exit 2");
	like($r->{err}, $message, 'and it says what is wrong');
	$r = $bad->call('check', $flag);
	like($r->{out}, $message, 'and so does check');
}
my $both = $bad->call('run', '--output.path={schema}.{table}', '--output.partition=day');
is($both->{code}, 2, 'path and partition together: exit 2');
like($both->{err}, qr/both given/, 'and it says so');

# The folder of this table and of an instant, as strftime makes it.
my %ways = (
	kolkata => {
		flags => [ '--output.path={database}/{yyyy}/{mm}-{dd}T{hh}{mi}/{schema}.{table}',
			'--output.timezone=+05:30' ],
		folder => sub { strftime('work/%Y/%m-%dT%H%M/', gmtime($_[0] + 19800)) . $_[1] },
		x => 's%2Ex.%5Ft-1', t => 'public.t' },
	day => {
		flags => ['--output.partition=day'],
		folder => sub { $_[1] . strftime('/year=%Y/month=%m/day=%d', gmtime $_[0]) },
		x => 's.x/%5Ft-1', t => 'public/t' },
	flat => {
		flags => ['--output.path={slot}-{schema}/{table}'],
		folder => sub { "slot_flat-$_[1]" },
		x => q(s.x/%5Ft-1), t => q(public/t) });

for my $way (sort keys %ways)
{
	my $w = $ways{$way};
	my $cdc = sidecar(
		$source, 'work', file_store(),
		target => $target,
		target_db => $way,
		slot => "slot_$way",
		flags => $w->{flags});
	my $began = time;
	$cdc->ok('init');
	my $run = $cdc->start;
	ok($cdc->wait_loaded, "$way: tables are loaded") or diag $run->errors;
	$source->psql('work', qq(insert into "s.x"."_t-1" select coalesce(max(id), 0) + 1, 'a' from "s.x"."_t-1"));
	$source->psql('work', 'update t set a = a || id where id < 50');
	ok($cdc->wait_durable, "$way: changes are durable") or diag $run->errors;
	is($run->stop('TERM', 60), 0, "$way: run stops") or diag $run->errors;

	# Commits are of any minute since it began.
	my %folders;
	for (my $at = $began - 1; $at <= time; $at++)
	{
		$folders{ $w->{folder}->($at, $w->{$_}) } = $_ for qw(x t);
	}
	my @objects = map { $cdc->entry_objects($_) } $cdc->entries;
	cmp_ok(scalar @objects, '>=', 3, "$way: objects");
	my @elsewhere = grep { !$folders{ dirname($_->{key}) } } @objects;
	is(join(' ', map { $_->{key} } @elsewhere), '', "$way: each lies in its folder");

	# What a dead writer left there is found by the same template.
	my ($object) = grep { /\/part-/ } map { $_->{key} } @objects;
	my ($number) = $object =~ /part-(\d+)-/;
	my $folder = $cdc->{store}{folder};
	my $dead = dirname("$folder/$object") . "/part-$number-0099-deadbeef.json.zst";
	copy("$folder/$object", $dead) or die "$dead: $!";
	$run = $cdc->start;
	$source->psql('work', 'update t set a = a || id where id > 50');
	ok($cdc->wait_durable, "$way: a change makes an entry") or diag $run->errors;
	ok(poll(sub { !-e $dead }, 60), "$way: what no entry lists is removed")
	  or diag $run->errors;
	is($run->stop('TERM', 60), 0, "$way: run stops") or diag $run->errors;

	$cdc->ok('merge', '--merge.until=now');
	tables_equal($source, 'work', $target, $way, 't', '"s.x"."_t-1"');
}

done_testing();

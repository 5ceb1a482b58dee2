#-------------------------------------------------------------------------
# What reads AWS DMS's files: names that begin as its do, by which sweep and
# merge work as ever, and CSV in its form, which nothing reads back.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use File::Basename qw(basename dirname);
use File::Copy qw(copy);

use CdcS3::Test;

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
$source->psql('postgres', 'create database shop');
$target->psql('postgres', 'create database shop');
$source->psql('shop', <<'SQL');
create table orders (id int primary key, note text, at timestamptz, n numeric(10,2), ok boolean);
insert into orders select g, 'note ' || g, '2026-11-21 08:14:07.5+00', g / 4.0, g % 2 = 0 from generate_series(1, 20) g;
SQL

# ---- names, of objects that are read as ever ----

my $cdc = sidecar(
	$source, 'shop', file_store(),
	target => $target,
	target_db => 'shop',
	flags => [ '--flush.interval=1s', '--output.names=dms', '--output.format=csv' ]);
my $folder = $cdc->{store}{folder};
$cdc->ok('init');
my $run = $cdc->start;
ok($cdc->wait_loaded, 'loaded') or diag $run->errors;
$source->psql('shop', q{update orders set note = 'new' where id < 10; delete from orders where id = 20});
ok($cdc->wait_durable, 'durable') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run stops') or diag $run->errors;

my ($load) = grep { basename($_) =~ /^LOAD00000001-[0-9a-f]{16}-[0-9a-f]{8}\.csv\.zst$/ } $cdc->objects;
ok($load, 'the load begins with LOAD00000001') or diag join "\n", $cdc->objects;
my ($part) = grep { basename($_) =~ /^\d{8}-\d{9}-\d+-0000-[0-9a-f]{8}\.csv\.zst$/ } $cdc->objects;
ok($part, 'changes begin with a time') or diag join "\n", $cdc->objects;
is(scalar(grep { m{/(part|load)-} } $cdc->objects), 0, 'and nothing with anything else');

# What a dead writer left is known by these names, too.
my ($entry) = basename($part) =~ /^\d{8}-\d{9}-(\d+)-/;
my $dead = "$folder/" . dirname($part) . "/20261130-103125108-$entry-0099-deadbeef.csv.zst";
copy("$folder/$part", $dead) or die "$dead: $!";
$run = $cdc->start;
$source->psql('shop', q{update orders set note = 'newer' where id < 5});
ok($cdc->wait_durable, 'durable') or diag $run->errors;
ok(poll(sub { !-e $dead }, 60), 'a leftover is removed') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run stops') or diag $run->errors;
$cdc->ok('merge', '--merge.until=now');
tables_equal($source, 'shop', $target, 'shop', 'orders');

# ---- the form ----

my $dms = sidecar(
	$source, 'shop', file_store(),
	slot => 'dms',
	target => $target,
	target_db => 'postgres',
	flags => [
		'--flush.interval=1s', '--output.names=dms', '--output.format=csv', '--output.shape=dms',
		'--output.compression=none', '--output.partition=none', '--output.dms_timestamp=ts',
		'--output.dms_null=NULL'
	]);
$dms->ok('init');
$run = $dms->start;
ok($dms->wait_loaded, 'dms: loaded') or diag $run->errors;
$source->psql('shop', q{insert into orders values (30, 'a,"b"', null, 1.5, true); delete from orders where id = 30});
ok($dms->wait_durable, 'dms: durable') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run stops') or diag $run->errors;
like($run->errors, qr/merge and replay cannot read objects of output.shape = dms/, 'said');
my ($changes) = map { slurp("$dms->{store}{folder}/$_") } grep { basename($_) =~ /^\d/ } $dms->objects;
like($changes, qr/\AI,\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6},30,"a,""b""",NULL,1\.50,true\nD,[^,]+,30,NULL,NULL,NULL,NULL\n\z/, 'changes');
my ($rows) = map { slurp("$dms->{store}{folder}/$_") } grep { basename($_) =~ /^LOAD/ } $dms->objects;
like($rows, qr/^I,[^,]+,12,note 12,2026-11-21 08:14:07\.5\d*,3\.00,true$/m, 'loaded rows');

for my $command ([ 'merge', '--merge.until=now' ], ['replay'])
{
	my $r = $dms->call(@$command);
	is($r->{code}, 3, "$command->[0] refuses") or diag $r->{err};
	like($r->{err}, qr/output\.shape = dms/, 'and says why');
}
is($target->psql('postgres', q{select count(*) from pg_class where relname = 'orders'}), 0, 'nothing is in the target');

# ---- settings ----

for my $bad (
	[ qr/output\.report\.shape = dms needs output\.report\.format = csv/, '--output.report.url=file:///tmp/none', '--output.report.format=json' ],
	[ qr/needs output\.format = csv/, '--output.format=json' ],
	[ qr/output\.dms_delimiter has the value "ab"/, '--output.dms_delimiter=ab' ],
	[ qr/no quotes, tabs, line ends or delimiters/, '--output.dms_null=a,b' ])
{
	my ($why, @flags) = @$bad;
	my $r = $dms->call('run', @flags);
	is($r->{code}, 2, "@flags: exit 2");
	like($r->{err}, $why, 'why');
}

done_testing();

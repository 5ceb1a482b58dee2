#-------------------------------------------------------------------------
# cdc-s3 snapshot: tables are loaded anew by the run that streams, without a
# restart, however often it is asked; what a record could not tell is mended by
# it.  Killed, refused by the store, asked for what is not there: nothing is
# loaded twice, nothing is left behind, and no session begins for nothing.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::FakeS3;
use CdcS3::Proc qw(poll spawn);
use CdcS3::Sidecar;
use CdcS3::Test;

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;

sub drop_slot { return $source->psql('postgres', q{select pg_drop_replication_slot('cdc_s3')}) }

sub database
{
	my ($db, $store, @flags) = @_;
	$_->psql('postgres', "create database $db") for $source, $target;
	return sidecar($source, $db, $store, target => $target,
		flags => [ '--flush.interval=1s', @flags ]);
}

# How many loads of a table the log has as done.
sub loads_of
{
	my ($cdc, $table) = @_;
	my $n = () = grep { $_->{table} eq $table && $_->{state} eq 'done' }
	  map { @{ $_->{loads} } } $cdc->entries;
	return $n;
}

# Sessions that run has begun so far.
sub sessions { my $n = () = $_[0]->errors =~ /event=streaming/g; return $n }

my $tables = <<'SQL';
create table a (id int primary key, v text);
create table b (id int primary key, v text);
insert into a select g, 'a' from generate_series(1, 500) g;
insert into b select g, 'b' from generate_series(1, 500) g;
SQL

# ---- what no record tells, and what somebody broke at the target ----

my $cdc = database('heals', file_store());
# As CREATE EXTENSION does; its files are not installed for this test.
my $script = slurp(top_folder() . '/plugin/cdc_s3--1.0.sql');
$script =~ s/^\\echo.*$//m;
$source->psql('heals', "create schema cdc_s3; $script; $tables");
$cdc->ok('init');
my $run = $cdc->start;
ok($cdc->wait_loaded, 'loaded') or diag $run->errors;
$source->psql('heals', 'alter table a add r float8 default random()');
$source->psql('heals', "insert into a values (1000, 'after', 1); update b set v = 'changed' where id <= 10");
ok($cdc->wait_durable, 'durable') or diag $run->errors;
is($cdc->call('merge', '--merge.until=now')->{code}, 8, 'the rewritten table waits for a load');
$target->psql('heals', q{update b set v = 'broken' where id = 300; delete from b where id = 301});

my $r = $cdc->call('snapshot', '--wait', 'public.a', 'public."b"');
is($r->{code}, 0, 'snapshot --wait') or diag $r->{err};
like($r->{out}, qr/^request [0-9a-f]{8}: load public\.a, public\."b"$/m, 'says what it asked for');
like($r->{out}, qr/^public\.$_: loaded, 50[01] rows, at LSN /m, "says that $_ is loaded") for qw(a b);
$source->psql('heals', "insert into a values (1001, 'later', 2); delete from b where id = 1");
ok($cdc->wait_durable, 'the stream goes on') or diag $run->errors;
is($cdc->call('merge', '--merge.until=now')->{code}, 0, 'nothing is outstanding');
tables_equal($source, 'heals', $target, 'heals', qw(a b));
ok($run->alive, 'the same run');
is(sessions($run), 2, 'which began one more session');
is($source->psql('postgres', 'select count(*) from pg_replication_slots'), 1, 'no slot is left behind');

# ---- one of several, by a pattern; nothing else is loaded ----

$r = $cdc->call('snapshot', '--wait', 'public.B*');
is($r->{code}, 0, 'a pattern') or diag $r->{err};
is(loads_of($cdc, 'a'), 2, 'a: the first load, and one');
is(loads_of($cdc, 'b'), 3, 'b: one more');

$r = $cdc->call('snapshot', '--wait', 'public.missing');
is($r->{code}, 4, 'a table that is not there: exit code');
like($r->{err}, qr/no table that is wanted is of "public\.missing".*source\.tables/s, 'and why');
like($run->errors, qr/no table that is wanted is of the load request/, 'run says so, too');
ok($run->alive, 'and goes on');
is($cdc->call('snapshot', '--list')->{out}, '', 'no request is left');
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;

# ---- while nobody runs ----

my @ids;
for (1 .. 5)
{
	push @ids, $cdc->ok('snapshot', 'public.a') =~ /^request ([0-9a-f]{8}):/;
}
my $extra = ($cdc->ok('snapshot', 'public.b') =~ /^request ([0-9a-f]{8}):/)[0];
my @listed = map { (split)[0] } split /\n/, $cdc->ok('snapshot', '--list');
is("@{[sort @listed]}", "@{[sort @ids, $extra]}", 'requests that wait are listed');
$cdc->ok('snapshot', '--cancel', $extra);
$r = $cdc->call('snapshot', '--cancel', $extra);
is($r->{code}, 2, 'a request can be taken back once');
like($r->{err}, qr/no request "$extra" waits.*--list/s, 'and says so');
$run = $cdc->start;
ok(poll(sub { $cdc->ok('snapshot', '--list') eq '' }, 60), 'run takes all') or diag $run->errors;
ok(poll(sub { loads_of($cdc, 'a') == 3 }, 60), 'asked five times, loaded once') or diag $run->errors;
$source->psql('heals', "insert into a values (1002, 'last', 3)");
ok($cdc->wait_durable, 'and the stream goes on') or diag $run->errors;
is(loads_of($cdc, 'a'), 3, 'not once more');
is(loads_of($cdc, 'b'), 3, 'what was taken back is not loaded');
is(sessions($run), 1, 'by its first session');

# Somebody writes nonsense there.
my $folder = $cdc->{store}{folder} . '/_cdc/request';
my %nonsense = (
	'0badf00a' => '{"version":1',
	'0badf00b' => '{"version":2,"tables":"public.a","after_entry":1}',
	'0badf00c' => '{"version":1,"tables":"public.a"}',
	'0badf00d' => '{"version":1,"tables":"public.a","after_entry":-5}',
	'0badf00e' => '{"version":1,"tables":"public.a","after_entry":"1"}',
	'0badf00f' => '{"version":1,"after_entry":1,"tables":"' . 'x' x 2_000_000 . '"}');
for my $f ([ 'README', 'x' ], map { [ "$_.json", $nonsense{$_} ] } sort keys %nonsense)
{
	open my $h, '>', "$folder/$f->[0]" or die "$folder/$f->[0]: $!\n";
	print {$h} $f->[1];
	close $h or die "$folder/$f->[0]: $!\n";
}
for my $id (sort keys %nonsense)
{
	ok(poll(sub { $run->errors =~ /request is malformed and is not served" id=$id/ }, 60), "nonsense is told: $id")
	  or diag $run->errors;
}
ok(poll(sub { $cdc->ok('snapshot', '--list') eq '' }, 60), 'and taken away');
ok(-e "$folder/README", 'what is no request stays');
$source->psql('heals', "insert into a values (1003, 'last', 3)");
ok($cdc->wait_durable, 'the stream goes on') or diag $run->errors;
is(loads_of($cdc, 'a'), 3, 'nothing is loaded for it');
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
$cdc->ok('merge', '--merge.until=now');
tables_equal($source, 'heals', $target, 'heals', qw(a b));

# ---- arguments ----

for (
	[ [], qr/snapshot takes tables, or --list, or --cancel/ ],
	[ [ '--list', 'public.a' ], qr/takes tables, or --list/ ],
	[ ['orders'], qr/"orders" is no table.*schema\.table/s ],
	[ ['public.a,'], qr/"public\.a," is no table/ ])
{
	my ($args, $says) = @$_;
	$r = $cdc->call('snapshot', @$args);
	is($r->{code}, 2, "snapshot @$args: exit code");
	like($r->{err}, $says, 'and why');
}
drop_slot();

# ---- killed, and a store that takes nothing away ----

my $fake = CdcS3::FakeS3->start;
$cdc = database('faults', $fake->store);
$source->psql('faults', $tables);
$cdc->ok('init');
$run = $cdc->start;
ok(poll(sub { $run->errors =~ /tables_done=2 tables=2/ }, 60), 'loaded') or diag $run->errors;
ok($cdc->wait_durable, 'durable') or diag $run->errors;
$fake->fault(match => qr{^PUT .*/a/.*/load-}, status => 503, times => 0);
$fake->fault(match => qr{^DELETE .*/_cdc/request/}, status => 403, times => 0);
my $waiter = spawn(
	cmd => [
		CdcS3::Sidecar::program(), 'snapshot', @{ $fake->store->{flags} },
		'--store.url=' . $fake->store->{url}, '--wait', 'public.*'
	],
	env => $fake->env,
	log => temp_folder() . '/waiter');
ok(poll(sub { $run->errors =~ /could not take a load request away/ }, 60), 'DELETE is refused, and told')
  or diag $run->errors;
is($run->stop('KILL'), -9, 'killed in the middle of the load');
$fake->clear;
$fake->fault(match => qr{^DELETE .*/_cdc/request/}, status => 403, times => 0);
$source->psql('faults', "update a set v = 'x' where id < 10");
$run = $cdc->start;
ok(poll(sub { $run->errors =~ /tables_done=(\d+) tables=\1\n/ }, 60), 'the next start loads what was asked for')
  or diag $run->errors;
$source->psql('faults', "update b set v = 'y' where id < 10");
ok($cdc->wait_durable, 'and streams') or diag $run->errors;
# The watcher has looked several times since.
my $looks = grep { m{^GET .*_cdc/request/} } $fake->requests;
ok(poll(sub { $looks + 4 < grep { m{^GET .*_cdc/request/} } $fake->requests }, 60), 'run looks for requests');
is(sessions($run), 1, 'one that cannot be taken away begins no session');
ok($waiter->alive, 'who waits, waits on');
$fake->clear;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
$run = $cdc->start;
is($waiter->wait(60), 0, 'until it is taken away');
ok($cdc->wait_durable, 'streams on') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
unlike($run->errors, qr/table loaded/, 'and nothing is loaded again');

# Whoever may not look for requests, or for tables' folders, streams all the same.
$fake->fault(match => qr{^GET .*_cdc(/|%2F)(request|schema)}, status => 403, times => 0);
$source->psql('faults', "update a set v = 'z' where id < 10");
$run = $cdc->start;
ok($cdc->wait_durable(60), 'a listing that is refused holds nothing up') or diag $run->errors;
like($run->errors, qr/level=warn event="could not look for load requests"/, 'and is told');
like($run->errors, qr/level=warn event="could not look for tables that are wanted later"/, 'both');
like($run->errors, qr/level=warn event="could not look for schema files: a table that was made anew/, 'and what it costs');
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
my $parquet = $cdc->call('run', '--output.format=parquet');
is($parquet->{code}, 6, 'Parquet, whose field ids could mean two things, does not begin');
like($parquet->{err}, qr/could not look for schema files: .*s3:ListBucket/, 'and says so');
$fake->clear;
$cdc->ok('merge', '--merge.until=now');
tables_equal($source, 'faults', $target, 'faults', qw(a b));

done_testing();

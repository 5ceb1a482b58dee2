#-------------------------------------------------------------------------
# What happens to a table between the load's snapshot and its COPY: it is
# rewritten, gets other columns, is dropped, renamed or made anew, gains or loses
# partitions.  A snapshot does not hold for any of these, so the table is loaded
# under a new one; and no lock of the load outlives the COPY that needs it.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::FakeS3;
use CdcS3::Proc qw(poll);
use CdcS3::Test;

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
my $fake = CdcS3::FakeS3->start;
my $n = 0;

sub drop_slot { return $source->psql('postgres', q{select pg_drop_replication_slot('cdc_s3')}) }

# The load's snapshot is taken, and it waits for the store, which does not take
# the first tables' objects (more than may be on their way); "change" happens; then
# the store takes them.
sub changed_meanwhile
{
	my ($name, %o) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $db = 'd' . ++$n;
	$_->psql('postgres', "create database $db") for $source, $target;
	$source->psql($db, <<"SQL");
do \$\$ begin
	for i in 1..20 loop
		execute format('create table a_first_%s (id int primary key); insert into a_first_%1\$s values (1)', i);
	end loop;
end \$\$;
$o{before}
SQL
	$fake->clear(objects => 1);
	my $cdc = sidecar($source, $db, $fake->store, target => $target,
		flags => ['--flush.interval=1s']);
	$cdc->ok('init');
	$fake->fault(match => qr{^PUT .*/a_first_\d+/.*/load-}, status => 503, times => 0);
	my $run = $cdc->start;
	my $waiting = sub {
		my %tables = map { m{^PUT .*/(a_first_\d+)/.*/load-} ? ($1 => 1) : () } $fake->requests;
		return keys %tables;
	};
	ok(poll(sub { $waiting->() == 16 }, 60), "$name: the first tables wait for their store")
	  or diag $run->errors;
	ok( $source->poll_until($db, q{select count(*) = 0 from pg_locks l join pg_class c on c.oid = l.relation
			join pg_namespace n on n.oid = relnamespace and nspname = 'public'}),
		"$name: the load holds no lock meanwhile");
	is($source->psql($db, q{select count(*) from pg_stat_activity
			where application_name = 'cdc-s3' and query ~ '^COPY.*"b"'}),
		0, "$name: no more than some are on their way");
	$source->psql($db, "set lock_timeout = '30s'; $o{change}");
	$fake->clear;
	ok(poll(sub { $run->errors =~ /tables_done=(\d+) tables=\1\n/ }, 120), "$name: loaded")
	  or diag $run->errors;
	$source->psql($db, $o{after}) if $o{after};
	ok($cdc->wait_durable(60), "$name: streamed") or diag $run->errors;
	is($run->stop('TERM', 60), 0, "$name: run ends with 0") or diag $run->errors;
	my @again =
	  sort($run->errors =~ /changed before its load came to it.* schema=public table=(\w+)/g);
	is("@again", $o{again} // 'b', "$name: what was loaded under a new snapshot");
	$cdc->ok('merge', '--merge.until=now');
	tables_equal($source, $db, $target, $db, 'a_first_1', @{ $o{equal} });
	if ($o{gone})
	{
		is($target->psql($db, "select to_regclass('$_') is null"), 't', "$name: no $_")
		  for @{ $o{gone} };
	}
	drop_slot();
	return;
}

my $b = 'create table b (id int primary key, n int); insert into b select g, g from generate_series(1, 1000) g;';

changed_meanwhile(
	'rewritten by a type',
	before => $b,
	change => 'alter table b alter n type bigint',
	after => 'insert into b values (5000, 1)',
	equal => ['b']);

changed_meanwhile(
	'rewritten by VACUUM FULL',
	before => $b,
	change => 'vacuum full b',
	after => 'update b set n = -n',
	equal => ['b']);

changed_meanwhile(
	'truncated and filled',
	before => $b,
	change => 'truncate b; insert into b values (1, 1), (2, 2)',
	equal => ['b']);

changed_meanwhile(
	'columns come and go',
	before => $b,
	change => q{alter table b add c text default 'new'; alter table b drop n},
	after => "insert into b values (5000, 'x')",
	equal => ['b']);

changed_meanwhile(
	'a new identity',
	before => $b,
	change => 'alter table b replica identity full',
	after => 'update b set n = -n; delete from b where id < 10',
	equal => ['b']);

changed_meanwhile(
	'dropped',
	before => $b,
	change => 'drop table b',
	again => 'b',
	gone => ['b'],
	equal => []);

changed_meanwhile(
	'made anew',
	before => $b,
	change => 'drop table b; create table b (x text, id int primary key); insert into b select g, g from generate_series(1, 20) g',
	after => "insert into b values ('y', 1000)",
	equal => ['b']);

changed_meanwhile(
	'partitions come and go',
	before => <<'SQL',
create table b (id int, k int, primary key (id, k)) partition by list (k);
create table b0 partition of b for values in (0);
create table b1 partition of b for values in (1);
create table b2 (id int, k int not null, primary key (id, k));
insert into b select g, g % 2 from generate_series(1, 100) g;
insert into b2 select g, 2 from generate_series(1, 100) g;
SQL
	change => 'alter table b detach partition b0; drop table b0; alter table b attach partition b2 for values in (2)',
	after => 'insert into b values (1000, 1), (1000, 2)',
	again => 'b b2',
	equal => ['b']);

changed_meanwhile(
	'a partition is rewritten',
	before => <<'SQL',
create table b (id int, k int, v int, primary key (id, k)) partition by list (k);
create table b0 partition of b for values in (0);
create table b1 partition of b for values in (1);
insert into b select g, g % 2 from generate_series(1, 100) g;
SQL
	change => 'cluster b1 using b1_pkey',
	after => 'insert into b values (1000, 1)',
	equal => ['b']);

changed_meanwhile(
	'not at all',
	before => $b,
	change => 'update b set n = n + 1; analyze b; create index on b (n)',
	again => '',
	equal => ['b']);

# ---- TERM in the middle of very many small tables ----

$source->psql('postgres', 'create database small');
$source->psql('small',
	'do $$ begin for i in 1..800 loop execute format(\'create table t%s (id int)\', i); end loop; end $$');
my $cdc = sidecar($source, 'small', file_store());
$cdc->ok('init');
my $run = $cdc->start;
ok(poll(sub { $run->errors =~ /table loaded/ }, 60), 'tables are loaded') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'TERM: run ends with 0') or diag $run->errors;
my $loaded = () = $run->errors =~ /table loaded/g;
cmp_ok($loaded, '<', 800, "TERM: not all tables were loaded before ($loaded)");
$run = $cdc->start;
ok($cdc->wait_loaded(120), 'the rest is loaded by the next start') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
drop_slot();

done_testing();

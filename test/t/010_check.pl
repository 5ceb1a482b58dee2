#-------------------------------------------------------------------------
# check: each finding is there when it should be, with a mend that works, and
# the exit code tells whose fault it is.
#-------------------------------------------------------------------------
use strict;
use warnings;
use JSON::PP;
use Test::More;

use CdcS3::Cluster;
use CdcS3::Test;

my $source = new_cluster(
	'source',
	conf => [
		'wal_level = replica', 'max_replication_slots = 1',
		'max_wal_senders = 1'
	])->start;
my $store = file_store();
my $cdc = sidecar($source, 'postgres', $store);

# Runs check --json and returns { code, err, findings => [...] }.
sub check
{
	my (@args) = @_;
	my $r = $cdc->call('check', '--json', @args);
	my $json = JSON::PP->new->utf8;
	$r->{findings} = [ map { $json->decode($_) } split /\n/, $r->{out} ];
	return $r;
}

# The findings of a level and name, as a list.
sub found
{
	my ($r, $level, $name) = @_;
	return
	  grep { $_->{level} eq $level && $_->{name} eq $name }
	  @{ $r->{findings} };
}

sub complete
{
	my ($r, $what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @bad = grep { !$_->{what} || !$_->{why} || !$_->{mend} }
	  grep { $_->{level} ne 'ok' } @{ $r->{findings} };
	is_deeply(\@bad, [], "$what: each finding says what, why and the mend");
	return;
}

# A server as it comes out of the box.
my $r = check('--load.mode=never');
is($r->{code}, 4, 'fresh server: exit code of the source');
like($r->{err}, qr/^cdc-s3: [^\n]+\n\z/, 'fresh server: one line on stderr');
ok(found($r, 'error', $_), "fresh server: $_")
  for qw(wal_level max_replication_slots max_wal_senders);
ok(found($r, 'ok', $_), "fresh server: $_")
  for ('source', 'server role', 'clock', 'role', 'store', 'conditional put');
complete($r, 'fresh server');
unlike($r->{out}, qr/"plugin"/, 'no slot is tried where none can be made');

$source->conf('wal_level = logical', 'max_replication_slots = 4',
	'max_wal_senders = 4');
$source->restart;

# Tables of all kinds.
$source->psql('postgres', <<'SQL');
create table good (id integer primary key, "year" integer, "_Op" integer,
	"_op_" integer, amount integer, "Amount" integer);
create table full_identity (a integer);
alter table full_identity replica identity full;
create table by_index (a integer not null, b integer);
create unique index by_index_a on by_index (a);
alter table by_index replica identity using index by_index_a;
create table no_key (a integer);
create table candidate (a integer not null unique);
create table deferred (a integer primary key deferrable);
create table nothing (a integer primary key);
alter table nothing replica identity nothing;
create table dropped (a integer not null);
create unique index dropped_a on dropped (a);
alter table dropped replica identity using index dropped_a;
drop index dropped_a;
create unlogged table unlogged (a integer primary key);
create table "Odd.Name" (a integer);
create table parted (a integer, b integer) partition by range (a);
create table parted_1 partition of parted for values from (0) to (10);
create schema other;
create table other.t (a integer primary key);
SQL

$r = check();
is($r->{code}, 0, 'warnings alone are no failure');
is($r->{err}, '', 'and nothing stands on stderr');
ok(found($r, 'ok', $_), "server is ready: $_")
  for qw(wal_level plugin max_replication_slots max_wal_senders tables);
complete($r, 'tables');
my %mends = map { ($_->{what} =~ /^(\S+|"[^"]+"\.\S+) /)[0] => $_->{mend} }
  found($r, 'warning', 'identity');
is_deeply(
	[ sort keys %mends ],
	[
		sort qw(public.no_key public.candidate public.deferred public.nothing
		  public.dropped public."Odd.Name" public.parted_1)
	],
	'each table without identity is named, and no other');
like($mends{'public.candidate'}, qr/USING INDEX candidate_a_key;/,
	'an index that could be the identity is found');
like($mends{'public.nothing'}, qr/REPLICA IDENTITY DEFAULT;/,
	'a good primary key is found');
like((found($r, 'warning', 'unlogged table'))[0]{what},
	qr/public\.unlogged/, 'unlogged table');
my $columns = join "\n", map { $_->{what} } found($r, 'warning', 'column name');
like($columns, qr/public\.good\."year" is "year_" in the lake/, 'year');
like($columns, qr/public\.good\."_op_" is "_op__" in the lake/, '_op_');
like($columns, qr/public\.good\."_Op" is "_Op_" in the lake/, '_Op: engines know no case');
like($columns, qr/public\.good: "Amount" and "amount" differ by case only/,
	'names that differ by case only');

# Connections for a load: as many as it takes, or a warning.
like((found($r, 'ok', 'connections'))[0]{what}, qr/^5 for a load$/, 'connections for a load');
$source->psql('postgres', 'create role few login replication connection limit 3');
{
	my $few = check('--source.conninfo=' . $source->conninfo('postgres') . ' user=few');
	like((found($few, 'warning', 'connections'))[0]{what} // '', qr/^a load needs 5, number \d failed: .*too many connections/,
		'too few for a load');
	ok(!found(check('--load.mode=never'), 'ok', 'connections'), 'none are tried where nothing is loaded');
}
$source->psql('postgres', 'drop role few');

# DDL without row events is seen with the extension's event triggers only.
sub notices { return (found(check(), 'ok', 'ddl notices'))[0]{what} }
like(notices(), qr/goes unseen .*CREATE EXTENSION cdc_s3/, 'no event triggers');
my $script = slurp(top_folder() . '/plugin/cdc_s3--1.0.sql') =~ s/^\\echo.*$//mr;
$source->psql('postgres', "create schema cdc_s3; $script");
like(notices(), qr/is noted/, 'event triggers are there');
$source->psql('postgres', 'alter event trigger cdc_s3_rewrite disable');
like(notices(), qr/goes unseen/, 'one of them is off');
$source->psql('postgres', 'drop schema cdc_s3 cascade');

# Each mend is what it says: done, it is quiet.
$source->psql('postgres', (split / or give/, $_)[0]) for values %mends;
is_deeply([ found(check(), 'warning', 'identity') ],
	[], 'the mends of identities work');

$r = check('--source.tables=other.*, public.good',
	'--source.exclude=public.*');
is_deeply([ grep { $_->{level} ne 'ok' } @{ $r->{findings} } ],
	[], 'only the tables that are wanted are looked at');
like((found($r, 'ok', 'tables'))[0]{what}, qr/^1 wanted/, 'one is wanted');
ok(found(check('--source.tables=nix.*'), 'warning', 'tables'),
	'none is wanted');

# Publications.
$source->psql('postgres', <<'SQL');
create publication plain for table good, other.t;
create publication parts for table parted;
SQL
$r = check('--source.publication=plain, parts', '--no-race');
is($r->{code}, 0, 'publications') or diag $r->{err};
like((found($r, 'ok', 'tables'))[0]{what}, qr/^3 wanted/,
	'publications choose the tables');
$r = check('--source.publication=plain,nix', '--no-race');
is($r->{code}, 4, 'publication missing: exit code');
like((found($r, 'error', 'publication'))[0]{what}, qr/"nix"/,
	'publication missing: named');
complete($r, 'publication missing');
SKIP:
{
	skip 'no row filters before release 15', 2
	  if $source->psql('postgres', 'show server_version_num') < 150000;
	$source->psql('postgres',
		'create publication filtered for table good where (id > 5)');
	$r = check('--source.publication=filtered', '--no-race');
	is($r->{code}, 4, 'row filter: exit code');
	like((found($r, 'error', 'publication'))[0]{what},
		qr/"filtered" has a row filter/, 'row filter: said so');
}

# Roles.
$source->psql('postgres', 'create role plain login');
$source->psql('postgres', 'create role repl login replication');
{
	local $cdc->{source_conninfo} =
	  $source->conninfo('postgres', user => 'plain');
	$r = check('--source.tables=public.good');
	is($r->{code}, 4, 'role without rights: exit code');
	like((found($r, 'error', 'role'))[0]{mend},
		qr/ALTER ROLE "plain" REPLICATION;/, 'role without rights: mend');
	complete($r, 'role without rights');

	local $cdc->{source_conninfo} =
	  $source->conninfo('postgres', user => 'repl');
	$r = check('--source.tables=public.good, public.parted');
	my @rights = found($r, 'error', 'right to load');
	is(@rights, 2, 'tables that the load cannot read');
	$source->psql('postgres', (split / or load/, $_->{mend})[0]) for @rights;
	$r = check('--source.tables=public.good, public.parted');
	is($r->{code}, 0, 'and the mends work') or diag $r->{err};
	is(check('--source.tables=public.no_key', '--load.mode=never')->{code},
		0, 'without a load no SELECT is needed');
}

# An open transaction holds up a slot; check does not wait for it.
my $psql = spawn(
	cmd => [
		CdcS3::Cluster::program('psql'), '-X', '-d',
		$source->conninfo('postgres'), '-c',
		'begin; insert into good (id) values (1); select pg_sleep(60)'
	],
	log => temp_folder() . '/psql.log');
$source->poll_until('postgres',
	"select exists (select from pg_stat_activity where query ~ 'pg_sleep' "
	  . 'and backend_xid is not null)');
$r = check('--no-race');
is($r->{code}, 0, 'open transaction: no failure');
like((found($r, 'warning', 'plugin'))[0]{what}, qr/open transactions/,
	'open transaction: warning');
cmp_ok($r->{seconds}, '<', 20, 'open transaction: not waited for');
$source->psql('postgres', "select pg_terminate_backend(pid) from "
	  . "pg_stat_activity where query ~ 'pg_sleep' and pid <> pg_backend_pid()");
$psql->stop('KILL');

# After init.
$cdc->ok('init');
$r = check();
is($r->{code}, 0, 'after init') or diag $r->{err};
like((found($r, 'ok', 'slot'))[0]{what}, qr/idle/, 'slot is idle');
like((found($r, 'ok', 'log'))[0]{what}, qr/in entry 0/, 'log has entry 0');
is($source->psql('postgres', 'select count(*) from pg_replication_slots'),
	1, 'no slot of check is left');
is_deeply([ $cdc->objects ], [], 'no object of check is left');
is_deeply([ glob "$store->{folder}/_cdc/probe/*" ], [], 'no probe is left');
my $text = $cdc->call('check');
like($text->{out}, qr/^ok       wal_level: logical$/m, 'as text');
like($text->{out}, qr/^0 errors, \d+ warnings?$/m, 'as text: sum');

# A target.
my $target = new_cluster('target')->start;
$target->psql('postgres', 'create role merger login');
{
	local $cdc->{target} = $target;
	$r = check('--no-race');
	is($r->{code}, 0, 'target');
	ok(found($r, 'ok', 'target'), 'target is there');
	$r = check('--no-race',
		'--target.conninfo=' . $target->conninfo('postgres', user => 'merger'));
	is($r->{code}, 7, 'target without rights: exit code');
	complete($r, 'target without rights');

	# One right after the other is missing; what check says is what merge says.
	$source->psql('postgres', 'create schema if not exists s; create table if not exists s.seen (id int primary key)');
	$target->psql('postgres', 'create database clean');
	$target->psql('clean', 'revoke all on database clean from public; revoke all on schema public from public');
	my $t = sub { return $target->psql('clean', $_[0]) };
	my $look = sub {
		my ($name, $says, @flags) = @_;
		local $Test::Builder::Level = $Test::Builder::Level + 1;
		my $r = check('--no-race', '--source.tables=s.seen', '--target.conninfo=' . $target->conninfo('clean', user => 'merger'), @flags);
		my ($f) = grep { $_->{level} eq 'error' } @{ $r->{findings} };
		if ($says)
		{
			is($r->{code}, 7, "$name: exit code");
			like("$f->{name}: $f->{what}; $f->{mend}", $says, "$name: said") or diag $r->{out};
			complete($r, $name);
		}
		else { is($r->{code}, 0, $name) or diag $r->{out}; }
	};
	$t->('grant connect, create on database clean to merger');
	$look->('no TEMP', qr/target role: .*temporary.*GRANT TEMPORARY/);
	$t->('grant temp on database clean to merger');
	$look->('all that is needed');
	$t->('revoke create on database clean from merger; create schema cdc_s3');
	$look->('no right in cdc_s3', qr/target role: .*schema cdc_s3.*GRANT USAGE, CREATE/);
	$t->('grant usage, create on schema cdc_s3 to merger; create table cdc_s3.position (x int)');
	$look->('a table in cdc_s3 of another', qr/target role: .*all tables of the schema cdc_s3/);
	$t->('drop table cdc_s3.position');
	$look->('no schema', qr/target table: s\.seen: its schema is not there.*CREATE SCHEMA s AUTHORIZATION merger;/);
	$t->('create schema s');
	$look->('no USAGE', qr/target table: s\.seen: .*may not use its schema.*GRANT USAGE ON SCHEMA s TO merger;/);
	$t->('grant usage on schema s to merger');
	$look->('no CREATE in the schema', qr/target table: s\.seen: .*may not create it.*GRANT CREATE ON SCHEMA s/);
	$t->('create table s.seen (id int primary key); grant select, insert, update on s.seen to merger');
	$look->('no DELETE', qr/target table: s\.seen: .*read and write.*GRANT SELECT, INSERT, UPDATE, DELETE ON s\.seen TO merger;/);
	$t->('grant delete on s.seen to merger');
	$look->('tables that are there');
	$t->('alter table s.seen enable row level security');
	$look->('row security', qr/target table: s\.seen: row security/);
	$look->('left out', undef, '--merge.exclude=s.seen');
	$t->('create view s.v as select 1');
	$look->('a view', qr/target table: s\.v: it is not a table/, '--merge.map=s.seen=s.v');
	$source->psql('postgres', 'drop table s.seen');
}

# Where the credentials came from, until when, and the store's clock.
{
	require CdcS3::FakeS3;
	my $fake = CdcS3::FakeS3->start;
	my $home = temp_folder();
	open my $config, '>', "$home/config" or die "$home/config: $!";
	print {$config} <<"EOF";
[default]
credential_process = echo '{"Version":1,"AccessKeyId":"AKID","SecretAccessKey":"NEVERSHOWN","Expiration":"2099-01-02T03:04:05Z"}'
EOF
	close $config or die "$home/config: $!";
	local $cdc->{store} = $fake->store;
	$r = check('--no-race');
	like((found($r, 'ok', 'store credentials'))[0]{what},
		qr/^from environment, which do not end$/, 'keys of the environment');
	ok(!found($r, 'warning', 'store clock'), 'the clocks agree');
	$cdc->{store}{env} = {
		HOME => $home,
		AWS_CONFIG_FILE => "$home/config",
		AWS_EC2_METADATA_DISABLED => 'true'
	};
	$fake->set(skew => -90);
	$r = check('--no-race');
	like((found($r, 'ok', 'store credentials'))[0]{what},
		qr/^from credential_process, valid until 2099-01-02T03:04:05Z$/,
		'keys of a program');
	like((found($r, 'warning', 'store clock'))[0]{what},
		qr/^the store's clock is (?:89|9\d) seconds behind ours$/,
		'a clock that is off');
	complete($r, 'a clock that is off');
	unlike($r->{out} . $r->{err}, qr/NEVERSHOWN/, 'no secret is shown');
}

# Stores that break their promise.
SKIP:
{
	require CdcS3::S3Server;
	my $server = CdcS3::S3Server::start_s3rver()
	  or skip CdcS3::S3Server::why(), 3;
	local $cdc->{store} = {
		url => 's3://' . $server->bucket . '/x',
		flags => [
			'--store.endpoint=' . $server->endpoint,
			'--store.addressing=path'
		],
		env => $server->env
	};
	$r = check();
	is($r->{code}, 5, 'conditions ignored: exit code') or diag $r->{out};
	like((found($r, 'error', 'conditional put'))[0]{what},
		qr/does not honour/, 'conditions ignored: said so');
	complete($r, 'conditions ignored');
	$r = $cdc->call('init');
	is($r->{code}, 5, 'conditions ignored: init refuses it too');
	like($r->{err}, qr/does not honour/, 'conditions ignored: and says so');
}
{
	my $fake = CdcS3::FakeS3->start(conditions => 'own');
	local $cdc->{store} = $fake->store;
	$r = check('--no-race');
	ok(found($r, 'ok', 'conditional put'), 'one behind the other it is good');
	$r = check();
	is($r->{code}, 5, 'several win: exit code') or diag $r->{out};
	like((found($r, 'error', 'conditional put'))[0]{what},
		qr/is not atomic: 16 of 16/, 'several win: said so');
	complete($r, 'several win');
	$r = $cdc->call('init');
	is($r->{code}, 5, 'several win: init refuses it too');
	like($r->{err}, qr/is not atomic: 16 of 16/, 'several win: and says so');
	is_deeply([ $fake->keys_stored ], [], 'several win: nothing is begun');

	$fake->clear;
	$fake->fault(match => qr/^POST .*uploads=/, times => 0, status => 501,
		code => 'NotImplemented');
	$r = check('--no-race');
	is($r->{code}, 5, 'no uploads: exit code') or diag $r->{out};
	like((found($r, 'error', 'large objects'))[0]{what},
		qr/could not write in parts: .*NotImplemented/, 'no uploads: said so');
	complete($r, 'no uploads');
}

# Gaps.
$source->psql('postgres', q{select pg_drop_replication_slot('cdc_s3')});
$r = check('--no-race');
is($r->{code}, 3, 'slot dropped: a gap');
like((found($r, 'error', 'log'))[0]{what}, qr/slot "cdc_s3" is missing/,
	'slot dropped: said so');
complete($r, 'slot dropped');
$source->psql('postgres', 'create table later (a integer primary key)');
$source->psql('postgres',
	q{select pg_create_logical_replication_slot('cdc_s3', 'cdc_s3')});
$r = check('--no-race');
is($r->{code}, 3, 'slot made anew: a gap');
like((found($r, 'error', 'log'))[0]{what}, qr/ahead of the log's end/,
	'slot made anew: said so');
$source->psql('postgres', q{select pg_drop_replication_slot('cdc_s3')});
$source->psql('postgres',
	q{select pg_create_logical_replication_slot('cdc_s3', 'test_decoding')});
$r = check('--no-race');
is((found($r, 'error', 'slot'))[0]{mend},
	'choose another name in source.slot', 'slot of another plugin');

# The bound of a superuser, which holds best where the server knows it.
$r = check('--no-race', '--source.slot=another');
like((found($r, 'ok', 'cdc_s3.allowed_tables'))[0]{what}, qr/can have all tables/,
	'no bound');
$source->psql('postgres',
	q{alter database postgres set cdc_s3.allowed_tables = 'public.*'});
$r = check('--no-race', '--source.slot=another');
like((found($r, 'warning', 'cdc_s3.allowed_tables'))[0]{what},
	qr/public\.\*, and cdc_s3 is not preloaded/, 'a bound');
complete($r, 'a bound');
# How far the plugin takes part in the walsender's work.
is((found($r, 'ok', 'read-ahead'))[0]{what}, 'on', 'the plugin reads ahead');
$source->conf("cdc_s3.read_ahead = 0");
$source->conf("shared_preload_libraries = 'cdc_s3'");
$source->restart;
$r = check('--no-race', '--source.slot=another');
is((found($r, 'ok', 'cdc_s3.allowed_tables'))[0]{what}, 'public.*', 'preloaded');
like((found($r, 'ok', 'read-ahead'))[0]{what}, qr/off by cdc_s3\.read_ahead = 0/,
	'unless a superuser turned that off');
$source->conf("shared_preload_libraries = ''");
$source->restart;
$source->psql('postgres', q{alter database postgres set cdc_s3.allowed_tables = 'orders'});
$r = check('--no-race', '--source.slot=another');
like((found($r, 'error', 'plugin'))[0]{what}, qr/which tables may be sent is not known/,
	'a bound that cannot be read');
$source->psql('postgres', 'alter database postgres reset cdc_s3.allowed_tables');

# A plugin that is not there.
unlink CdcS3::Cluster::plugin_folder() . '/cdc_s3.so' or die $!;
$r = check('--no-race', '--source.slot=another');
like((found($r, 'error', 'plugin'))[0]{mend}, qr/make install/,
	'plugin not installed');

done_testing();

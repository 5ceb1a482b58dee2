# "make install" into a copy of the server, and the extension there: create,
# use, dump and restore, drop.
use strict;
use warnings;

use Test::More;
use File::Basename qw(dirname);
use File::Path qw(make_path);

use CdcS3::Test;
use CdcS3::Cluster;

my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
my $tree = $ENV{PLUGIN} ? dirname($ENV{PLUGIN}) : top_folder();
my $stage = temp_folder();
my ($bindir, $pkglibdir, $sharedir, $libdir) =
  map { CdcS3::Cluster::pg_config($_) } qw(bindir pkglibdir sharedir libdir);

sub make_in_tree
{
	my (@args) = @_;
	return capture([ 'make', '-s', '-C', $tree, "PG_CONFIG=$pg_config",
			"DESTDIR=$stage", @args ], cwd => top_folder());
}

my $r = make_in_tree('install');
is($r->{code}, 0, 'make install with DESTDIR') or diag $r->{err};
my @installed = map { "$stage$_" } "$pkglibdir/cdc_s3.so",
  "$sharedir/extension/cdc_s3.control", "$bindir/cdc-s3";
ok(-s $_, substr($_, length $stage) . ' is installed') for @installed;
is(capture([ "$stage$bindir/cdc-s3", 'version' ])->{code}, 0,
	'the installed sidecar runs');

# The server beside what was installed: it finds its parts by their place.
for my $dir ($bindir, $pkglibdir, $sharedir,
	grep { !m{^/usr/lib(?:/|$)} } $libdir)
{
	make_path("$stage$dir");
	system('cp', '-rn', "$dir/.", "$stage$dir") == 0 or die "could not copy $dir\n";
}
system('chmod', '-R', 'a+rX', $stage) == 0 or die "could not open $stage\n";
local $ENV{PG_CONFIG} = "$stage$bindir/pg_config";
CdcS3::Cluster::forget_server();
my $pg = new_cluster('installed', conf => ["dynamic_library_path = '\$libdir'"])
  ->start;
like($pg->psql('postgres', 'show config_file'), qr{^/}, 'the server starts');

$pg->psql('postgres', 'create extension cdc_s3');
is( $pg->psql('postgres',
		q{select extversion = (select default_version
			from pg_available_extensions where name = 'cdc_s3')
		from pg_extension where extname = 'cdc_s3'}),
	't',
	'create extension');
is( $pg->psql('postgres',
		q{select slot_name from pg_create_logical_replication_slot('s', 'cdc_s3')}),
	's',
	'the server finds the plugin');

sub lines
{
	my ($db) = @_;
	return $pg->psql($db // 'postgres',
		q{select data from pg_logical_slot_get_changes('s', null, null,
			'format', 'text', 'messages', 'on')});
}

$pg->psql('postgres', 'create table t (id int primary key)');
$pg->psql('postgres', 'insert into t values (1)');
my $seen = lines();
like($seen, qr/cdc_s3\.ddl/, 'a notice of the new table');
like($seen, qr/insert public\.t: id=1/, 'its row');

# Members of an extension are not dumped one by one.
my $dump = capture([ "$stage$bindir/pg_dump", $pg->conninfo('postgres') ]);
is($dump->{code}, 0, 'pg_dump');
like($dump->{out}, qr/CREATE EXTENSION IF NOT EXISTS cdc_s3/, 'names the extension');
unlike($dump->{out}, qr/CREATE (?:FUNCTION cdc_s3|EVENT TRIGGER)/, 'and not its parts');
$pg->psql('postgres', 'create database restored');
$pg->psql('restored', $dump->{out});
is($pg->psql('restored', 'select count(*) from pg_extension where extname = \'cdc_s3\''),
	1, 'restored');
$pg->psql('postgres', 'drop database restored');

$pg->psql('postgres', 'drop extension cdc_s3');
is( $pg->psql('postgres',
		q{select (select count(*) from pg_event_trigger)
			+ (select count(*) from pg_proc p join pg_namespace n
				on n.oid = pronamespace where nspname = 'cdc_s3')}),
	0,
	'drop extension leaves nothing in its schema');
lines();
$pg->psql('postgres', 'create table u (id int primary key)');
$pg->psql('postgres', 'insert into u values (2)');
is(lines(), "begin\ntable public.u: created\ncommit\nbegin\ninsert public.u: id=2\ncommit",
	'the slot goes on without it');
$pg->psql('postgres', 'create extension cdc_s3');
$pg->psql('postgres', 'alter table u add c text');
like(lines(), qr/"tag" *: *"ALTER TABLE"/, 'and with it again');
$pg->psql('postgres', q{select pg_drop_replication_slot('s')});
ok($pg->stop, 'the server stops');

$ENV{PG_CONFIG} = $pg_config;
is(make_in_tree('uninstall')->{code}, 0, 'make uninstall');
ok(!-e $_, substr($_, length $stage) . ' is gone') for @installed;

done_testing();

#-------------------------------------------------------------------------
# cdc_s3.allowed_tables is a superuser's bound, whatever a client with the
# right to replicate sends along: what it may give a setting before the library
# is loaded replaces the superuser's value, so then nothing is sent.  A value
# that cannot be read sends nothing either, and a stream that runs keeps the
# one that it has.  Preloaded, the server refuses such values itself.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Cluster;
use CdcS3::Proc qw(capture spawn temp_folder slurp poll);
use CdcS3::Test;

my $pg = new_cluster('bounds')->start;
my $conf = "$pg->{data}/bound.conf";
my $slots = 0;

sub sql { return $pg->psql('postgres', $_[0]) }

# What bound.conf says from now on, and until the server has read it.
sub configure
{
	my (@lines) = @_;
	my $n = ++$slots;
	open my $f, '>', $conf or die "$conf: $!\n";
	print {$f} "$_\n" for @lines, "cdc_s3_test.round = '$n'";
	close $f or die "$conf: $!\n";
	$pg->reload if $pg->running;
	ok($pg->poll_until('postgres', "select current_setting('cdc_s3_test.round', true)", 60, $n),
		"the server reads: @lines")
	  if $pg->running;
	return;
}

# Reads the whole slot, without moving it, as the role cdc.
sub receive
{
	my ($pgoptions, @options) = @_;
	my $copy = 'copy_' . ++$slots;
	# What a superuser's connection gives is taken, whatever the bound is.
	$pg->psql('postgres', "select pg_copy_logical_replication_slot('s', '$copy')",
		env => { PGOPTIONS => '-c cdc_s3.allowed_tables=*' });
	my $end = sql('select pg_current_wal_flush_lsn()');
	my $r = capture(
		[
			CdcS3::Cluster::program('pg_recvlogical'), '-d',
			$pg->conninfo('postgres', user => 'cdc'), '-S', $copy, '--start', '--no-loop',
			'-f', '-', "--endpos=$end", map { ('-o', $_) } 'format=text', @options
		],
		env => { PGOPTIONS => $pgoptions },
		timeout => 60);
	ok($pg->wait_for_free_slot($copy), 'the walsender is gone');
	sql("select pg_drop_replication_slot('$copy')");
	return $r;
}

# The tables whose rows came.
sub rows
{
	my %seen = map { $_ => 1 } $_[0]{out} =~ /^insert public\.(\w+):/mg;
	return join ' ', sort keys %seen;
}

open my $empty, '>', $conf or die "$conf: $!\n";
close $empty or die "$conf: $!\n";
$pg->conf("include = 'bound.conf'");
configure();
sql(<<'SQL');
create table ok (id int primary key);
create table secret (id int primary key);
create role cdc login replication;
select pg_create_logical_replication_slot('s', 'cdc_s3');
insert into ok values (1);
insert into secret values (1);
select pg_logical_emit_message(true, 'app', 'secret');
SQL

my $r = receive('');
is(rows($r), 'ok secret', 'where nobody set a bound all is sent') or diag $r->{err};
like($r->{out}, qr/^message /m, 'messages as well');

# ---- a bound, and a client that gives a value of its own ----

my $not_known = qr/which tables may be sent is not known: a value of "cdc_s3\.allowed_tables" was refused/;
my @places = (
	[
		'the configuration file',
		sub { configure("cdc_s3.allowed_tables = 'public.ok'") },
		sub { configure() }
	],
	map {
		my $whose = $_;
		[
			"ALTER $whose",
			sub { sql("alter $whose set cdc_s3.allowed_tables = 'public.ok'") },
			sub { sql("alter $whose reset cdc_s3.allowed_tables") }
		]
	} 'role cdc', 'database postgres');
for my $place (@places)
{
	my ($name, $set, $reset) = @$place;
	$set->();
	$r = receive('');
	is(rows($r), 'ok', "$name bounds a client that says nothing") or diag $r->{err};
	unlike($r->{out}, qr/^message /m, 'messages are bound, too');
	for my $value ($name =~ /file/ ? ('x.y', '*', '') : 'x.y')
	{
		$r = receive("-c cdc_s3.allowed_tables=$value");
		isnt($r->{code}, 0, "$name: a client with \"$value\" is refused");
		is($r->{out}, '', 'gets nothing');
		like($r->{err}, $not_known, 'and hears why');
	}
	$reset->();
}
$r = receive('-c cdc_s3.allowed_tables=public.ok');
like($r->{err}, $not_known, 'so is one where there is no bound');
like($pg->log_text, qr/It came from source "client"/, 'where it came from is told');

# Who has the right gives it as a superuser does.
sql('grant set on parameter cdc_s3.allowed_tables to cdc');
$r = receive('-c cdc_s3.allowed_tables=public.ok');
is(rows($r), 'ok', 'a role that was granted the setting sets it');
sql('revoke set on parameter cdc_s3.allowed_tables from cdc');

# No client sets the other one: the default stays.
$r = receive('-c cdc_s3.read_ahead=7');
is(rows($r), 'ok secret', 'a client with cdc_s3.read_ahead is served');
like($pg->log_text, qr/permission denied to set parameter "cdc_s3\.read_ahead"/,
	'but its value is not taken');

# ---- a value that cannot be read ----

configure("cdc_s3.allowed_tables = 'ok'");
$r = receive('');
isnt($r->{code}, 0, 'a value in the configuration file that cannot be read');
is($r->{out}, '', 'sends nothing');
like($r->{err}, $not_known, 'and tells the client');
like($pg->log_text, qr/It came from source "configuration file"/, 'and the log where it is');

# ---- a stream that runs, and the configuration changes ----

my @debug = 'log_min_messages = debug3'; # else only the server's first process tells
configure("cdc_s3.allowed_tables = 'public.ok'", @debug);
my $out = temp_folder() . '/stream';
my $reader = spawn(
	cmd => [
		CdcS3::Cluster::program('pg_recvlogical'), '-d',
		$pg->conninfo('postgres', user => 'cdc'), '-S', 's', '--start', '--no-loop', '-f', $out,
		'-o', 'format=text', '--fsync-interval=0', '--status-interval=1'
	],
	log => temp_folder() . '/reader.log');

# Whether the stream has come to this row.
sub comes
{
	my ($row) = @_;
	return poll(sub { -e $out && slurp($out) =~ /^insert \Q$row\E$/m }, 60);
}
ok(comes('public.ok: id=1'), 'a stream runs');
sql('insert into secret values (2)');
configure("cdc_s3.allowed_tables = 'secret'", @debug);
ok(poll(sub { $pg->log_text =~ /invalid value for parameter "cdc_s3\.allowed_tables": "secret"/ }, 60),
	'the walsender reads a value that it cannot use');
sql('insert into secret values (3); insert into ok values (3)');
ok(comes('public.ok: id=3'), 'the stream goes on');
unlike(slurp($out), qr/secret/, 'within the bound that it had');
configure("cdc_s3.allowed_tables = 'public.secret'", @debug);
ok( poll(
		sub {
			my $n = ++$slots;
			sql("insert into secret values (1000 + $n)");
			return slurp($out) =~ /^insert public\.secret: id=/m;
		},
		60),
	'and follows one that it can use');
unlike(slurp($out), qr/secret: id=[123]$/m, 'from then on');
$reader->stop('INT');
ok($pg->wait_for_free_slot('s'), 'the walsender is gone');

# ---- preloaded ----

configure("cdc_s3.allowed_tables = 'public.ok'");
$pg->conf("shared_preload_libraries = 'cdc_s3'");
$pg->restart;
sql('insert into ok values (9); insert into secret values (9)');
$r = receive('');
is(rows($r), 'ok', 'preloaded: the bound') or diag $r->{err};
$r = $pg->try_psql('postgres', 'select 1', user => 'cdc',
	env => { PGOPTIONS => '-c cdc_s3.allowed_tables=x.y' });
isnt($r->{code}, 0, 'a connection with a value of its own');
like($r->{err}, qr/permission denied to set parameter "cdc_s3\.allowed_tables"/,
	'is refused by the server');
$r = $pg->try_psql('postgres', q{alter role cdc set cdc_s3.allowed_tables = 'orders'});
like($r->{err}, qr/invalid value for parameter/, 'and so is a value that cannot be read');

# Started with one that cannot be read, the server runs and nothing is sent.
configure("cdc_s3.allowed_tables = 'ok'");
$pg->restart;
$r = receive('');
isnt($r->{code}, 0, 'started with a value that cannot be read');
like($r->{err}, $not_known, 'it sends nothing');
configure("cdc_s3.allowed_tables = 'public.ok'");
$r = receive('');
is(rows($r), 'ok', 'until the value is mended');
configure();
$r = receive('');
like($r->{err}, $not_known, 'and not when it is only taken away');
configure("cdc_s3.allowed_tables = '*'");
$r = receive('');
is(rows($r), 'ok secret', '* is all');

done_testing();

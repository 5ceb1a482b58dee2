#-------------------------------------------------------------------------
# The merge's session: settings of server, database and role that change how
# text is read or how a transaction runs; a pooler between; a server that has
# no room, or starts.
#-------------------------------------------------------------------------
use strict;
use warnings;
use IO::Socket::INET;
use Test::More;

use CdcS3::Lake;
use CdcS3::Proc qw(as_server_user free_port give_to_server_user);
use CdcS3::Test;

my $target = new_cluster('target', tcp => 1)->start;
# Servers may be built without it.
my $xml = $target->try_psql('postgres', q(select '<a/>'::xml))->{code} ? 'text' : 'xml';
my $databases = 0;
my ($db, $folder, $lake, $at);

sub fresh
{
	$db = 'm' . ++$databases;
	$target->psql('postgres', "create database $db");
	$folder = temp_folder() . "/lake_$db";
	$lake = CdcS3::Lake->new(folder => $folder, @_);
	$at = 0x2000;
	return;
}

sub merge
{
	my (@args) = @_;
	my $conninfo = @args && $args[0] =~ /dbname=/ ? shift @args : $target->conninfo($db);
	return run_cdc('merge', "--store.url=file://$folder", "--target.conninfo=$conninfo", '--until=now', @args);
}

sub psql { return $target->psql($db, $_[0]) }

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

# Values whose text, or whose comparison, some setting reads in another way.
sub hostile_rows
{
	my $t = $lake->table('public.t', key => ['id'],
		columns => [ [ id => 'int4', 'pk' ], [ a => '_text' ], [ x => $xml ], [ d => 'date' ], [ i => 'interval' ],
			[ ts => 'timestamp' ], [ tz => 'timestamptz' ], [ m => 'money', 'oid=790' ], [ b => 'bytea' ], [ s => 'text' ] ]);
	my %row = (a => '["x",null,"NULL"]', x => '"a <b/>"', d => '"2026-02-01"', i => '"-1 years -2 mons +3 days -04:05:06"',
		ts => '"2026-02-01T10:00:00"', tz => '"2026-02-01T10:00:00Z"', m => '"$1,234.56"', b => '"\\\\x0aff"', s => '"it\'s \\\\ \\"q\\""');
	entry([ [ $t, 'i', { id => 1, %row } ], [ $t, 'i', { id => 2, %row } ] ]);
	entry([ [ $t, 'u', { id => 1, %row, s => 'null' } ], [ $t, 'd', { id => 2 } ] ]);
	my $bag = $lake->table('public.bag', identity => 'f', columns => [ [ a => 'int4' ], [ s => 'text' ] ]);
	entry([ [ $bag, 'i', { a => 1, s => 'null' } ], [ $bag, 'i', { a => 1, s => 'null' } ], [ $bag, 'd', { a => 1, s => 'null' } ] ]);
	return;
}
my $sum = q(select (select string_agg(t::text, ';') from t) || (select count(*) from bag) || (select a[2] is null from t));
fresh();
hostile_rows();
is(merge()->{code}, 0, 'merge with settings as they come');
my $want = psql("set datestyle = iso; set timezone = utc; set intervalstyle = postgres; set lc_monetary = 'C'; $sum");
like($want, qr/^\(1,.*1t(?:rue)?$/, 'as it should be');

my @hostile = (
	'array_nulls = off', 'xmloption = document', 'DateStyle = "SQL, DMY"', 'IntervalStyle = sql_standard',
	'TimeZone = "Australia/Sydney"', 'timezone_abbreviations = "Australia"', 'bytea_output = escape',
	'backslash_quote = on', 'standard_conforming_strings = off', 'transform_null_equals = on',
	'lock_timeout = 1',
	'default_transaction_read_only = on', 'default_transaction_deferrable = on',
	'default_transaction_isolation = serializable', 'exit_on_error = on', 'quote_all_identifiers = on',
	'extra_float_digits = -15', 'search_path = evil, pg_catalog', 'client_min_messages = debug1', 'row_security = on',
	'client_encoding = latin1', 'xmlbinary = hex', 'work_mem = "64kB"');
# One by one, for the name, and all at once.
for my $set ((map { [$_] } @hostile), \@hostile)
{
	my $name = @$set == 1 ? $set->[0] : 'all of them';
	fresh();
	hostile_rows();
	psql(q(create schema evil; create type evil.pg_lsn as enum ('x'); create domain evil.int8 as text;
		create function evil.now() returns int language sql as 'select 1/0';
		create function evil.set_config(text, text, bool) returns text language sql as $$select 1/0 || $1$$));
	$target->psql('postgres', "alter database $db set $_") for @$set;
	my $r = merge();
	is($r->{code}, 0, "merge with $name") or diag $r->{err};
	$r = merge();
	like($r->{out}, qr/^nothing to merge/, "and again with $name") or diag $r->{err};
	$target->psql('postgres', "alter database $db reset all");
	is(psql("set datestyle = iso; set timezone = utc; set intervalstyle = postgres; set lc_monetary = 'C'; $sum"), $want, "the same rows with $name");
}
# Timeouts, and a table that takes longer.
for my $set ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')
{
	next unless $target->psql('postgres', "select count(*) from pg_settings where name = '$set'");
	fresh();
	my $slow = $lake->table('public.slow', key => ['id'], columns => [ [ id => 'int4', 'pk' ] ]);
	psql('create function slow(int) returns bool language sql as $$select true from pg_catalog.pg_sleep(0.3)$$;'
		  . "create table slow (id int primary key check (public.slow(id))); alter database $db set $set = '100ms'");
	entry([ [ $slow, 'i', { id => 1 } ] ]);
	my $r = merge();
	is($r->{code}, 0, "merge with $set") or diag $r->{err};
}
# A row that is refused, where an error would end the session.
fresh();
my $t = $lake->table('public.t', key => ['id'], columns => [ [ id => 'int4', 'pk' ], [ v => 'text' ] ]);
psql("create table t (id int primary key, v varchar(2)); alter database $db set exit_on_error = on");
entry([ [ $t, 'i', { id => 1, v => '"ok"' } ], [ $t, 'i', { id => 2, v => '"long"' } ] ]);
merge('--merge.on_reject=continue');
$target->psql('postgres', "alter database $db reset all");
is(psql('select count(*) from t') . psql('select count(*) from cdc_s3.rejected'), '11', 'a refused row with exit_on_error');

# Every setting that a role may make, of the classes that matter, is pinned or
# of no matter; a server that brings a new one fails here.
my $source = slurp(top_folder() . '/uploader/io/pgconn.c');
my ($pins) = $source =~ /#define PIN_SETTINGS(.*?)\n\n/s;
my %pinned = map { lc $_ => 1 } $pins =~ /\('(\w+)',/g;
$pinned{$_} = 1 for $source =~ /SET LOCAL (\w+) =/g;
my %no_matter = map { $_ => 1 } qw(search_path default_transaction_deferrable default_transaction_isolation
	default_transaction_read_only session_replication_role check_function_bodies default_tablespace
	default_table_access_method default_toast_compression temp_tablespaces createrole_self_grant event_triggers
	idle_session_timeout default_text_search_config lc_messages lc_numeric lc_time icu_validation_level
	vacuum_failsafe_age vacuum_freeze_min_age vacuum_freeze_table_age vacuum_multixact_failsafe_age
	vacuum_multixact_freeze_min_age vacuum_multixact_freeze_table_age gin_pending_list_limit
	local_preload_libraries session_preload_libraries dynamic_library_path extension_control_path escape_string_warning
	lo_compat_privileges synchronize_seqscans transaction_deferrable transaction_isolation transaction_read_only
	restrict_nonsystem_relation_kind allow_alter_system restart_after_crash data_sync_retry ignore_system_indexes extension_destdir);
my @new = grep { !$pinned{ lc $_ } && !$no_matter{$_} } split /\n/, $target->psql('postgres',
	"select name from pg_settings where context in ('user', 'superuser') and name !~ '^jit'"
	  . " and category ~ '^(Client Connection Defaults|Version and Platform|Error Handling)' order by 1");
is("@new", '', 'no setting of this server is unknown');

# ---- a pooler that gives each transaction another connection ----
SKIP:
{
	my ($pooler) = grep { -x } map { "$_/pgbouncer" } '/usr/sbin', '/usr/bin', split /:/, $ENV{PATH};
	skip 'pgbouncer is not there', 4 unless $pooler;
	my $home = temp_folder();
	my $port = free_port();
	fresh();
	hostile_rows();
	open my $f, '>', "$home/pgbouncer.ini" or die $!;
	print {$f} <<"EOF";
[databases]
$db = host=$target->{socket} port=$target->{port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $port
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
server_reset_query = DISCARD ALL
EOF
	close $f or die $!;
	my $ini = slurp("$home/pgbouncer.ini") =~ s/(port=$target->{port})\n/$1 user=postgres\n/r;
	open $f, '>', "$home/pgbouncer.ini" or die $!;
	print {$f} $ini;
	close $f or die $!;
	give_to_server_user($home);
	my $p = spawn(cmd => [ as_server_user(), $pooler, "$home/pgbouncer.ini" ], out_path => "$home/out", err_path => "$home/err", pdeathsig => 'TERM');
	my $through = "host=127.0.0.1 port=$port user=postgres dbname=$db sslmode=disable";
	ok(poll(sub { IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") }, 30), 'the pooler is there') or diag slurp("$home/err");
	my $r = merge($through);
	is($r->{code}, 0, 'merge through a pooler in transaction mode') or diag $r->{err}, slurp("$home/err");
	like(merge($through)->{out}, qr/^nothing to merge/, 'and again');
	is(psql("set datestyle = iso; set timezone = utc; set intervalstyle = postgres; set lc_monetary = 'C'; $sum"), $want, 'the same rows');
	$p->stop('TERM', 20);
}

# ---- no room, and not yet ----
$target->psql('postgres', 'create role busy login connection limit 1');
fresh();
hostile_rows();
psql("grant create on database $db to busy; grant all on schema public to busy");
my $held = spawn(cmd => [ CdcS3::Cluster::program('psql'), '-X', '-d', $target->conninfo($db, user => 'busy'), '-c', 'select pg_sleep(600)' ],
	out_path => "$folder/out", err_path => "$folder/err");
$target->poll_until('postgres', "select count(*) = 1 from pg_stat_activity where usename = 'busy' and query ~ 'pg_sleep'");
my $r = merge($target->conninfo($db, user => 'busy'));
is($r->{code}, 75, 'too many connections: exit 75');
like($r->{err}, qr/too many connections.*try again later/, 'too many connections: says so');
$held->stop('TERM', 20);

# A server that answers every start with this error.
sub answering
{
	my ($state, $message) = @_;
	my $listen = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', Proto => 'tcp') or die $!;
	my $pid = fork // die $!;
	if (!$pid)
	{
		while (my $c = $listen->accept)
		{
			$c->sysread(my $start, 8192);
			my $fields = "SFATAL\0VFATAL\0C$state\0M$message\0\0";
			$c->syswrite('E' . pack('N', 4 + length $fields) . $fields);
			close $c;
		}
		exit 0;
	}
	my $r = merge('host=127.0.0.1 port=' . $listen->sockport . " user=x dbname=$db sslmode=disable");
	kill 'KILL', $pid;
	waitpid $pid, 0;
	return $r;
}
for (
	[ '57P03', 'the database system is starting up' ],
	[ '57P03', 'the database system is shutting down' ],
	[ '57P03', 'the database system is not yet accepting connections' ],
	[ '57P03', 'the database system is in recovery mode' ],
	[ '53300', 'sorry, too many clients already' ],
	[ '53300', 'remaining connection slots are reserved for roles with the SUPERUSER attribute' ])
{
	$r = answering(@$_);
	is($r->{code}, 75, "$_->[1]: exit 75") or diag $r->{err};
}
is(answering('XX000', 'something else')->{code}, 7, 'another error: exit 7');

done_testing;

#-------------------------------------------------------------------------
# CdcS3::Cluster
#	A throwaway PostgreSQL cluster that listens on a Unix socket in a folder of
#	its own, and on 127.0.0.1 where asked, with our plugin from the build tree.
#
#	PG_CONFIG tells which server, PLUGIN where the plugin for it lies if not in the
#	top folder, and CDCS3_SERVER_CONF has settings for all, with ";" between them.
#-------------------------------------------------------------------------
package CdcS3::Cluster;
use strict;
use warnings;

use Carp qw(croak);
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Path qw(make_path remove_tree);

use CdcS3::Proc qw(capture spawn give_to_server_user temp_folder poll slurp
  free_port server_user as_server_user);

my $top = abs_path(dirname(__FILE__) . '/../../..');
my (%pg_config, $bindir, $plugin_folder);
my %server_env;

# What pg_config says, e.g. pg_config('bindir').
sub pg_config
{
	my ($what) = @_;
	return $pg_config{$what} //= do
	{
		my $pg_config = $ENV{PG_CONFIG} || 'pg_config';
		my $r = capture([ $pg_config, "--$what" ], cwd => $top);
		croak "$pg_config --$what failed: $r->{err}" if $r->{code};
		chomp(my $v = $r->{out});
		$v;
	};
}

# The server's programs.  One below a home that is closed to the server's user is
# copied, which PostgreSQL allows: its programs find each other by their place.
sub bindir
{
	return $bindir if $bindir;
	$bindir = pg_config('bindir');
	return $bindir
	  if !server_user()
	  || !system as_server_user(), 'test', '-r', "$bindir/postgres";
	my $copy = temp_folder() . '/pg';
	system('cp', '-r', dirname($bindir), $copy) == 0
	  && system('chmod', '-R', 'a+rX', $copy) == 0
	  or croak "could not copy $bindir";
	$server_env{LD_LIBRARY_PATH} = "$copy/lib";
	return $bindir = "$copy/bin";
}

sub program { return bindir() . "/$_[0]" }

# Whether this minor release has the list of allowed plugins.
sub knows_plugin_list
{
	my $r = capture([ program('postgres'), '--describe-config' ],
		server => 1, env => \%server_env);
	croak "postgres --describe-config: $r->{err}" if $r->{code};
	return $r->{out} =~ /^output_plugin_libraries\t/m ? 1 : 0;
}

# From now on PG_CONFIG names another server.
sub forget_server
{
	%pg_config = %server_env = ();
	undef $bindir;
	return;
}

# A folder with a copy of the plugin that the server's user can read.
sub plugin_folder
{
	return $plugin_folder if $plugin_folder;
	my $so = $ENV{PLUGIN} || "$top/cdc_s3.so";
	croak "$so is missing: run make" unless -e $so;
	$plugin_folder = temp_folder() . '/lib';
	mkdir $plugin_folder or croak "$plugin_folder: $!";
	for my $lib ($so, glob("$top/test/bench/*.so $top/test/bench/*/*.so"))
	{
		copy($lib, $plugin_folder) or croak "$lib: $!";
	}
	chmod 0755, glob("$plugin_folder/*.so");
	return $plugin_folder;
}

# new(name, conf => [lines], folder => where, initdb => [arguments],
#	standby_of => a cluster that runs,
#	plugin_list => 0 to leave output_plugin_libraries at its default,
#	tcp => 1, log => path)
sub new
{
	my ($class, $name, %o) = @_;
	my $self = bless { name => $name, %o }, $class;
	my $root = $o{folder} // temp_folder() . "/$name";
	$self->{root} = $root;
	$self->{data} = "$root/data";
	$self->{socket} = $o{socket} // "$root/s";
	$self->{log} //= "$root/log";
	remove_tree($root) if -d $root;
	make_path($root, $self->{socket});
	give_to_server_user($root, $self->{socket});

	my @make =
	  $o{standby_of}
	  ? (
		program('pg_basebackup'), '-D', $self->{data}, '-R', '-X', 'stream',
		'-c', 'fast', '--no-sync', '-d', $o{standby_of}->conninfo('postgres'))
	  : (
		program('initdb'), '-D', $self->{data}, '-U', 'postgres',
		'-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync',
		@{ $o{initdb} // [] });
	my $r = capture(\@make, server => 1, env => \%server_env);
	croak "$make[0] failed: $r->{out}$r->{err}" if $r->{code};
	$self->{port} = $o{tcp} ? free_port() : 5432;

	my $folder = plugin_folder();
	$self->conf(
		"listen_addresses = '" . ($o{tcp} ? '127.0.0.1' : '') . "'",
		"port = $self->{port}",
		"unix_socket_directories = '$self->{socket}'",
		"dynamic_library_path = '$folder:\$libdir'",
		'wal_level = logical',
		'fsync = off',
		'max_wal_senders = 10',
		'max_replication_slots = 10',
		"timezone = 'UTC'",
		"log_timezone = 'UTC'",
		"log_line_prefix = '%m [%p] %q%a '",
		'log_checkpoints = off');
	$self->conf(
		"output_plugin_libraries = "
		  . "'pgoutput, test_decoding, cdc_s3, null_plugin, wal2json'")
	  if ($o{plugin_list} // 1) && knows_plugin_list();
	$self->conf(@{ $o{conf} }) if $o{conf};
	$self->conf(split /;/, $ENV{CDCS3_SERVER_CONF}) if $ENV{CDCS3_SERVER_CONF};
	return $self;
}

# Appends lines to postgresql.conf.
sub conf
{
	my ($self, @lines) = @_;
	my $path = "$self->{data}/postgresql.conf";
	open my $f, '>>', $path or croak "$path: $!";
	print {$f} "$_\n" for @lines;
	close $f or croak "$path: $!";
	return $self;
}

sub start
{
	my ($self) = @_;
	croak "$self->{name} runs already" if $self->running;
	my $pid_file = "$self->{data}/postmaster.pid";
	$self->{proc} = spawn(
		cmd => [ program('postgres'), '-D', $self->{data} ],
		log => $self->{log},
		server => 1,
		env => \%server_env,
		pdeathsig => 'INT');
	$self->{proc}{end_signal} = 'QUIT';
	poll(
		sub {
			return 1 unless $self->{proc}->alive;
			return unless -e $pid_file;
			my @lines = eval { split /\n/, slurp($pid_file) } or return;
			return ($lines[0] // '') eq $self->{proc}->pid
			  && ($lines[7] // '') =~ /^ready/;
		},
		120);
	croak "$self->{name} did not start: " . slurp($self->{log})
	  unless $self->{proc}->alive;
	return $self;
}

sub running
{
	my ($self) = @_;
	return $self->{proc} && $self->{proc}->alive;
}

# stop('fast'), stop('immediate'): true when it ended in time.
sub stop
{
	my ($self, $mode, $seconds) = @_;
	return 1 unless $self->running;
	my %signal = (smart => 'TERM', fast => 'INT', immediate => 'QUIT');
	return defined $self->{proc}
	  ->stop($signal{ $mode // 'fast' }, $seconds // 60);
}

sub restart
{
	my ($self, $mode) = @_;
	$self->stop($mode) or croak "$self->{name} did not stop";
	return $self->start;
}

sub reload { return $_[0]{proc}->signal('HUP') }

# A connection string; tcp => 1 for 127.0.0.1, user => role.
sub conninfo
{
	my ($self, $db, %o) = @_;
	my $host = $o{tcp} ? '127.0.0.1' : $self->{socket};
	return join ' ', "host=$host", "port=$self->{port}",
	  'user=' . ($o{user} // 'postgres'), 'dbname=' . ($db // 'postgres');
}

sub log_text { return slurp($_[0]{log}) }

# Runs SQL and returns what psql prints (rows only, '|' between columns, no
# last newline).  Dies when it fails.
sub psql
{
	my ($self, $db, $sql, %o) = @_;
	my $r = $self->try_psql($db, $sql, %o);
	croak "psql on $self->{name} failed: $r->{err}\n" . substr($sql, 0, 500)
	  if $r->{code};
	chomp $r->{out};
	return $r->{out};
}

# The same, and returns { code, out, err }.
sub try_psql
{
	my ($self, $db, $sql, %o) = @_;
	return capture(
		[
			program('psql'), '-X', '-q', '-A', '-t',
			'-v', 'ON_ERROR_STOP=1',
			'-d', $self->conninfo($db, user => $o{user}), '-f', '-'
		],
		in => $sql,
		%o);
}

# Loads a CSV file with a header; target is "table (columns)".
sub copy_csv
{
	my ($self, $db, $target, $path) = @_;
	return $self->psql($db,
			"copy $target from stdin with (format csv, header);\n"
		  . slurp($path)
		  . "\\.\n");
}

# True once the query's result is 't' (or what is expected).
sub poll_until
{
	my ($self, $db, $query, $seconds, $expected) = @_;
	$expected //= 't';
	return poll(
		sub {
			my $r = $self->try_psql($db, $query);
			return $r->{code} == 0 && $r->{out} eq "$expected\n";
		},
		$seconds // 60);
}

# A walsender may outlive its client for a moment, and the next one is refused.
sub wait_for_free_slot
{
	my ($self, $slot) = @_;
	return $self->poll_until('postgres',
		"select not active from pg_replication_slots where slot_name = '$slot'");
}

# pgbench with our database as its last argument.
sub pgbench
{
	my ($self, $db, @args) = @_;
	my $r = capture(
		[ program('pgbench'), '-n', @args, $self->conninfo($db) ],
		timeout => 600);
	croak "pgbench failed: $r->{err}" if $r->{code};
	return $r->{out};
}

# The same in the background; returns its process.
sub spawn_pgbench
{
	my ($self, $db, @args) = @_;
	return spawn(
		cmd => [ program('pgbench'), '-n', @args, $self->conninfo($db) ],
		log => "$self->{root}/pgbench.log");
}

1;

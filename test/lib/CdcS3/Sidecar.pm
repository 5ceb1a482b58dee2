#-------------------------------------------------------------------------
# CdcS3::Sidecar
#	The program cdc-s3 with the settings for one source, store and target.
#-------------------------------------------------------------------------
package CdcS3::Sidecar;
use strict;
use warnings;

use Carp qw(croak);
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use JSON::PP;

use CdcS3::Proc qw(capture spawn poll slurp temp_folder);

my $top = abs_path(dirname(__FILE__) . '/../../..');

sub program { return $ENV{CDCS3_TEST_BIN} || "$top/uploader/cdc-s3" }

# Built by test/sanitized.sh: slower, and of any size.
sub sanitized { return program() =~ m{/sanitized-} }

# new(source, database, store, target => cluster, target_db => name,
#	flags => [...], env => {...}, slot => name)
sub new
{
	my ($class, $source, $db, $store, %o) = @_;
	my $self = bless {
		source => $source,
		db => $db,
		store => $store,
		slot => 'cdc_s3',
		runs => 0,
		%o
	}, $class;
	$self->{folder} //= temp_folder();
	return $self;
}

sub flags
{
	my ($self) = @_;
	my @flags = (
		'--source.conninfo='
		  . ($self->{source_conninfo} // $self->{source}->conninfo($self->{db})),
		"--source.slot=$self->{slot}",
		"--store.url=$self->{store}{url}",
		@{ $self->{store}{flags} });
	push @flags,
	  '--target.conninfo='
	  . $self->{target}->conninfo($self->{target_db} // $self->{db})
	  if $self->{target};
	# So that a test can be run with other settings, as another format.
	push @flags, split ' ', $ENV{CDCS3_TEST_FLAGS} // '';
	return (@flags, @{ $self->{flags} // [] });
}

sub env
{
	my ($self) = @_;
	return { %{ $self->{store}{env} }, %{ $self->{env} // {} } };
}

# Runs one command to its end: { code, out, err, seconds }.
sub call
{
	my ($self, $command, @args) = @_;
	return capture([ program(), $command, $self->flags, @args ],
		env => $self->env);
}

# The same, and dies unless it exits with 0; returns its output.
sub ok
{
	my ($self, $command, @args) = @_;
	my $r = $self->call($command, @args);
	croak "cdc-s3 $command: exit $r->{code}\n$r->{err}" if $r->{code};
	return $r->{out};
}

# "run" in the background; its log is $run->errors.
sub start
{
	my ($self, @args) = @_;
	my $n = ++$self->{runs};
	return $self->{run} = spawn(
		cmd => [ program(), 'run', $self->flags, @args ],
		out_path => "$self->{folder}/run-$n.out",
		err_path => "$self->{folder}/run-$n.err",
		env => $self->env,
		pdeathsig => 'KILL');
}

# The files of the commit log that lie in the lake, in order.
sub entry_files
{
	my ($self) = @_;
	return sort glob("$self->{store}{folder}/_cdc/log/*.json");
}

# The entries as data, in order.
sub entries
{
	my ($self) = @_;
	my $json = JSON::PP->new->utf8;
	return map { $json->decode(slurp($_)) } $self->entry_files;
}

sub last_entry
{
	my ($self) = @_;
	my $last = ($self->entry_files)[-1] or return;
	return JSON::PP->new->utf8->decode(slurp($last));
}

# The objects of one entry, those in its lists too.
sub entry_objects
{
	my ($self, $entry) = @_;
	my $json = JSON::PP->new->utf8;
	return (
		(map {
			@{ $json->decode(slurp("$self->{store}{folder}/$_->{key}"))
				  ->{objects} }
		} @{ $entry->{lists} // [] }),
		@{ $entry->{objects} // [] });
}

# What "ls" and "replay" print; they need no source.
sub ls
{
	my ($self, @args) = @_;
	my $r = $self->on_lake('ls', @args);
	croak "cdc-s3 ls: exit $r->{code}\n$r->{err}" if $r->{code};
	return $r->{out};
}

sub replay
{
	my ($self, @args) = @_;
	my $r = $self->on_lake('replay', @args);
	croak "cdc-s3 replay: exit $r->{code}\n$r->{err}" if $r->{code};
	return $r->{out};
}

sub on_lake
{
	my ($self, $command, @args) = @_;
	return capture(
		[
			program(), $command, "--store.url=$self->{store}{url}",
			@{ $self->{store}{flags} }, @args
		],
		env => $self->env);
}

# Data objects in the lake, relative to it.
sub objects
{
	my ($self) = @_;
	my $folder = $self->{store}{folder};
	my @found;
	my @todo = ($folder);
	while (defined(my $dir = shift @todo))
	{
		opendir my $d, $dir or next;
		for my $name (grep { !/^\.\.?$/ } readdir $d)
		{
			next if $dir eq $folder && $name =~ /^_cdc$/;
			my $path = "$dir/$name";
			if (-d $path) { push @todo, $path; }
			else { push @found, substr($path, length($folder) + 1); }
		}
	}
	return sort @found;
}

# Waits until all that is committed on the source now is durable and
# confirmed; false after so many seconds, or when run has ended.
sub wait_durable
{
	my ($self, $seconds) = @_;
	my $source = $self->{source};
	my $lsn = $source->psql($self->{db}, 'select pg_current_wal_lsn()');
	my $query = "select confirmed_flush_lsn >= '$lsn' "
	  . "from pg_replication_slots where slot_name = '$self->{slot}'";
	my $tries = 0;
	return poll(
		sub {
			# A checkpoint now instead of after flush.interval.
			if ($self->{run} && $tries++ % 10 == 0)
			{
				return unless $self->{run}->alive;
				# Only once it has logged: before, the signal would end it.
				$self->{run}->signal('USR1') if length $self->{run}->errors;
			}
			return $source->psql($self->{db}, $query) eq 't';
		},
		$seconds // 60);
}

# Waits until the first load is done, as the commit log says.
sub wait_loaded
{
	my ($self, $seconds) = @_;
	return poll(sub { $self->loaded }, $seconds // 60);
}

sub loaded
{
	my ($self) = @_;
	my $e = $self->last_entry or return;
	return $e->{loaded} && !$e->{loads_open};
}

1;

#-------------------------------------------------------------------------
# CdcS3::PgRegress
#	A source that PostgreSQL's regression suite works on, its lake, a target
#	that is merged meanwhile, and the comparison of both.  CDCS3_REGRESS_SUITE is
#	the folder that test/pgregress.sh made.
#
#	In the source, the schema cdc_watch (not in the lake) has the event
#	triggers that note how each table was defined after each command.
#-------------------------------------------------------------------------
package CdcS3::PgRegress;
use strict;
use warnings;

use Carp qw(croak);
use File::Basename qw(dirname);
use File::Copy qw(copy);
use JSON::PP;

use CdcS3::Cluster;
use CdcS3::Proc qw(give_to_server_user);
use CdcS3::Test;

my $db = 'regression';

# What pg_regress sets where it makes the database itself.
my $database = <<'SQL';
create database regression template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C';
alter database regression set lc_messages to 'C';
alter database regression set lc_monetary to 'C';
alter database regression set lc_numeric to 'C';
alter database regression set lc_time to 'C';
alter database regression set bytea_output to 'hex';
alter database regression set timezone_abbreviations to 'Default';
SQL

# A definition as text: what of it merge has to follow.  An error in here must
# not change what the suite does.
my $watch = <<'SQL';
create schema cdc_watch;
create table cdc_watch.ddl (n serial primary key, tag text, rel oid, name text, shape text);
create function cdc_watch.shape(oid) returns text language sql
	set search_path = pg_catalog, pg_temp as $$
select string_agg(format('%s %s %s', attnum, attname,
		format_type(atttypid, atttypmod)), ', ' order by attnum)
from pg_attribute where attrelid = $1 and attnum > 0 and not attisdropped
$$;
create function cdc_watch.note() returns event_trigger language plpgsql
	security definer set search_path = pg_catalog, pg_temp as $$
begin
	insert into cdc_watch.ddl (tag, rel, name, shape)
	select tg_tag, c.oid, format('%I.%I', n.nspname, c.relname), cdc_watch.shape(c.oid)
	from (select distinct objid from pg_event_trigger_ddl_commands()
		where classid = 'pg_class'::regclass) e
		join pg_class c on c.oid = objid
		join pg_namespace n on n.oid = c.relnamespace
	where c.relkind in ('r', 'p', 'm') and c.relpersistence = 'p';
	if tg_tag in ('ALTER TYPE', 'ALTER DOMAIN', 'ALTER SCHEMA') then
		insert into cdc_watch.ddl (tag, rel, name, shape)
		select tg_tag, objid, object_identity, '' from pg_event_trigger_ddl_commands();
	end if;
exception when others then
	raise warning 'cdc_watch: %', sqlerrm;
end $$;
create event trigger cdc_watch on ddl_command_end execute function cdc_watch.note();
alter event trigger cdc_watch enable always;
SQL

my $give_identity = <<'SQL';
create function cdc_watch.identity() returns event_trigger language plpgsql
	set search_path = pg_catalog, pg_temp as $$
declare
	r record;
begin
	for r in
		select c.oid::regclass::text as name
		from (select distinct objid from pg_event_trigger_ddl_commands()
			where classid = 'pg_class'::regclass) e
			join pg_class c on c.oid = objid
		where c.relkind in ('r', 'p', 'm') and c.relpersistence = 'p' and c.relreplident = 'd'
			and not exists (select from pg_index
				where indrelid = c.oid and indisprimary and indimmediate)
	loop
		execute format('alter table %s replica identity full', r.name);
	end loop;
exception when others then
	raise warning 'cdc_watch: %', sqlerrm;
end $$;
create event trigger cdc_watch_identity on ddl_command_end
	when tag in ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE SCHEMA')
	execute function cdc_watch.identity();
alter event trigger cdc_watch_identity enable always;
SQL

# Tables as they are now but ours; virtual columns are not sent.
my $tables = <<'SQL';
select json_build_object('oid', c.oid::text, 'name', format('%I.%I', n.nspname, c.relname),
	'kind', c.relkind, 'persistence', c.relpersistence, 'identity', c.relreplident,
	'key', exists (select from pg_index where indrelid = c.oid
		and indisprimary and indimmediate),
	'columns', (select json_agg(quote_ident(attname) order by attnum) from pg_attribute
		where attrelid = c.oid and attnum > 0 and not attisdropped and attgenerated <> 'v'))
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'p', 'm', 'f') and not c.relispartition
	and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'cdc_watch', 'cdc_s3')
order by c.oid;
SQL

sub suite { return $ENV{CDCS3_REGRESS_SUITE} // croak 'run test/pgregress.sh' }

sub new
{
	my ($class, $way) = @_;
	my @conf = ('max_prepared_transactions = 10', 'shared_buffers = 128MB');
	my $self = bless {
		way => $way,
		source => new_cluster("pgr_$way", conf => \@conf),
		target => new_cluster("pgr_${way}_target", conf => ['shared_buffers = 128MB']),
		merges => 0,
		seen => 0,
		codes => {},
		stuck => []
	}, $class;
	return $self;
}

sub start
{
	my ($self) = @_;
	my ($source, $target) = @$self{qw(source target)};
	for my $cluster ($source, $target)
	{
		$cluster->start;
		$cluster->psql('postgres', $_) for split /\n/, $database;
	}
	# As CREATE EXTENSION does; its files are not installed here.
	$source->psql($db,
		'create schema cdc_s3; '
		  . slurp(top_folder() . '/plugin/cdc_s3--1.0.sql') =~ s/^\\echo.*$//mr);
	$source->psql($db, $watch);
	$source->psql($db, $give_identity) if $self->{way} eq 'full';
	my $cdc = $self->{cdc} = sidecar(
		$source, $db, file_store(),
		target => $target,
		flags => [
			'--source.exclude=cdc_watch.*', '--flush.interval=2s',
			'--merge.until=now', '--merge.on_reject=continue',
			split ' ', $ENV{CDCS3_REGRESS_FLAGS} // ''
		]);
	$cdc->ok('init');
	$cdc->start;
	$cdc->wait_loaded or croak $cdc->{run}->errors;
	return;
}

# A copy of the suite that the server's user may read and write.
sub copy_suite
{
	my ($self) = @_;
	my $to = temp_folder() . '/suite';
	system('cp', '-r', suite() . '/regress', $to) == 0 or croak "cp: $?";
	my $lib = CdcS3::Cluster::pg_config('pkglibdir');
	for my $name (qw(refint autoinc))
	{
		copy("$lib/$name.so", "$to/$name.so") if -e "$lib/$name.so";
	}
	chmod 0755, glob("$to/*.so");
	mkdir "$to/out";
	my @all = split /\n/, capture([ 'find', $to ])->{out};
	give_to_server_user(@all);
	return $to;
}

# Runs the suite's parallel schedule and merges beside it, again and again.
# Returns { done }, the number of files that ran.
sub workload
{
	my ($self) = @_;
	my ($source, $suite) = ($self->{source}, $self->copy_suite);
	# A server that the user may not read was copied.
	my ($from, $to) = map { dirname $_ }
	  CdcS3::Cluster::pg_config('bindir'), CdcS3::Cluster::bindir();
	my $pg_regress = dirname(dirname(CdcS3::Cluster::pg_config('pgxs')))
	  . '/test/regress/pg_regress';
	$pg_regress =~ s/^\Q$from\E/$to/;
	my $log = "$suite/out/log";
	my $proc = spawn(
		cmd => [
			$pg_regress, '--use-existing',
			"--bindir=" . CdcS3::Cluster::bindir(),
			"--inputdir=$suite", "--outputdir=$suite/out", "--dlpath=$suite",
			"--dbname=$db", "--host=$source->{socket}",
			"--port=$source->{port}", '--user=postgres',
			"--schedule=$suite/parallel_schedule", '--max-connections=20'
		],
		cwd => $suite,
		log => $log,
		server => 1,
		env => {
			LC_ALL => 'C', $from eq $to ? () : (LD_LIBRARY_PATH => "$to/lib")
		});
	my $ended = poll(
		sub {
			$self->merge if $self->lake_grew;
			return !$proc->alive;
		},
		3600);
	croak "the suite did not end" unless $ended;
	my $text = slurp($log);
	my $done = () = $text =~ /\.\.\. (?:ok|FAILED|failed)|^(?:not )?ok \d/mg;
	return { done => $done, log => $text };
}

# Whether there are more entries than when this was last asked.
sub lake_grew
{
	my ($self) = @_;
	my $n = () = $self->{cdc}->entry_files;
	my $grew = $n > $self->{seen};
	$self->{seen} = $n;
	return $grew;
}

# One merge of all there is; what refuses it is kept in stuck.
sub merge
{
	my ($self) = @_;
	$self->lake_grew;
	my $r = $self->{cdc}->call('merge');
	$self->{merges}++;
	$self->{codes}{ $r->{code} }++;
	push @{ $self->{stuck} }, "exit $r->{code}: $r->{err}"
	  unless $r->{code} =~ /^[08]$/;
	return $r;
}

sub settle { return $_[0]{cdc}->wait_durable(300) }

# The tables of a cluster: name => what $tables says of it.
sub tables
{
	my ($cluster) = @_;
	my $json = JSON::PP->new;
	return map { $_->{name} => $_ }
	  map { $json->decode($_) } split /\n/, $cluster->psql($db, $tables);
}

# A table's rows as lines, or undef where they cannot be read.
sub rows
{
	my ($cluster, $t, $columns) = @_;
	my $only = $t->{kind} eq 'p' ? '' : 'only';
	my $list = join ', ', @{ $columns // [] };
	my $r = $cluster->try_psql($db,
			"set datestyle = 'ISO'; set timezone = 'UTC'; set extra_float_digits = 1;\n"
		  . "set search_path = ''; set bytea_output = hex;\n"
		  . "copy (select $list from $only $t->{name}) to stdout;\n");
	return ($r->{code} ? undef : [ split /\n/, $r->{out} ], $r->{err});
}

# How many rows one side has and the other has not.
sub rows_apart
{
	my ($here, $there) = @_;
	my %n;
	$n{$_}++ for @$here;
	$n{$_}-- for @$there;
	my ($missing, $extra) = (0, 0);
	for (values %n)
	{
		if ($_ > 0) { $missing += $_ }
		else { $extra -= $_ }
	}
	return ($missing, $extra);
}

# What changed in a table's definition that merge does not follow yet, as the
# event triggers saw it; '' where there is nothing.
sub why_not_followed
{
	my ($self, $t) = @_;
	my (%oids, %names, %column, %what);
	for my $e (@{ $self->{ddl} })
	{
		$oids{ $e->{rel} } = 1 if $e->{name} eq $t->{name};
		next if $e->{rel} ne $t->{oid};
		$names{ $e->{name} } = 1;
		my %new = map { /^(\d+) (.*)/s } split /, (?=\d+ )/, $e->{shape};
		for my $n (keys %column ? keys %new : ())
		{
			$what{'a column was added'} = 1 unless $column{$n};
			$what{'a column was renamed or its type changed'} = 1
			  if $column{$n} && $column{$n} ne $new{$n};
		}
		%column = %new;
	}
	$what{'made anew under its name'} = 1 if keys %oids > 1;
	$what{'renamed'} = 1 if keys %names > 1;
	return join ', ', sort keys %what;
}

# Sorts the source's tables by what became of them at the target: class =>
# [ "table: …" ].
sub compare
{
	my ($self) = @_;
	my ($source, $target) = @$self{qw(source target)};
	my $json = JSON::PP->new;
	$self->{ddl} = [
		map { $json->decode($_) } split /\n/,
		$source->psql($db,
			'select row_to_json(d) from (select rel::text, name, shape from cdc_watch.ddl order by n) d')
	];
	my %rejected = split /[|\n]/,
	  $target->psql($db, q{select format('%I.%I', source_schema, source_table), count(*)
		from cdc_s3.rejected group by 1});
	my %resync = split /[|\n]/,
	  $target->psql($db, q{select format('%I.%I', source_schema, source_table), string_agg(reason, ',')
		from cdc_s3.resync group by 1});
	my %at_target = tables($target);
	my %class = map { $_ => [] } qw(equal empty rejected resync not_followed unsaid left_out);
	my %at_source = tables($source);
	for my $name (sort keys %at_source)
	{
		my $t = $at_source{$name};
		if ($t->{kind} =~ /[mf]/ || $t->{persistence} ne 'p')
		{
			push @{ $class{left_out} }, "$name ($t->{kind}$t->{persistence})";
			next;
		}
		my ($here, $err) = rows($source, $t, $t->{columns});
		if (!$here)
		{
			push @{ $class{unsaid} }, "$name: cannot be read: $err";
			next;
		}
		my ($there, $why) = $at_target{$name}
		  ? rows($target, $at_target{$name}, $t->{columns})
		  : ([], 'it is not there');
		my ($missing, $extra) = rows_apart($here, $there // []);
		my $n = @$here;
		if ($there && $missing + $extra == 0)
		{
			push @{ $class{ $n ? 'equal' : 'empty' } }, $name;
			next;
		}
		my $text = "$name: $n rows, $missing missing, $extra too many"
		  . ($why ? " ($why)" : '');
		$text =~ s/\s+/ /g;
		my $ddl = $self->why_not_followed($t);
		my $not = $rejected{$name} // 0;
		$text .= ", identity $t->{identity}" . ($t->{key} ? ' (key)' : '');
		$text .= ", $not rejected" if $not;
		$text .= ", resync: $resync{$name}" if $resync{$name};
		$text .= ", $ddl" if $ddl;
		my $class =
			$resync{$name} ? 'resync'
		  : $there && $not && $missing + $extra <= 2 * $not ? 'rejected'
		  : $ddl ? 'not_followed'
		  : 'unsaid';
		push @{ $class{$class} }, $text;
	}
	return \%class;
}

my @said = (
	[ equal => 'equal, with rows' ],
	[ empty => 'empty at both sides' ],
	[ rejected => 'differ, rows in cdc_s3.rejected' ],
	[ resync => 'differ, in cdc_s3.resync' ],
	[ not_followed => 'differ, their definition changed' ],
	[ unsaid => 'differ without a record' ],
	[ left_out => 'left out (unlogged, foreign, materialized views)' ]);

# The counts as a table, and what differs, table by table.
sub report
{
	my ($self, $class) = @_;
	my $text = join ', ', map { "$self->{codes}{$_} with exit code $_" }
	  sort keys %{ $self->{codes} };
	$text = "$self->{way}: $self->{merges} merges ($text)\n";
	for (@said)
	{
		my ($name, $words) = @$_;
		$text .= sprintf "%5d %s\n", scalar @{ $class->{$name} }, $words;
	}
	for my $name (qw(rejected resync not_followed unsaid))
	{
		$text .= "$name: $_\n" for @{ $class->{$name} };
	}
	return $text;
}

sub stop
{
	my ($self) = @_;
	$_->stop('fast') for @$self{qw(source target)};
	return;
}

1;

#-------------------------------------------------------------------------
# The crash matrix: run, init and merge are killed at each fault point of the
# sources (uploader/base/fault.h), one after the other, while four writers write.
# What each leaves, the next start has to make good.  In the end each change is in
# the lake once, and the target is the source.
#
# A point that is not in the matrix, or was not reached, fails.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Crash qw(fault_points fault_program work_source start_writers
  stop_writers work_tables lake_is_true leftovers_go is_a_cut dies_at slot_watch slot_was_behind);
use CdcS3::Test;

my %points = fault_points();
is_deeply([ grep { $points{$_} != 1 } sort keys %points ], [], 'each point has a name of its own');
my %reached;

my $source = work_source();
my $cdc = sidecar(
	$source, 'work', file_store(),
	target => $source,
	target_db => 'target',
	flags => [ '--flush.interval=1s', '--memory.limit=16MB', '--shutdown.timeout=60s' ]);

sub sql { return $source->psql('work', $_[0]) }

# run, killed at a point; what has to be there for it comes first.
sub killed_at
{
	my ($point, %o) = @_;
	sql($o{before}) if $o{before};
	$reached{$point} = 1 if dies_at($cdc, $point, %o);
	return;
}

# A command that ends, killed likewise.
sub command_killed_at
{
	my ($point, $command, @args) = @_;
	my $log = temp_folder() . '/reached';
	local $ENV{CDCS3_TEST_BIN} = fault_program();
	local $ENV{CDCS3_TEST_FAULT} = $point;
	local $ENV{CDCS3_TEST_FAULT_LOG} = $log;
	my $r = $cdc->call($command, @args);
	my $there = -e $log ? slurp($log) : '';
	ok($r->{code} == -9 && $there eq "$point\n", "$command is killed at $point")
	  or diag "exit $r->{code}, reached: $there\n$r->{err}";
	$reached{$point} = 1 if $r->{code} == -9;
	return;
}

command_killed_at('init_slot_made', 'init');
$cdc->ok('init');
my $watch = slot_watch($source, 'work', $cdc);
my $writers = start_writers($source, 'work');

# The first load: each of these is its end, and all of it begins anew.
killed_at($_)
  for qw(session_begun load_announced load_snapshot load_copy_begun load_copied load_durable
  load_listed);

# Hours are closed once there is no load any more, and then not for an hour.
killed_at($_) for qw(hour_asked hour_closed);

# The way of a change, from the server to the server.
killed_at($_)
  for qw(frame_received checkpoint_closed object_put_before file_linked object_put_after
  schema_put_after objects_durable entry_put_before entry_put_after confirm_before confirm_after);

# An object in parts.
sql('create table big (id bigint generated always as identity primary key, v text)');
killed_at($_, before => <<'SQL')
insert into big (v) select md5(i::text) || md5((-i)::text) || md5((i * 7)::text)
	from generate_series(1, 20000) i
SQL
  for qw(upload_begun upload_part_sent upload_finish_before upload_finish_after);

# What these left is swept after the first entry.
killed_at($_) for qw(sweep_delete_before sweep_delete_after sweep_done);

# An entry that is too long for one file: each row has an object of its own, and
# the entry says the long names of each, escaped.  The writers wait meanwhile, or
# each of their rows would be a file, too.
my $long = qq{"${\("\x01" x 60)}"};
$long = "$long.$long";
sql('create schema ' . $long =~ s/\..*//r . "; create table $long (id int primary key)");
$writers->signal('STOP');
killed_at('list_put_after',
	before => "insert into $long select generate_series(1, 900)",
	args => ['--output.max_rows=1'],
	seconds => 300);
$writers->signal('CONT');

# A load that somebody asked for.
$cdc->ok('snapshot', 'public.note');
killed_at('request_served');

# A stop.
killed_at('session_settled', signal => 'TERM');

# Merge, beside a run that lives.
my $run = $cdc->start;
ok($cdc->wait_durable(300), 'all so far is durable') or diag $run->errors;
ok($cdc->wait_loaded(300), 'and loaded') or diag $run->errors;
for my $point (qw(merge_planned merge_followed merge_stage_before merge_stage_after
	merge_applied merge_commit_before merge_commit_after merge_asked))
{
	my $before = $cdc->last_entry->{entry};
	ok(poll(sub { $run->signal('USR1'); $cdc->last_entry->{entry} > $before }, 120),
		"$point: there is something to merge");
	command_killed_at($point, 'merge', '--merge.until=now');
	ok(is_a_cut($source, 'target'), "$point: the target is a moment of the source");
}

# The two ways of applying, and groups that commit side by side, of which the
# target is a moment again once the next merge has brought them together.
is($cdc->call('merge', '--merge.until=now')->{code}, 0, 'a merge that nobody kills');
for my $case ([ 'merge_rows_applied', '--merge.way=auto' ],
	[ 'merge_steps_applied', '--merge.way=exact' ],
	[ 'merge_group_commit_before', '--merge.parallel=3' ],
	[ 'merge_group_commit_after', '--merge.parallel=3' ])
{
	my ($point, @way) = @$case;
	my $before = $cdc->last_entry->{entry};
	ok(poll(sub { $run->signal('USR1'); $cdc->last_entry->{entry} > $before + 1 }, 120),
		"$point: there is something to merge");
	command_killed_at($point, 'merge', '--merge.until=now', @way);
	ok(is_a_cut($source, 'target'), "$point: the target is a moment of the source") if $point !~ /group/;
	my $next = $cdc->call('merge', '--merge.until=now', @way);
	is($next->{code}, 0, "$point: the next merge ends with 0") or diag $next->{err};
	ok(is_a_cut($source, 'target'), "$point: and then the target is a moment of the source");
}

stop_writers($writers);
ok($cdc->wait_durable(300), 'all is durable') or diag $run->errors;
leftovers_go($cdc);
is($run->stop('TERM', 120), 0, 'run ends with 0') or diag $run->errors;
slot_was_behind($watch);
my $r = $cdc->call('merge', '--merge.until=now');
is($r->{code}, 0, 'merge ends with 0') or diag $r->{err};
tables_equal($source, 'work', $source, 'target', work_tables(), 'big');
is($source->psql('target', "select count(*) from $long"), 900, 'so is the table of many objects');
lake_is_true($source, 'work', $cdc);

# Old objects go, whoever dies while they do.
my @data = map { $_->{key} } map { $cdc->entry_objects($_) } $cdc->entries;
my $there = sub { scalar grep { -e "$cdc->{store}{folder}/$_" } @data };
my $all = $there->();
my ($to) = $cdc->last_entry->{time};
$r = $cdc->call('expire', '--before', $to);
is($r->{code}, 0, 'expire is asked for') or diag $r->{err};
killed_at($_) for qw(expire_given_up expire_delete_before expire_delete_after expire_done);
$run = $cdc->start;
ok(poll(sub { ($cdc->last_entry->{removed_entry} // -1) == ($cdc->last_entry->{expired_entry} // -2) }, 300),
	'the log says that all of them went')
  or diag $run->errors;
cmp_ok($there->(), '<', $all, 'and they did');
is($run->stop('TERM', 120), 0, 'run ends with 0') or diag $run->errors;
$r = $cdc->call('verify');
is($r->{code}, 0, 'verify finds nothing') or diag $r->{out}, $r->{err};
is_deeply([ sort keys %reached ], [ sort keys %points ], 'each point of the sources was reached');

done_testing();

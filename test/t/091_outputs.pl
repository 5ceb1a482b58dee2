#-------------------------------------------------------------------------
# Further outputs: the same changes at other places and in other forms, each
# row exactly once by the entries, also when the writer is killed; outputs that
# come, go and come again, and what is said of each.
#-------------------------------------------------------------------------
use strict;
use warnings;
use File::Path qw(make_path);
use Test::More;

use CdcS3::Test;

plan skip_all => s3_missing() unless have_s3();

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;
$source->psql('postgres', 'create database work');
$target->psql('postgres', 'create database work');
$source->psql('work', <<'SQL');
create table orders (id bigint primary key, note text, ts timestamptz default now());
create table items (id bigint primary key, order_id bigint, price numeric(10,2));
create schema private;
create table private.people (id bigint primary key, name text);
insert into orders select i, E'a,"b"\n' || i from generate_series(1, 500) i;
insert into items select i, i, i / 7.0 from generate_series(1, 500) i;
insert into private.people select i, 'p' || i from generate_series(1, 200) i;
SQL

my $s3 = s3_store();
my %folder = (csv => temp_folder() . '/csv', late => temp_folder() . '/late');
my %flags = (
	csv => [
		"--output.csv.url=file://$folder{csv}", '--output.csv.format=csv',
		'--output.csv.compression=gzip', '--output.csv.timezone=+05:30',
		'--output.csv.path={schema}.{table}/at={yyyy}{mm}{dd}{hh}{mi}',
		'--output.csv.exclude=private.*'
	],
	parquet => [
		"--output.parquet.url=$s3->{url}", '--output.parquet.format=parquet',
		'--output.parquet.compression=snappy',
		'--output.parquet.endpoint=' . $s3->{server}->endpoint,
		'--output.parquet.max_rows=1000'
	],
	late => [
		"--output.late.url=file://$folder{late}", '--output.late.format=csv',
		'--output.late.csv_newlines=escape',
		'--output.late.path={schema}/{table}/{yyyy}-{mm}-{dd}-{hh}-{mi}'
	]);
$folder{parquet} = $s3->{folder};
my $cdc = sidecar(
	$source, 'work', file_store(),
	target => $target,
	target_db => 'work',
	flags => ['--flush.interval=1s'],
	# signed, so that each object has its sum in the log
	env => { %{ $s3->{env} }, CDC_S3_LOG_KEY => '0123456789abcdef0123' });
my @now;

# The flags of outputs as they are configured now.
sub outputs { return map { @{ $flags{$_} } } @now }

sub start_run
{
	@now = @_;
	return $cdc->start(outputs());
}

# Lines of "replay", of one output or of the lake.
sub replay
{
	my (@args) = @_;
	return [ split /\n/, $cdc->ok('replay', outputs(), @args) ];
}

# What entries list for an output, by key.
sub listed
{
	my ($name) = @_;
	return map { $_->{key} => $_ }
	  grep { $_->{output} eq $name }
	  map { @{ $_->{output_objects} // [] } } $cdc->entries;
}

sub state_of
{
	my ($name, $entry) = @_;
	my ($o) = grep { $_->{name} eq $name } @{ $entry->{outputs} // [] };
	return $o;
}

# Files below a folder, but for our own.
sub files
{
	my ($folder) = @_;
	my @found = split /\n/,
	  capture([ 'find', $folder, '-type', 'f', '-printf', '%P\n' ])->{out};
	return sort grep { !m{^_cdc/} } @found;
}

sub changes
{
	my ($n) = @_;
	my $from = 1000 * $n;
	$source->psql('work', <<"SQL");
insert into orders select $from + i, 'x' || i from generate_series(1, 400) i;
update orders set note = note || 'y' where id % 5 = $n % 5;
insert into items select $from + i, i, i from generate_series(1, 300) i;
delete from items where id % 11 = 0;
insert into private.people values ($from, 'q');
SQL
	return;
}

$cdc->ok('init');
my $run = start_run('csv', 'parquet');
ok($cdc->wait_loaded, 'tables are loaded') or diag $run->errors;
my $first = ($cdc->entries)[1];
is(state_of($_, $first)->{state}, 'attached', "$_: attached by the first entry")
  for @now;
ok(state_of($_, $first)->{filled}, "$_: has all from the beginning") for @now;

# Killed at any moment, that of an upload or of an entry too.
for my $n (1 .. 8)
{
	changes($n);
	$run->signal('USR1') if $run->alive;
	select undef, undef, undef, 0.05 * ($n % 4);
	$run->stop('KILL', 60);
	$run = start_run('csv', 'parquet');
	# the signal of the next round would end one that has not begun
	poll(sub { $run->errors =~ /streaming/ }, 120);
}
changes(9);
ok($cdc->wait_durable(120), 'all is durable') or diag $run->errors;

my $main = replay();
is_deeply(replay('--output=parquet'), $main, 'parquet: has what the lake has');
is_deeply(
	replay('--output=csv'),
	[ grep { !/"_schema":"private"/ } @$main ],
	'csv: has what the lake has, of its tables');
ok(@$main > 5000, scalar(@$main) . ' records');
unlike($cdc->ok('ls', 'objects'), qr/\.csv|parquet/, 'ls lists the lake alone');
like($cdc->ok('ls', 'objects', '--output=csv'),
	qr/\borders.*\.csv\.gz/, 'ls --output lists the other');
is($cdc->call('ls', '--output=none')->{code}, 2, 'an unknown one is refused');
$cdc->ok('merge', '--merge.until=now');
tables_equal($source, 'work', $target, 'work', 'orders', 'items', 'private.people');

# What dead writers left is swept, in each output.
for my $name (@now)
{
	my %listed = listed($name);
	my @left;
	ok(poll(sub {
				@left = grep { !$listed{$_} } files($folder{$name});
				%listed = listed($name);
				return !@left;
			}, 120), "$name: folder and log agree") or diag "@left";
	is_deeply([ grep { !-e "$folder{$name}/$_" } keys %listed ],
		[], "$name: what is listed is there");
}
my @keys = map { keys %{ { listed($_) } } } 'csv';
ok(@keys && !(grep { !m{^public\.\w+/at=\d{12}/} } @keys),
	'csv: has folders of its own');
is($run->stop('TERM', 60), 0, 'run stops') or diag $run->errors;

# One ends, another one comes: each says so.
my $before = $cdc->last_entry;
$run = start_run('csv', 'late');
changes(20);
ok($cdc->wait_durable, 'changes are durable') or diag $run->errors;
my ($at) = grep { $_->{entry} == $before->{entry} + 1 } $cdc->entries;
is(state_of('parquet', $at)->{state}, 'ended', 'one is ended');
is(state_of('parquet', $at)->{last_lsn}, $before->{end_lsn}, 'and where');
is(state_of('late', $at)->{first_lsn}, $before->{end_lsn}, 'one is attached');
ok(!state_of('late', $at)->{filled}, 'and has nothing before');
is(state_of('csv', $at)->{since_entry},
	$first->{entry}, 'one goes on as it was');
is(state_of('parquet', $cdc->last_entry), undef, 'who ended is told once');
$main = replay();
my @new = @{ replay('--from=' . lsn($before->{end_lsn})) };
ok(@new > 300, 'there are new records');
is_deeply(replay('--output=late'), \@new, 'late: has what came since');
is($cdc->call('replay', @{ $flags{parquet} }, '--output=parquet')->{code},
	2, 'one that is ended is not replayed');
like($cdc->ok('ls'), qr/parquet ended/, 'ls tells');

# What the lake had before is filled in, from the lake alone, while run runs.
is($cdc->call('replay', outputs(), '--into=csv')->{code}, 0,
	'an output that has all needs no fill');
is($cdc->call('replay', outputs(), '--into=late', '--from=0/1')->{code}, 2,
	'a fill takes no range');
my $left = "$folder{late}/public/orders/2020-01-01-00-00";
make_path($left);
open my $f, '>', "$left/fill-0badcafe-000000-0badcafe.csv" or die $!;
close $f or die $!;
like($cdc->ok('replay', outputs(), '--into=late') . $cdc->ok('ls', '--json'),
	qr/"name":"late".*"filled":false/, 'a fill does not write the log');
ok(!-e "$left/fill-0badcafe-000000-0badcafe.csv", 'what an earlier fill left is removed');
ok(poll(sub { state_of('late', $cdc->last_entry)->{filled} }, 180),
	'run enters it') or diag $run->errors;
is_deeply([ sort @{ replay('--output=late') } ],
	[ sort @{ replay() } ], 'late: has all that the lake has');
ok(poll(sub { !glob "$cdc->{store}{folder}/_cdc/fill/*" }, 60),
	'and the request is taken away');
is($run->stop('TERM', 60), 0, 'run stops');

# It comes back: another folder would be another one, and so is this.
my $gone = $cdc->last_entry;
$run = start_run('csv', 'parquet');
changes(21);
ok($cdc->wait_durable, 'changes are durable') or diag $run->errors;
my $back = state_of('parquet', $cdc->last_entry);
is($back->{first_lsn}, $gone->{end_lsn}, 'one that comes back is a new one');
is($back->{since_entry}, $gone->{entry} + 1, 'from that entry on');
@new = @{ replay('--from=' . lsn($gone->{end_lsn})) };
is_deeply(replay('--output=parquet'), \@new, 'parquet: has what came since');

# A fill while nothing runs is entered by the next start.
is($run->stop('TERM', 60), 0, 'run stops');
$cdc->ok('replay', outputs(), '--into=parquet');
is($cdc->call('replay', outputs(), '--into=parquet')->{code}, 2, 'once is enough');
$run = start_run('csv', 'parquet');
changes(23);
ok($cdc->wait_durable, 'changes are durable') or diag $run->errors;
ok(state_of('parquet', $cdc->last_entry)->{filled}, 'parquet: is filled');
is_deeply([ sort @{ replay('--output=parquet') } ],
	[ sort @{ replay() } ], 'parquet: has all that the lake has');
my %filled = listed('parquet');
is_deeply([ grep { !-e "$folder{parquet}/$_" } keys %filled ],
	[], 'parquet: what is listed is there');

# Another form and other folders are no other output.
is($run->stop('TERM', 60), 0, 'run stops');
push @{ $flags{csv} }, '--output.csv.compression=none',
  '--output.csv.path={schema}/{table}';
$run = start_run('csv', 'parquet');
changes(22);
# a row that comes in parts, in each output
$source->psql('work',
	"insert into orders select 0, string_agg(md5(i::text), E',\\n') from generate_series(1, 300000) i");
ok($cdc->wait_durable, 'changes are durable') or diag $run->errors;
is(state_of('csv', $cdc->last_entry)->{since_entry},
	$first->{entry}, 'csv: goes on in other folders');
is_deeply(
	replay('--output=csv'),
	[ grep { !/"_schema":"private"/ } @{ replay() } ],
	'csv: has what the lake has');
is($run->stop('TERM', 60), 0, 'run stops');

# What run wrote and a fill brought is what the log says of it.
my $verified = $cdc->call('verify', outputs(), '--repair');
is($verified->{code}, 0, 'verify finds nothing wrong in any output')
  or diag $verified->{out}, $verified->{err};

# Places that are not apart, and forms that do not fit.
for my $bad (
	[ '--output.x.url=' . $cdc->{store}{url} . '/x', qr/one is in the other/ ],
	[ "--output.x.url=file://$folder{csv}/", qr/one place/ ],
	[ "--output.x.format=csv", qr/output\.x\.url" is not set/ ],
	[ "--output.x.nonsense=1", qr/there is no setting/ ],
	[ "--output.path.url=file:///x", qr/no name of an output/ ],
	[ '--output.csv.tables=orders', qr/output\.csv\.tables" is no list/ ],
	[ '--output.csv.compression=snappy', qr/needs output\.csv\.format = parquet/ ],
	[ '--output.csv.path={table}', qr/output\.csv\.path.*has no \{schema\}/ ],
	[ '--memory.limit=16MB', qr/at least 24MB/ ])
{
	my $r = $cdc->call('run', outputs(), $bad->[0]);
	is($r->{code}, 2, "$bad->[0]: refused");
	like($r->{err}, $bad->[1], 'and why');
}

sub lsn { return sprintf '%X/%X', unpack 'NN', pack 'H16', $_[0] }

done_testing;

#-------------------------------------------------------------------------
# "replay --into" where layouts changed: a further output that came late, and
# then took another format, other folders and another time zone, is filled from
# a lake that changed its own.  What is filled in lies in the layout of the
# time when the output was attached; no folder holds two formats, each record is
# there once, and DuckDB finds the rows of the
# source.  So it is for an output that is attached anew, since its tables changed,
# between two layouts.  Commit times are an origin's, so that nothing waits for the clock.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use File::Basename qw(basename dirname);

use CdcS3::Engines qw(have_engines engines_missing duckdb);
use CdcS3::Test;

plan skip_all => engines_missing() unless have_engines();

my $source = new_cluster('source')->start;

$source->psql('postgres', 'create database shop');
$source->psql('shop', <<'SQL');
create table orders (id int primary key, note text, big text);
create table other (id int primary key, note text);
create table left_out (id int primary key);
alter table orders alter big set storage external;
insert into orders select g, E'a,"b"\n\\N' || g, repeat(md5(g::text), 100) from generate_series(1, 40) g;
insert into other select g, null from generate_series(1, 5) g;
select pg_replication_origin_create('elsewhere');
SQL

my $start = int(time / 3600) * 3600;
my $at = 0;

# Changes in transactions of these hours from now, whatever the clock says.
sub changes
{
	my (@hours) = @_;
	my $sql = "select pg_replication_origin_session_setup('elsewhere');\n";
	for my $hour (@hours)
	{
		my $time = $start + 3600 * $hour + 600;
		$at++;
		$sql .= "begin; select pg_replication_origin_xact_setup('0/$at', to_timestamp($time));"
		  . " insert into orders values (1000 + $at, 'of hour $hour', 'b'); update orders set note = note || '.' where id % 7 = $at % 7;"
		  . " update orders set id = id + 2000 where id = $at; delete from orders where id = 41 - $at;"
		  . " insert into other values (1000 + $at, '$hour'); insert into left_out values ($at); commit;\n";
	}
	$source->psql('shop', $sql);
	return;
}

my $folder = temp_folder() . '/late';
my @late = ("--output.late.url=file://$folder", '--output.late.exclude=public.left_out');
my $cdc = sidecar($source, 'shop', file_store());
$cdc->ok('init');

my $run;

sub session
{
	my ($name, $flags, @hours) = @_;
	$cdc->{flags} = [ '--flush.interval=1s', @$flags ];
	$run = $cdc->start;
	ok($cdc->wait_loaded, "$name: loaded") or diag $run->errors;
	changes(@hours);
	ok($cdc->wait_durable, "$name: durable") or diag $run->errors;
	is($run->stop('TERM', 60), 0, "$name: run stops") or diag $run->errors;
	return;
}

sub state_of
{
	my ($entry) = @_;
	my ($o) = grep { $_->{name} eq 'late' } @{ $entry->{outputs} // [] };
	return $o;
}

# Objects that the log lists of the output.
sub listed { return grep { $_->{output} eq 'late' } map { @{ $_->{output_objects} // [] } } $cdc->entries }

# Folders that hold objects of two formats or compressions.
sub mixed_folders
{
	my %kinds;
	$kinds{ dirname($_->{key}) }{ (basename($_->{key}) =~ /(\..*)$/)[0] }++ for listed();
	return grep { keys %{ $kinds{$_} } > 1 } sort keys %kinds;
}

# ---- the lake changes its format, then the output comes, and changes its own ----

my @csv = (@late, '--output.late.format=csv', '--output.late.compression=gzip', '--output.late.csv_newlines=escape',
	'--output.late.path={table}.{schema}/{yyyy}/{mm}/{dd}/at-{hh}');
my @parquet = (@late, '--output.late.format=parquet', '--output.late.timezone=+05:30', '--output.late.path={schema}/{table}/d={yyyy}{mm}{dd}/{hh}');
session('json', [], 0, 1);
session('parquet', ['--output.format=parquet'], 0 .. 2);
my $before = $cdc->last_entry;
session('the output comes', [ '--output.format=parquet', @csv ], 0 .. 3);
session('the output changes', [ '--output.format=csv', @parquet ], 0 .. 6);
my $state = state_of($cdc->last_entry);
is($state->{since_entry}, $before->{entry} + 1, 'it was attached late');
ok(!$state->{filled}, 'and has nothing before');
is($state->{layouts}[-1]{format}, 'parquet', 'and has another layout since');

my @before = listed();
my %formats = map { (basename($_->{key}) =~ /(\..*)$/)[0] => 1 } @before;
is(join(' ', sort keys %formats), '.csv.gz .parquet', 'objects of both layouts are there');

# ---- the fill ----

my $r = $cdc->call('replay', '--into=late');
is($r->{code}, 0, 'replay --into') or diag $r->{err};
is(scalar listed(), scalar @before, 'nothing of it counts before run has entered it');
$run = $cdc->start;
ok(poll(sub { my $s = state_of($cdc->last_entry); $s && $s->{filled} }, 180), 'run enters it') or diag $run->errors;

my @fill = grep { basename($_->{key}) =~ /^fill-/ } listed();
cmp_ok(scalar @fill, '>=', 4, @fill . ' objects were filled in');
is_deeply([ grep { $_->{key} !~ m{^\w+\.public/\d{4}/\d\d/\d\d/at-\d\d/fill-[^/]*\.csv\.gz$} } @fill ],
	[], 'all of them in format and folders of when the output was attached');
is_deeply([ grep { !-e "$folder/$_->{key}" } listed() ], [], 'what is listed is there');
is_deeply([ mixed_folders() ], [], 'no folder has objects of two kinds');
my %shared = map { dirname($_->{key}) => 1 } @before;
ok((grep { $shared{ dirname($_->{key}) } } @fill), 'some lie in a folder that had objects already');

# Records of earlier hours go there, too, in the layout of those hours.
changes(0, 7);
ok($cdc->wait_durable, 'durable') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run stops') or diag $run->errors;

# ---- each record once, and the rows of now ----

my %rows = (
	orders => q{string_agg(concat_ws('|', id, note, md5(big)), chr(1) order by id)},
	other => q{string_agg(concat_ws('|', id, note), chr(1) order by id)});

sub same_as_lake
{
	my ($name) = @_;
	my @main = grep { !/"_table":"left_out"/ } split /\n/, $cdc->replay;
	my @copy = split /\n/, $cdc->ok('replay', '--output=late');
	cmp_ok(scalar @main, '>', 100, "$name: " . @main . ' records');
	is_deeply([ sort @copy ], [ sort @main ], "$name: the output has each record of its tables once");

	my $ddl = $cdc->on_lake('ddl', '--engine=duckdb', '--view=latest', "--output.late.url=file://$folder", '--output=late');
	is($ddl->{code}, 0, "$name: ddl") or diag $ddl->{err};
	unlike($ddl->{out}, qr/NOT WHOLE|left_out/, "$name: ddl reads all of its tables");
	for my $table (sort keys %rows)
	{
		my $want = $source->psql('shop', "select $rows{$table} from $table");
		my @have = eval { duckdb("$ddl->{out} select $rows{$table} from public.${table}_latest") };
		is($@, '', "$name, $table: DuckDB runs it") or next;
		is($have[0][0], $want, "$name, $table: the rows of now are the source's");
	}
	return;
}
same_as_lake('came late');

is($cdc->call('replay', '--into=late')->{code}, 0, 'once more: it has all');
is(scalar(grep { basename($_->{key}) =~ /^fill-/ } listed()), scalar @fill, 'and nothing is written twice');

# ---- attached anew with more tables and another format, in folders of the same names ----

$folder = temp_folder() . '/anew';
my $url = "--output.late.url=file://$folder";
$cdc = sidecar($source, 'shop', file_store(), slot => 'anew');
$cdc->ok('init');
session('one table', [ $url, '--output.late.tables=public.orders', '--output.late.format=csv' ], 0 .. 2);
my @tables = ($url, '--output.late.tables=public.orders,public.other', '--output.late.format=parquet');
session('two tables, another format', \@tables, 0 .. 3);
$state = state_of($cdc->last_entry);
is(join(' ', map { $_->{format} } @{ $state->{layouts} }), 'csv parquet', 'it is between two layouts');
ok(!$state->{filled}, 'and has nothing before');
$r = $cdc->call('replay', '--into=late');
is($r->{code}, 0, 'replay --into') or diag $r->{err};
$run = $cdc->start;
ok(poll(sub { my $s = state_of($cdc->last_entry); $s && $s->{filled} }, 180), 'run enters it') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run stops') or diag $run->errors;
is_deeply([ mixed_folders() ], [], 'no folder has objects of two kinds');
ok((grep { basename($_->{key}) =~ /^fill-.*\.csv\.zst$/ } listed()), 'rows of the first layout are in its format');
same_as_lake('anew');

done_testing();

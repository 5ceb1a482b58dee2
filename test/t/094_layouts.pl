#-------------------------------------------------------------------------
# Output settings of a lake that is there take effect with the next partition:
# json, parquet, csv, json, other folders, another compression, and no folder
# ever has objects of two kinds; one merge over all.  Commit times are an
# origin's, so that nothing waits for the clock.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use File::Basename qw(dirname);
use File::Copy qw(copy);

use CdcS3::Test;

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;

$source->psql('postgres', 'create database shop');
$source->psql('shop', <<'SQL');
create table orders (id serial primary key, note text);
create table other (id serial primary key, note text);
insert into orders (note) select 'first' from generate_series(1, 20);
select pg_replication_origin_create('elsewhere');
SQL
$target->psql('postgres', 'create database shop');

# Rows of hours from now on, whatever the clock says.
my $start = int(time / 3600) * 3600;
my $at = 0;

sub rows_of
{
	my (@hours) = @_;
	my $sql = "select pg_replication_origin_session_setup('elsewhere');\n";
	for my $hour (@hours)
	{
		my $time = $start + 3600 * $hour + 600;
		$at++;
		$sql .= "begin; select pg_replication_origin_xact_setup('0/$at', to_timestamp($time));"
		  . " insert into orders (note) values ('of hour $hour'); update orders set note = note || '.' where id = 1 + $at % 20;"
		  . " insert into other (note) values ('$at'); commit;\n";
	}
	$source->psql('shop', $sql);
	return;
}

my $cdc = sidecar(
	$source, 'shop', file_store(),
	target => $target,
	target_db => 'shop',
	flags => ['--flush.interval=1s']);
my $folder = $cdc->{store}{folder};
$cdc->ok('init');

my $run;
my $session = 0;
# A session with these settings, and rows of these hours.
sub session
{
	my ($name, $flags, @hours) = @_;
	$cdc->{flags} = [ '--flush.interval=1s', @$flags ];
	$run = $cdc->start;
	ok($cdc->wait_loaded, "$name: loaded") or diag $run->errors;
	rows_of(@hours);
	ok($cdc->wait_durable, "$name: durable") or diag $run->errors;
	if ($session++ % 2)
	{
		$run->stop('KILL', 60);
	}
	else
	{
		is($run->stop('TERM', 60), 0, "$name: run stops") or diag $run->errors;
	}
	return;
}

my @objects;
# { folder => { suffix => objects } } of what the log lists.
sub folders
{
	my %folders;
	@objects = map { $cdc->entry_objects($_) } $cdc->entries;
	for my $key (map { $_->{key} } @objects)
	{
		my ($dir, $suffix) = $key =~ m{^(.*)/[^/.]+(\.[^/]+)$};
		$folders{$dir}{$suffix}++;
	}
	return \%folders;
}

my @daily = ('--output.path={table}.{schema}/{yyyy}/{mm}/{dd}/at-{hh}');
session('json', [], 0, 1);
session('parquet', ['--output.format=parquet'], 0, 1, 2);
like($run->errors, qr/output settings take effect with the next partition.*format=parquet/, 'said');
session('csv', ['--output.format=csv'], 0, 1, 2, 3);
session('gzip', [ '--output.format=csv', '--output.compression=gzip' ], 0, 1, 2, 3, 4);
session('json again', [], 0, 1, 2, 3, 4, 5);
session('other folders', \@daily, 0, 1, 2, 3, 4, 5, 6);

my $seen = folders();
my @mixed = grep { keys %{ $seen->{$_} } > 1 } sort keys %$seen;
is("@mixed", '', 'no folder has objects of two kinds');
my %suffixes = map { $_ => 1 } map { keys %$_ } values %$seen;
is(join(' ', sort keys %suffixes), '.csv.gz .csv.zst .json.zst .parquet', 'all kinds are there');
my @new = grep { m{^orders\.public/\d+/\d+/\d+/at-\d\d$} } keys %$seen;
is(scalar @new, 1, 'the new folders begin with an hour that had no rows') or diag join "\n", sort keys %$seen;
my ($first) = sort map { dirname($_->{key}) } grep { $_->{table} eq 'orders' && $_->{key} =~ m{^public/} } @objects;
is(join(' ', keys %{ $seen->{$first} }), '.json.zst', 'the hour at hand stays as it was');

# ---- leftovers of a dead writer, in folders of either template ----

my ($old) = map { $_->{key} } grep { $_->{key} =~ m{^\Q$first\E/part-} } @objects;
my ($object) = map { $_->{key} } grep { $_->{key} =~ m{^orders\.public/} } @objects;
my @dead;
for my $key ($old, $object)
{
	my ($number) = $key =~ /part-(\d+)-/;
	my ($suffix) = $key =~ /(\.[^\/]+)$/;
	my $dead = "$folder/" . dirname($key) . "/part-$number-0099-deadbeef$suffix";
	copy("$folder/$key", $dead) or die "$dead: $!";
	push @dead, $dead;
}
# A folder hours ahead is looked through when its time comes.
pop @dead;
$run = $cdc->start;
rows_of(0);
ok($cdc->wait_durable, 'a change makes an entry') or diag $run->errors;
ok(poll(sub { !-e $dead[0] }, 60), 'what no entry lists is removed, in folders of the old template, too')
  or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run stops') or diag $run->errors;

# ---- one merge over all ----

$cdc->ok('merge', '--merge.until=now');
tables_equal($source, 'shop', $target, 'shop', qw(orders other));
my @lines = split /\n/, $cdc->replay('--table=public.orders');
cmp_ok(scalar(@lines), '>', 50, 'replay reads all of them');

# ---- check ----

my $check = $cdc->call('check');
like($check->{out}, qr/output: json zstd in "\{schema\}.*up to \S+Z, json zstd in "\{table\}\.\{schema\}/, 'check: from when on');
like($check->{out}, qr/make anew what engines have of public\.orders, public\.other,/, 'check: which tables');
$cdc->{flags} = [ @daily, '--output.format=parquet' ];
like($cdc->call('check')->{out}, qr/parquet zstd in .* from then on, if run starts now/, 'check: before it begins');
my ($layouts) = $cdc->last_entry->{layouts};
cmp_ok(scalar @$layouts, '>=', 5, 'the last entry says it all');
is($layouts->[-1]{path}, '{table}.{schema}/{yyyy}/{mm}/{dd}/at-{hh}', 'and what is in force');

# ---- folders that never end ----

my $none = sidecar(
	$source, 'shop', file_store(),
	slot => 'none',
	flags => [ '--flush.interval=1s', '--output.partition=none' ]);
$none->ok('init');
$run = $none->start;
ok($none->wait_loaded, 'none: loaded') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run stops') or diag $run->errors;
push @{ $none->{flags} }, '--output.format=csv';
$run = $none->start;
rows_of(0);
ok($none->wait_durable, 'none: durable') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run stops') or diag $run->errors;
like($run->errors, qr/output settings do not take effect: folders without a time never end/, 'said');
is(scalar(grep { /\.csv/ } $none->objects), 0, 'and kept');
like($none->call('check')->{out}, qr/output: csv zstd takes no effect/, 'check says so');

done_testing();

#-------------------------------------------------------------------------
# A lake that goes from json to parquet, csv and json again, and beside it a
# further output that changes its form and folders at other times, and one that
# writes as AWS DMS does: each is one lake, no folder of any holds two forms,
# leftovers in folders of an old template are swept, merge and DuckDB find what
# the source has.  Commit times are an origin's, so that nothing waits for the
# clock.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use File::Basename qw(basename dirname);
use File::Copy qw(copy);

use CdcS3::Engines qw(have_engines engines_missing duckdb);
use CdcS3::Test;

plan skip_all => engines_missing() unless have_engines();

my $source = new_cluster('source')->start;
my $target = new_cluster('target')->start;

$source->psql('postgres', 'create database shop');
$source->psql('shop', <<'SQL');
create table orders (id serial primary key, note text, price numeric(10,2), at timestamptz, ok boolean);
create table other (id serial primary key, note text);
insert into orders (note, price, ok) select E'a,"b"\n' || g, g / 4.0, g % 2 = 0 from generate_series(1, 20) g;
select pg_replication_origin_create('elsewhere');
SQL
$target->psql('postgres', 'create database shop');

my $start = int(time / 3600) * 3600;
my $at = 0;

# Rows of hours from now on, whatever the clock says.
sub rows_of
{
	my (@hours) = @_;
	my $sql = "select pg_replication_origin_session_setup('elsewhere');\n";
	for my $hour (@hours)
	{
		my $time = $start + 3600 * $hour + 600;
		$at++;
		$sql .= "begin; select pg_replication_origin_xact_setup('0/$at', to_timestamp($time));"
		  . " insert into orders (note, price, at) values ('of hour $hour', $hour.25, to_timestamp($time));"
		  . " update orders set note = note || '.', ok = not ok where id = 1 + $at % 20;"
		  . " delete from orders where id = 21 - $at; update orders set id = -id where id = 25 and $at > 12;"
		  . " insert into other (note) values ('$at'); commit;\n";
	}
	$source->psql('shop', $sql);
	return;
}

my %folder = (copy => temp_folder() . '/copy', dms => temp_folder() . '/dms');
my @always = (
	'--flush.interval=1s',
	"--output.copy.url=file://$folder{copy}",
	'--output.copy.tables=public.orders',
	"--output.dms.url=file://$folder{dms}",
	qw(--output.dms.format=csv --output.dms.shape=dms --output.dms.names=dms --output.dms.compression=none),
	qw(--output.dms.dms_header=on --output.dms.dms_timestamp=ts --output.dms.dms_null=NULL),
	'--output.dms.path={schema}/{table}/{yyyy}/{mm}/{dd}/{hh}');
my $cdc = sidecar(
	$source, 'shop', file_store(),
	target => $target,
	target_db => 'shop');
$folder{main} = $cdc->{store}{folder};
$cdc->ok('init');

my $run;
my $sessions = 0;

# A session with these settings, and rows of these hours.
sub session
{
	my ($name, $flags, @hours) = @_;
	$cdc->{flags} = [ @always, @$flags ];
	$run = $cdc->start;
	ok($cdc->wait_loaded, "$name: loaded") or diag $run->errors;
	rows_of(@hours);
	ok($cdc->wait_durable, "$name: durable") or diag $run->errors;
	if ($sessions++ % 2)
	{
		$run->stop('KILL', 60);
	}
	else
	{
		is($run->stop('TERM', 60), 0, "$name: run stops") or diag $run->errors;
	}
	return;
}

# Objects that the log lists of an output.
sub listed
{
	my ($output) = @_;
	return grep { $_->{output} eq $output } map { @{ $_->{output_objects} // [] } } $cdc->entries
	  if $output ne 'main';
	return map { $cdc->entry_objects($_) } $cdc->entries;
}

# { folder => { suffix => objects } }
sub folders
{
	my ($output) = @_;
	my %folders;
	for my $key (map { $_->{key} } listed($output))
	{
		my ($dir, $suffix) = $key =~ m{^(.*)/[^/.]+(\.[^/]+)$};
		$folders{$dir}{$suffix}++;
	}
	return \%folders;
}

my @path = ('--output.copy.path={table}.{schema}/{yyyy}/{mm}/{dd}/at-{hh}');
session('json', ['--output.copy.format=csv'], 0, 1);
session('parquet', [qw(--output.format=parquet --output.copy.format=csv)], 0 .. 2);
session('csv', [qw(--output.format=csv --output.copy.format=parquet)], 0 .. 3);
like($run->errors, qr/output settings take effect with the next partition.*format=parquet.*output=copy/, 'said of the output');
session('json again', [ '--output.copy.format=parquet', '--output.dms.dms_null=' ], 0 .. 4);
session('other folders', [ '--output.copy.format=json', '--output.copy.numeric=auto', @path ], 0 .. 5);
session('gzip', [ qw(--output.copy.format=json --output.copy.numeric=auto --output.copy.compression=gzip), @path ], 0 .. 6);

for my $output (qw(main copy dms))
{
	my $seen = folders($output);
	my @mixed = grep { keys %{ $seen->{$_} } > 1 } sort keys %$seen;
	is("@mixed", '', "$output: no folder has objects of two kinds");
	my %suffixes = map { $_ => 1 } map { keys %$_ } values %$seen;
	my %all = (main => '.csv.zst .json.zst .parquet', copy => '.csv.zst .json.gz .json.zst .parquet', dms => '.csv');
	is(join(' ', sort keys %suffixes), $all{$output}, "$output: all kinds are there");
}
my @new = grep { m{^orders\.public/\d+/\d+/\d+/at-\d\d$} } keys %{ folders('copy') };
cmp_ok(scalar @new, '>=', 1, 'copy: the new folders begin behind the old ones');
my ($state) = grep { $_->{name} eq 'copy' } @{ $cdc->last_entry->{outputs} };
is($state->{layouts}[-1]{path}, '{table}.{schema}/{yyyy}/{mm}/{dd}/at-{hh}', 'copy: the log says what is in force');
cmp_ok(scalar @{ $state->{layouts} }, '>=', 4, 'copy: and what was before');

# ---- leftovers of a dead writer, in folders of an old template of the output ----

my ($first) = sort map { dirname($_->{key}) } grep { $_->{key} =~ m{^public/} } listed('copy');
my ($old) = map { $_->{key} } grep { $_->{key} =~ m{^\Q$first\E/part-} } listed('copy');
my ($number, $suffix) = $old =~ m{part-(\d+)-[^.]*(\..+)$};
my $dead = "$folder{copy}/$first/part-$number-0099-deadbeef$suffix";
copy("$folder{copy}/$old", $dead) or die "$dead: $!";
$run = $cdc->start;
rows_of(0);
ok($cdc->wait_durable, 'a change makes an entry') or diag $run->errors;
ok(poll(sub { !-e $dead }, 120), 'copy: what no entry lists is removed in folders of the old template, too')
  or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run stops') or diag $run->errors;

# ---- one lake, and one merge ----

$cdc->ok('merge', '--merge.until=now');
tables_equal($source, 'shop', $target, 'shop', qw(orders other));
my $main = [ grep { /"_table":"orders"/ } split /\n/, $cdc->replay ];
cmp_ok(scalar(@$main), '>', 50, 'replay reads all of it');
my @copied = split /\n/, $cdc->ok('replay', '--output=copy');
# numeric=auto writes none of these otherwise
is_deeply(\@copied, $main, 'copy: has what the lake has, in the same order');

# ---- DuckDB reads both, as "ddl" says ----

my $want = $source->psql('shop', q{select string_agg(format('%s|%s|%s|%s', id, note, price, ok), E'\x01' order by id) from orders});
for my $output (undef, 'copy')
{
	my $name = $output // 'main';
	my $r = $cdc->on_lake('ddl', '--engine=duckdb', '--view=latest', 'public.orders', of($output));
	is($r->{code}, 0, "$name: ddl") or diag $r->{err};
	unlike($r->{out}, qr/NOT WHOLE/, "$name: all is read");
	like($r->{out}, qr/\Q$folder{$name}\E/, "$name: where it lies");
	my @rows = eval {
		duckdb("$r->{out} select string_agg(concat_ws('|', id, coalesce(note, ''), coalesce(price::varchar, ''),"
			  . " coalesce(case when ok then 't' else 'f' end, '')), chr(1) order by id) from public.orders_latest");
	};
	is($@, '', "$name: DuckDB runs it") or next;
	is(normal($rows[0][0]), normal($want), "$name: the rows of now are the source's");
}
like($cdc->on_lake('ddl', '--engine=duckdb', of('copy'))->{out}, qr/\A(?:(?!other).)*\z/s, 'copy: only its tables');
is($cdc->on_lake('ddl', '--engine=duckdb', '--output=none')->{code}, 2, 'an unknown output is refused');

# What "ddl" is told to read an output.
sub of { my ($o) = @_; return $o ? ("--output.$o.url=file://$folder{$o}", "--output=$o") : () }

# ok is NULL where a row never had it
sub normal { my ($t) = @_; $t =~ s/\|(?=\x01|$)/|f/g; return $t }

# ---- as AWS DMS writes it ----

my @dms = listed('dms');
is(scalar(grep { basename($_->{key}) !~ /^(LOAD[0-9A-F]{8}|\d{8}-\d{9})-/ } @dms), 0, 'dms: names are its');
my ($load) = map { slurp("$folder{dms}/$_->{key}") } grep { $_->{table} eq 'orders' && basename($_->{key}) =~ /^LOAD/ } @dms;
like($load, qr/\AOp,ts,id,note,price,at,ok\nI,/, 'dms: a header');
like($load, qr/,NULL,(?:true|false)\n/, 'dms: NULL as it is called');
my ($last) = grep { $_->{table} eq 'other' } reverse @dms;
like(slurp("$folder{dms}/$last->{key}"), qr/\AOp,ts,id,note\nI,[-\d]+ [\d:.]+,\d+,\d+\n/, 'dms: a change');
is($cdc->call('replay', '--output=dms')->{code}, 3, 'dms: replay refuses it');

# ---- check ----

my $check = $cdc->call('check');
like($check->{out}, qr/output copy: json \w+ in .* in "\{table\}\.\{schema\}/, 'check: from when on');
like($check->{out}, qr/make anew what engines have of public\.orders, one table for each/, 'check: which tables')
  or diag $check->{out};

# ---- what does not fit ----

for my $bad (
	[ '--output.copy.shape=dms', qr/output\.copy\.shape = dms needs output\.copy\.format = csv/ ],
	[ '--output.dms.dms_delimiter=""', qr/output\.dms\.dms_delimiter has the value/ ])
{
	my $r = $cdc->call('run', $bad->[0]);
	is($r->{code}, 2, "$bad->[0]: refused");
	like($r->{err}, $bad->[1], 'and why');
}

done_testing();

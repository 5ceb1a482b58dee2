#-------------------------------------------------------------------------
# Thousands of tables that change in turn: more rows than memory.limit holds,
# a few of each table at a time.  It goes through within the limit, nothing is
# lost or doubled, each table's schema file is there, and a sweep leaves what
# counts and takes what does not.
#
# CDCS3_TEST_TABLES makes it smaller or larger.
#-------------------------------------------------------------------------
use strict;
use warnings;
use JSON::PP;
use Test::More;

use CdcS3::Test;

my $tables = $ENV{CDCS3_TEST_TABLES} // 1500;
my $rounds = 3;
my $rows = 8;

my $source = new_cluster('source',
	conf => [ 'max_locks_per_transaction = 1000', 'autovacuum = off' ])->start;
my $sql = '';
$sql .= "create table many_$_ (id integer primary key, a text, b numeric, "
  . "c timestamptz, d double precision, e boolean);\n"
  for 1 .. $tables;
$source->psql('postgres', $sql);
$source->psql('postgres', <<"SQL");
create procedure change() language plpgsql as \$\$
begin
	for r in 1 .. $rounds loop
		for i in 1 .. $tables loop
			execute format('insert into many_%s select i, repeat(''x'', 200), '
				|| 'i / 7.0, now(), random(), true from generate_series(%s, %s) i',
				i, r * $rows, r * $rows + $rows - 1);
			if i % 50 = 0 then commit; end if;
		end loop;
	end loop;
end \$\$;
SQL

my $limit = 8;
my $cdc = sidecar($source, 'postgres', file_store(),
	flags => [ "--memory.limit=${limit}MB", '--flush.interval=1s',
		'--load.mode=never' ]);
$cdc->ok('init');
# The same with further outputs, later.
my $outputs = temp_folder();
my $three = sidecar($source, 'postgres', file_store(),
	slot => 'three',
	flags => [ '--memory.limit=24MB', '--flush.interval=1s', '--load.mode=never',
		"--output.gz.url=file://$outputs/gz", '--output.gz.compression=gzip',
		"--output.columns.url=file://$outputs/columns",
		'--output.columns.format=parquet' ]);
$three->ok('init');
$source->psql('postgres', 'call change()');

my $run = $cdc->start;
ok($cdc->wait_durable(300), 'all is durable') or diag $run->errors;
memory_below($run, 64);
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
my ($peak) = $run->errors =~ /event=stopped .*buffers_peak=(\d+)/;
cmp_ok($peak, '<=', $limit << 20, "buffers stay within the limit ($peak)");

# What the log counts is what was written, and the folders hold nothing else.
sub lake
{
	my %n;
	$n{ $_->{table} } += $_->{rows}
	  for map { $cdc->entry_objects($_) } $cdc->entries;
	return \%n;
}
my %want = map { ("many_$_" => $rounds * $rows) } 1 .. $tables;
is_deeply(lake(), \%want, 'each row of each table once');
my $folder = $cdc->{store}{folder};
my @schemas = glob "$folder/_cdc/schema/public/*/*.json";
is(scalar @schemas, $tables, 'a schema file each');
my %listed = map { ($_->{key} => 1) } map { $cdc->entry_objects($_) } $cdc->entries;

sub parts
{
	return map { substr $_, length("$folder/") }
	  glob "$folder/public/*/*/*/*/*/*";
}
is_deeply([ sort(parts()) ], [ sort keys %listed ], 'folders hold what is listed');

# Another session looks through all of it: what entries list stays, what a
# killed writer left goes.
my ($some) = sort keys %listed;
(my $left = $some) =~ s/-\d+-\w{8}\./-9999-0badcafe./;
open my $f, '>', "$folder/$left" or die "$left: $!";
print {$f} "leftover\n";
close $f or die $!;
$source->psql('postgres', 'insert into many_1 values (0)');
$want{many_1}++;
$run = $cdc->start;
ok($cdc->wait_durable(60), 'one more row') or diag $run->errors;
ok(poll(sub { !-e "$folder/$left" }, 60), 'a leftover is removed');
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;
is_deeply(lake(), \%want, 'the log has the row');
%listed = map { ($_->{key} => 1) } map { $cdc->entry_objects($_) } $cdc->entries;
is_deeply([ sort(parts()) ], [ sort keys %listed ], 'and nothing else is gone');

# Two further outputs: each has each row once, within the limit.
$run = $three->start;
ok($three->wait_durable(600), 'outputs: all is durable') or diag $run->errors;
memory_below($run, 96);
is($run->stop('TERM', 60), 0, 'outputs: run ends with 0') or diag $run->errors;
($peak) = $run->errors =~ /event=stopped .*buffers_peak=(\d+)/;
cmp_ok($peak, '<=', 24 << 20, "outputs: buffers stay within the limit ($peak)");
for my $name (qw(gz columns))
{
	my @listed = split /\n/, $three->ls('objects', '--json', "--output=$name");
	my %n;
	for (map { JSON::PP->new->decode($_) } @listed)
	{
		$n{ $_->{table} } += $_->{rows} if -s "$outputs/$name/$_->{key}" == $_->{bytes};
	}
	is_deeply(\%n, \%want, "$name: each row of each table once");
}

done_testing();

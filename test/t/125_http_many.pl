#-------------------------------------------------------------------------
# Metrics of very many tables: a hundred have lines of their own, the rest are
# together and never decrease, whatever is streamed and however often the run
# begins a session; the text stays small.
#
# CDCS3_TEST_TABLES makes it smaller or larger.
#-------------------------------------------------------------------------
use strict;
use warnings;
use HTTP::Tiny;
use Test::More;
use Time::HiRes qw(time);

use CdcS3::Test;

my $tables = $ENV{CDCS3_TEST_TABLES} // 600;
my $source = new_cluster('source',
	conf => [ 'max_locks_per_transaction = 1000', 'autovacuum = off' ])->start;
$source->psql('postgres', join '', map { "create table many_$_ (id integer primary key, a text);\n" } 1 .. $tables);
$source->psql('postgres', <<"SQL");
create procedure change(n integer) language plpgsql as \$\$
begin
	for i in 1 .. $tables loop
		execute format('insert into many_%s values (%s, ''x'')', i, n);
		if i % 50 = 0 then commit; end if;
	end loop;
end \$\$;
SQL
my $cdc = sidecar($source, 'postgres', file_store(),
	flags => [ '--flush.interval=1s', '--load.mode=never', '--http.listen=127.0.0.1:0',
		'--metrics.tables=public.many_1*,public.many_7' ]);
$cdc->ok('init');
my $run = $cdc->start;
my $port;
ok(poll(sub { ($port) = $run->errors =~ /event=listening .*port=(\d+)/ }, 60), 'it listens')
  or BAIL_OUT($run->errors);

my ($largest, $slowest) = (0, 0);
sub scrape
{
	my $start = time;
	my $text = HTTP::Tiny->new(timeout => 60)->get("http://127.0.0.1:$port/metrics")->{content};
	$slowest = time - $start if time - $start > $slowest;
	$largest = length $text if length $text > $largest;
	my %rows = (text => $text, sum => 0);
	while ($text =~ /^cdc_s3_rows_total\{schema="(\w*)",table="(\w+)",op="insert"\} (\d+)$/mg)
	{
		$rows{"$1.$2"} = $3;
		$rows{sum} += $3;
	}
	return \%rows;
}

my $before = scrape();
my $went_back = 0;
for my $round (1 .. 3)
{
	$source->psql('postgres', "call change($round)");
	ok(poll(sub {
		my $now = scrape();
		$went_back++ for grep { ($now->{$_} // 0) < $before->{$_} } grep { $_ ne 'text' } keys %$before;
		$before = $now;
		return $now->{sum} == $round * $tables;
	}, 180), "round $round: each row is counted once") or diag $before->{sum}, $run->errors;
	# A session of its own for each round.
	$source->restart('immediate') if $round < 3;
	ok(poll(sub { scrape()->{text} =~ /^cdc_s3_connected 1$/m }, 120), 'connected');
}
is($went_back, 0, 'nothing ever went back');
is($before->{'public.many_7'}, 3, 'a table that was chosen');
ok(!exists $before->{'public.many_2'}, 'one that was not');
cmp_ok($before->{'.other'}, '>', 0, 'counts among the others');
cmp_ok(scalar(grep { /^public/ } keys %$before), '<=', 100, 'a hundred at most');
cmp_ok($largest, '<', 2 << 20, "the text is small: $largest bytes");
note sprintf 'the slowest answer took %.3f s', $slowest;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;

done_testing();

#-------------------------------------------------------------------------
# deploy/container/compose.yaml, whose services are started by hand, as there is
# no daemon of containers here: each program with the command and environment
# that the file gives it, but for the names of hosts.  A row arrives.
#-------------------------------------------------------------------------
use strict;
use warnings;
use HTTP::Tiny;
use JSON::PP;
use Test::More;

use CdcS3::Prometheus;
use CdcS3::Proc qw(free_port);
use CdcS3::Test;

my $top = top_folder();
chomp(my $python = capture([ 'sh', "$top/test/deps-deploy.sh", '--path' ])->{out});
plan skip_all => 'missing: a parser of YAML; "make deps" brings it' unless -e $python;
plan skip_all => s3_missing() unless have_s3();

my $r = capture([ $python, '-c', 'import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))',
		"$top/deploy/container/compose.yaml" ]);
die $r->{err} if $r->{code};
my $compose = JSON::PP->new->decode($r->{out});
my %service = %{ $compose->{services} };
my $folder = temp_folder();

# What is for all: order, and images by version.
for my $name (sort keys %service)
{
	my $image = $service{$name}{image};
	like($image, qr/:\S*\d/, "$name: an image of a version, $image") if $image !~ /^cdc-s3:local$/;
	for my $on (sort keys %{ $service{$name}{depends_on} // {} })
	{
		my $condition = $service{$name}{depends_on}{$on}{condition};
		ok($condition ne 'service_healthy' || $service{$on}{healthcheck}, "$name: $on can tell that it is healthy");
		ok($condition ne 'service_completed_successfully' || !$service{$on}{restart} || $service{$on}{restart} eq 'on-failure',
			"$name: $on comes to an end");
	}
}
is($service{$_}{read_only}, JSON::PP::true, "$_: writes nothing") for qw(init run merge);
my ($grace) = $service{run}{stop_grace_period} =~ /^(\d+)s$/;
cmp_ok($grace, '>', 10, 'run has more time than shutdown.timeout');

# The databases, with the settings of the source's command.
my @command = @{ $service{source}{command} };
is(shift @command, 'postgres', 'the source is a server');
my %set = map { split /=/, $_, 2 } grep { $_ ne '-c' } @command;
is($set{wal_level}, 'logical', 'of logical decoding');
like($set{output_plugin_libraries}, qr/\bcdc_s3\b/, 'that may use the plugin');
my $source = new_cluster('source', conf => [ map { "$_ = '$set{$_}'" } grep { $_ ne 'output_plugin_libraries' } sort keys %set ])->start;
my $target = new_cluster('target')->start;
my %cluster = (source => $source, target => $target);
my %db = map { $_ => $service{$_}{environment}{POSTGRES_DB} } qw(source target);
$cluster{$_}->psql('postgres', "create database $db{$_}") for qw(source target);

# The S3 server, by its arguments, and its bucket, by the command that makes it.
my $port = free_port();
mkdir "$folder/data" or die "$folder/data: $!\n";
my @s3 = map { s{^:7070$}{127.0.0.1:$port}r =~ s{^/data}{$folder/data}r } @{ $service{s3}{command} };
chomp(my $gateway = capture([ 'sh', "$top/test/deps-s3.sh", '--path', 'versitygw' ])->{out});
# Where files have no extended attributes it keeps its notes elsewhere.
push @s3, splice(@s3, -1, 1, '--sidecar', "$folder/notes") unless CdcS3::S3Server::has_attributes("$folder/data");
mkdir "$folder/notes" or die "$folder/notes: $!\n";
like($gateway, qr/-\Q@{[ $service{s3}{image} =~ m{:(\S+)$} ]}\E$/, 'the S3 server of the version that we test with');
my $server = spawn(
	cmd => [ $gateway, @s3 ],
	env => $service{s3}{environment},
	out_path => "$folder/s3.out",
	err_path => "$folder/s3.err",
	pdeathsig => 'KILL');
my @bucket = map { s{^/data}{$folder/data}r } @{ $service{bucket}{command} };
is(capture([@bucket])->{code}, 0, 'the bucket is made');
ok(poll(sub { HTTP::Tiny->new(timeout => 5)->get("http://127.0.0.1:$port/")->{status} != 599 }, 60), 'the S3 server answers')
  or diag $server->errors;

# The program, as the file has it.
my %port = map { $_ => free_port() } qw(run merge);
sub environment
{
	my ($name) = @_;
	my %env = %{ $service{$name}{environment} };
	for (values %env)
	{
		s{http://s3:7070}{http://127.0.0.1:$port};
		s{^host=(source|target) dbname=(\w+) .*}{$cluster{$1}->conninfo($2)}e;
		s{^0\.0\.0\.0:8470$}{"127.0.0.1:" . ($port{$name} // 0)}e;
	}
	return \%env;
}
$source->psql($db{source}, q{create table t (id integer primary key, v text); insert into t values (1, 'by hand')});
my $init = capture([ CdcS3::Sidecar::program(), @{ $service{init}{command} } ], env => environment('init'));
is($init->{code}, 0, 'init') or diag $init->{err};
my %process;
sub start
{
	my ($name) = @_;
	$process{$name} = spawn(
		cmd => [ CdcS3::Sidecar::program(), @{ $service{$name}{command} } ],
		env => environment($name),
		out_path => "$folder/$name.out",
		err_path => "$folder/$name.err",
		pdeathsig => 'KILL');
	return;
}
start('run');
ok(poll(sub { $process{run}->errors =~ /event="table loaded".*event="entry written"/s }, 120), 'run streams')
  or diag $process{run}->errors;
start('merge');
ok(poll(sub { ($target->try_psql($db{target}, 'select v from t')->{out} // '') eq "by hand\n" }, 240), 'a row arrives')
  or diag $process{run}->errors, $process{merge}->errors;

# What looks at them.
my ($scrape) = map { [ /"(\w+:\d+)"/g ] } $compose->{configs}{prometheus}{content} =~ /targets: \[(.*)\]/;
is_deeply($scrape, [ 'run:8470', 'merge:8470' ], 'Prometheus scrapes both');
for my $name (qw(run merge))
{
	like(HTTP::Tiny->new(timeout => 60)->get("http://127.0.0.1:$port{$name}/metrics")->{content} // '',
		qr/^cdc_s3_ready [01]$/m, "$name is there for it");
}
SKIP:
{
	CdcS3::Prometheus::promtool() or skip CdcS3::Prometheus::missing(), 1;
	open my $f, '>', "$folder/prometheus.yml" or die "prometheus.yml: $!\n";
	print {$f} $compose->{configs}{prometheus}{content};
	close $f or die "prometheus.yml: $!\n";
	$r = CdcS3::Prometheus::call('check', 'config', "$folder/prometheus.yml");
	is($r->{code}, 0, 'promtool takes its configuration') or diag $r->{out}, $r->{err};
}
is($process{merge}->stop('TERM', 60), 0, 'merge ends with 0') or diag $process{merge}->errors;
is($process{run}->stop('TERM', $grace), 0, 'run ends with 0 in its time') or diag $process{run}->errors;
$server->stop('TERM', 20);

done_testing();

#-------------------------------------------------------------------------
# A server that does not list the plugin: check, init and run say what to do,
# and doing just that helps.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Cluster;
use CdcS3::Test;

plan skip_all => 'this server has no list of output plugins'
  unless CdcS3::Cluster::knows_plugin_list();

my $source = new_cluster('source', plugin_list => 0)->start;
$source->psql('postgres', 'create table t (id integer primary key)');
my $cdc =
  sidecar($source, 'postgres', file_store(), flags => ['--load.mode=never']);

# The mend, as a statement that can be pasted.
sub mend
{
	my ($text) = @_;
	my ($sql) =
	  $text =~ /(alter system set output_plugin_libraries\s*(?:=|to)[^;\n"]*)/i;
	return $sql;
}

my %codes = (check => qr/^[24]$/, init => qr/^[24]$/);
my $sql;
for my $command (qw(check init))
{
	my $r = $cdc->call($command);
	like($r->{code}, $codes{$command}, "$command: exit code");
	like("$r->{out}$r->{err}", qr/output_plugin_libraries/,
		"$command: names the setting");
	$sql = mend("$r->{out}$r->{err}");
	ok($sql, "$command: gives the statement") or diag "$r->{out}$r->{err}";
}
is_deeply([ $cdc->entry_files ], [], 'init left no log');

# Do what it says: what was allowed stays allowed.
$source->psql('postgres', $sql // 'select 1/0');
$source->psql('postgres', 'select pg_reload_conf()');
ok($source->poll_until('postgres',
		"select current_setting('output_plugin_libraries') ~ 'cdc_s3'"),
	'the statement works');
like($source->psql('postgres', 'show output_plugin_libraries'),
	qr/pgoutput.*test_decoding.*cdc_s3/, 'and takes nothing away');
$cdc->ok('init');
my $run = $cdc->start;
$source->psql('postgres', 'insert into t values (1)');
ok($cdc->wait_durable, 'the stream runs') or diag $run->errors;
is($run->stop('TERM', 60), 0, 'run ends with 0') or diag $run->errors;

# The list is lost, as it is by an upgrade to a release that has it.
$source->psql('postgres', 'alter system reset output_plugin_libraries');
$source->psql('postgres', 'select pg_reload_conf()');
ok($source->poll_until('postgres',
		"select current_setting('output_plugin_libraries') !~ 'cdc_s3'"),
	'the list is lost');
$run = $cdc->start;
like($run->wait(60) // 'still running', qr/^[24]$/, 'run: exit code');
$run->stop('KILL');
like($run->errors, qr/output_plugin_libraries/, 'run: names the setting');
ok(mend($run->errors), 'run: gives the statement') or diag $run->errors;

done_testing();

#-------------------------------------------------------------------------
# The DAG of deploy/airflow in a real Airflow: a run merges its hour, a second
# one finds it done, and one that fails says why.
#
#	test/deploy/airflow.pl FOLDER-OF-AIRFLOW
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Lake;
use CdcS3::Test;

my ($airflow) = @ARGV;
die "usage: test/deploy/airflow.pl FOLDER-OF-AIRFLOW\n" unless $airflow;
my $home = temp_folder();
mkdir "$home/dags" or die "$home/dags: $!\n";
system('cp', top_folder() . '/deploy/airflow/cdc_s3_merge.py', "$home/dags") == 0
  or die "cp: $?\n";

my $target = new_cluster('target')->start;
my $lake = CdcS3::Lake->new(folder => "$home/lake");
my $t = $lake->table('public.t', key => ['id'],
	columns => [ [ id => 'int4', 'pk' ], [ v => 'text' ] ]);
$lake->entry(
	end => 0x2000,
	closed => '2026-11-21T08:00:00Z',
	rows => [ [ $t, i => 0x1100, 1, { id => 1, v => '"one"' } ] ]);

my %env = (
	AIRFLOW_HOME => $home,
	AIRFLOW__CORE__LOAD_EXAMPLES => 'False',
	AIRFLOW__CORE__UNIT_TEST_MODE => 'False',
	CDCS3_PROGRAM => CdcS3::Sidecar::program(),
	CDC_S3_STORE_URL => "file://$home/lake",
	CDC_S3_TARGET_CONNINFO => $target->conninfo('postgres'));

sub airflow
{
	my (@args) = @_;
	return capture([ "$airflow/bin/airflow", @args ], env => \%env, timeout => 600);
}

my $r = airflow('db', 'migrate');
is($r->{code}, 0, 'a database of Airflow') or diag $r->{out}, $r->{err};
$r = airflow('dags', 'list-import-errors');
like($r->{out}, qr/No data found/, 'the DAG is read without an error') or diag $r->{out};

sub run_dag
{
	my ($time) = @_;
	my $got = airflow('dags', 'test', 'cdc_s3_merge', $time);
	return ($got->{out} . $got->{err}, $got->{code});
}
my ($said, $code) = run_dag('2026-11-21T08:00:00+00:00');
like($said, qr/state=?.{0,12}success|success/i, 'a run of a closed hour succeeds') or diag $said;
is($target->psql('postgres', 'select v from t'), 'one', 'and the target has its rows');
my $xmin = $target->psql('postgres', 'select xmin from t');
($said, $code) = run_dag('2026-11-21T07:00:00+00:00');
unlike($said, qr/AirflowFailException|Traceback/, 'an hour before it has nothing to do')
  or diag $said;
is($target->psql('postgres', 'select xmin from t'), $xmin, 'and changes nothing');

$env{CDC_S3_TARGET_CONNINFO} = 'host=/nowhere dbname=none';
$env{CDC_S3_MERGE_UNTIL} = 'never';
($said) = run_dag('2026-11-21T06:00:00+00:00');
like($said, qr/exit code 2: .*merge\.until/, 'what fails says why') or diag $said;

done_testing();

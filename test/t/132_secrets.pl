#-------------------------------------------------------------------------
# Passwords and keys that stand in files or in AWS Secrets Manager, and what
# happens when somebody rotates them.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::S3Server;
use CdcS3::Test;

# A server that asks for passwords, but of its superuser.
my $pg = new_cluster('secret', tcp => 1);
open my $hba, '>', "$pg->{data}/pg_hba.conf" or die "pg_hba.conf: $!\n";
print {$hba} <<'HBA';
local all postgres trust
host all postgres 127.0.0.1/32 trust
host all,replication all 127.0.0.1/32 scram-sha-256
HBA
close $hba or die "pg_hba.conf: $!\n";
$pg->start;
$pg->psql('postgres', 'create database copy');
$pg->psql('postgres', <<'SQL');
create role cdc login replication password 'first pass';
create role cdc_merge login superuser password 'merge pass';
create table t (id int primary key);
insert into t values (1);
grant select on t to cdc;
SQL

my $folder = temp_folder();
my $said = '';

sub put
{
	my ($name, $text) = @_;
	open my $f, '>', "$folder/$name.new" or die "$folder/$name: $!\n";
	print {$f} $text;
	close $f or die "$folder/$name: $!\n";
	rename "$folder/$name.new", "$folder/$name" or die "$folder/$name: $!\n";
	return "$folder/$name";
}

my $file = put('password', "first pass\n");
my $cdc = sidecar(
	$pg, 'postgres', file_store(),
	source_conninfo => $pg->conninfo('postgres', tcp => 1, user => 'cdc'),
	flags => [ "--source.password_file=$file", '--source.tables=public.t' ]);

#
# A file
#
$cdc->ok('init');
my $run = $cdc->start;
ok($cdc->wait_loaded, 'loads with the password of the file') or diag $run->errors;

# All connections are gone, and the password is another one.
put('password', "second pass\n");
$pg->psql('postgres', q{alter role cdc password 'second pass'});
$pg->psql('postgres',
	q{select pg_terminate_backend(pid) from pg_stat_activity where usename = 'cdc'});
$pg->psql('postgres', 'insert into t values (2)');
ok($cdc->wait_durable(120), 'a rotated password is picked up') or diag $run->errors;
is($run->stop('TERM', 120), 0, 'it stops') or diag $run->errors;
$said .= $run->errors;

put('password', "a wrong one\n");
my $r = $cdc->call('check');
is($r->{code}, 6, 'a wrong password: exit code') or diag $r->{out};
$said .= $r->{out} . $r->{err};
put('password', "\n");
$r = $cdc->call('run');
is($r->{code}, 6, 'an empty file: exit code');
like($r->{err}, qr/the file that source\.password_file names is empty/, 'and why');
unlink $file;
$r = $cdc->call('run');
is($r->{code}, 6, 'no file: exit code');
like($r->{err}, qr/source\.password_file.*No such file/, 'and why');
unlike($r->{err}, qr/\Q$file\E/, 'its path is not repeated');
put('password', "second pass\n");

$r = $cdc->call('check', '--source.password_secret=arn:x');
is($r->{code}, 2, 'two places of one password: exit code');
like($r->{err}, qr/more than one place.*source\.password_file/, 'and which');

#
# The store's key
#
SKIP:
{
	skip 'missing: ' . s3_missing(), 3 unless have_s3();
	my $s3 = s3_store();
	my %env = %{ $s3->{env} };
	my $key = put('key', delete($env{AWS_SECRET_ACCESS_KEY}) . "\n");
	my $with_key = sub {
		my ($more, @args) = @_;
		return capture(
			[
				CdcS3::Sidecar::program(), 'check', "--store.url=$s3->{url}",
				@{ $s3->{flags} }, '--source.conninfo=host=/nowhere', @args
			],
			env => { %env, %$more });
	};
	my $ok = $with_key->({}, "--store.secret_key_file=$key");
	like($ok->{out}, qr/^ok .*(?:bucket|store|lake)/mi, 'the key of a file opens the store')
	  or diag $ok->{out}, $ok->{err};
	my $both = $with_key->({ AWS_SECRET_ACCESS_KEY => 'x' }, "--store.secret_key_file=$key");
	like($both->{out} . $both->{err}, qr/AWS_SECRET_ACCESS_KEY too/, 'not beside the variable');
	my $none = $with_key->({ AWS_ACCESS_KEY_ID => '' }, "--store.secret_key_file=$key");
	like($none->{out} . $none->{err}, qr/AWS_ACCESS_KEY_ID is not/, 'not without an id');
}

#
# AWS Secrets Manager
#
SKIP:
{
	my $moto = CdcS3::S3Server::installed('moto')
	  or skip 'missing: moto; "make deps" brings it', 8;
	my $server = CdcS3::S3Server::start_moto();
	(my $python = $moto) =~ s{/moto_server$}{/bin/python3};
	my $secrets = sub {
		my ($call) = @_;
		my $script = <<"PY";
import boto3, json
c = boto3.client("secretsmanager", region_name="eu-central-1",
    endpoint_url="@{[ $server->endpoint ]}",
    aws_access_key_id="x", aws_secret_access_key="x")
print($call, end="")
PY
		my $got = capture([ $python, '-c', $script ]);
		die $got->{err} if $got->{code};
		return $got->{out};
	};
	# As DMS has it: host and port are the secret's too.
	my $dms = qq({"username":"cdc_merge","password":"merge pass",)
	  . qq("host":"127.0.0.1","port":$pg->{port},"engine":"postgres"});
	my $arn = $secrets->(
		qq{c.create_secret(Name="merge", SecretString='$dms')["ARN"]});
	like($arn, qr/^arn:aws:secretsmanager:eu-central-1:/, 'a secret');
	my %env = (
		AWS_ACCESS_KEY_ID => 'x',
		AWS_SECRET_ACCESS_KEY => 'x',
		AWS_ENDPOINT_URL_SECRETS_MANAGER => $server->endpoint);
	my $merge = sub {
		my (@args) = @_;
		my $got = capture(
			[
				CdcS3::Sidecar::program(), 'merge', '--merge.until=now',
				"--store.url=$cdc->{store}{url}", '--target.conninfo=dbname=copy',
				@args
			],
			env => \%env);
		$said .= $got->{out} . $got->{err};
		return $got;
	};
	my $merged = $merge->("--target.password_secret=$arn");
	is($merged->{code}, 0, 'merges with what the secret says') or diag $merged->{err};
	is($pg->psql('copy', 'select count(*) from t'), 2, 'into that server');

	$pg->psql('postgres', q{alter role cdc_merge password 'third pass'});
	is($merge->("--target.password_secret=$arn")->{code}, 6, 'rotated at the server only');
	(my $rotated = $dms) =~ s/merge pass/third pass/;
	$secrets->(qq{c.put_secret_value(SecretId="$arn", SecretString='$rotated')["Name"]});
	is($merge->("--target.password_secret=$arn")->{code}, 0, 'rotated in both');

	# conninfo goes first.
	is( $merge->("--target.password_secret=$arn",
			'--target.conninfo=dbname=copy user=postgres')->{code},
		0, 'what conninfo says goes before it');
	my $no = $merge->('--target.password_secret='
		  . 'arn:aws:secretsmanager:eu-central-1:123456789012:secret:none-AAAAAA');
	is($no->{code}, 6, 'no such secret: exit code');
	like($no->{err}, qr/target\.password_secret.*ResourceNotFound.*correct the ARN/s, 'and the mend')
	  or diag $no->{err};
	$server->stop;
}

unlike($said, qr/(?:first|second|third|merge) pass|a wrong one/, 'no password is ever told');

done_testing();

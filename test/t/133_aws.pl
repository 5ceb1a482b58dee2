#-------------------------------------------------------------------------
# The policies of deploy/aws/: each is enough under a server that enforces
# them, and where a statement is missing the program names what it misses.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;
use HTTP::Tiny;
use JSON::PP;

use CdcS3::S3Server;
use CdcS3::Test;

my $aws = top_folder() . '/deploy/aws';
my $json = JSON::PP->new->canonical;
my %policy = map { m{/([^/]+)\.json$} ? ($1 => $json->decode(slurp($_))) : () }
  glob("$aws/*.json");

# With a key of KMS each is the plain one and one statement more.
for my $name (qw(iam-run iam-merge iam-check))
{
	my @with = @{ $policy{"$name-kms"}{Statement} };
	my $key = pop @with;
	is_deeply(\@with, $policy{$name}{Statement}, "$name-kms is $name");
	is_deeply($key->{Action}, [ 'kms:Decrypt', 'kms:GenerateDataKey' ], 'and the key');
}
for my $name (sort keys %policy)
{
	my @wide = grep { $_->{Effect} eq 'Allow' && $json->encode([ $_->{Action} ]) =~ /\*/ }
	  @{ $policy{$name}{Statement} };
	is(scalar @wide, 0, "$name allows no more than it names");
}

my $moto = CdcS3::S3Server::installed('moto');
if (!$moto)
{
	SKIP: { skip 'missing: moto; "make deps" brings it', 1; }
	done_testing();
	exit;
}
my $server = CdcS3::S3Server::start_moto();
(my $python = $moto) =~ s{/moto_server$}{/bin/python3};
my $bucket = $server->bucket;
my @admin = ('x', 'x');

sub boto
{
	my ($script, @args) = @_;
	my $prelude = <<'PY';
import boto3, json, sys
endpoint, key, secret = sys.argv[1:4]
def client(service):
    return boto3.client(service, region_name="us-east-1", endpoint_url=endpoint,
        aws_access_key_id=key, aws_secret_access_key=secret)
iam = client("iam")
def user(name, policy):
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=policy)
    k = iam.create_access_key(UserName=name)["AccessKey"]
    return k["AccessKeyId"] + " " + k["SecretAccessKey"]
PY
	my $r = capture([ $python, '-c', $prelude . $script, $server->endpoint, @admin, @args ]);
	die $r->{err} if $r->{code};
	chomp $r->{out};
	return $r->{out};
}

# A user with a policy, whose bucket and prefix are those of this test.
sub user
{
	my ($name, @statements) = @_;
	my $document = $json->encode({ Version => '2012-10-17', Statement => \@statements });
	$document =~ s/my-bucket/$bucket/g;
	return split ' ', boto('print(user(sys.argv[4], sys.argv[5]))', $name, $document);
}
@admin = user('admin',
	{ Effect => 'Allow', Action => [ 'iam:*', 's3:*' ], Resource => '*' });
my $enforced = HTTP::Tiny->new->post($server->endpoint . '/moto-api/reset-auth',
	{ content => '0' });
ok($enforced->{success}, 'the server enforces policies');

my $pg = new_cluster('aws')->start;
$pg->psql('postgres', 'create table t (id int primary key, v text)');
$pg->psql('postgres', 'create database copy');
$pg->psql('postgres', q{insert into t values (1, 'one')});

sub as
{
	my ($id, $secret) = @_;
	return sidecar(
		$pg, 'postgres',
		{
			url => "s3://$bucket/shop",
			folder => temp_folder(),
			flags => [ '--store.endpoint=' . $server->endpoint ],
			env => {
				AWS_ACCESS_KEY_ID => $id,
				AWS_SECRET_ACCESS_KEY => $secret,
				AWS_EC2_METADATA_DISABLED => 'true'
			}
		},
		target => $pg,
		target_db => 'copy');
}

sub statements { return @{ $policy{ $_[0] }{Statement} } }

#
# Each is enough
#
my $run_user = as(user('run', statements('iam-run')));
my $checked = $run_user->call('check', '--no-race');
is($checked->{code}, 0, 'run\'s policy: check finds nothing') or diag $checked->{out};
$run_user->ok('init');
my $run = $run_user->start;
my $merge_user = as(user('merge', statements('iam-merge')));
my $merged;
ok( poll(
		sub {
			$merged = $merge_user->call('merge', '--merge.until=now');
			return if $merged->{code};
			return eval { $pg->psql('copy', 'select v from t') } eq 'one';
		},
		120),
	'run and merge do with theirs') or diag $merged->{err}, $run->errors;
unlike($merged->{err}, qr/was not left in the lake/, 'and a merge could note what it needs');
is($run->stop('TERM', 120), 0, 'run ends with 0') or diag $run->errors;
unlike($run->errors, qr/AccessDenied|may not|not allowed/i, 'and missed nothing');
my $check_user = as(user('check', statements('iam-check')));
$checked = $check_user->call('check', '--no-race');
is($checked->{code}, 0, 'check\'s policy: check finds nothing') or diag $checked->{out};

#
# And none of it is too much: what is missing is named
#
sub lacks
{
	my ($name, $i) = @_;
	my @left = statements("iam-$name");
	my ($gone) = splice @left, $i, 1;
	return ($gone, as(user("$name-$i", @left)));
}
for my $name (qw(run check))
{
	for my $i (0 .. $#{ $policy{"iam-$name"}{Statement} })
	{
		my ($gone, $user) = lacks($name, $i);
		my $r = $user->call('check', '--no-race');
		like($r->{out}, qr/\b\Q$gone->{Action}\E\b/,
			"$name without $gone->{Sid}: check names $gone->{Action}")
		  or diag $r->{err};
	}
}
$pg->psql('copy', 'drop table t');
for my $i (0 .. 1)
{
	my ($gone, $user) = lacks('merge', $i);
	my $r = $user->call('merge', '--merge.until=now', '--source.slot=none');
	isnt($r->{code}, 0, "merge without $gone->{Sid} fails");
	like($r->{err}, qr/\b\Q$gone->{Action}\E\b/, "and names $gone->{Action}");
}
$server->stop;

done_testing();

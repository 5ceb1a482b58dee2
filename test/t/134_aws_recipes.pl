#-------------------------------------------------------------------------
# What deploy/ has for AWS besides policies: requests that are judged by
# botocore's own models, a module of Terraform that is parsed, and the
# function of Lambda, called.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::S3Server;
use CdcS3::Test;

my $top = top_folder();
my $folder = temp_folder();

sub put
{
	my ($name, $text) = @_;
	open my $f, '>', "$folder/$name" or die "$folder/$name: $!\n";
	print {$f} $text;
	close $f or die "$folder/$name: $!\n";
	chmod 0755, "$folder/$name";
	return "$folder/$name";
}

my $settings = capture([ CdcS3::Sidecar::program(), qw(help --markdown) ])->{out};

#
# Requests
#
SKIP:
{
	my $moto = CdcS3::S3Server::installed('moto')
	  or skip 'missing: moto; "make deps" brings it', 5;
	(my $python = $moto) =~ s{/moto_server$}{/bin/python3};
	my $judge = put('judge.py', <<'PY');
import botocore.session, botocore.validate, json, sys
service, operation, path = sys.argv[1:4]
model = botocore.session.get_session().get_service_model(service)
shape = model.operation_model(operation).input_shape
report = botocore.validate.ParamValidator().validate(json.load(open(path)), shape)
print(report.generate_report(), end="")
known = {m for m in shape.members}
print(*sorted(set(json.load(open(path))) - known), end="")
PY
	my @requests = (
		[ 'ecs', 'RegisterTaskDefinition', 'ecs-task-run' ],
		[ 'ecs', 'RegisterTaskDefinition', 'ecs-task-merge' ],
		[ 'ecs', 'CreateService', 'ecs-service-run' ],
		[ 'scheduler', 'CreateSchedule', 'eventbridge-merge' ]);
	for my $r (@requests)
	{
		my ($service, $operation, $name) = @$r;
		my $got = capture([ $python, $judge, $service, $operation, "$top/deploy/aws/$name.json" ]);
		is($got->{out} . $got->{err}, q{}, "$name is a $operation");
	}
	(my $wrong = slurp("$top/deploy/aws/ecs-task-run.json")) =~ s/"image"/"imago"/;
	like(capture([ $python, $judge, 'ecs', 'RegisterTaskDefinition', put('wrong.json', $wrong) ])
		  ->{out},
		qr/imago/, 'a slip is seen');
}
for my $name (qw(ecs-task-run ecs-task-merge))
{
	my @unknown = grep { index($settings, "`$_`") < 0 }
	  slurp("$top/deploy/aws/$name.json") =~ /"(CDC_S3_\w+)"/g;
	is("@unknown", q{}, "$name: its variables are settings");
}

#
# Terraform
#
SKIP:
{
	chomp(my $python = capture([ 'sh', "$top/test/deps-deploy.sh", '--path' ])->{out});
	skip 'missing: a parser of Terraform; "make deps" brings it', 1 unless -e $python;
	my $parse = put('parse.py', <<'PY');
import glob, hcl2, json, os, re, sys
module = sys.argv[1]
text, resources, variables = "", set(), set()
for path in sorted(glob.glob(module + "/*.tf")):
    with open(path) as f:
        text += f.read()
    with open(path) as f:
        d = hcl2.load(f)
    for r in d.get("resource", []):
        for kind, named in r.items():
            for name in named:
                if not name.startswith("__"):
                    resources.add(kind.strip('"') + "." + name.strip('"'))
    for v in d.get("variable", []):
        variables |= {n.strip('"') for n in v if not n.startswith("__")}
for name in set(re.findall(r"\bvar\.(\w+)", text)) ^ variables:
    print("variable not used or not declared:", name)
for name in set(re.findall(r"\b(aws_\w+\.\w+)(?=[.\[])", text)) - resources:
    print("no resource", name)
for name in re.findall(r'path\.module}/([^"]+)"', text):
    for kind in ("run", "merge", "check"):
        for kms in ("", "-kms"):
            file = name.replace("${name}", kind).replace("${local.suffix}", kms)
            if not os.path.exists(os.path.join(module, file)):
                print("no file", file)
            # What is put in there must stand in it.
            policy = open(os.path.join(module, file)).read()
            for old in re.findall(r'^ *"([^"$]+)", +(?:"|var)', text, re.M):
                policy = policy.replace(old, "NEW")
            for old in re.findall(r'^ *"([^"$]+)",$', text, re.M):
                policy = policy.replace(old, "NEW")
            if re.search(r"my-bucket|shop|1111|eu-central", policy):
                print(file, "keeps names of an example")
print(len(resources), "resources")
PY
	my $got = capture([ $python, $parse, "$top/deploy/terraform" ]);
	is($got->{out} . $got->{err}, "8 resources\n", 'the module of Terraform is whole');
}

#
# Lambda
#
my $stub = put('cdc-s3', <<'SH');
#!/bin/sh
echo "called: $*"
echo "warming up" >&2
echo "cdc-s3: what went wrong" >&2
[ "$WAIT" != yes ] || exec tail -f /dev/null
exit "$CODE"
SH
my $call = put('call.py', <<'PY');
import json, sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
import handler
class Context:
    def get_remaining_time_in_millis(self):
        return int(sys.argv[3])
try:
    print("result:", handler.merge(json.loads(sys.argv[2]), Context()))
except handler.MergeFailed as e:
    print("failed:", e)
PY

sub lambda
{
	my ($event, $left_ms, %env) = @_;
	return capture([ 'python3', $call, "$top/deploy/aws/lambda", $event, $left_ms ],
		env => { CDCS3_PROGRAM => $stub, CODE => 0, WAIT => 'no', %env })->{out};
}
my $good = lambda('{}', 600_000);
like($good, qr/^called: merge$/m, 'the function merges');
like($good, qr/^result: \{'exit_code': 0\}$/m, 'and says so');
like(lambda('{"until":"2026-11-21T08:00:00Z"}', 600_000),
	qr/^called: merge --until 2026-11-21T08:00:00Z$/m, 'as far as the event says');
like(lambda('{}', 600_000, CODE => 75),
	qr/^failed: exit code 75: cdc-s3: what went wrong$/m, 'what fails is an error of the function');
like(lambda('{}', 11_000, WAIT => 'yes'),
	qr/^failed: not done within 1 s, and nothing was changed/m, 'so is what takes too long');

done_testing();

#-------------------------------------------------------------------------
# What deploy/ has for Kubernetes and compose: judged offline by the schemas of
# Kubernetes, and by the program's own table of settings.
#-------------------------------------------------------------------------
use strict;
use warnings;
use Test::More;

use CdcS3::Test;

my $top = top_folder();
chomp(my $python = capture([ 'sh', "$top/test/deps-deploy.sh", '--path' ])->{out});
plan skip_all => 'missing: schemas of Kubernetes; "make deps" brings them'
  unless -e $python;

my $folder = temp_folder();

sub put
{
	my ($name, $text) = @_;
	open my $f, '>', "$folder/$name" or die "$folder/$name: $!\n";
	print {$f} $text;
	close $f or die "$folder/$name: $!\n";
	return "$folder/$name";
}

my $settings =
  put('settings', capture([ CdcS3::Sidecar::program(), qw(help --markdown) ])->{out});
my @judge = (
	$python, "$top/test/deploy/manifests.py", $settings,
	"$top/test/data/cnpg-cluster.schema.json");

sub judged
{
	my (@files) = @_;
	my $r = capture([ @judge, @files ]);
	diag $r->{err} if $r->{code};
	return $r->{code} ? $r->{err} : $r->{out};
}

#
# The files as they are
#
my @files = glob("$top/deploy/kubernetes/*.yaml");
is( judged(@files),
	'kinds: Cluster ConfigMap CronJob Deployment NetworkPolicy '
	  . "PodDisruptionBudget PodMonitor Secret ServiceAccount StatefulSet\n",
	'the manifests are what Kubernetes and the program take');

#
# What is wrong is seen
#
my $text = slurp("$top/deploy/kubernetes/cdc-s3.yaml");
my @wrong = (
	[ 'replicas: 1', 'replicas: 2', qr/more than one writer/ ],
	[ 'path: /livez', 'path: /healthz', qr{no livenessProbe that asks /livez} ],
	[ 'path: /readyz, port: 8470', 'path: /readyz, port: 8471', qr/asks a port that is not its own/ ],
	[ 'strategy: { type: Recreate }', 'strategy: { type: RollingUpdate }',
		qr/before the old one is gone/ ],
	[ 'terminationGracePeriodSeconds: 60', 'terminationGracePeriodSeconds: 30',
		qr/is killed within shutdown\.timeout/ ],
	[ 'readOnlyRootFilesystem: true', 'readOnlyRootFilesystem: false',
		qr/may write its root/ ],
	[ 'runAsNonRoot: true', 'runAsNonRoot: false', qr/may be root/ ],
	[ 'args: [run,', 'args: [stream,', qr/no command/ ],
	[ 'slot = cdc_s3', 'slots = cdc_s3', qr/no setting source\.slots/ ],
	[ 'CDC_S3_SOURCE_CONNINFO:', 'CDC_S3_SOURCE_CONNINF:', qr/no variable/ ],
	[ 'values: [1, 2, 3, 4, 5, 6, 7, 8]', 'values: [1, 75]', qr/or not what says 75/ ],
	[ 'concurrencyPolicy:', 'concurencyPolicy:', qr/concurencyPolicy/ ],
	[ 'concurrencyPolicy: Forbid', 'concurrencyPolicy: Allow', qr/beside itself/ ]);
for my $w (@wrong)
{
	my ($from, $to, $pattern) = @$w;
	(my $changed = $text) =~ s/\Q$from\E/$to/ or die "no $from\n";
	like(judged(put('wrong.yaml', $changed)), $pattern, "seen: $to");
}
(my $sidecar = slurp("$top/deploy/kubernetes/sidecar.yaml")) =~
  s/(image: cdc-s3:.*\n)(\s+)/$1$2readinessProbe: { exec: { command: [x] } }\n$2/;
like(judged(put('wrong.yaml', $sidecar)), qr/takes the database out of service/,
	'seen: a readinessProbe beside the database');
(my $cluster = slurp("$top/deploy/kubernetes/cloudnativepg.yaml")) =~
  s/synchronizeLogicalDecoding/synchroniseLogicalDecoding/;
like(judged(put('wrong.yaml', $cluster)), qr/synchroniseLogicalDecoding/,
	'seen: a field that CloudNativePG does not know');

#
# Compose
#
my $compose = <<'PY';
import os, re, sys, yaml
known = set(re.findall(r"^\| `[^`]+` \| `([^`]+)` \|", open(sys.argv[1]).read(), re.M))
path = sys.argv[2]
c = yaml.safe_load(open(path))
for name, s in c["services"].items():
    for v in s.get("environment", {}):
        if v.startswith("CDC_S3_") and v not in known:
            print(name, "no variable", v)
    for p in s.get("ports", []):
        if not p.startswith("127.0.0.1:"):
            print(name, "listens for the world:", p)
    for d in s.get("depends_on", {}):
        if d not in c["services"]:
            print(name, "no service", d)
    for v in s.get("volumes", []):
        if v.split(":")[0] not in c["volumes"]:
            print(name, "no volume", v)
    for f in s.get("configs", []):
        if f["source"] not in c["configs"]:
            print(name, "no config", f)
        yaml.safe_load(c["configs"][f["source"]]["content"])
    if "build" in s:
        b = s["build"]
        file = os.path.join(os.path.dirname(path), b["context"], b["dockerfile"])
        if not os.path.exists(file):
            print(name, "no file", file)
        elif "target" in b and not re.search(rf"AS {b['target']}$", open(file).read(), re.M):
            print(name, "no target", b["target"])
    elif ":" not in s["image"].rsplit("/", 1)[-1] or s["image"].endswith(":latest"):
        print(name, "no version:", s["image"])
print("services:", *sorted(c["services"]))
PY
is( capture([ $python, put('compose.py', $compose), $settings,
			"$top/deploy/container/compose.yaml" ])->{out},
	"services: bucket grafana init merge prometheus run s3 source target\n",
	'compose.yaml is whole');

done_testing();

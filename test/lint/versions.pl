# One version everywhere: META.json, wire contract, control file, program,
# change log; and META.json is what PGXN asks for.
use strict;
use warnings;
use JSON::PP;

my $bad = 0;
sub complain { print "@_\n"; $bad = 1; return; }

sub slurp
{
	my ($path) = @_;
	open my $f, '<', $path or die "$path: $!\n";
	local $/ = undef;
	return scalar <$f>;
}

my $meta = JSON::PP->new->decode(slurp('META.json'));
for my $field (qw(name version abstract maintainer license provides meta-spec))
{
	complain("META.json: no $field") unless defined $meta->{$field};
}
complain('META.json: meta-spec is not 1.0.0')
  unless ($meta->{'meta-spec'}{version} // '') eq '1.0.0';
complain("META.json: \"$meta->{version}\" is no semantic version")
  unless $meta->{version} =~ /^\d+\.\d+\.\d+(?:-[a-z][0-9a-z-]*)?$/i;
for my $name (sort keys %{ $meta->{provides} })
{
	my $p = $meta->{provides}{$name};
	complain("META.json: $name is $p->{version}")
	  if $p->{version} ne $meta->{version};
	complain("META.json: no file $p->{file}") unless -e $p->{file};
	complain("META.json: no file $p->{docfile}")
	  if $p->{docfile} && !-e $p->{docfile};
}

my ($proto) = slurp('plugin/cdc_s3_proto.h') =~
  /#define CDC_S3_PLUGIN_VERSION "([^"]*)"/;
complain("cdc_s3_proto.h says $proto, META.json $meta->{version}")
  if ($proto // '') ne $meta->{version};

my $program = `uploader/cdc-s3 version 2>&1`;
complain("cdc-s3 version says: $program")
  unless $program =~ /\b\Q$meta->{version}\E\b/;

if (-e 'plugin/cdc_s3.control')
{
	my ($control) =
	  slurp('plugin/cdc_s3.control') =~ /default_version\s*=\s*'([^']*)'/;
	complain("cdc_s3.control says $control")
	  unless index("$meta->{version}.", "$control.") == 0;
}
complain("CHANGELOG.md does not name $meta->{version}")
  unless slurp('CHANGELOG.md') =~ /^## \Q$meta->{version}\E\b/m;
complain('deploy/debian/changelog does not begin with it')
  unless slurp('deploy/debian/changelog') =~ /^cdc-s3 \(\Q$meta->{version}\E\)/;
exit $bad;

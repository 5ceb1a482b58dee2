#-------------------------------------------------------------------------
# CdcS3::StoreTool
#	The store interface from Perl, by way of test/tools/store_tool.
#
#	my $s = store_tool(url => 's3://lake/p', endpoint => $e, env => {...});
#	my $r = $s->run(put => 'key', in => 'body');	# { code, out, err, … }
#	$s->ok('body', put => 'key') and is($s->ok(undef, get => 'key'), 'body');
#-------------------------------------------------------------------------
package CdcS3::StoreTool;
use strict;
use warnings;

use Carp qw(croak);
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path qw(make_path);

use CdcS3::Proc qw(capture spawn temp_folder);

our @EXPORT_OK = qw(store_tool build_tool);

my $top = abs_path(dirname(__FILE__) . '/../../..');
my %programs;

# A program of test/tools, built against the objects of the sidecar, and other
# files there that belong to it.
sub build_tool
{
	my ($name, @more) = @_;
	return $programs{$name} if $programs{$name};
	my $file = temp_folder() . "/$name";
	my $build = "make -s -C uploader libcdc.a && "
	  . "cc -O1 -g -std=c11 -D_GNU_SOURCE -pthread -Iuploader -Iplugin "
	  . "\$(make -s -C uploader cflags) -o $file "
	  . join(' ', map { "test/tools/$_.c" } $name, @more)
	  . ' uploader/libcdc.a '
	  . "\$(make -s -C uploader libs)";
	my $r = capture([ 'sh', '-c', $build ], cwd => $top);
	croak "$name was not built:\n$r->{out}$r->{err}" if $r->{code};
	return $programs{$name} = $file;
}

sub program { return $ENV{CDCS3_STORE_TOOL} || build_tool('store_tool') }

# All but env are options of the tool.
sub store_tool
{
	my (%o) = @_;
	my $env = delete $o{env} // {};
	return bless { env => $env, options => {%o} }, __PACKAGE__;
}

# The same with other options or environment.
sub with
{
	my ($self, %o) = @_;
	my $env = delete $o{env} // {};
	return bless {
		env => { %{ $self->{env} }, %$env },
		options => { %{ $self->{options} }, %o }
	}, __PACKAGE__;
}

sub command
{
	my ($self, @args) = @_;
	my $o = $self->{options};
	return [ program(), (map { "$_=$o->{$_}" } sort keys %$o), @args ];
}

# run(\'body', verb => args...), or without a body.
sub run
{
	my ($self, @args) = @_;
	my $in = ref $args[0] ? ${ shift @args } : undef;
	return capture(
		$self->command(@args),
		env => $self->{env},
		timeout => 120,
		defined $in ? (in => $in) : ());
}

# Runs what must work; returns its output.
sub ok
{
	my ($self, @args) = @_;
	my $r = $self->run(@args);
	croak "store_tool @args[-2, -1]: $r->{err}" if $r->{code};
	return $r->{out};
}

# The kind and the message of what must fail: "busy: could not …".
sub error
{
	my ($self, @args) = @_;
	my $r = $self->run(@args);
	return $r->{code} ? $r->{err} : "exit code 0\n";
}

1;

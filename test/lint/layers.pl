# The sidecar's layers: main > cmd > { pipe, merge, serve } > store > io > codec >
# base.  A file includes its own layer and lower ones; no module of a layer
# reaches itself through others.
use strict;
use warnings;

my %rank = (
	base => 0,
	codec => 1,
	io => 2,
	store => 3,
	pipe => 4,
	merge => 4,
	serve => 4,
	cmd => 5,
	main => 6);
my $bad = 0;
my %needs;    # module => { module => 1 }

sub complain { print "@_\n"; $bad = 1; return; }

for my $path (sort glob('uploader/*.[ch] uploader/*/*.[ch]'))
{
	my ($layer, $module) =
	  $path =~ m{^uploader/(\w+)/(\w+)\.[ch]$} ? ($1, "$1/$2") : ('main', 'main');
	open my $f, '<', $path or die "$path: $!\n";
	while (<$f>)
	{
		my ($included) = /^\s*#\s*include\s*"([^"]+)"/ or next;
		next if $included =~ /^cdc_s3_(?:proto|crc32c)\.h$/;
		my ($to, $name) = $included =~ m{^(\w+)/(\w+)\.h$};
		if (!defined $to || !exists $rank{$to})
		{
			complain("$path:$.: \"$included\" is of no layer");
		}
		elsif ($rank{$to} > $rank{$layer}
			|| $rank{$to} == $rank{$layer} && $to ne $layer)
		{
			complain("$path:$.: $layer must not include $included");
		}
		else
		{
			$needs{$module}{"$to/$name"} = 1 if "$to/$name" ne $module;
		}
	}
	close $f;
}

my %state;

sub visit
{
	my ($module, @way) = @_;
	if (($state{$module} // '') eq 'open')
	{
		shift @way while @way && $way[0] ne $module;
		complain('cycle: ' . join ' > ', @way, $module);
		return;
	}
	return if $state{$module};
	$state{$module} = 'open';
	visit($_, @way, $module) for sort keys %{ $needs{$module} // {} };
	$state{$module} = 'done';
	return;
}
visit($_) for sort keys %needs;
exit $bad;

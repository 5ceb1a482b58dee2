# Calls that we do not make, and those with one place only.
use strict;
use warnings;

my @never = qw(strcpy strcat sprintf vsprintf strncpy strncat strtok gets atoi
  atol atoll atof localtime gmtime ctime asctime strerror setjmp longjmp
  sigsetjmp siglongjmp alloca system popen tmpnam mktemp);

# call => files that may
my %only = (
	malloc => qr{^uploader/base/mem\.c$},
	calloc => qr{^uploader/base/mem\.c$},
	realloc => qr{^uploader/base/mem\.c$},
	strdup => qr{^uploader/base/mem\.c$},
	strndup => qr{^uploader/base/mem\.c$},
	time => qr{^uploader/base/clock\.c$},
	gettimeofday => qr{^uploader/base/clock\.c$},
	# A condition is waited for until a time that no test can turn.
	clock_gettime => qr{^uploader/base/(?:clock|queue)\.c$},
	sleep => qr{^uploader/base/clock\.c$},
	usleep => qr{^uploader/base/clock\.c$},
	nanosleep => qr{^uploader/base/clock\.c$},
	exit => qr{^uploader/main\.c$},
	# notify: what a service manager says has no other way in; fault: a test
	getenv => qr{^uploader/(?:base/(?:notify|fault)|store/creds|cmd/(?:cli|config))\.c$},
	secure_getenv => qr{^uploader/(?:store/creds|cmd/(?:cli|config))\.c$},
	setenv => qr{^uploader/cmd/(?:cli|config)\.c$});

my $calls = join '|', @never, keys %only;
my $bad = 0;

for my $path (sort glob('uploader/*.[ch] uploader/*/*.[ch] plugin/*.[ch]'))
{
	open my $f, '<', $path or die "$path: $!\n";
	local $/ = undef;
	my $text = <$f>;
	close $f;

	# Comments and strings become blanks of the same number of lines.
	$text =~ s{(/\*.*?\*/|//[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')}
		{ my $t = $1; $t =~ s/[^\n]/ /g; $t }gsex;
	my $line = 0;
	for my $code (split /\n/, $text)
	{
		$line++;
		while ($code =~ /(?<![\w.>])($calls)\s*\(/g)
		{
			my $call = $1;
			# The plugin lives by the server's rules, but for these.
			next if $path =~ m{^plugin/} && $only{$call};
			next if $only{$call} && $path =~ $only{$call};
			print "$path:$line: $call()",
			  $only{$call} ? " does not belong here\n" : " is banned\n";
			$bad = 1;
		}
	}
}
exit $bad;

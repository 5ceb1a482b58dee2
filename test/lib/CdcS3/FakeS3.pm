#-------------------------------------------------------------------------
# CdcS3::FakeS3
#	An S3 server in memory that fails as it is told to.
#
#	my $fake = CdcS3::FakeS3->start;
#	$fake->fault(match => qr/^PUT /, status => 503, code => 'SlowDown');
#	… $fake->endpoint, $fake->env …
#	$fake->requests;		# ["PUT /lake/a", …] since the last clear
#
#	It knows PUT (with If-None-Match: *), GET (Range too), HEAD, DELETE, lists
#	of version 2 and multipart uploads in path style, keep-alive and "Expect: 100-continue".
#	It checks bodies against their hash and CRC-32C, but no signatures.
#
#	A fault is for requests whose "METHOD /target" matches:
#		match => qr/…/, skip => n (let the first n pass), times => n (1; 0 =
#		for ever)
#		after => 1		the request is carried out, and then fails; a PUT or
#			DELETE whose answer is cut or lost is not, without this
#		status, code, message, body, headers => {…}		the answer, else the
#			real one
#		delay => s		before the answer
#		cut => n		of the answer n bytes are sent, then a reset
#		drip => [n, s]	n bytes each s seconds
#		close => 1		no answer, the connection is closed
#		reset => 1		no answer, a reset
#		swallow => n	of the request's body n bytes are read, then a reset
#		early => 1		the answer comes before the body is read; then a reset
#		stall => 1		no answer ever
#	set(name => value): conditions => 0 (ignores them) or "own" (they hold only
#	on the connection that wrote the object, so several win that come at once),
#	initiated => name (of the answer to a begun upload), skew => s (its clock;
#	15 minutes from it are refused), token => t (the session token it takes),
#	region => r (it takes), page => n (keys a page), expect => 0 (never says
#	100), checksums => 0 (refuses checksum headers with 501), lifecycle => XML
#	(the bucket's rules), uploads => "exact" (lists those of a key only) or
#	"refused" (lists none).
#-------------------------------------------------------------------------
package CdcS3::FakeS3;
use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use Errno qw(EAGAIN EWOULDBLOCK EINTR);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use HTTP::Tiny;
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use POSIX qw(strftime);
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time sleep);
use Time::Local qw(timegm);

use CdcS3::Proc qw(at_end);

# ---- the test's side ----

sub start
{
	my ($class, %set) = @_;
	my $listen = IO::Socket::INET->new(
		LocalAddr => '127.0.0.1',
		Proto => 'tcp',
		Listen => 64) or die "listen: $!\n";
	my $self = bless { port => $listen->sockport }, $class;
	my $parent = $$;
	my $pid = fork // die "fork: $!\n";
	if ($pid == 0)
	{
		$SIG{$_} = 'DEFAULT' for qw(INT TERM HUP);
		$SIG{PIPE} = 'IGNORE';
		eval { serve($listen, $parent); 1 } or print STDERR $@;
		POSIX::_exit(0);
	}
	close $listen;
	$self->{pid} = $pid;
	at_end(sub { $self->stop });
	$self->set(%set) if %set;
	return $self;
}

sub stop
{
	my ($self) = @_;
	my $pid = delete $self->{pid} or return;
	my $status = $?;
	kill 'KILL', $pid;
	waitpid $pid, 0;
	$? = $status;
	return;
}

sub endpoint { return "http://127.0.0.1:$_[0]{port}" }
sub port { return $_[0]{port} }
sub bucket { return 'lake' }

sub env
{
	return {
		AWS_ACCESS_KEY_ID => 'AKIDFAKE',
		AWS_SECRET_ACCESS_KEY => 'aSecretThatMustNotShow',
		AWS_REGION => 'us-east-1',
		AWS_EC2_METADATA_DISABLED => 'true',
	};
}

sub control
{
	my ($self, $verb, $data) = @_;
	my $r = HTTP::Tiny->new(timeout => 10)->post(
		$self->endpoint . "/-/$verb",
		{ content => JSON::PP->new->canonical->encode($data // {}) });
	die "FakeS3: $verb: $r->{status} $r->{content}\n" unless $r->{success};
	return JSON::PP->new->decode($r->{content});
}

sub fault
{
	my ($self, %o) = @_;
	$o{match} = "$o{match}";
	$self->control(fault => \%o);
	return;
}

sub set
{
	my ($self, %o) = @_;
	$self->control(set => \%o);
	return;
}

# Forgets faults, settings and requests, and with objects => 1 all objects.
sub clear
{
	my ($self, %o) = @_;
	$self->control(clear => \%o);
	return;
}

sub requests
{
	my ($self) = @_;
	return map { $_->{line} } @{ $self->control('requests')->{requests} };
}

# The same with headers: [{ line, headers => {…}, bytes }, …]
sub requests_whole { return @{ $_[0]->control('requests')->{requests} } }

# Keys of the uploads that are neither completed nor abandoned.
sub uploads { return @{ $_[0]->control('uploads')->{uploads} } }

# Somebody else abandons all of them.
sub drop_uploads { $_[0]->control('drop'); return }

# A store as CdcS3::Test has it, without a folder.
sub store
{
	my ($self) = @_;
	return {
		url => 's3://' . bucket() . '/cdc',
		flags => [ '--store.endpoint=' . $self->endpoint ],
		env => env(),
		server => $self
	};
}

# All that is stored, as a folder, so that the log can be read from there.
sub save
{
	my ($self, $folder) = @_;
	my $objects = $self->objects;
	for my $key (keys %$objects)
	{
		make_path(dirname("$folder/$key"));
		open my $f, '>:raw', "$folder/$key" or die "$folder/$key: $!\n";
		print {$f} $objects->{$key};
		close $f or die "$folder/$key: $!\n";
	}
	return;
}

sub keys_stored { return @{ $_[0]->control('keys')->{keys} } }

# As if somebody had written it.
sub place { my ($self, $key, $body) = @_; $self->control('place', { key => $key, body => unpack 'H*', $body }); return }

# key => body
sub objects
{
	my ($self) = @_;
	my $hex = $self->control('objects')->{objects};
	return { map { $_ => pack 'H*', $hex->{$_} } keys %$hex };
}

# ---- the server's side ----

my %objects;
my %uploads;    # id => { key, parts => { number => body } }
my $last_upload = 0;
my $last_request = 0;
my %written_by;    # key => fileno of the connection
my (@faults, @requests, %settings);
my %connections;    # fileno => { socket, in, out => [[when, bytes]], … }
my @crc_table;

sub serve
{
	my ($listen, $parent) = @_;
	$listen->blocking(0);
	while (getppid == $parent)
	{
		my $read = IO::Select->new($listen,
			map { $_->{socket} } grep { !$_->{deaf} } values %connections);
		my $wait = 0.5;
		my $now = time;
		for my $c (values %connections)
		{
			next unless @{ $c->{out} };
			my $left = $c->{out}[0][0] - $now;
			$wait = $left < 0 ? 0 : $left if $left < $wait;
		}
		for my $ready ($read->can_read($wait))
		{
			if ($ready == $listen)
			{
				my $socket = $listen->accept or next;
				$socket->blocking(0);
				$socket->autoflush(1);
				$connections{ fileno $socket } =
				  { socket => $socket, in => '', out => [] };
				next;
			}
			receive($connections{ fileno $ready });
		}
		flush_out($_) for values %connections;
	}
	return;
}

sub drop
{
	my ($c, $reset) = @_;
	delete $connections{ fileno $c->{socket} };
	setsockopt $c->{socket}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)
	  if $reset;
	close $c->{socket};
	return;
}

sub receive
{
	my ($c) = @_;
	my $n = sysread $c->{socket}, $c->{in}, 1 << 20, length $c->{in};
	return drop($c) if !defined $n ? !($!{EAGAIN} || $!{EINTR}) : $n == 0;
	1 while connection_step($c);
	return;
}

# Sends what is due.
sub flush_out
{
	my ($c) = @_;
	while (@{ $c->{out} } && $c->{out}[0][0] <= time)
	{
		my $what = $c->{out}[0][1];
		return drop($c) if $what eq 'close';
		return drop($c, 1) if $what eq 'reset';
		my $n = syswrite $c->{socket}, $c->{out}[0][2];
		if (!defined $n)
		{
			return if $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};
			return drop($c);
		}
		substr $c->{out}[0][2], 0, $n, '';
		return if length $c->{out}[0][2];
		shift @{ $c->{out} };
	}
	return;
}

# Takes one head or one body off the connection; true where it did.
sub connection_step
{
	my ($c) = @_;
	return 0 if $c->{deaf};
	if (!$c->{request})
	{
		return 0 unless $c->{in} =~ s/\A(.*?)\r\n\r\n//s;
		my ($first, @lines) = split /\r\n/, $1;
		my ($method, $target) = split / /, $first;
		my %h;
		for (@lines)
		{
			my ($name, $value) = split /:\s*/, $_, 2;
			$h{ lc $name } = $value;
		}
		my $r = $c->{request} = {
			method => $method,
			target => $target,
			headers => \%h,
			want => $h{'content-length'} // 0
		};
		$r->{fault} = take_fault($r) unless $target =~ m{^/-/};
		if ($r->{fault} && $r->{fault}{early})
		{
			note_request($r);
			$c->{deaf} = 1;
			my $now = time;
			push @{ $c->{out} }, [ $now, 'bytes', answer($r, error_of($r)) ],
			  [ $now, 'reset' ];
			return 0;
		}
		push @{ $c->{out} },
		  [ time, 'bytes', "HTTP/1.1 100 Continue\r\n\r\n" ]
		  if ($h{expect} // '') =~ /100-continue/i
		  && ($settings{expect} // 1);
	}
	my $r = $c->{request};
	my $swallow = $r->{fault} && $r->{fault}{swallow};
	if (defined $swallow && length $c->{in} >= $swallow)
	{
		note_request($r);
		$c->{deaf} = 1;
		push @{ $c->{out} }, [ time, 'reset' ];
		return 0;
	}
	return 0 if length $c->{in} < $r->{want};
	$r->{body} = substr $c->{in}, 0, $r->{want}, '';
	delete $c->{request};
	finish_request($c, $r);
	return 1;
}

sub take_fault
{
	my ($r) = @_;
	my $line = "$r->{method} $r->{target}";
	for my $f (@faults)
	{
		next unless $line =~ /$f->{match}/;
		next if ($f->{skip} //= 0) > 0 && $f->{skip}--;
		my $times = $f->{times} //= 1;
		if ($times > 0 && --$f->{times} == 0)
		{
			@faults = grep { $_ != $f } @faults;
		}
		return $f;
	}
	return;
}

sub note_request
{
	my ($r) = @_;
	push @requests,
	  {
		line => "$r->{method} $r->{target}",
		headers => $r->{headers},
		bytes => length($r->{body} // '')
	  };
	return;
}

sub finish_request
{
	my ($c, $r) = @_;
	my $f = $r->{fault} // {};
	my $reply;

	$r->{from} = fileno $c->{socket};
	if ($r->{target} =~ m{^/-/(\w+)})
	{
		$reply = control_reply($1, $r->{body});
	}
	else
	{
		note_request($r);
		my $own = defined $f->{status};
		my $lost = $f->{close} || $f->{reset} || defined $f->{cut};
		if ($lost && !$f->{after} && $r->{method} =~ /^(?:PUT|DELETE)$/)
		{
			$reply = [ 200, {}, '' ];
		}
		elsif (!$own || $f->{after})
		{
			$reply = carry_out($r);
		}
		$reply = error_of($r) if $own;
	}
	my $bytes = answer($r, $reply);
	my $when = time + ($f->{delay} // 0);
	return if $f->{stall};
	if ($f->{close} || $f->{reset})
	{
		push @{ $c->{out} }, [ $when, $f->{close} ? 'close' : 'reset' ];
		$c->{deaf} = 1;
		return;
	}
	if (defined $f->{cut})
	{
		# Time for the bytes to be read, since a reset may overtake them.
		push @{ $c->{out} }, [ $when, 'bytes', substr $bytes, 0, $f->{cut} ],
		  [ $when + 0.1, 'reset' ];
		$c->{deaf} = 1;
		return;
	}
	if ($f->{drip})
	{
		my ($n, $s) = @{ $f->{drip} };
		for (my $i = 0; $i < length $bytes; $i += $n, $when += $s)
		{
			push @{ $c->{out} }, [ $when, 'bytes', substr $bytes, $i, $n ];
		}
		return;
	}
	push @{ $c->{out} }, [ $when, 'bytes', $bytes ];
	return;
}

# The answer that a fault gives of itself: [status, headers, body].
sub error_of
{
	my ($r) = @_;
	my $f = $r->{fault};
	return [ $f->{status}, $f->{headers} // {}, $f->{body} ]
	  if defined $f->{body};
	return refusal($f->{status}, $f->{code}, $f->{message}, $f->{headers});
}

sub refusal
{
	my ($status, $code, $message, $headers, $more) = @_;
	$message //= 'As it was told to';
	return [
		$status,
		{ 'Content-Type' => 'application/xml', %{ $headers // {} } },
		defined $code
		? qq{<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>$code}
		  . "</Code><Message>$message</Message>"
		  . ($more // '')
		  . '<RequestId>1</RequestId></Error>'
		: ''
	];
}

sub answer
{
	my ($r, $reply) = @_;
	my ($status, $headers, $body) = @$reply;
	my %h = (
		Date => strftime('%a, %d %b %Y %H:%M:%S GMT',
			gmtime(time + ($settings{skew} // 0))),
		Server => 'FakeS3',
		'x-amz-request-id' => sprintf('FAKE%08X', ++$last_request),
		'Content-Length' => length $body,
		%$headers);
	$body = '' if $r->{method} eq 'HEAD';
	return "HTTP/1.1 $status Status\r\n"
	  . join('', map { "$_: $h{$_}\r\n" } sort keys %h)
	  . "\r\n$body";
}

sub control_reply
{
	my ($verb, $body) = @_;
	my $data = JSON::PP->new->decode($body);
	my $out = {};
	if ($verb eq 'fault')
	{
		push @faults, $data;
	}
	elsif ($verb eq 'set')
	{
		%settings = (%settings, %$data);
	}
	elsif ($verb eq 'clear')
	{
		@faults = @requests = ();
		%settings = ();
		%objects = %uploads = () if $data->{objects};
	}
	elsif ($verb eq 'place')
	{
		$objects{ $data->{key} } = pack 'H*', $data->{body};
	}
	elsif ($verb eq 'requests')
	{
		$out->{requests} = \@requests;
	}
	elsif ($verb eq 'uploads')
	{
		$out->{uploads} = [ sort map { $_->{key} } values %uploads ];
	}
	elsif ($verb eq 'drop')
	{
		%uploads = ();
	}
	elsif ($verb eq 'keys')
	{
		$out->{keys} = [ sort keys %objects ];
	}
	elsif ($verb eq 'objects')
	{
		$out->{objects} =
		  { map { $_ => unpack 'H*', $objects{$_} } keys %objects };
	}
	return [ 200, {}, JSON::PP->new->encode($out) ];
}

sub crc32c_base64
{
	my ($bytes) = @_;
	if (!@crc_table)
	{
		for my $i (0 .. 255)
		{
			my $c = $i;
			$c = $c & 1 ? ($c >> 1) ^ 0x82f63b78 : $c >> 1 for 1 .. 8;
			push @crc_table, $c;
		}
	}
	my $crc = 0xffffffff;
	$crc = ($crc >> 8) ^ $crc_table[ ($crc ^ $_) & 0xff ]
	  for unpack 'C*', $bytes;
	require MIME::Base64;
	return MIME::Base64::encode_base64(pack('N', $crc ^ 0xffffffff), '');
}

# What a careful server checks before it looks at the key.
sub inspect
{
	my ($r) = @_;
	my $h = $r->{headers};
	return refusal(403, 'AccessDenied', 'no signature')
	  unless ($h->{authorization} // '') =~
	  m{^AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/([^/]+)/s3/aws4_request, SignedHeaders=([^,]+), Signature=[0-9a-f]{64}$};
	my ($region, %signed) = ($1, map { $_ => 1 } split /;/, $2);
	for my $name (grep { /^(?:x-amz-|host$|if-none-match$|range$)/ } keys %$h)
	{
		return refusal(403, 'AccessDenied', "$name is not signed")
		  unless $signed{$name};
	}
	my $want = $settings{region};
	return refusal(400, 'AuthorizationHeaderMalformed', "expecting '$want'",
		{}, "<Region>$want</Region>")
	  if defined $want && $want ne $region;
	my @t = ($h->{'x-amz-date'} // '') =~ /^(....)(..)(..)T(..)(..)(..)Z$/
	  or return refusal(403, 'AccessDenied', 'no date');
	my $theirs = timegm($t[5], $t[4], $t[3], $t[2], $t[1] - 1, $t[0]);
	return refusal(403, 'RequestTimeTooSkewed', 'look at the clock')
	  if abs($theirs - time - ($settings{skew} // 0)) > 900;
	return refusal(400, 'ExpiredToken', 'renew it')
	  if defined $settings{token}
	  && ($h->{'x-amz-security-token'} // '') ne $settings{token};
	return refusal(400, 'XAmzContentSHA256Mismatch')
	  if ($h->{'x-amz-content-sha256'} // '') ne sha256_hex($r->{body});
	if (defined(my $crc = $h->{'x-amz-checksum-crc32c'}))
	{
		return refusal(501, 'NotImplemented', 'no checksums here')
		  unless $settings{checksums} // 1;
		return refusal(400, 'BadDigest')
		  if length $r->{body} < 100_000 && $crc ne crc32c_base64($r->{body});
	}
	return;
}

sub decode
{
	my ($s) = @_;
	$s =~ s/%([0-9A-F]{2})/chr hex $1/ge;
	return $s;
}

sub carry_out
{
	my ($r) = @_;
	my $problem = inspect($r);
	return $problem if $problem;
	my ($path, $query) = split /\?/, $r->{target}, 2;
	my ($bucket, $key) = $path =~ m{^/([^/]+)(?:/(.*))?$}s;
	return refusal(404, 'NoSuchBucket')
	  if !defined $bucket || $bucket ne 'lake';
	$query //= '';
	return list_uploads($query) if ($key // '') eq '' && $query =~ /\buploads\b/;
	return $settings{lifecycle} ? [ 200, {}, $settings{lifecycle} ] : refusal(404, 'NoSuchLifecycleConfiguration')
	  if ($key // '') eq '' && $query =~ /^lifecycle\b/;
	return list_objects($query) if !defined $key || $key eq '';
	$key = decode($key);
	my $m = $r->{method};
	return upload_call($r, $key, $query) if $query =~ /\bupload(?:s|Id)=/;
	return put_object($r, $key) if $m eq 'PUT';
	if ($m eq 'DELETE')
	{
		delete $objects{$key};
		return [ 204, {}, '' ];
	}
	return refusal(404, 'NoSuchKey') unless exists $objects{$key};
	my $body = $objects{$key};
	if (($r->{headers}{range} // '') =~ /^bytes=(\d+)-(\d+)$/)
	{
		return refusal(416, 'InvalidRange') if $1 >= length $body;
		my $part = substr $body, $1, $2 - $1 + 1;
		my $end = $1 + length($part) - 1;
		return [
			206,
			{ 'Content-Range' => "bytes $1-$end/" . length $body }, $part
		];
	}
	return [
		200,
		{
			ETag => '"x"',
			($r->{headers}{'x-amz-checksum-mode'} // '') eq 'ENABLED'
			  && length $body < 100_000
			? ('x-amz-checksum-crc32c' => crc32c_base64($body))
			: ()
		},
		$body
	];
}

sub put_object
{
	my ($r, $key) = @_;
	my $conditions = $settings{conditions} // 1;
	return refusal(412, 'PreconditionFailed')
	  if ($r->{headers}{'if-none-match'} // '') eq '*'
	  && $conditions
	  && exists $objects{$key}
	  && ($conditions ne 'own' || $written_by{$key} == $r->{from});
	$objects{$key} = $r->{body};
	$written_by{$key} = $r->{from};
	return [ 200, { ETag => '"x"' }, '' ];
}

sub upload_call
{
	my ($r, $key, $query) = @_;
	my $m = $r->{method};
	if ($m eq 'POST' && $query =~ /uploads=/)
	{
		my $id = 'upload/' . ++$last_upload . '+=';
		$uploads{$id} = { key => $key, parts => {} };
		my $root = $settings{initiated} // 'InitiateMultipartUploadResult';
		return [ 200, {}, "<$root><UploadId>$id</UploadId></$root>" ];
	}
	my ($id) = map { decode($_) } $query =~ /uploadId=([^&]*)/;
	my $upload = $uploads{$id};
	return refusal(404, 'NoSuchUpload') if !$upload || $upload->{key} ne $key;
	if ($m eq 'PUT')
	{
		my ($number) = $query =~ /partNumber=(\d+)/;
		$upload->{parts}{$number} = $r->{body};
		return [ 200, { ETag => qq("part$number") }, '' ];
	}
	if ($m eq 'DELETE')
	{
		delete $uploads{$id};
		return [ 204, {}, '' ];
	}
	return [
		200, {},
		'<ListPartsResult>'
		  . join('',
			map { "<Part><PartNumber>$_</PartNumber></Part>" }
			  sort { $a <=> $b } keys %{ $upload->{parts} })
		  . '</ListPartsResult>'
	] if $m eq 'GET';
	my @numbers = $r->{body} =~ m{<PartNumber>(\d+)</PartNumber>}g;
	my @tags = $r->{body} =~ m{<ETag>&quot;part(\d+)&quot;</ETag>}g;
	return refusal(400, 'InvalidPart')
	  if "@numbers" ne "@tags" || grep { !$upload->{parts}{$_} } @numbers;
	return refusal(400, 'EntityTooSmall')
	  if grep { length $upload->{parts}{$_} < 5 * 1024 * 1024 }
	  @numbers[ 0 .. $#numbers - 1 ];
	$objects{$key} = join '', map { $upload->{parts}{$_} } @numbers;
	$written_by{$key} = $r->{from};
	delete $uploads{$id};
	return [
		200, {},
		"   <?xml version='1.0'?><CompleteMultipartUploadResult>"
		  . '<ETag>&quot;x&quot;</ETag></CompleteMultipartUploadResult>'
	];
}

sub list_uploads
{
	my ($query) = @_;
	my ($prefix) = map { decode($_) } $query =~ /\bprefix=([^&]*)/;
	my $how = $settings{uploads} // '';
	return refusal(403, 'AccessDenied') if $how eq 'refused';
	my @ids = grep {
		$how eq 'exact'
		  ? $uploads{$_}{key} eq ($prefix // '')
		  : index($uploads{$_}{key}, $prefix // '') == 0
	} sort keys %uploads;
	return [
		200, {},
		'<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>'
		  . join('',
			map {
				"<Upload><Key>$uploads{$_}{key}</Key><UploadId>$_</UploadId>"
				  . '</Upload>'
			} @ids)
		  . '</ListMultipartUploadsResult>'
	];
}

sub list_objects
{
	my ($query) = @_;
	my %q = map { my ($n, $v) = split /=/; (decode($n), decode($v // '')) }
	  split /&/, $query;
	my $prefix = $q{prefix} // '';
	my $after = $q{'continuation-token'} // $q{'start-after'} // '';
	my $page = $settings{page} // 1000;
	my @keys = grep { index($_, $prefix) == 0 && $_ gt $after }
	  sort keys %objects;
	my $more = @keys > $page;
	@keys = @keys[ 0 .. $page - 1 ] if $more;
	my $escape = sub {
		my ($s) = @_;
		$s =~ s/([&<>"'\x00-\x1f])/sprintf '&#%d;', ord $1/ge;
		return $s;
	};
	my $xml = qq{<?xml version="1.0"?>\n<ListBucketResult xmlns="x">}
	  . '<Name>lake</Name><IsTruncated>'
	  . ($more ? 'true' : 'false')
	  . '</IsTruncated>'
	  . ($more
		? '<NextContinuationToken>'
		  . $escape->($keys[-1])
		  . '</NextContinuationToken>'
		: '')
	  . join('',
		map {
			    '<Contents><Key>'
			  . $escape->($_)
			  . '</Key><Size>'
			  . length($objects{$_})
			  . '</Size></Contents>'
		} @keys)
	  . '</ListBucketResult>';
	return [ 200, { 'Content-Type' => 'application/xml' }, $xml ];
}

1;

/*-------------------------------------------------------------------------
 * pgcert.c
 *	  When the certificates of a connection to PostgreSQL end.
 *
 * Layer: io.
 *-------------------------------------------------------------------------
 */
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <time.h>

#include "base/clock.h"
#include "io/pgconn.h"

static int64_t
end_of(const X509 *cert)
{
	struct tm tm;
	CivilTime c;

	if (!cert || ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) != 1)
		return 0;
	c = (CivilTime){ .year = tm.tm_year + 1900,
					 .month = tm.tm_mon + 1,
					 .day = tm.tm_mday,
					 .hour = tm.tm_hour,
					 .minute = tm.tm_min,
					 .second = tm.tm_sec };
	return unix_us_from_civil(&c);
}

void
pg_certificates(PGconn *conn, int64_t *out_server, int64_t *out_client)
{
	SSL *ssl = PQsslStruct(conn, "OpenSSL");
	X509 *server = ssl ? SSL_get1_peer_certificate(ssl) : NULL;

	*out_server = end_of(server);
	*out_client = end_of(ssl ? SSL_get_certificate(ssl) : NULL);
	X509_free(server);
}

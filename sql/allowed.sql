-- The bound that a superuser sets, whatever a client asks for.
SELECT current_user AS regress_user \gset
CREATE TABLE allowed_a (id int PRIMARY KEY);
CREATE TABLE allowed_b (id int PRIMARY KEY);
CREATE PUBLICATION p_all FOR ALL TABLES;
INSERT INTO allowed_a VALUES (1);
INSERT INTO allowed_b VALUES (1);
SELECT l FROM peeked() l WHERE l ~ '^insert';
SHOW cdc_s3.allowed_tables;
SET cdc_s3.allowed_tables = 'public.allowed_a';
SELECT l FROM peeked() l WHERE l ~ '^insert';
SELECT l FROM peeked('tables', 'public.allowed_b') l WHERE l ~ '^insert';
SELECT l FROM peeked('publication_names', 'p_all') l WHERE l ~ '^insert';
SET cdc_s3.allowed_tables = '';
SELECT l FROM peeked() l;
SET cdc_s3.allowed_tables = 'orders';
SET cdc_s3.other = 1;
-- Who is no superuser cannot widen it, not even before the library is there.
CREATE ROLE allowed_user REPLICATION LOGIN;
ALTER DATABASE regression SET cdc_s3.allowed_tables = 'public.allowed_b';
SET ROLE allowed_user;
SET cdc_s3.allowed_tables = '*';
RESET ROLE;
\c - allowed_user
SET cdc_s3.allowed_tables = '*';
SELECT l FROM pg_logical_slot_peek_changes('regress', NULL, NULL,
	'format', 'text') l(lsn, xid, l) WHERE l ~ '^insert';
SHOW cdc_s3.allowed_tables;
SET cdc_s3.allowed_tables = '*';
-- An option of the connection takes the place of the superuser's value, which
-- then cannot be known: nothing is sent.
\set with 'dbname=regression options=''-c cdc_s3.allowed_tables=public.allowed_a'' user='
\set conninfo :with allowed_user
\c :conninfo
SELECT l FROM pg_logical_slot_peek_changes('regress', NULL, NULL,
	'format', 'text') l(lsn, xid, l);
SHOW cdc_s3.allowed_tables;
RESET cdc_s3.allowed_tables;
SELECT l FROM pg_logical_slot_peek_changes('regress', NULL, NULL,
	'format', 'text') l(lsn, xid, l);
\c 'dbname=regression options=''-c cdc_s3.allowed_tables='' user=allowed_user'
SELECT l FROM pg_logical_slot_peek_changes('regress', NULL, NULL,
	'format', 'text') l(lsn, xid, l);
-- A superuser's is as good as any.
\set conninfo :with :regress_user
\c :conninfo
SELECT l FROM peeked() l WHERE l ~ '^insert';
-- So is that of a role that was given the right.
GRANT SET ON PARAMETER cdc_s3.allowed_tables TO allowed_user;
\set conninfo :with allowed_user
\c :conninfo
SELECT l FROM pg_logical_slot_peek_changes('regress', NULL, NULL,
	'format', 'text') l(lsn, xid, l) WHERE l ~ '^insert';
\c dbname=regression
REVOKE SET ON PARAMETER cdc_s3.allowed_tables FROM allowed_user;
-- What a session of its own gives it where no superuser did is refused as well;
-- one that took it back has given nothing.
ALTER DATABASE regression RESET cdc_s3.allowed_tables;
\c - allowed_user
SET cdc_s3.allowed_tables = 'public.allowed_a';
SELECT l FROM pg_logical_slot_peek_changes('regress', NULL, NULL,
	'format', 'text') l(lsn, xid, l);
\c - allowed_user
SET cdc_s3.allowed_tables = 'public.allowed_a';
RESET cdc_s3.allowed_tables;
BEGIN;
SET LOCAL cdc_s3.allowed_tables = 'public.allowed_a';
COMMIT;
SELECT l FROM pg_logical_slot_peek_changes('regress', NULL, NULL,
	'format', 'text') l(lsn, xid, l) WHERE l ~ '^insert';
-- A value that cannot be read opens nothing, wherever it stands.
\c - :regress_user
ALTER DATABASE regression SET cdc_s3.allowed_tables = 'orders';
\c - :regress_user
SELECT * FROM peeked();
SET cdc_s3.allowed_tables = 'public.allowed_b';
SELECT l FROM peeked() l WHERE l ~ '^insert';
RESET cdc_s3.allowed_tables;
SELECT * FROM peeked();
-- Nor is a slot made.
SELECT pg_create_logical_replication_slot('allowed', 'cdc_s3', true);
ALTER DATABASE regression RESET cdc_s3.allowed_tables;
\c - :regress_user
-- Messages belong to no table: where tables are left out only notices of those
-- within the bound are sent, behind their relation.
SELECT count(*) > 0 AS consumed FROM decoded();
BEGIN;
SELECT 'x' FROM pg_logical_emit_message(true, 'app', 'of nobody');
SELECT 'x' FROM pg_logical_emit_message(false, 'app', 'at once');
SELECT count(pg_logical_emit_message(true, 'cdc_s3.ddl',
	'{"oid" : ' || c.oid || '}') ) FROM pg_class c WHERE relname ~ '^allowed_.$';
COMMIT;
SET cdc_s3.allowed_tables = 'public.allowed_b';
SELECT regexp_replace(l, '"oid" : \d+', '"oid" : N') FROM peeked('include_relation',
	'on') l;
SELECT count(*) FROM peeked('messages', 'off');
SET cdc_s3.allowed_tables = '';
SELECT count(*) FROM peeked();
SET cdc_s3.allowed_tables = 'no.thing, *.*';
SELECT regexp_replace(l, '"oid" : \d+', '"oid" : N') FROM peeked() l;
RESET cdc_s3.allowed_tables;
SELECT count(*) > 0 AS consumed FROM decoded();
DROP PUBLICATION p_all;
DROP TABLE allowed_a, allowed_b;
DROP ROLE allowed_user;

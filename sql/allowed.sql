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
\c - :regress_user
ALTER DATABASE regression RESET cdc_s3.allowed_tables;
SELECT count(*) > 0 AS consumed FROM decoded();
DROP PUBLICATION p_all;
DROP TABLE allowed_a, allowed_b;
DROP ROLE allowed_user;

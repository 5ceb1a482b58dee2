-- What a transaction did to tables is told at its end, with rows or without.
-- All of it in one stream: the second call shows what a new one says.
SET client_min_messages = warning;
CREATE FUNCTION seen(VARIADIC options text[] DEFAULT '{}')
RETURNS SETOF text LANGUAGE sql AS $$
	SELECT data FROM pg_logical_slot_get_changes('regress', NULL, NULL,
		VARIADIC array['format', 'text'] || options)
	WHERE data !~ '^(begin|commit)$'
$$;
-- Created: also where rows follow, or the only row is of a subtransaction.
CREATE TABLE made (id int PRIMARY KEY, a text);
BEGIN;
CREATE TABLE made_rows (id int PRIMARY KEY);
INSERT INTO made_rows VALUES (1);
COMMIT;
BEGIN;
SAVEPOINT s;
CREATE TABLE made_sub (id int PRIMARY KEY);
RELEASE s;
INSERT INTO made VALUES (1, 'a');
COMMIT;
SELECT * FROM decoded('include_relation', 'on');
-- What changes nothing of a table sends nothing.
INSERT INTO made VALUES (2, 'b');
ANALYZE made;
VACUUM made;
GRANT SELECT ON made TO PUBLIC;
GRANT SELECT (a) ON made TO PUBLIC;
CREATE INDEX made_a ON made (a);
REINDEX TABLE made;
DROP INDEX made_a;
COMMENT ON TABLE made IS 'made';
ALTER TABLE made ALTER a SET STATISTICS 10, ALTER a SET DEFAULT 'x';
CREATE STATISTICS made_s ON id, a FROM made;
DROP STATISTICS made_s;
CREATE TRIGGER made_t BEFORE INSERT ON made FOR EACH ROW
	EXECUTE FUNCTION suppress_redundant_updates_trigger();
DROP TRIGGER made_t ON made;
SELECT * FROM seen();
-- Nor of a table that the stream has not named.
ANALYZE made;
VACUUM made;
VACUUM FULL made;
CLUSTER made USING made_pkey;
GRANT SELECT ON made TO CURRENT_USER;
CREATE INDEX made_a ON made (a);
GRANT USAGE ON SCHEMA public TO PUBLIC;
CREATE SCHEMA none;
DROP SCHEMA none;
SELECT * FROM seen();
-- Altered, one after the other.
INSERT INTO made VALUES (3, 'c');
ALTER TABLE made ADD COLUMN b int DEFAULT 5;
ALTER TABLE made ADD COLUMN c text DEFAULT 'it''s';
ALTER TABLE made ADD COLUMN d timestamptz DEFAULT '2026-11-30 12:00+02';
ALTER TABLE made ADD COLUMN e int;
ALTER TABLE made RENAME a TO aa;
ALTER TABLE made DROP COLUMN e;
ALTER TABLE made ALTER b SET NOT NULL;
ALTER TABLE made ALTER b SET DEFAULT 6;
ALTER TABLE made REPLICA IDENTITY FULL;
ALTER TABLE made RENAME TO renamed;
CREATE SCHEMA other;
ALTER TABLE renamed SET SCHEMA other;
ALTER SCHEMA other RENAME TO another;
ALTER TABLE another.renamed SET SCHEMA public;
ALTER TABLE renamed RENAME TO made;
SELECT * FROM seen('include_relation', 'on');
-- The same, where the stream has named nothing.
ALTER TABLE made RENAME TO renamed;
SELECT * FROM seen();
ALTER TABLE renamed SET SCHEMA another;
SELECT * FROM seen();
ALTER SCHEMA another RENAME TO other;
SELECT * FROM seen();
ALTER TABLE other.renamed ALTER aa SET NOT NULL;
SELECT * FROM seen();
ALTER TABLE other.renamed DROP COLUMN aa;
SELECT * FROM seen();
ALTER TABLE other.renamed SET SCHEMA public;
ALTER TABLE renamed RENAME TO made;
SELECT count(*) FROM seen();
-- Rows that change without row changes.
INSERT INTO made VALUES (4);
ALTER TABLE made ADD COLUMN v float8 DEFAULT random();
ALTER TABLE made ALTER id TYPE bigint;
ALTER TABLE made ALTER id TYPE bigint USING id + 1;
ALTER TABLE made ADD COLUMN g int GENERATED ALWAYS AS (b + 1) STORED;
ALTER TABLE made ADD COLUMN i int GENERATED ALWAYS AS IDENTITY;
ALTER TABLE made SET UNLOGGED;
ALTER TABLE made SET LOGGED;
SELECT * FROM seen();
-- Also before other rows of the transaction, and once.
INSERT INTO made (id) VALUES (5);
BEGIN;
INSERT INTO made (id) VALUES (6);
ALTER TABLE made ALTER v TYPE text;
INSERT INTO made (id, v) VALUES (7, 'seven');
ALTER TABLE made ADD COLUMN w int;
INSERT INTO made (id, v) VALUES (8, 'eight');
COMMIT;
SELECT regexp_replace(l, ' b=.*', '') FROM seen() l;
-- Rows that are only copied, or are gone by a truncate.
CREATE TABLE copied (id int PRIMARY KEY, a varchar(5));
INSERT INTO copied VALUES (1);
ALTER TABLE copied ADD COLUMN m int DEFAULT 1, ADD COLUMN n int DEFAULT 2;
VACUUM FULL copied;
CLUSTER copied USING copied_pkey;
ALTER TABLE copied ALTER a TYPE varchar(10);
ALTER TABLE copied ALTER a TYPE text;
ALTER TABLE copied ADD COLUMN o int DEFAULT 3;
ALTER TABLE copied ALTER o TYPE int USING o + 1;
BEGIN;
TRUNCATE copied;
ALTER TABLE copied ADD COLUMN p int;
COMMIT;
SELECT * FROM seen('include_relation', 'on');
-- The stream does not know: a copied table is one too many.
ALTER TABLE copied ADD COLUMN q int DEFAULT 3;
SELECT * FROM seen();
ALTER TABLE copied ALTER id TYPE bigint;
SELECT * FROM seen();
ALTER TABLE copied ADD COLUMN v float8 DEFAULT random();
SELECT * FROM seen();
ALTER TABLE copied ADD COLUMN w int;
ALTER TABLE copied DROP COLUMN v;
SELECT * FROM seen();
-- Tables that change places in one transaction.
CREATE TABLE one (id int PRIMARY KEY);
CREATE TABLE two (id int PRIMARY KEY, b int);
BEGIN;
ALTER TABLE one RENAME TO three;
ALTER TABLE two RENAME TO one;
INSERT INTO one VALUES (1, 1);
ALTER TABLE three RENAME TO two;
COMMIT;
SELECT * FROM seen('include_relation', 'on');
-- Dropped, made again, or both; also where the stream did not know of it.
INSERT INTO one VALUES (2, 2);
DROP TABLE one;
DROP TABLE two;
CREATE TABLE one (id serial PRIMARY KEY, long text);
BEGIN;
DROP TABLE one;
CREATE TABLE one (id int PRIMARY KEY, c int);
COMMIT;
BEGIN;
CREATE TABLE short (id serial PRIMARY KEY, long text);
DROP TABLE short;
COMMIT;
SELECT * FROM seen('include_relation', 'on');
DROP TABLE one;
SELECT * FROM seen();
-- Out of what is wanted, and back.
CREATE TABLE gone_out (id int PRIMARY KEY);
INSERT INTO gone_out VALUES (1);
ALTER TABLE gone_out RENAME TO hidden;
INSERT INTO hidden VALUES (2);
ALTER TABLE hidden ADD COLUMN a int;
ALTER TABLE hidden RENAME TO gone_out;
ALTER TABLE gone_out SET UNLOGGED;
DROP TABLE gone_out;
SELECT * FROM seen('exclude', 'public.hidden');
CREATE TABLE hidden (id int PRIMARY KEY);
ALTER TABLE hidden ADD COLUMN a int;
DROP TABLE hidden;
SELECT * FROM seen('exclude', 'public.hidden');
-- What has no rows of its own, or is temporary, sends nothing.
CREATE TEMP TABLE temporary (id serial PRIMARY KEY, long text);
ALTER TABLE temporary ADD COLUMN a int;
DROP TABLE temporary;
BEGIN;
CREATE TEMP TABLE temporary (id int) ON COMMIT DROP;
INSERT INTO temporary VALUES (1);
COMMIT;
CREATE UNLOGGED TABLE unlogged (id serial PRIMARY KEY);
ALTER TABLE unlogged ADD COLUMN a text DEFAULT 'a';
DROP TABLE unlogged;
CREATE VIEW seen_view AS SELECT * FROM copied;
DROP VIEW seen_view;
CREATE MATERIALIZED VIEW seen_mat AS SELECT * FROM copied;
REFRESH MATERIALIZED VIEW seen_mat;
DROP MATERIALIZED VIEW seen_mat;
CREATE SEQUENCE seen_seq;
ALTER SEQUENCE seen_seq AS int;
DROP SEQUENCE seen_seq;
CREATE TYPE seen_type AS (a int);
ALTER TYPE seen_type ADD ATTRIBUTE b int;
DROP TYPE seen_type;
SELECT * FROM seen();
CREATE SEQUENCE seen_seq;
CREATE VIEW seen_view AS SELECT * FROM copied;
SELECT * FROM seen();
DROP SEQUENCE seen_seq;
DROP VIEW seen_view;
SELECT * FROM seen();
-- What was rolled back did not happen.
BEGIN;
ALTER TABLE copied ADD COLUMN rolled int;
ROLLBACK;
BEGIN;
SAVEPOINT s;
ALTER TABLE copied ADD COLUMN rolled int;
ROLLBACK TO s;
INSERT INTO copied (id) VALUES (1);
SAVEPOINT s;
CREATE TABLE inner_one (id int);
SAVEPOINT t;
ALTER TABLE inner_one ADD COLUMN a int;
ROLLBACK TO t;
RELEASE s;
COMMIT;
SELECT * FROM seen('include_relation', 'on');
-- One that is in no catalog at the end: it may have been there before.
BEGIN;
SAVEPOINT s;
CREATE TABLE undone (id int);
ROLLBACK TO s;
INSERT INTO copied (id) VALUES (2);
COMMIT;
SELECT * FROM seen();
-- Unlogged before the stream began: that there are rows is not known.
CREATE UNLOGGED TABLE late (id int);
INSERT INTO late VALUES (1);
SELECT * FROM seen();
ALTER TABLE late SET LOGGED;
SELECT * FROM seen();
DROP TABLE late;
SELECT * FROM seen();
-- Types.
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE moods (id int PRIMARY KEY, m mood);
INSERT INTO moods VALUES (1, 'ok');
ALTER TYPE mood ADD VALUE 'happy';
ALTER TYPE mood RENAME TO feeling;
ALTER TABLE moods ADD COLUMN n feeling DEFAULT 'sad';
ALTER TABLE moods ADD COLUMN b box[] DEFAULT '{(1,2),(3,4)}';
ALTER TABLE moods ADD COLUMN y bytea DEFAULT '\x0001';
SELECT * FROM seen('include_relation', 'on');
DROP TABLE moods;
DROP TYPE feeling;
-- Partitions.
CREATE TABLE parts (id int, a int) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE parts_2 (a int, id int);
ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES FROM (10) TO (20);
INSERT INTO parts VALUES (1, 1), (11, 11);
ALTER TABLE parts ADD COLUMN d int DEFAULT 7;
CREATE TABLE parts_3 PARTITION OF parts FOR VALUES FROM (20) TO (30);
INSERT INTO parts VALUES (21, 1), (12, 12), (2, 2);
ALTER TABLE parts_1 ALTER d SET DEFAULT 8;
VACUUM FULL parts_2;
VACUUM FULL parts_1;
INSERT INTO parts VALUES (22, 1), (13, 12), (3, 2);
ALTER TABLE parts ALTER a TYPE bigint;
ALTER TABLE parts RENAME TO whole;
ALTER TABLE whole DETACH PARTITION parts_3;
DROP TABLE parts_2;
SELECT * FROM seen('include_relation', 'on');
ALTER TABLE whole ADD COLUMN e int DEFAULT 7;
SELECT * FROM seen('include_relation', 'on');
CREATE TABLE parts_4 PARTITION OF whole FOR VALUES FROM (40) TO (50)
	PARTITION BY RANGE (id);
CREATE TABLE parts_41 PARTITION OF parts_4 FOR VALUES FROM (40) TO (45);
DROP TABLE whole;
SELECT * FROM seen();
-- What publications say: in, out, other columns; and a schema's tables.
CREATE TABLE listed (id int PRIMARY KEY, a int, b int);
CREATE PUBLICATION seen_pub FOR TABLE listed (id, a);
SELECT count(*) > 0 AS made FROM seen();
INSERT INTO listed VALUES (1, 1, 1);
ALTER PUBLICATION seen_pub ADD TABLE copied;
ALTER PUBLICATION seen_pub SET TABLE listed (id, b), copied;
ALTER PUBLICATION seen_pub DROP TABLE listed;
ALTER TABLE listed ADD COLUMN c int;
ALTER PUBLICATION seen_pub SET (publish = 'insert');
ALTER PUBLICATION seen_pub ADD TABLES IN SCHEMA public;
INSERT INTO listed VALUES (2, 2, 2);
DROP TABLE listed;
SELECT * FROM seen('publication_names', 'seen_pub', 'include_relation', 'on');
-- A root that only its partitions' rows have named.
CREATE TABLE via (id int, a int) PARTITION BY RANGE (id);
CREATE TABLE via_1 PARTITION OF via FOR VALUES FROM (0) TO (10);
CREATE TABLE via_2 PARTITION OF via FOR VALUES FROM (10) TO (20);
CREATE PUBLICATION via_pub FOR TABLE via WITH (publish_via_partition_root);
SELECT count(*) > 0 AS made FROM seen();
INSERT INTO via VALUES (1, 1);
ALTER PUBLICATION via_pub DROP TABLE via;
INSERT INTO via VALUES (2, 1);
ALTER PUBLICATION via_pub ADD TABLE via;
INSERT INTO via VALUES (3, 1);
DROP TABLE via;
SELECT * FROM seen('publication_names', 'via_pub');
-- Of tables of which the stream has seen nothing it is told that they left.
CREATE TABLE unseen (id int PRIMARY KEY);
CREATE TABLE unseen_parts (id int) PARTITION BY RANGE (id);
CREATE TABLE unseen_part PARTITION OF unseen_parts FOR VALUES FROM (0) TO (10);
CREATE SCHEMA unseen_schema;
CREATE TABLE unseen_schema.t (id int PRIMARY KEY);
CREATE TABLE stays (id int PRIMARY KEY);
CREATE PUBLICATION unseen_pub FOR TABLE unseen, unseen_parts, stays,
	TABLES IN SCHEMA unseen_schema;
SELECT count(*) > 0 AS made FROM seen();
ALTER PUBLICATION unseen_pub DROP TABLE unseen;
INSERT INTO unseen VALUES (1);
ALTER PUBLICATION unseen_pub ADD TABLE unseen;
ALTER PUBLICATION unseen_pub SET TABLE unseen, stays;
SELECT * FROM seen('publication_names', 'unseen_pub');
-- Not where they are not wanted anyway, nor where they are new.
ALTER PUBLICATION unseen_pub DROP TABLE unseen;
SELECT * FROM seen('publication_names', 'unseen_pub', 'tables', 'public.stays');
BEGIN;
CREATE TABLE brief (id int PRIMARY KEY);
ALTER PUBLICATION unseen_pub ADD TABLE brief;
ALTER PUBLICATION unseen_pub DROP TABLE brief;
COMMIT;
SELECT * FROM seen('publication_names', 'unseen_pub');
DROP TABLE unseen, unseen_parts, stays, brief, unseen_schema.t;
DROP SCHEMA unseen_schema;
DROP PUBLICATION seen_pub, via_pub, unseen_pub;
-- The bound of a superuser, as it is at each call.
CREATE TABLE bound (id int PRIMARY KEY);
SELECT count(*) > 0 AS made FROM seen();
SET cdc_s3.allowed_tables = 'public.other';
ALTER TABLE bound RENAME TO bound_2;
ALTER TABLE bound_2 ADD COLUMN a int;
DROP TABLE bound_2;
SELECT * FROM seen();
RESET cdc_s3.allowed_tables;
-- A transaction that is prepared, and one that is streamed.
CREATE TABLE pair (id int PRIMARY KEY, t text);
BEGIN;
ALTER TABLE pair ADD COLUMN n int DEFAULT 1;
CREATE TABLE pair_2 (id int);
PREPARE TRANSACTION 'seen';
COMMIT PREPARED 'seen';
BEGIN;
ALTER TABLE pair_2 ADD COLUMN a int;
INSERT INTO pair SELECT g, repeat('x', 200) FROM generate_series(1, 600) g;
ALTER TABLE pair RENAME TO pair_3;
SAVEPOINT s;
ALTER TABLE pair_3 ADD COLUMN m int;
INSERT INTO pair_3 VALUES (1000);
ROLLBACK TO s;
DROP TABLE pair_2;
COMMIT;
SELECT regexp_replace(data, 'x{10,}', '...') AS line FROM
	pg_logical_slot_get_changes('regress', NULL, NULL, 'format', 'text',
	'two_phase', 'on', 'streaming', 'on')
WHERE data ~ '^(table|prepare|commit|begin)' OR data ~ '=(1|600|1000) ';
DROP TABLE parts_3, copied, made, made_rows, made_sub, inner_one, pair_3;
SELECT count(*) FROM seen();
DROP FUNCTION seen;
DROP SCHEMA other;

-- Tables, operations and columns by publications.
CREATE TABLE pub_a (id int PRIMARY KEY, secret text, note text);
CREATE TABLE pub_b (id int PRIMARY KEY, note text);
CREATE TABLE pub_c (id int PRIMARY KEY);
CREATE SCHEMA pub_schema;
CREATE TABLE pub_schema.d (id int PRIMARY KEY);
CREATE TABLE pub_root (id int, note text, at date, PRIMARY KEY (id, at))
	PARTITION BY RANGE (at);
CREATE TABLE pub_leaf (at date NOT NULL, note text, id int NOT NULL);
CREATE TABLE pub_mid PARTITION OF pub_root FOR VALUES FROM ('2026-02-01')
	TO ('2026-03-01') PARTITION BY RANGE (id);
CREATE TABLE pub_leaf2 PARTITION OF pub_mid FOR VALUES FROM (1) TO (100);
ALTER TABLE pub_root ATTACH PARTITION pub_leaf FOR VALUES FROM ('2026-01-01')
	TO ('2026-02-01');
CREATE PUBLICATION p_all FOR ALL TABLES;
CREATE PUBLICATION p_insert FOR TABLE pub_a, pub_b WITH (publish = 'insert');
CREATE PUBLICATION p_update FOR TABLE pub_a WITH (publish = 'update, truncate');
CREATE PUBLICATION p_columns FOR TABLE pub_a (id, note);
CREATE PUBLICATION p_no_key FOR TABLE pub_a (secret) WITH (publish = 'insert');
CREATE PUBLICATION p_schema FOR TABLES IN SCHEMA pub_schema;
CREATE PUBLICATION p_leaf FOR TABLE pub_root;
CREATE PUBLICATION p_root FOR TABLE pub_root (id, at)
	WITH (publish_via_partition_root);
CREATE PUBLICATION p_mid FOR TABLE pub_mid WITH (publish_via_partition_root);
CREATE PUBLICATION p_filter FOR TABLE pub_b WHERE (id > 1);
CREATE FUNCTION lines(VARIADIC text[] DEFAULT '{}') RETURNS SETOF text
LANGUAGE sql AS $$
	SELECT regexp_replace(l, '"oid" : \d+', '"oid" : N')
	FROM peeked(VARIADIC array['publication_names'] || $1) l
	WHERE l !~ '^(begin|commit)' $$;
INSERT INTO pub_a VALUES (1, 'secret', 'note');
UPDATE pub_a SET note = 'changed';
UPDATE pub_a SET id = 2;
DELETE FROM pub_a;
TRUNCATE pub_a, pub_b;
INSERT INTO pub_b VALUES (1, 'b');
INSERT INTO pub_c VALUES (1);
INSERT INTO pub_schema.d VALUES (1);
INSERT INTO pub_root VALUES (1, 'one', '2026-01-15'), (2, 'two', '2026-02-15');
TRUNCATE pub_root;
TRUNCATE pub_mid;
TRUNCATE pub_leaf;
SELECT * FROM lines('p_all');
SELECT * FROM lines('p_insert');
SELECT * FROM lines('p_insert, p_update');
SELECT * FROM lines('p_columns', 'include_relation', 'on');
SELECT * FROM lines('p_columns,p_insert');
SELECT * FROM lines('p_no_key', 'include_relation', 'on');
SELECT * FROM lines('p_columns,p_no_key');
SELECT * FROM lines('p_schema');
SELECT * FROM lines('p_leaf');
SELECT * FROM lines('p_root', 'include_relation', 'on');
SELECT * FROM lines('p_mid');
SELECT * FROM lines('p_mid,p_root');
SELECT * FROM lines('p_all', 'exclude', 'public.*');
-- What is refused.
SELECT * FROM lines('p_filter');
SELECT * FROM lines('p_all, nowhere');
SELECT * FROM lines('p_all,,');
SELECT * FROM lines('p_all', 'partition', 'leaf');
-- As of the moment of the change.
SELECT count(*) > 0 AS consumed FROM decoded();
BEGIN;
INSERT INTO pub_c VALUES (2);
ALTER PUBLICATION p_columns ADD TABLE pub_c;
INSERT INTO pub_c VALUES (3);
ALTER PUBLICATION p_columns SET (publish = 'delete');
INSERT INTO pub_c VALUES (4);
ALTER PUBLICATION p_columns SET (publish = 'insert');
ALTER PUBLICATION p_columns RENAME TO p_renamed;
INSERT INTO pub_c VALUES (5);
ALTER PUBLICATION p_renamed RENAME TO p_columns;
ALTER PUBLICATION p_schema ADD TABLES IN SCHEMA public;
INSERT INTO pub_c VALUES (6);
COMMIT;
SELECT * FROM lines('p_columns');
SELECT * FROM lines('p_schema');
-- A row filter that came and went.  What was changed while it held is not sent,
-- not even what the filter lets pass, and the table is to be loaded again: said
-- once in a transaction, whatever messages are asked for.
SELECT count(*) > 0 AS consumed FROM decoded();
INSERT INTO pub_c VALUES (7);
ALTER PUBLICATION p_columns SET TABLE pub_a (id, note), pub_c WHERE (id > 8);
INSERT INTO pub_c VALUES (8), (9);
BEGIN;
INSERT INTO pub_a VALUES (8, 'secret', 'sent');
INSERT INTO pub_c VALUES (10);
SAVEPOINT a;
INSERT INTO pub_c VALUES (11);
RELEASE a;
ALTER PUBLICATION p_columns SET TABLE pub_a (id, note), pub_c;
INSERT INTO pub_c VALUES (12);
ALTER PUBLICATION p_columns SET TABLE pub_a (id, note), pub_c WHERE (id > 8);
INSERT INTO pub_c VALUES (13);
COMMIT;
ALTER PUBLICATION p_columns SET (publish = 'truncate');
INSERT INTO pub_c VALUES (14);
TRUNCATE pub_c, pub_a;
ALTER PUBLICATION p_columns SET (publish = 'insert, truncate');
-- One that holds now is refused, unless all rows are asked for.
SELECT * FROM lines('p_columns');
SELECT * FROM lines('p_columns', 'filter', 'superset');
SELECT * FROM lines('p_columns', 'filter', 'none');
ALTER PUBLICATION p_columns SET TABLE pub_a (id, note), pub_c;
INSERT INTO pub_c VALUES (15);
SELECT * FROM lines('p_columns', 'messages', 'off', 'include_relation', 'on');
SELECT * FROM lines('p_columns', 'filter', 'superset');
-- A publication without it does not widen what one with it leaves out.
ALTER PUBLICATION p_columns SET (publish = 'insert');
SELECT * FROM lines('p_all, p_columns') l WHERE l ~ 'pub_c';
SELECT count(*) > 0 AS consumed FROM decoded();
-- Partitions are left out in the name of their root.
INSERT INTO pub_root VALUES (1, 'one', '2026-01-15');
ALTER PUBLICATION p_root SET TABLE pub_root (id, at) WHERE (id > 5);
BEGIN;
INSERT INTO pub_root VALUES (3, 'one', '2026-01-15'), (4, 'two', '2026-02-15');
COMMIT;
TRUNCATE pub_leaf;
ALTER PUBLICATION p_root SET TABLE pub_root (id, at);
INSERT INTO pub_root VALUES (5, 'one', '2026-01-15');
SELECT * FROM lines('p_root', 'tables', '*.pub_root');
SELECT * FROM lines('p_root', 'exclude', '*.pub_root');
SELECT count(*) > 0 AS consumed FROM decoded();
-- One that is younger than the slot's position is no error, unless the client
-- says that it was there before.
INSERT INTO pub_c VALUES (20);
CREATE PUBLICATION p_new FOR TABLE pub_c, pub_root
	WITH (publish_via_partition_root);
CREATE FUNCTION known(name) RETURNS text LANGUAGE sql AS $$
	SELECT oid::text FROM pg_publication WHERE pubname = $1 $$;
INSERT INTO pub_c VALUES (21);
SELECT * FROM lines('p_new');
SELECT * FROM lines('p_new', 'publication_oids', '0');
\set VERBOSITY terse
SELECT * FROM lines('p_new', 'publication_oids', known('p_new'));
SELECT * FROM lines('p_new', 'publication_oids', known('p_new'),
	'exclude', 'public.pub_c');
\set VERBOSITY default
-- Where it knew another one, what came between the two is lost: so all tables
-- are to be loaded again, and one that is added later comes back.
ALTER PUBLICATION p_new ADD TABLE pub_b;
INSERT INTO pub_b VALUES (21, 'b');
SELECT * FROM lines('p_new', 'publication_oids', '1', 'tables', 'public.pub_*',
	'include_relation', 'on', 'messages', 'off');
SELECT count(*) > 0 AS consumed FROM decoded();
-- As soon as it is found, once; and nothing where all are known.
INSERT INTO pub_c VALUES (22);
INSERT INTO pub_c VALUES (23);
SELECT * FROM lines('p_new, p_all', 'publication_oids', '1,' || known('p_all'),
	'tables', 'public.pub_c');
SELECT * FROM lines('p_new', 'publication_oids', known('p_new'));
SELECT count(*) > 0 AS consumed FROM decoded();
-- Seen and then missing: the same.
INSERT INTO pub_c VALUES (24);
DROP PUBLICATION p_new;
INSERT INTO pub_c VALUES (25);
CREATE PUBLICATION p_new FOR TABLE pub_c;
INSERT INTO pub_c VALUES (26);
SELECT * FROM lines('p_new');
SELECT count(*) > 0 AS consumed FROM decoded();
-- Made anew with nothing between, or under another name: nothing is lost.
SELECT known('p_new') AS before \gset
INSERT INTO pub_c VALUES (27);
BEGIN;
DROP PUBLICATION p_new;
CREATE PUBLICATION p_new FOR TABLE pub_c, pub_b;
COMMIT;
INSERT INTO pub_c VALUES (28);
ALTER PUBLICATION p_new RENAME TO p_newer;
INSERT INTO pub_c VALUES (29);
SELECT * FROM lines('p_newer', 'publication_oids', :'before');
ALTER PUBLICATION p_newer RENAME TO p_new;
SELECT * FROM lines('p_new', 'publication_oids', :'before');
SELECT count(*) > 0 AS consumed FROM decoded();
-- Dropped by what was rolled back: nothing is missing.
BEGIN;
SAVEPOINT a;
DROP PUBLICATION p_new;
INSERT INTO pub_c VALUES (30);
ROLLBACK TO a;
INSERT INTO pub_c VALUES (31);
COMMIT;
SELECT * FROM lines('p_new', 'publication_oids', known('p_new'));
DROP FUNCTION known;
SELECT count(*) > 0 AS consumed FROM decoded();
-- A table that leaves and comes back in one transaction lacks what was changed
-- in between, and so do all where operations come back.
BEGIN;
ALTER PUBLICATION p_new DROP TABLE pub_b;
INSERT INTO pub_b VALUES (40, 'b');
ALTER PUBLICATION p_new ADD TABLE pub_b;
COMMIT;
ALTER PUBLICATION p_new SET (publish = 'insert');
DELETE FROM pub_c;
ALTER PUBLICATION p_new SET (publish = 'insert, delete');
-- Nothing is lost by these.
ALTER PUBLICATION p_new SET (publish = 'delete, insert');
ALTER PUBLICATION p_new OWNER TO CURRENT_USER;
BEGIN;
ALTER PUBLICATION p_new DROP TABLE pub_c;
ALTER PUBLICATION p_new ADD TABLE pub_c;
COMMIT;
-- Nor by another one.
ALTER PUBLICATION p_all SET (publish = 'insert');
ALTER PUBLICATION p_all SET (publish = 'insert, update');
SELECT * FROM lines('p_new');
SELECT count(*) > 0 AS consumed FROM decoded();
DROP PUBLICATION p_new, p_all, p_insert, p_update, p_columns, p_no_key, p_schema,
	p_leaf, p_root, p_mid, p_filter;
DROP TABLE pub_a, pub_b, pub_c, pub_root;
DROP FUNCTION lines;
SET client_min_messages = warning;
DROP SCHEMA pub_schema CASCADE;

-- Text that is none in the database's own encoding: the server does not look at
-- what a cast without a function makes.
CREATE CAST (bytea AS text) WITHOUT FUNCTION;
CREATE TABLE broken (id int PRIMARY KEY, t text, v varchar, j json, n name,
	a text[], b jsonb, note text);
ALTER TABLE broken ALTER t SET STORAGE EXTERNAL;
SELECT count(*) >= 0 AS consumed FROM decoded();
INSERT INTO broken VALUES (1, 'fine', 'ärger', '"ö"', 'ü', '{ß}', '"€"', 'all');
INSERT INTO broken VALUES (2, '\xff'::bytea::text, 'x', '1', 'n', '{}', '1', 'short');
INSERT INTO broken VALUES (3, '\x610062'::bytea::text, 'x', '1', 'n', '{}', '1',
	'zero');
INSERT INTO broken VALUES (4, ('\xc3a4c3'::bytea)::text, ('\xe28228'::bytea)::text,
	NULL, NULL, ARRAY['\xeda080'::bytea::text],
	to_jsonb('\xf8888080'::bytea::text), 'each');
INSERT INTO broken (id, t, note) VALUES (5, repeat('ä', 40) || '\xc0af'::bytea::text ||
	repeat('b', 40), 'amid'), (6, repeat('abcdefgh', 20) || '\xff'::bytea::text, 'end'),
	(7, '\xff'::bytea::text || repeat('abcdefgh', 20), 'begin');
-- Out of line, compressed, long.
INSERT INTO broken (id, t, v, note) VALUES
	(8, repeat('x', 100000) || '\xff'::bytea::text, repeat('y', 100000), 'one'),
	(9, repeat('x', 100000), repeat('y', 100000) || '\xff'::bytea::text, 'other'),
	(10, repeat('ä', 100000), repeat('ö', 5000000), 'none');
-- Keys, and a table of many columns.
DELETE FROM broken WHERE id BETWEEN 8 AND 9;
CREATE TABLE broken_key (t text PRIMARY KEY, note text);
INSERT INTO broken_key SELECT t, note FROM broken WHERE id IN (2, 3);
UPDATE broken_key SET note = 'changed';
DELETE FROM broken_key WHERE note = 'changed';
DO $$ BEGIN EXECUTE 'CREATE TABLE broken_wide (' || (SELECT string_agg(
	format('c%s text', i), ', ') FROM generate_series(1, 40) i) || ')'; END $$;
INSERT INTO broken_wide (c1, c2, c39) VALUES ('a', 'ä', 'b'),
	('a', '\xe4'::bytea::text, 'b'), ('a', '\x00'::bytea::text, 'b');
SELECT regexp_replace(regexp_replace(l, ' c\d+=null', '', 'g'),
	'''[^'']{100,}''', '(long)', 'g') AS line FROM peeked() l WHERE l !~ '^(begin|commit)';
-- The bytes go along: reason 1, 1 byte stored, its CRC, the byte.
SELECT count(*) > 0 AS packets, bool_or(position('\x010100000000000000'::bytea in d) > 0)
	AS one, bool_or(position('\x01ff'::bytea in d) > 0) AS byte,
	bool_or(position('\x06c3a4726765'::bytea in d) > 0) AS fine FROM packets() d;
DROP TABLE broken, broken_key, broken_wide;
DROP CAST (bytea AS text);
-- Databases of other encodings: UTF-8 on the wire, or withheld.
CREATE DATABASE latin1 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'
	TEMPLATE template0;
CREATE DATABASE eucjp ENCODING 'EUC_JP' LC_COLLATE 'C' LC_CTYPE 'C'
	TEMPLATE template0;
CREATE DATABASE win1252 ENCODING 'WIN1252' LC_COLLATE 'C' LC_CTYPE 'C'
	TEMPLATE template0;
CREATE DATABASE ascii ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'
	TEMPLATE template0;
\c latin1
SET client_encoding = 'UTF8';
SELECT slot_name FROM pg_create_logical_replication_slot('enc', 'cdc_s3');
CREATE TYPE "Stärke" AS ENUM ('groß');
CREATE TABLE "Größe" (id int PRIMARY KEY, "Straße" text, e "Stärke", n name,
	a text[], j json, b bytea);
-- That it was made is told in packets of their own.
SELECT count(*) > 0 AS made FROM
	pg_logical_slot_get_binary_changes('enc', NULL, NULL);
INSERT INTO "Größe" VALUES (1, 'Äpfel', 'groß', 'naïve', '{é,x}', '"ü"', '\xe9');
INSERT INTO "Größe" VALUES (2, repeat('é', 100000));
CREATE TEMP TABLE got AS SELECT data FROM
	pg_logical_slot_get_binary_changes('enc', NULL, NULL);
SELECT position('\x4c4154494e31'::bytea in data) > 0 AS announced,
	position(convert_to('Größe', 'UTF8') in data) > 0 AS relation,
	position(convert_to('Straße', 'UTF8') in data) > 0 AS attribute,
	position(convert_to('Stärke', 'UTF8') in data) > 0 AS type,
	position('\x06'::bytea || convert_to('Äpfel', 'UTF8') in data) > 0 AS text,
	position('\x05'::bytea || convert_to('groß', 'UTF8') in data) > 0 AS label,
	position('\x06'::bytea || convert_to('naïve', 'UTF8') in data) > 0 AS name,
	position('\x06'::bytea || convert_to('{é,x}', 'UTF8') in data) > 0 AS array,
	position('\x04'::bytea || convert_to('"ü"', 'UTF8') in data) > 0 AS json,
	position('\x01e9'::bytea in data) > 0 AS bytea
FROM got LIMIT 1;
SELECT position('\xff400d0300'::bytea || convert_to(repeat('é', 100000), 'UTF8')
	in data) > 0 AS long FROM got OFFSET 1 LIMIT 1;
-- The text format is in the database's own encoding.
INSERT INTO public."Größe" VALUES (3, 'Äpfel', 'groß');
SET timezone = 'Asia/Kathmandu';
BEGIN;
SELECT data FROM pg_logical_slot_get_changes('enc', NULL, NULL, 'format', 'text',
	'tables', 'public."Größe"');
-- Not even the caller's transaction keeps a setting of ours.
SELECT count(*) FROM pg_logical_slot_get_binary_changes('enc', NULL, NULL);
SHOW timezone;
SHOW search_path;
COMMIT;
SELECT pg_drop_replication_slot('enc');
\c eucjp
SET client_encoding = 'UTF8';
SELECT slot_name FROM pg_create_logical_replication_slot('enc', 'cdc_s3');
CREATE TABLE t (id int PRIMARY KEY, t text, a text[], n int);
-- That it was made is told in packets of their own.
SELECT count(*) > 0 AS made FROM
	pg_logical_slot_get_binary_changes('enc', NULL, NULL);
INSERT INTO t VALUES (1, '日本語', '{日,本}', 7);
-- Bytes that EUC_JP allows, and Unicode does not know.
SET client_encoding = 'EUC_JP';
INSERT INTO t VALUES (2, E'ab\xa9\xa1', ARRAY[E'\xa9\xa1'], 7);
INSERT INTO t VALUES (3, repeat(E'\xc6\xfc', 50000) || E'\xa9\xa1', NULL, 7);
SET client_encoding = 'UTF8';
CREATE TEMP TABLE got AS SELECT data FROM
	pg_logical_slot_get_binary_changes('enc', NULL, NULL);
SELECT position('\x09'::bytea || convert_to('日本語', 'UTF8') in data) > 0 AS text,
	position('\x09'::bytea || convert_to('{日,本}', 'UTF8') in data) > 0 AS array
FROM got LIMIT 1;
-- reason 1, 4 bytes stored, their CRC, the bytes; and 4 bytes of the array.
SELECT encode(substr(data, position('\x040602000000'::bytea in data), 50), 'hex')
	AS row FROM got OFFSET 1 LIMIT 1;
-- A long one: 100002 bytes stored, and sent.
SELECT position('\x0504020300000001a286010000000000'::bytea in data) > 0
	AS withheld, length(data) > 100002 AS bytes FROM got OFFSET 2 LIMIT 1;
-- Names cannot be withheld: such bytes are spelled out.
SET client_encoding = 'EUC_JP';
DO $$ BEGIN EXECUTE E'CREATE TABLE "n\xa9\xa1" (t text, "c\xa9\xa1" int)'; END $$;
DO $$ BEGIN EXECUTE E'INSERT INTO "n\xa9\xa1" VALUES (NULL, 1)'; END $$;
SET client_encoding = 'UTF8';
SELECT bool_or(position('\x6e5c7861395c786131'::bytea in data) > 0) AS relation,
	bool_or(position('\x635c7861395c786131'::bytea in data) > 0) AS attribute
FROM pg_logical_slot_get_binary_changes('enc', NULL, NULL);
SELECT pg_drop_replication_slot('enc');
\c win1252
SET client_encoding = 'UTF8';
SELECT slot_name FROM pg_create_logical_replication_slot('enc', 'cdc_s3');
CREATE TABLE t (id text PRIMARY KEY, t text, v varchar(9), c char(5), n name,
	j json, a text[]);
-- That it was made is told in packets of their own.
SELECT count(*) > 0 AS made FROM
	pg_logical_slot_get_binary_changes('enc', NULL, NULL);
INSERT INTO t VALUES ('ä', '€ „x“', 'ž', 'ƒ', 'Œ', '"€"', '{™}');
SELECT position('\x0b'::bytea || convert_to('€ „x“', 'UTF8') in data) > 0 AS text,
	position('\x02'::bytea || convert_to('ž', 'UTF8') in data) > 0 AS varchar,
	position('\x06'::bytea || convert_to('ƒ    ', 'UTF8') in data) > 0 AS char,
	position('\x02'::bytea || convert_to('Œ', 'UTF8') in data) > 0 AS name,
	position('\x05'::bytea || convert_to('"€"', 'UTF8') in data) > 0 AS json,
	position('\x05'::bytea || convert_to('{™}', 'UTF8') in data) > 0 AS array
FROM pg_logical_slot_get_binary_changes('enc', NULL, NULL);
-- The five bytes that this encoding leaves open have no UTF-8 form, wherever
-- they are: reason 1, the size, the CRC and the bytes.
SET client_encoding = 'WIN1252';
DO $$ BEGIN
	EXECUTE E'INSERT INTO t VALUES (\'k\x81\', \'a\x81b\', \'\x8d\', \'\x8f\',
		\'\x90\', \'"\x9d"\', \'{\x81}\')';
	EXECUTE E'UPDATE t SET t = \'fine\' WHERE id = \'k\x81\'';
	EXECUTE E'DELETE FROM t WHERE id = \'k\x81\'';
END $$;
SET client_encoding = 'UTF8';
CREATE TEMP TABLE got AS SELECT data FROM
	pg_logical_slot_get_binary_changes('enc', NULL, NULL);
SELECT count(*) AS packets, bool_and(position('\x010200000000000000'::bytea in data) > 0)
	AS key FROM got;
SELECT position('\x03618162'::bytea in data) > 0 AS text,
	position('\x018d'::bytea in data) > 0 AS varchar,
	position('\x058f20202020'::bytea in data) > 0 AS char,
	position('\x0190'::bytea in data) > 0 AS name,
	position('\x03229d22'::bytea in data) > 0 AS json,
	position('\x037b817d'::bytea in data) > 0 AS array
FROM got;
SELECT pg_drop_replication_slot('enc');
\c ascii
SET client_encoding = 'SQL_ASCII';
SELECT slot_name FROM pg_create_logical_replication_slot('enc', 'cdc_s3');
CREATE TABLE t (id int PRIMARY KEY, t text);
-- That it was made is told in packets of their own.
SELECT count(*) > 0 AS made FROM
	pg_logical_slot_get_binary_changes('enc', NULL, NULL);
INSERT INTO t VALUES (1, E'ok\xff\xc3');
SELECT get_byte(data, 8 + 6 + 12) AS raw,
	position('\x046f6bffc3'::bytea in data) > 0 AS verbatim
	FROM pg_logical_slot_get_binary_changes('enc', NULL, NULL);
-- Names, labels and elements too.
DO $$ BEGIN
	EXECUTE E'CREATE TYPE e AS ENUM (\'l\xe9\')';
	EXECUTE E'CREATE TABLE "n\xe9" (id int PRIMARY KEY, "c\xe9" e, a text[])';
	EXECUTE E'INSERT INTO "n\xe9" VALUES (1, \'l\xe9\', \'{\xff}\')';
END $$;
SELECT bool_or(position('\x02006ee9'::bytea in data) > 0) AS relation,
	bool_or(position('\x020063e9'::bytea in data) > 0) AS attribute,
	bool_or(position('\x026ce9'::bytea in data) > 0) AS label,
	bool_or(position('\x037bff7d'::bytea in data) > 0) AS array
	FROM pg_logical_slot_get_binary_changes('enc', NULL, NULL);
DO $$ BEGIN EXECUTE E'DELETE FROM "n\xe9"'; END $$;
SELECT convert_to(data, 'SQL_ASCII') FROM
	pg_logical_slot_peek_changes('enc', NULL, NULL, 'format', 'text');
SELECT pg_drop_replication_slot('enc');
\c regression
DROP DATABASE latin1;
DROP DATABASE eucjp;
DROP DATABASE win1252;
DROP DATABASE ascii;

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
SELECT pg_drop_replication_slot('enc');
\c win1252
SET client_encoding = 'UTF8';
SELECT slot_name FROM pg_create_logical_replication_slot('enc', 'cdc_s3');
CREATE TABLE t (id int PRIMARY KEY, t text);
INSERT INTO t VALUES (1, '€ „x“');
SELECT position(convert_to('€ „x“', 'UTF8') in data) > 0 AS text
	FROM pg_logical_slot_get_binary_changes('enc', NULL, NULL);
SELECT pg_drop_replication_slot('enc');
\c ascii
SET client_encoding = 'SQL_ASCII';
SELECT slot_name FROM pg_create_logical_replication_slot('enc', 'cdc_s3');
CREATE TABLE t (id int PRIMARY KEY, t text);
INSERT INTO t VALUES (1, E'ok\xff\xc3');
SELECT get_byte(data, 8 + 6 + 12) AS raw,
	position('\x046f6bffc3'::bytea in data) > 0 AS verbatim
	FROM pg_logical_slot_get_binary_changes('enc', NULL, NULL);
SELECT pg_drop_replication_slot('enc');
\c regression
DROP DATABASE latin1;
DROP DATABASE eucjp;
DROP DATABASE win1252;
DROP DATABASE ascii;

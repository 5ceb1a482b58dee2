-- No setting of a session, role or database changes a byte.
CREATE SCHEMA hidden;
CREATE TYPE hidden.pair AS (f float8, t timestamptz);
CREATE TABLE hidden.settings (id int PRIMARY KEY, f4 float4, f8 float8, d date,
	ts timestamp, tz timestamptz, i interval, b bytea, m money, r regclass,
	ty regtype, fs float8[], tzs timestamptz[], tr tstzrange, p hidden.pair,
	bs bytea[], ds date[], iv interval[], pt point);
-- That it was made is told in packets of their own.
SELECT count(*) > 0 AS made FROM packets();
INSERT INTO hidden.settings VALUES (1, 16777217, 0.1::float8 + 0.2::float8,
	'2026-11-21', '2026-11-21 08:14', '2026-11-21 08:14+00',
	'1 mon -2 days +03:04:05', '\x00ff', 1234.56, 'hidden.settings',
	'hidden.pair', array[0.1::float8 + 0.2::float8],
	'{2026-11-21 08:14+00}', '[2026-11-21 08:14+00,)',
	row(0.1::float8 + 0.2::float8, '2026-11-21 08:14+00'), array['\x00ff'::bytea],
	'{2026-11-21}', '{1 mon -2 days +03:04:05}',
	point(0.1::float8 + 0.2::float8, 1));
CREATE TEMP TABLE calm AS SELECT * FROM peeked();
CREATE TEMP TABLE calm_bytes AS SELECT data
	FROM pg_logical_slot_peek_binary_changes('regress', NULL, NULL);
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'iso_8601';
SET extra_float_digits = -15;
SET bytea_output = 'escape';
SET timezone = 'Asia/Kathmandu';
SET search_path = hidden, public;
SET quote_all_identifiers = on;
SET lc_monetary = 'C.UTF-8';
SET xmloption = 'document';
SELECT * FROM peeked();
SELECT l FROM peeked() l EXCEPT SELECT * FROM calm;
SELECT count(*) FROM pg_logical_slot_peek_binary_changes('regress', NULL, NULL)
	b JOIN calm_bytes c ON b.data = c.data;
-- The session's own settings are as they were, after an error too.
BEGIN;
SELECT count(*) FROM peeked();
SHOW datestyle;
SHOW search_path;
SHOW timezone;
COMMIT;
SELECT current_setting('datestyle'), current_setting('extra_float_digits'),
	current_setting('bytea_output'), current_setting('search_path');
RESET ALL;
SELECT count(*) FROM decoded();
DROP TABLE hidden.settings;
DROP TYPE hidden.pair;
DROP SCHEMA hidden;

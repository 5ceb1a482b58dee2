-- Every kind of value, with what lies at its edges.
CREATE TABLE ints (id int PRIMARY KEY, b bool, i2 int2, i4 int4, i8 int8,
	o oid);
INSERT INTO ints VALUES (1, true, 32767, 2147483647, 9223372036854775807,
	4294967295);
INSERT INTO ints VALUES (2, false, -32768, -2147483648, -9223372036854775808,
	0);
INSERT INTO ints VALUES (3);
CREATE TABLE floats (id int PRIMARY KEY, f4 float4, f8 float8);
INSERT INTO floats VALUES (1, 16777216, 0.1::float8 + 0.2::float8);
INSERT INTO floats VALUES (2, '-0', '-0'), (3, 'nan', 'nan'),
	(4, 'inf', '-inf'), (5, 1.1754944e-38, 5e-324),
	(6, 3.4028235e+38, 1.7976931348623157e308);
CREATE TABLE numerics (id int PRIMARY KEY, n numeric, p numeric(12,3));
INSERT INTO numerics VALUES (1, 0, 0), (2, 1.10, 1.1), (3, -0.00001, -1.5),
	(4, 'nan', 'nan'), (5, 'inf', NULL), (6, '-inf', NULL), (7, 10000, 10000),
	(8, 1e-20, 0), (9, 123456789012345678901234567890.123456789, 999999999.999),
	(10, 1e130, NULL), (11, '0.000', 0.000), (12, -99999999999999, -0.001);
INSERT INTO numerics VALUES (13, ('1e131071')::numeric);
INSERT INTO numerics VALUES (14, (repeat('9', 1000) || '.5')::numeric);
INSERT INTO numerics VALUES (15, ('0.' || repeat('0', 16382) || '1')::numeric);
CREATE TABLE times (id int PRIMARY KEY, d date, t time, tz timetz,
	ts timestamp, tstz timestamptz, i interval);
INSERT INTO times VALUES
	(1, '2026-11-21', '08:14:07.123456', '08:14:07.123456+05:30',
	 '2026-11-21 08:14:07.123456', '2026-11-21 08:14:07.123456+02', '1 day'),
	(2, 'infinity', '24:00:00', '24:00:00+15:59:59', 'infinity', 'infinity',
	 '1 mon -2 days +03:04:05.000006'),
	(3, '-infinity', '00:00', '00:00-15:59:59', '-infinity', '-infinity',
	 '-178000000 years'),
	(4, '0044-03-15 BC', '00:00:00.000001', '00:00+05:41:16',
	 '0044-03-15 12:00 BC', '0044-03-15 12:00+00 BC', '0'),
	(5, '5874897-12-31', '23:59:59.999999', '12:00-00', '294276-12-31 23:59:59',
	 '294276-12-31 23:59:59+00', '-1 year -2 mons +3 days -04:05:06.7'),
	(6, '4714-11-24 BC', '12:00', '12:00+00', '4714-11-24 00:00 BC',
	 '4714-11-24 00:00+00 BC', '2147483647 days');
CREATE TABLE strings (id int PRIMARY KEY, t text, v varchar(10), c char(5),
	n name, q "char", j json, jb jsonb, b bytea, u uuid);
INSERT INTO strings VALUES
	(1, 'text', 'varchar', 'ab', 'name', 'c', '{"a": 1,
 "a":	2}', '{"b": 1.50, "a": [null, true]}', '\x00ff',
	 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
	(2, '', '', '', '', '', '""', '{}', '', NULL),
	(3, E'tab\there\nnew ''quote'' "double" \\ back', E'\x01\x1f\x7f', 'äöü',
	 'naïve', NULL, '[1e999, "\u0000"]', '"\u2028"', '\x27', NULL),
	(4, E'\U0001F600 \u2028', '日本語', '日本', '"quoted"', NULL, NULL, NULL,
	 NULL, NULL);
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'glücklich');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN positive2 AS positive;
CREATE DOMAIN cents AS numeric(10,2);
CREATE DOMAIN word AS varchar(20);
CREATE DOMAIN feeling AS mood;
CREATE TABLE made (id int PRIMARY KEY, m mood, p positive, p2 positive2,
	c cents, w word, f feeling);
INSERT INTO made VALUES (1, 'sad', 1, 2, 3.5, 'word', 'glücklich'),
	(2, 'it''s ok', NULL, NULL, NULL, NULL, NULL);
CREATE TABLE others (id int PRIMARY KEY, i inet, c cidr, m macaddr, m8 macaddr8,
	b bit(6), vb varbit, p point, bx box, pl polygon, mo money, tv tsvector,
	tq tsquery, l pg_lsn, x8 xid8, t tid, r regclass, rp regprocedure,
	rt regtype, rr regrole);
INSERT INTO others VALUES (1, '192.168.0.1/24', '10.0.0.0/8',
	'08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '000101', '0', '(1.5,-2)',
	'(1,1),(0,0)', '((0,0),(1,1),(2,0))', 1234.56, 'a fat cat', 'fat & rat',
	'16/B374D848', '12345678901', '(1,2)', 'others', 'upper(text)', 'mood',
	NULL);
SELECT CASE WHEN length(l) > 600 THEN
	left(l, 60) || '...' || right(l, 20) || ' ' || length(l) ELSE l END AS line
FROM decoded('include_relation', 'on') l WHERE l !~ '^(begin|commit)';
DROP TABLE ints, floats, numerics, times, strings, made, others;
DROP DOMAIN feeling, word, cents, positive2, positive;
DROP TYPE mood;

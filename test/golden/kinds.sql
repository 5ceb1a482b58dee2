-- Every kind of value: a plain row, its edges, nulls.
CREATE TYPE mood AS ENUM ('sad', 'glücklich');
CREATE DOMAIN cents AS numeric(10,2);
CREATE TABLE kinds (id int PRIMARY KEY, b bool, i2 int2, i8 int8, o oid,
	f4 float4, f8 float8, d date, t time, tz timetz, ts timestamp,
	tstz timestamptz, i interval, u uuid, n numeric, s text,
	v varchar(10) NOT NULL, c char(5), nm name, m mood, by bytea, j json,
	jb jsonb, a int[], ce cents, q "char",
	g int GENERATED ALWAYS AS (id * 2) STORED);
INSERT INTO kinds VALUES (1, true, -2, 3000000000, 4000000000, 1.5, 0.1,
	'2026-11-21', '08:14:07.123456', '08:14:07+05:30',
	'2026-11-21 08:14:07.123456', '2026-11-21 08:14:07.123456+00',
	'1 mon -2 days +03:04:05', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 89.20,
	'text äöü 😀', 'varchar', 'ab', 'name', 'glücklich', '\x00ff', '{"a": 1}',
	'{"b": [1, null]}', '{1,NULL}', 3.5, 'x');
INSERT INTO kinds VALUES (2, false, -32768, -9223372036854775808, 0, 'nan',
	'-inf', 'infinity', '24:00', '00:00-15:59:59', '-infinity', 'infinity',
	'-1 year', '00000000-0000-0000-0000-000000000000', 'nan', '', '', '', '',
	NULL, '', '""', '{}', '{}', 0, '');
INSERT INTO kinds (id, v) VALUES (3, '');
INSERT INTO kinds (id, v, n, d, ts) VALUES
	(4, '', '-infinity', '0044-03-15 BC', '0044-03-15 12:00 BC'),
	(5, '', -123456789012345678901234567890.000123, '-infinity', NULL),
	(6, '', '1e200', '5874897-12-31', '294276-12-31 23:59:59.999999'),
	(7, '', 0.00, NULL, NULL), (8, '', 10000, NULL, NULL),
	(9, '', 1e-30, NULL, NULL);
INSERT INTO kinds (id, v, s) VALUES (10, '', repeat('x', 254)),
	(11, '', repeat('x', 255)), (12, '', repeat('x', 300));

-- Columns of one width side by side are copied in one piece: whatever is null
-- among them, dropped, or not asked for, each value is in its place.
CREATE TABLE runs (id int4 PRIMARY KEY, a1 int4, a2 oid, a3 date, a4 int4,
	a5 float4, a6 int4, a7 int4, a8 int4, a9 int4, a10 int4, a11 int4, t1 text,
	s1 int2, s2 int2, s3 int2, m1 name, t2 text, b1 bool, b2 bool, b3 bool, b4 bool,
	b5 bool, b6 bool, b7 bool, b8 bool, b9 bool, b10 bool, b11 bool, b12 bool,
	b13 bool, b14 bool, b15 bool, b16 bool, b17 bool, l1 int8, l2 float8,
	gone int8, l3 timestamp, l4 int8, x1 int4, l5 int8, u1 uuid, u2 uuid,
	z1 timetz, z2 timetz, z3 timetz, t3 text, i1 interval, i2 interval,
	x2 int4, x3 int4, k1 int4, k2 int4, k3 int4, k4 int4, k5 int4, k6 int4, k7 int4,
	k8 int4, k9 int4, k10 int4, k11 int4, k12 int4, k13 int4, k14 int4, k15 int4,
	k16 int4, t4 text, t5 text, j1 json, x4 int4, t6 text);
-- Fills n rows from id on; about one value in "every" is null, and so many rows
-- in a row have the same nulls.
CREATE FUNCTION runs_fill(id int, n int, every float8, same int DEFAULT 1)
	RETURNS void
	LANGUAGE plpgsql AS $$
DECLARE
	list text := (SELECT string_agg(format(
		'CASE WHEN abs(hashtext(%L || i / $4)::int8) %% 1000 > 1000 / $3::float8 - 1
			THEN (%s)::%s END', attname, CASE
			WHEN atttypid = 'bool'::regtype THEN 'random() < 0.5'
			WHEN atttypid = 'text'::regtype THEN
				'repeat(chr(97 + i % 26), ((ARRAY[9, 9, 9, 40, 130, 4000])
					[1 + (random() * 50)::int % 6] * random())::int)'
			WHEN atttypid = 'json'::regtype THEN
				'to_json(repeat(''y'', (random() * 40)::int))'
			WHEN atttypid = 'date'::regtype THEN
				'date ''2026-11-21'' + (random() * 999)::int'
			WHEN atttypid = 'timestamp'::regtype THEN
				'timestamp ''2026-11-21'' + random() * interval ''9 days'''
			WHEN atttypid = 'timetz'::regtype THEN
				'time ''00:00'' + random() * interval ''1 day'''
			WHEN atttypid = 'interval'::regtype THEN
				'random() * interval ''9 days'''
			WHEN atttypid = 'uuid'::regtype THEN 'gen_random_uuid()'
			ELSE '(random() * 30000)::int' END, atttypid::regtype), ', '
		ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'runs'::regclass
		AND attnum > 1 AND NOT attisdropped);
BEGIN
	EXECUTE 'INSERT INTO runs SELECT i, ' || list ||
		' FROM generate_series($1, $1 + $2 - 1) i' USING id, n, every, same;
END $$;
-- Decoded lines that differ from what the table holds, and how many there are.
CREATE FUNCTION runs_wrong(option text, value text, wanted name[] DEFAULT NULL,
	OUT lines int, OUT wrong int, OUT first text)
	LANGUAGE plpgsql SET intervalstyle = postgres SET datestyle = iso AS $$
DECLARE
	list text := (SELECT string_agg(format('%L || coalesce(%s, ''null'')',
		' ' || attname || '=', CASE
			WHEN atttypid = 'bool'::regtype THEN format('left(%I::text, 1)', attname)
			WHEN atttypid = ANY ('{int2,int4,int8,oid,float4,float8}'::regtype[])
				THEN format('%I::text', attname)
			ELSE format('quote_literal(%I)', attname) END), ' || '
		ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'runs'::regclass
		AND attnum > 0 AND NOT attisdropped
		AND (wanted IS NULL OR attname = ANY (wanted)));
	-- Before the query: decoding fails where an index is open that is made in
	-- what is decoded.
	decoded text[] := ARRAY(SELECT l FROM decoded(option, value) l
		WHERE l ~ '^insert');
BEGIN
	EXECUTE 'SELECT count(*), count(*) FILTER (WHERE bad), min(l) FILTER (WHERE bad)
		FROM (SELECT l, l IS DISTINCT FROM ''insert public.runs:'' || ' || list || '
			AS bad FROM (SELECT l, substring(l FROM '': id=(\d+)'')::int AS id
			FROM unnest($1) l) d
		LEFT JOIN runs USING (id)) t' INTO lines, wrong, first USING decoded;
END $$;
SELECT setseed(0.2), runs_fill(1, 200, 1e9), runs_fill(201, 400, 2),
	runs_fill(601, 200, 1.1), runs_fill(801, 200, 20);
SELECT * FROM runs_wrong('tables', 'public.runs');
ALTER TABLE runs DROP gone;
SELECT setseed(0.3), runs_fill(1001, 200, 1e9), runs_fill(1201, 400, 3);
SELECT * FROM runs_wrong('tables', 'public.runs');
-- Rows with the nulls of the rows before them, too few of those, and enough;
-- then rows that have none of the values but the key.
SELECT setseed(0.4), runs_fill(2001, 300, 2, 3), runs_fill(2301, 300, 2, 7),
	runs_fill(2601, 300, 1.2, 50), runs_fill(2901, 100, 30, 9),
	runs_fill(3001, 20, 1);
SELECT * FROM runs_wrong('tables', 'public.runs');
CREATE PUBLICATION runs_part FOR TABLE runs (id, a2, a3, a9, t1, s2, m1, b1, b2, b17,
	l1, l4, u2, t3, x3);
SELECT setseed(0.5), runs_fill(4001, 300, 2, 30), runs_fill(4301, 100, 1e9);
SELECT * FROM runs_wrong('publication_names', 'runs_part',
	'{id,a2,a3,a9,t1,s2,m1,b1,b2,b17,l1,l4,u2,t3,x3}');
DROP PUBLICATION runs_part;
-- A key whose columns are a run in part, beside columns that are null or not.
CREATE TABLE runs_key (n int4, a int4, b int4, x int4, y int4, c int4, t text,
	PRIMARY KEY (a, b, c));
INSERT INTO runs_key VALUES (null, 1, 2, null, null, 3, 't'),
	(4, 5, 6, 7, 8, 9, null), (null, 10, 11, 12, null, 13, 't');
UPDATE runs_key SET b = b + 100;
DELETE FROM runs_key WHERE n IS NULL;
CREATE PUBLICATION runs_some FOR TABLE runs_key (a, b, y, c);
INSERT INTO runs_key VALUES (1, 2, 3, 4, null, 5, 'u');
SELECT l FROM peeked('tables', 'public.runs_key') l WHERE l ~ '^(insert|update|delete)';
SELECT l FROM decoded('publication_names', 'runs_some') l
	WHERE l ~ '^(insert|update|delete)';
DROP PUBLICATION runs_some;
DROP TABLE runs, runs_key;
DROP FUNCTION runs_fill, runs_wrong;

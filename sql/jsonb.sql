-- A jsonb's text is made by the plugin: the bytes are those of the type's
-- output function, for each of these.
CREATE TABLE jb (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, j jsonb);
-- Decoded lines that differ from what the server prints.
CREATE FUNCTION jb_wrong() RETURNS TABLE (id int, doc text, line text)
	LANGUAGE sql AS $$
	SELECT t.id, left(j::text, 60), left(d.l, 90) FROM
		(SELECT l, substring(l FROM ': id=(\d+)')::int AS id
			FROM decoded('tables', 'public.jb') l WHERE l ~ '^insert') d
		FULL JOIN jb t USING (id)
	-- The format doubles quotes and backslashes, and spells DEL.
	WHERE d.l IS DISTINCT FROM 'insert public.jb: id=' || t.id || ' j='''
		|| replace(replace(replace(j::text, '''', ''''''), '\', '\\'),
			chr(127), '\x7f') || ''''
	ORDER BY 1 LIMIT 9
$$;
-- Scalars, empty and small containers.
INSERT INTO jb (j) SELECT d::jsonb FROM unnest(array['null', 'true', 'false',
	'""', '"x"', '0', '{}', '[]', '[[]]', '[{}]', '{"": {}}', '[null]',
	'[true, false, null]', '{"a": null}', '{"b": 1, "a": [2, {"c": "d"}]}',
	'[[1, 2], [3, 4], {"k": [5]}]', '{"a": {"b": {"c": {"d": []}}}}']) d;
-- Each byte up to 0x7f, and longer characters, at each place of a word.
INSERT INTO jb (j) SELECT to_jsonb(repeat('x', n) || chr(c) || repeat('y', 9))
	FROM generate_series(1, 127) c, generate_series(0, 8) n;
INSERT INTO jb (j) SELECT to_jsonb(repeat(s, n) || ''';"' || s)
	FROM unnest(array['ä', '€', '😀', '\', '"', E'\u007f', E'\x1f', ' ']) s,
		generate_series(0, 20) n;
INSERT INTO jb (j) SELECT jsonb_build_object(repeat(chr(c), n), c)
	FROM unnest(array[9, 34, 92, 228, 8364]) c, generate_series(0, 17) n;
-- Numbers: signs, digits before and behind the point, around all limits.
INSERT INTO jb (j) SELECT jsonb_build_array(n, -n, jsonb_build_object('n', n))
	FROM (SELECT round(f * 10::numeric ^ e, s) AS n
		FROM unnest(array[1, 9.99, 1.2345678901234567, 0.5, 1000.0001]) f,
			generate_series(-20, 20) e, unnest(array[0, 1, 2, 4, 5, 15, 16, 17,
			19, 30]) s) n;
INSERT INTO jb (j) SELECT to_jsonb(n) FROM unnest(array[0, 0.0, 0.0000, -0.1,
	9999, 10000, 99999999, 100000000, 9999999999999999, 10000000000000000,
	-9223372036854775808, 0.0001, 0.00010, 0.00001, 10000.0001,
	1e70, 1e-70, 1.10]) n;
INSERT INTO jb (j) VALUES ('1e1000'), ('[1e-1000, 2]'), ('-12345678901234567890.5');
-- Arrays and objects whose entries hold lengths and, at times, offsets.
INSERT INTO jb (j) SELECT jsonb_agg(i) FROM generate_series(1, 100) n,
	generate_series(1, n) i GROUP BY n;
INSERT INTO jb (j) SELECT jsonb_object_agg('key ' || i, CASE i % 5
		WHEN 0 THEN to_jsonb(repeat('v', i)) WHEN 1 THEN to_jsonb(i / 8.0)
		WHEN 2 THEN jsonb_build_array(i, 'x', null) WHEN 3 THEN 'true'
		ELSE jsonb_build_object('i', i) END)
	FROM generate_series(1, 100) n, generate_series(1, n) i GROUP BY n;
-- Nested to and beyond what the plugin does itself.
INSERT INTO jb (j) SELECT (repeat('[', n) || '1' || repeat(']', n))::jsonb
	FROM generate_series(1, 40) n;
INSERT INTO jb (j) SELECT (repeat('{"a": ', n) || '[]' || repeat('}', n))::jsonb
	FROM unnest(array[31, 32, 33, 34, 1000]) n;
-- With a short header, compressed, out of line, longer than is done here.
INSERT INTO jb (j) SELECT jsonb_build_object('t', repeat('text ', n))
	FROM unnest(array[1, 20, 21, 25, 26, 400, 2000, 13000, 13105, 13107, 13108,
		20000]) n;
INSERT INTO jb (j) SELECT jsonb_agg(md5(i::text)) FROM unnest(array[10, 70,
	1000, 3000]) n, generate_series(1, n) i GROUP BY n;
ALTER TABLE jb ALTER j SET STORAGE external;
INSERT INTO jb (j) SELECT jsonb_agg(i) FROM generate_series(1, 2000) i;
SELECT count(*) > 1500 AS many FROM jb;
SELECT * FROM jb_wrong();
-- Random documents, the same each time.
TRUNCATE jb;
SELECT setseed(0.25);
CREATE FUNCTION random_doc(depth int) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	kind int := floor(random() * CASE WHEN depth > 5 THEN 5 ELSE 8 END);
	n int := floor(random() ^ 3 * 60);
BEGIN
	RETURN CASE kind
		WHEN 0 THEN 'null' WHEN 1 THEN to_jsonb(random() < 0.5)
		WHEN 2 THEN to_jsonb(round((random() * 10 ^ n)::numeric, n % 7))
		WHEN 3 THEN to_jsonb(n)
		WHEN 4 THEN to_jsonb(translate(repeat('some "text" ', n), 'xe', E'\\\n'))
		WHEN 5 THEN (SELECT coalesce(jsonb_agg(random_doc(depth + 1)), '[]')
			FROM generate_series(1, n / 4))
		ELSE (SELECT coalesce(jsonb_object_agg(left(md5(i::text), i % 9 + 1),
			random_doc(depth + 1)), '{}') FROM generate_series(1, n / 3) i) END;
END $$;
INSERT INTO jb (j) SELECT random_doc(0) FROM generate_series(1, 2000);
SELECT count(*), count(DISTINCT j) > 200 AS differ FROM jb;
SELECT * FROM jb_wrong();
-- As a domain, as an element, as the key of an old row.
CREATE DOMAIN doc AS jsonb;
CREATE TABLE jb_key (k doc PRIMARY KEY, a jsonb[], n doc);
INSERT INTO jb_key VALUES ('{"a": [1, "\t"]}', array['{"b": 1.50}']::jsonb[], null);
UPDATE jb_key SET k = '"moved"', n = k;
DELETE FROM jb_key;
SELECT l FROM decoded('tables', 'public.jb_key') l WHERE l ~ '^(insert|update|delete)';
DROP TABLE jb, jb_key;
DROP DOMAIN doc;
DROP FUNCTION jb_wrong, random_doc;

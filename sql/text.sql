-- What the text format does with names, long lines and odd rows.
CREATE TABLE "Odd name, ""quoted""" ("A b" int PRIMARY KEY, "select" text,
	"quo""te" text, plain text);
INSERT INTO "Odd name, ""quoted""" VALUES (1, 'a', 'b', 'c');
DELETE FROM "Odd name, ""quoted""";
CREATE TABLE nothing ();
INSERT INTO nothing DEFAULT VALUES;
INSERT INTO nothing DEFAULT VALUES;
CREATE TABLE long (id int PRIMARY KEY, t text, b bytea);
INSERT INTO long VALUES (1, repeat('ä', 100000), decode(repeat('00', 200000),
	'hex'));
SELECT CASE WHEN length(l) > 600 THEN
	left(l, 60) || '...' || right(l, 40) || ' ' || length(l) ELSE l END AS line
FROM decoded('include_relation', 'on') l;
DROP TABLE "Odd name, ""quoted""", nothing, long;
-- 1600 columns, with and without nulls.
DO $$
BEGIN
	EXECUTE 'CREATE TABLE wide (' ||
		(SELECT string_agg('c' || i || ' int', ',') FROM generate_series(1, 1600) i)
		|| ')';
	EXECUTE 'INSERT INTO wide VALUES (' ||
		(SELECT string_agg(i::text, ',') FROM generate_series(1, 1600) i) || ')';
	EXECUTE 'INSERT INTO wide (c1, c800, c1600) VALUES (1, 800, 1600)';
END $$;
SELECT left(l, 40) || '...' || right(l, 30) AS line,
	(SELECT count(*) FROM regexp_matches(l, ' c\d+=null', 'g')) AS nulls,
	(SELECT count(*) FROM regexp_matches(l, ' c(\d+)=\1(?= |$)', 'g')) AS right
FROM decoded() l WHERE l ~ '^insert';
DROP TABLE wide;

-- The packets themselves.
CREATE FUNCTION u16(b bytea, at int) RETURNS int LANGUAGE sql AS
	$$ SELECT get_byte(b, at) + (get_byte(b, at + 1) << 8) $$;
CREATE FUNCTION u32(b bytea, at int) RETURNS bigint LANGUAGE sql AS
	$$ SELECT u16(b, at) + (u16(b, at + 2)::bigint << 16) $$;
-- CRC-32C, bit by bit.
CREATE FUNCTION crc32c_of(b bytea) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	crc bigint := 4294967295;
BEGIN
	FOR i IN 0 .. length(b) - 1 LOOP
		crc := crc # get_byte(b, i);
		FOR k IN 1 .. 8 LOOP
			crc := (crc >> 1) # (CASE WHEN crc & 1 = 1 THEN 2197175160 ELSE 0 END);
		END LOOP;
	END LOOP;
	RETURN crc # 4294967295;
END $$;
-- The frames of a packet: number, type, flags, body.
CREATE FUNCTION frames(b bytea) RETURNS TABLE (n int, type text, flags int,
	body bytea) LANGUAGE plpgsql AS $$
DECLARE
	at int := 8;
BEGIN
	n := 0;
	WHILE at < length(b) LOOP
		n := n + 1;
		type := chr(get_byte(b, at));
		flags := get_byte(b, at + 1);
		body := substr(b, at + 7, u32(b, at + 2)::int);
		at := at + 6 + u32(b, at + 2)::int;
		RETURN NEXT;
	END LOOP;
	IF at <> length(b) THEN
		RAISE 'packet ends in a frame';
	END IF;
END $$;
CREATE TABLE bin (id int PRIMARY KEY, t text);
-- That it was made is told in packets of their own.
SELECT count(*) > 0 AS made FROM packets();
SELECT 'x' FROM pg_logical_emit_message(false, 'p', 'm');
BEGIN;
INSERT INTO bin VALUES (1, 'one'), (2, NULL);
UPDATE bin SET id = 3 WHERE id = 2;
DELETE FROM bin WHERE id = 1;
TRUNCATE bin;
COMMIT;
CREATE TEMP TABLE got AS SELECT row_number() OVER () AS packet, data
	FROM packets('tables', 'public.*') data;
SELECT packet, encode(substr(data, 1, 4), 'hex') AS magic,
	u32(data, 4) = crc32c_of(substr(data, 9)) AS crc FROM got;
SELECT packet, f.n, f.type, f.flags, CASE WHEN f.type NOT IN ('H', 'R')
	THEN length(f.body) END AS len FROM got, frames(data) f ORDER BY 1, 2;
-- Change headers: the ordinal counts up; the rows in hexadecimal.
SELECT f.type, u32(body, 16) AS ordinal, encode(substr(body, 25), 'hex') AS rows
FROM got, frames(data) f WHERE f.type IN ('I', 'U', 'D') ORDER BY f.n;
SELECT u32(body, 0) AS min, u32(body, 4) AS max,
	u32(body, 8) = current_setting('server_version_num')::int AS server,
	get_byte(body, 12) AS text FROM got, frames(data) f WHERE f.type = 'H';
-- A packet is closed at about 64 kB.
INSERT INTO bin SELECT g, repeat('x', 100) FROM generate_series(1, 5000) g;
TRUNCATE got;
INSERT INTO got SELECT row_number() OVER (), data FROM packets() data;
SELECT count(*) > 5 AS several, max(length(data)) < 66000 AS small,
	bool_and(length(data) > 65000 OR packet = (SELECT max(packet) FROM got))
	AS filled, sum((SELECT count(*) FROM frames(data) f WHERE f.type = 'I'))
	AS rows FROM got;
-- A row longer than a frame comes in parts; together they are the frame.
INSERT INTO bin VALUES (6000, repeat('0123456789', 1000000));
TRUNCATE got;
INSERT INTO got SELECT row_number() OVER (), data FROM packets() data;
CREATE TEMP TABLE part AS SELECT packet, f.* FROM got, frames(data) f;
SELECT packet, n, type, flags, chr(get_byte(body, 0)) AS of, get_byte(body, 1)
	AS of_flags, u32(body, 2) AS part, length(body) FROM part WHERE type = 'P'
	ORDER BY packet;
SELECT max(length(data)) FROM got;
SELECT type FROM part ORDER BY packet DESC LIMIT 1;
SELECT length(whole), encode(substr(whole, 25, 10), 'hex') AS head,
	md5(substr(whole, 35)) = md5(repeat('0123456789', 1000000)) AS same
FROM (SELECT string_agg(substr(body, 7), '' ORDER BY packet) AS whole
	FROM part WHERE type = 'P') w;
-- A frame up to the limit is whole, one byte more is not.
INSERT INTO bin VALUES (6001, repeat('x', 8388608 - 24 - 1 - 4 - 5));
INSERT INTO bin VALUES (6002, repeat('x', 8388608 - 24 - 1 - 4 - 5 + 1));
TRUNCATE got;
INSERT INTO got SELECT row_number() OVER (), data FROM packets() data;
SELECT type, count(*), sum(length(body)) FROM got, frames(data)
	WHERE type IN ('I', 'P') GROUP BY 1 ORDER BY 1;
DROP TABLE bin, got, part;

-- Partitions whose columns lie in another order than their root's.
CREATE TABLE root (id int, at date, note text, PRIMARY KEY (id, at))
	PARTITION BY RANGE (at);
CREATE TABLE p1 PARTITION OF root FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE p2 (note text, gone int, at date NOT NULL, id int NOT NULL);
ALTER TABLE p2 DROP COLUMN gone;
ALTER TABLE root ATTACH PARTITION p2 FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE p3 PARTITION OF root FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')
	PARTITION BY LIST (id);
CREATE TABLE p3_1 (at date NOT NULL, id int NOT NULL, extra int, note text);
ALTER TABLE p3_1 DROP COLUMN extra;
ALTER TABLE p3 ATTACH PARTITION p3_1 FOR VALUES IN (1);
CREATE TABLE p3_x PARTITION OF p3 DEFAULT;
CREATE TABLE p_default PARTITION OF root DEFAULT;
INSERT INTO root VALUES (1, '2026-01-15', 'one'), (2, '2026-02-15', NULL),
	(1, '2026-03-15', 'three'), (4, '2026-03-16', 'four'),
	(5, '2030-01-01', 'far');
UPDATE root SET note = 'changed';
-- A row moves: a delete and an insert.
UPDATE root SET at = '2026-02-20' WHERE id = 1 AND at = '2026-01-15';
-- A key change within a partition.
UPDATE root SET id = 6 WHERE id = 2;
DELETE FROM root WHERE id = 4;
SELECT * FROM peeked('include_relation', 'on') l WHERE l !~ '^(begin|commit)';
SELECT * FROM peeked('partition', 'leaf', 'include_relation', 'on') l
	WHERE l !~ '^(begin|commit)';
-- Names of either level choose.
SELECT * FROM peeked('tables', 'public.root', 'exclude', 'public.p3*') l
	WHERE l ~ '^insert';
SELECT * FROM peeked('tables', 'public.p2') l WHERE l ~ '^insert';
SELECT * FROM decoded('tables', 'public.root', 'partition', 'leaf') l
	WHERE l ~ '^insert';
-- Truncates of the root, of leaves, and of a branch.
TRUNCATE root;
TRUNCATE p2;
TRUNCATE p3;
TRUNCATE ONLY p1, p_default;
SELECT * FROM peeked() l WHERE l ~ '^truncate';
SELECT * FROM decoded('partition', 'leaf') l WHERE l ~ '^truncate';
-- Renames and new columns of the root show in its leaves' rows at once.
BEGIN;
INSERT INTO root VALUES (1, '2026-02-01', 'before');
ALTER TABLE root RENAME TO stem;
INSERT INTO stem VALUES (2, '2026-02-01', 'renamed');
ALTER TABLE stem ADD COLUMN more int DEFAULT 7;
INSERT INTO stem VALUES (3, '2026-02-01', 'added', 8);
UPDATE stem SET note = 'updated' WHERE id = 1;
ALTER TABLE stem DETACH PARTITION p2;
INSERT INTO p2 (note, at, id, more) VALUES ('alone', '2026-02-01', 4, 9);
COMMIT;
SELECT * FROM decoded() l WHERE l !~ '^(begin|commit)';
-- Identity full in leaves of another order.
CREATE TABLE pf (a int PRIMARY KEY, b text) PARTITION BY LIST (a);
CREATE TABLE pf_1 (b text, a int NOT NULL);
ALTER TABLE pf ATTACH PARTITION pf_1 FOR VALUES IN (1, 2);
ALTER TABLE pf REPLICA IDENTITY FULL;
ALTER TABLE pf_1 REPLICA IDENTITY FULL;
ALTER TABLE pf_1 ALTER b SET STORAGE EXTERNAL;
INSERT INTO pf VALUES (1, repeat('long', 2000));
UPDATE pf SET a = 2;
DELETE FROM pf;
SELECT regexp_replace(l, '(long){100,}', '...', 'g') AS line
	FROM peeked() l WHERE l !~ '^(begin|commit)';
SELECT regexp_replace(l, '(long){100,}', '...', 'g') AS line
	FROM decoded('old', 'full') l WHERE l !~ '^(begin|commit)';
DROP TABLE stem, p2, pf;

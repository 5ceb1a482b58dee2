-- What of a transaction is sent, and in which order.
CREATE TABLE tx (id int PRIMARY KEY, n int);
-- Rolled back: nothing.
BEGIN;
INSERT INTO tx VALUES (1, 1);
ROLLBACK;
-- Savepoints.
BEGIN;
INSERT INTO tx VALUES (1, 1);
SAVEPOINT a;
INSERT INTO tx VALUES (2, 1);
SAVEPOINT b;
INSERT INTO tx VALUES (3, 1);
ROLLBACK TO b;
INSERT INTO tx VALUES (4, 1);
RELEASE a;
INSERT INTO tx VALUES (5, 1);
COMMIT;
-- DDL in a subtransaction that is undone.
BEGIN;
SAVEPOINT a;
ALTER TABLE tx ADD COLUMN t text;
INSERT INTO tx VALUES (6, 1, 'x');
ROLLBACK TO a;
INSERT INTO tx VALUES (7, 1);
COMMIT;
-- ON CONFLICT.
INSERT INTO tx VALUES (1, 9) ON CONFLICT DO NOTHING;
INSERT INTO tx VALUES (1, 9) ON CONFLICT (id) DO UPDATE SET n = 9;
INSERT INTO tx VALUES (8, 9) ON CONFLICT (id) DO UPDATE SET n = 9;
-- Prepared: as a whole, when it is committed.
BEGIN;
INSERT INTO tx VALUES (20, 1);
PREPARE TRANSACTION 'gid';
INSERT INTO tx VALUES (21, 1);
COMMIT PREPARED 'gid';
BEGIN;
INSERT INTO tx VALUES (22, 1);
PREPARE TRANSACTION 'undone';
ROLLBACK PREPARED 'undone';
SELECT * FROM decoded();
-- All rows of one statement may share their LSN; the ordinal tells them apart.
COPY tx FROM stdin;
30	1
31	2
32	3
\.
SELECT substring(l from 'seq \d+\] .*') AS line,
	count(*) OVER (PARTITION BY substring(l from 'lsn \S+')) AS same_lsn
FROM decoded('include_lsn', 'on') l WHERE l ~ '^insert' ORDER BY l;
-- Larger than the memory of the decoder, so spilled.
BEGIN;
INSERT INTO tx SELECT g, g FROM generate_series(1000, 5999) g;
SAVEPOINT a;
UPDATE tx SET n = n + 1 WHERE id >= 1000;
ROLLBACK TO a;
DELETE FROM tx WHERE id >= 1000;
COMMIT;
SELECT count(*), min(split_part(l, ' ', 1)), max(substring(l from
	'seq (\d+)\]')::int) FROM decoded('include_lsn', 'on') l
GROUP BY split_part(l, ' ', 1) ORDER BY 2;
DROP TABLE tx;

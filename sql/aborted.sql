-- An aborted transaction larger than the decoder's memory, with a released
-- subtransaction: servers from 18 on tell its abort without having streamed it.
CREATE TABLE aborted (id int PRIMARY KEY, t text);
BEGIN;
INSERT INTO aborted SELECT g, repeat('x', 200) FROM generate_series(1, 150) g;
SAVEPOINT a;
INSERT INTO aborted VALUES (1001, 'sub');
RELEASE a;
INSERT INTO aborted SELECT g, repeat('y', 200) FROM generate_series(2001, 2300) g;
ROLLBACK;
INSERT INTO aborted VALUES (1, 'after');
SELECT * FROM peeked();
SELECT l FROM peeked('streaming', 'on') l WHERE l !~ '^(stream|insert.*[xy]'')';
SELECT * FROM decoded('tables', 'public.aborted');
-- The slot goes on from here.
INSERT INTO aborted VALUES (2, 'later');
SELECT * FROM decoded();
DROP TABLE aborted;

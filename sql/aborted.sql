-- An aborted transaction larger than the decoder's memory, with a released
-- subtransaction: servers from 18 on tell its abort without having streamed it.
-- With assertions such a server stops itself at its own call, whatever the plugin.
SELECT current_setting('debug_assertions')::bool AND
	current_setting('server_version_num')::int >= 180000 AS cannot \gset
\if :cannot
\quit
\endif
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
DROP TABLE aborted;

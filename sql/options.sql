-- Every option, its default and its bad values.
SELECT * FROM peeked('nonsense', '1');
SELECT * FROM pg_logical_slot_peek_changes('regress', NULL, NULL,
	'format', 'text', 'format', 'text');
SELECT * FROM pg_logical_slot_peek_changes('regress', NULL, NULL,
	'format', 'xml');
SELECT * FROM pg_logical_slot_peek_changes('regress', NULL, NULL,
	'format', NULL);
-- The binary format needs the binary function.
SELECT * FROM pg_logical_slot_peek_changes('regress', NULL, NULL);
SELECT * FROM peeked('proto_version', '1');
SELECT * FROM peeked('proto_version', '0');
SELECT * FROM peeked('proto_version', '2');
SELECT * FROM peeked('proto_version', '1x');
SELECT * FROM peeked('proto_version', '');
SELECT * FROM peeked('proto_version', '99999999999999999999');
SELECT * FROM peeked('messages', 'perhaps');
SELECT * FROM peeked('messages', NULL);
SELECT * FROM peeked('partition', 'branch');
SELECT * FROM peeked('partition', 'ROOT');
SELECT * FROM peeked('old', '');
SELECT * FROM peeked('old', 'full, key');
SELECT * FROM peeked('origin', 'some');
SELECT * FROM peeked('include_lsn', '2');
SELECT * FROM peeked('streaming', 'parallel');
SELECT * FROM peeked('two_phase', '');
SELECT * FROM peeked('include_xid', 'yess');
SELECT * FROM peeked('include_time', '-1');
SELECT * FROM peeked('include_relation', 'root');
SELECT * FROM peeked('publication_names', 'a,,b');
SELECT * FROM peeked('publication_names', 'a b');
SELECT * FROM peeked('publication_names', 'a', 'partition', 'leaf');
SELECT * FROM peeked('tables', 'orders');
SELECT * FROM peeked('tables', 'a.b.c');
SELECT * FROM peeked('tables', 'a.b,,c.d');
SELECT * FROM peeked('tables', 'a."b');
SELECT * FROM peeked('tables', 'a."b"c');
SELECT * FROM peeked('tables', 'a b.c');
SELECT * FROM peeked('exclude', 'a.');
SELECT * FROM peeked('exclude', NULL);
SELECT * FROM peeked('tables', repeat('x', 300) || '.y');
SELECT * FROM peeked('tables', '  ');
-- OIDs of publications: as many as names.
SELECT * FROM peeked('publication_oids', '1');
SELECT * FROM peeked('publication_names', 'a, b', 'publication_oids', '1');
SELECT * FROM peeked('publication_names', 'a', 'publication_oids', '1,');
SELECT * FROM peeked('publication_names', 'a', 'publication_oids', '-1');
SELECT * FROM peeked('publication_names', 'a', 'publication_oids', '4294967296');
SELECT * FROM peeked('publication_names', 'a', 'publication_oids', '1 ,2');
SELECT * FROM peeked('publication_names', 'a, b', 'publication_oids', '0,4294967295');
-- Case matters in the names of options, and not in words.
SELECT * FROM peeked('Messages', 'off');
SELECT * FROM peeked('messages', 'OFF', 'old', 'FULL');
-- What is shown.
CREATE TABLE shown (id int PRIMARY KEY, note text);
INSERT INTO shown VALUES (1, 'a');
SELECT * FROM peeked();
SELECT * FROM peeked('include_relation', 'on');
SELECT regexp_replace(regexp_replace(l, '[0-9A-F]+/[0-9A-F]+', 'X/X', 'g'),
	'xid [0-9]+', 'xid N') AS lines
FROM peeked('include_lsn', 'on', 'include_xid', 'yes') l;
SELECT l ~ '^(begin|commit) \[time \d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.0-9]*\+00\]$'
	AS ok
FROM peeked('include_time', 'true') l WHERE l !~ '^insert';
SELECT count(*) FROM decoded();
DROP TABLE shown;

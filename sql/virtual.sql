-- Generated columns that are not stored, from 18 on: not sent, since they are
-- not there.  Older servers do not know them (virtual_1.out).
CREATE TABLE virt (id int PRIMARY KEY, a int,
	v int GENERATED ALWAYS AS (a * 2) VIRTUAL, b text,
	s int GENERATED ALWAYS AS (a * 3) STORED);
INSERT INTO virt (id, a, b) VALUES (1, 1, 'b'), (2, NULL, NULL);
UPDATE virt SET a = 2 WHERE id = 1;
ALTER TABLE virt REPLICA IDENTITY FULL;
UPDATE virt SET a = 3 WHERE id = 1;
SELECT * FROM decoded('include_relation', 'on', 'old', 'full') l
	WHERE l !~ '^(begin|commit)';
DROP TABLE virt;

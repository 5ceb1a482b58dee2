-- Unchanged, null and empty values.
CREATE TABLE toasted (id int PRIMARY KEY, n int, t text);
ALTER TABLE toasted ALTER t SET STORAGE EXTERNAL;
INSERT INTO toasted VALUES (1, 1, repeat('abcdefgh', 300));
UPDATE toasted SET n = 2;
UPDATE toasted SET n = NULL;
UPDATE toasted SET t = NULL;
UPDATE toasted SET t = '';

-- encoding SQL_ASCII
-- Bytes of no known encoding.
CREATE TABLE raw (id int PRIMARY KEY, t text);
INSERT INTO raw VALUES (1, E'ok\xff\xc3');

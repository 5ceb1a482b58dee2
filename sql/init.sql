-- What the other files use.
-- Lines of the text format since the last call.  Where relations are not asked
-- for, without what became of tables, which is told in ddl_seen; and never of
-- those that an earlier test left.
CREATE FUNCTION changes(lines text[], options text[])
RETURNS SETOF text LANGUAGE sql AS $$
	SELECT l FROM (
		SELECT l, n, lag(l) OVER (ORDER BY n) AS before,
			lead(l) OVER (ORDER BY n) AS after
		FROM unnest(lines) WITH ORDINALITY u (l, n)
		WHERE l !~ '^table ' OR ('include_relation' = ANY (options) AND
			l !~ '^table \(no name\)')) u
	WHERE NOT coalesce((l ~ '^begin' AND after ~ '^commit') OR
		(l ~ '^commit' AND before ~ '^begin'), false)
	ORDER BY n
$$;
CREATE FUNCTION decoded(VARIADIC options text[] DEFAULT '{}')
RETURNS SETOF text LANGUAGE sql AS $$
	SELECT changes(array(
		SELECT data FROM pg_logical_slot_get_changes('regress', NULL, NULL,
			VARIADIC array['format', 'text'] || options)), options)
$$;
-- The same without consuming them.
CREATE FUNCTION peeked(VARIADIC options text[] DEFAULT '{}')
RETURNS SETOF text LANGUAGE sql AS $$
	SELECT changes(array(
		SELECT data FROM pg_logical_slot_peek_changes('regress', NULL, NULL,
			VARIADIC array['format', 'text'] || options)), options)
$$;
-- Packets of the binary format.
CREATE FUNCTION packets(VARIADIC options text[] DEFAULT '{}')
RETURNS SETOF bytea LANGUAGE sql AS $$
	SELECT data FROM pg_logical_slot_get_binary_changes('regress', NULL, NULL,
		VARIADIC options)
$$;
SELECT slot_name FROM pg_create_logical_replication_slot('regress', 'cdc_s3');
SELECT plugin, slot_type, temporary FROM pg_replication_slots;
-- Nothing to tell.
SELECT * FROM decoded();
